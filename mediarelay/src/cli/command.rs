//! The words of the text interface, as `rtpengine-ctl` sends them.

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Help(&'static str),
    ListInterfaces,
    ListJsonStats,
    /// Ours alone: where the flows of calls are.
    ListKernel(Which<'a>),
    ListMaxSessions,
    ListNumSessions,
    ListSessions(Which<'a>),
    ListTimeout(Timeout),
    ListTotals,
    /// `None` is no limit.
    SetMaxSessions(Option<usize>),
    Terminate(Which<'a>),
    /// What is to be answered to a line that is none of these.
    Refused(String),
}

/// Which calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which<'a> {
    All,
    /// Calls of other nodes: there are none.
    Foreign,
    One(&'a str),
}

/// Which setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeout {
    Media,
    Silent,
    Offer,
    Final,
}

const COMMANDS: &str = "Available sub-commands at this level:\n\tlist\n\tset\n\tterminate\n\thelp\n";

const LIST_COMMANDS: &str = "Available sub-commands at this level:\n\tnumsessions\n\tsessions\n\ttotals\n\t\
     jsonstats\n\tkernel\n\tinterfaces\n\tmaxsessions\n\ttimeout\n\tsilenttimeout\n\toffertimeout\n\tfinaltimeout\n";

const SET_COMMANDS: &str = "Available sub-commands at this level:\n\tmaxsessions <number, -1 for no limit>\n";

const TERMINATE_COMMANDS: &str =
    "Available sub-commands at this level:\n\tall\n\town\n\tforeign\n\t<call-id>\n";

impl<'a> Command<'a> {
    /// Reads a line. A call-id may hold anything but blanks at its ends.
    pub(super) fn parse(line: &'a str) -> Self {
        let (verb, rest) = word(line);
        match verb {
            "help" => Self::Help(COMMANDS),
            "list" => Self::list(rest),
            "set" => Self::set(rest),
            "terminate" => match Which::parse(rest) {
                Some(Which::One("help")) => Self::Help(TERMINATE_COMMANDS),
                Some(which) => Self::Terminate(which),
                None => Self::incomplete(),
            },
            _ => Self::unknown(line),
        }
    }

    fn list(text: &'a str) -> Self {
        let (what, rest) = word(text);
        match what {
            "" => Self::incomplete(),
            "help" => Self::Help(LIST_COMMANDS),
            "interfaces" => Self::ListInterfaces,
            "jsonstats" => Self::ListJsonStats,
            "kernel" => Which::parse(rest).map_or_else(Self::incomplete, Self::ListKernel),
            "maxsessions" => Self::ListMaxSessions,
            "numsessions" => Self::ListNumSessions,
            "sessions" => Which::parse(rest).map_or_else(Self::incomplete, Self::ListSessions),
            "totals" => Self::ListTotals,
            "timeout" => Self::ListTimeout(Timeout::Media),
            "silenttimeout" | "silent_timeout" => Self::ListTimeout(Timeout::Silent),
            "offertimeout" | "offer_timeout" => Self::ListTimeout(Timeout::Offer),
            "finaltimeout" | "final_timeout" => Self::ListTimeout(Timeout::Final),
            _ => Self::unknown(text),
        }
    }

    fn set(text: &'a str) -> Self {
        let (what, rest) = word(text);
        match (what, rest.trim()) {
            ("help", _) => Self::Help(SET_COMMANDS),
            ("maxsessions", "") | ("", _) => Self::incomplete(),
            ("maxsessions", "-1") => Self::SetMaxSessions(None),
            ("maxsessions", number) => number.parse().map_or_else(
                |_| Self::Refused(format!("Not a number of sessions: {number}\n")),
                |max| Self::SetMaxSessions(Some(max)),
            ),
            _ => Self::unknown(text),
        }
    }

    fn incomplete() -> Self {
        Self::Refused("More parameters required.\n".to_owned())
    }

    fn unknown(text: &str) -> Self {
        Self::Refused(format!("Unknown or incomplete command::{}\n", text.trim()))
    }
}

impl<'a> Which<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        match text.trim() {
            "" => None,
            "all" | "own" => Some(Self::All),
            "foreign" => Some(Self::Foreign),
            call_id => Some(Self::One(call_id)),
        }
    }
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(|c: char| c.is_ascii_whitespace())
        .unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_rtpengine_reads_them() {
        for (line, command) in [
            ("list totals\n", Command::ListTotals),
            ("  list   numsessions\r\n", Command::ListNumSessions),
            ("list sessions all", Command::ListSessions(Which::All)),
            ("list sessions own", Command::ListSessions(Which::All)),
            ("list sessions foreign", Command::ListSessions(Which::Foreign)),
            (
                "list sessions a b@c;d",
                Command::ListSessions(Which::One("a b@c;d")),
            ),
            ("list interfaces", Command::ListInterfaces),
            ("list kernel all", Command::ListKernel(Which::All)),
            ("list kernel a@b", Command::ListKernel(Which::One("a@b"))),
            ("list jsonstats", Command::ListJsonStats),
            ("list offer_timeout", Command::ListTimeout(Timeout::Offer)),
            ("set maxsessions 0", Command::SetMaxSessions(Some(0))),
            ("set  maxsessions -1", Command::SetMaxSessions(None)),
            ("terminate all", Command::Terminate(Which::All)),
            ("terminate x", Command::Terminate(Which::One("x"))),
            ("help", Command::Help(COMMANDS)),
            ("list help", Command::Help(LIST_COMMANDS)),
        ] {
            assert_eq!(Command::parse(line), command, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_rtpengines_words() {
        for (line, text) in [
            ("list", "More parameters required.\n"),
            ("list sessions", "More parameters required.\n"),
            ("list kernel", "More parameters required.\n"),
            ("terminate", "More parameters required.\n"),
            ("set maxsessions", "More parameters required.\n"),
            ("set maxsessions -7", "Not a number of sessions: -7\n"),
            ("set loglevel 7", "Unknown or incomplete command::loglevel 7\n"),
            ("foo", "Unknown or incomplete command::foo\n"),
            ("list foo bar", "Unknown or incomplete command::foo bar\n"),
            ("", "Unknown or incomplete command::\n"),
            ("Terminate all", "Unknown or incomplete command::Terminate all\n"),
        ] {
            assert_eq!(Command::parse(line), Command::Refused(text.to_owned()), "{line}");
        }
    }
}
