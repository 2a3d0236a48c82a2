//! `routes`: which number goes where.

use std::fmt;
use std::time::Duration;

use crate::code::Code;
use crate::decode::{Fault, Form, TextForm, section, section_default};
use crate::form::choice::Choice;
use crate::form::time::{HOUR, MINUTE, SECOND};
use crate::form::{choice, choices, count, duration, list, numbered, one_or_many, or_word, section_form};
use crate::shape::Shape;
use crate::suggest::{did_you_mean, nearest};

use super::trunks::trunk_name;
use super::users::login;

section! {
    /// One rule. The first rule that matches takes the call; what none takes goes to the user of that name, and if
    /// there is none, the answer is 404.
    pub struct Route {
        /// Which calls the rule takes.
        when["match"]: RouteMatch = required(section_form::<RouteMatch>(), RouteMatch::nothing());
        /// Where they go: `user:NAME`, `service:echo`, `service:music`, `trunk:NAME`, or a list of these. Trunks of a list
        /// are tried one after the other.
        send_to: Vec<Target> = required(one_or_many(TargetForm), Vec::new());
        /// How several targets ring.
        ring: Ring = default(choice::<Ring>(), "together");
        /// When the next trunk of the list is tried: codes, and `timeout:4s` for a trunk that says nothing for so long.
        on_fail: Vec<FailOn> = default(list(FailOnForm), "[408, 500, 502, 503, 504, 'timeout:5s']");
    }
}

section! {
    /// Which calls a rule takes; all conditions must hold.
    pub struct RouteMatch {
        /// Number or name that was dialled. A `*` at the end stands for any rest.
        to: Pattern = required(PatternForm, Pattern::nothing());
        /// User who calls; `any` for every user.
        from_user: Option<FromUser> = absent(FromUserForm, "everybody, trunks as well");
        /// Trunk that the call comes from.
        from_trunk: Option<String> = absent(trunk_name(), "every trunk, and users as well");
    }
}

impl RouteMatch {
    /// Stands in for a wrong one.
    fn nothing() -> Self {
        Self {
            to: Pattern::nothing(),
            from_user: None,
            from_trunk: None,
        }
    }
}

choices! {
    /// How several targets of a route ring.
    pub enum Ring {
        /// All at the same time; the first to answer has the call.
        Together = "together",
        /// One target after the other, in the order of the list; `forking.ring_time` says how long each rings.
        OneByOne = "one_by_one",
    }
}

section! {
    /// How the devices of a call are tried. Devices that registered with the same preference (`q`) ring together, those
    /// of lower preference after them.
    pub struct ForkingSettings {
        /// How long devices ring before those of lower preference, or the next target of a `one_by_one` route, are tried.
        /// The last ring on.
        ring_time: Duration = default(duration(SECOND, HOUR), "20s");
        /// What becomes of a redirection (3xx) that a phone answers a call with.
        redirects: Redirects = default(choice::<Redirects>(), "pass");
    }
}
section_default!(ForkingSettings);

choices! {
    /// What becomes of a redirection.
    pub enum Redirects {
        /// It goes to the caller, whose phone decides.
        Pass = "pass",
        /// Users of this gateway that it names are called instead; any other redirection goes to the caller.
        Follow = "follow",
    }
}

choices! {
    /// A user agent inside the gateway.
    pub enum Service {
        /// Plays back what it hears.
        Echo = "echo",
        /// Plays music.
        Music = "music",
    }
}

/// Whose calls a route takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FromUser {
    /// Those of every user.
    Any,
    /// Those of this one.
    User(String),
}

/// When the next trunk is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailOn {
    /// After this final answer.
    Status(u16),
    /// After this time without any answer but 100.
    Timeout(Duration),
}

/// Where a route sends a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A user agent inside the gateway.
    Service(Service),
    /// The contacts of a user.
    User(String),
    /// A carrier.
    Trunk(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => write!(f, "service:{service}"),
            Self::User(user) => write!(f, "user:{user}"),
            Self::Trunk(trunk) => write!(f, "trunk:{trunk}"),
        }
    }
}

/// A dialled number or name, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// What the number starts with, or what it is.
    pub start: String,
    /// Whether anything may follow.
    pub open: bool,
}

impl Pattern {
    /// Takes no number at all.
    pub(crate) fn nothing() -> Self {
        Self {
            start: String::new(),
            open: false,
        }
    }

    /// Whether `number` is taken. Case counts, as in the user part of a SIP URI.
    #[must_use]
    pub fn matches(&self, number: &str) -> bool {
        match number.strip_prefix(self.start.as_str()) {
            Some(rest) => self.open || rest.is_empty(),
            None => false,
        }
    }

    /// Whether everything that `other` takes is taken by this pattern too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if other.open {
            self.open && other.start.starts_with(&self.start)
        } else {
            self.matches(&other.start)
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.start, if self.open { "*" } else { "" })
    }
}

/// Rules in one file. Each is compared with those above it, so many more would be slow to check.
const ROUTES_MAX: usize = 5_000;

/// The form of `routes`, each with its index as written.
pub(crate) fn routes() -> impl Form<Value = Vec<(usize, Route)>> {
    numbered(section_form::<Route>(), ROUTES_MAX)
}

pub(crate) struct PatternForm;

impl TextForm for PatternForm {
    type Value = Pattern;

    fn parse(&self, text: &str) -> Result<Pattern, Fault> {
        let (start, open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        if start.contains('*') {
            return Err(Fault::bad().help("one `*`, at the end".to_owned()));
        }
        if !(open && start.is_empty()) {
            login().parse(start)?;
        }
        Ok(Pattern {
            start: start.to_owned(),
            open,
        })
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "a number or name, or the beginning of one with `*`, such as `201` or `+4930*`".to_owned(),
            pattern: Some(r"^[^@:\s*]*\*?$"),
        }
    }
}

pub(crate) struct TargetForm;

impl TextForm for TargetForm {
    type Value = Target;

    fn parse(&self, text: &str) -> Result<Target, Fault> {
        let Some((kind, name)) = text.split_once(':') else {
            let service = nearest(text, Service::WORDS.iter().map(|(word, _)| *word));
            let help = match service {
                Some(service) => format!("write `service:{service}`"),
                None => format!("write `user:{text}` if a user is meant"),
            };
            return Err(Fault::bad().help(help));
        };
        match kind {
            "user" => Ok(Target::User(login().parse(name)?)),
            "service" => choice::<Service>()
                .parse(name)
                .map(Target::Service)
                .map_err(|fault| {
                    let meant = nearest(name, Service::WORDS.iter().map(|(word, _)| *word));
                    fault.help(meant.map(|word| format!("did you mean `service:{word}`?")))
                }),
            "trunk" => Ok(Target::Trunk(trunk_name().parse(name)?)),
            _ => Err(Fault {
                code: Code::UnknownChoice,
                ..Fault::bad().help(did_you_mean(kind, ["user", "service", "trunk"]))
            }),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "`user:NAME`, `service:echo`, `service:music` or `trunk:NAME`".to_owned(),
            pattern: Some("^(user:[^@:\\s]+|service:(echo|music)|trunk:[A-Za-z0-9_-]+)$"),
        }
    }
}

pub(crate) struct FromUserForm;

impl TextForm for FromUserForm {
    type Value = FromUser;

    fn parse(&self, text: &str) -> Result<FromUser, Fault> {
        let user = or_word("any", login()).parse(text)?;
        Ok(user.map_or(FromUser::Any, FromUser::User))
    }

    fn shape(&self) -> Shape {
        TextForm::shape(&or_word("any", login()))
    }
}

/// A code, or `timeout:4s`.
pub(crate) struct FailOnForm;

impl TextForm for FailOnForm {
    type Value = FailOn;

    fn parse(&self, text: &str) -> Result<FailOn, Fault> {
        if let Some(time) = text.strip_prefix("timeout:") {
            return duration(SECOND, 3 * MINUTE).parse(time).map(FailOn::Timeout);
        }
        let status = count(300..=599).parse(text)?;
        match u16::try_from(status) {
            Ok(status @ (401 | 407)) => Err(Fault::range().note(format!(
                "{status} asks for a password, which `register` or `login` of the trunk answers"
            ))),
            Ok(487) => Err(Fault::range().note("487 says that the caller gave up")),
            Ok(status) => Ok(FailOn::Status(status)),
            Err(_) => Err(Fault::range()),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "a code from 300 to 599, or `timeout:4s`".to_owned(),
            pattern: Some("^([3-5][0-9][0-9]|timeout:[0-9]+[ms0-9]*)$"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        PatternForm.parse(text).unwrap()
    }

    #[test]
    fn patterns_match_a_number_or_its_beginning() {
        assert!(pattern("201").matches("201"));
        assert!(!pattern("201").matches("2011"));
        assert!(pattern("+4930*").matches("+4930123"));
        assert!(pattern("*").matches("anything"));
        assert!(PatternForm.parse("+49*30").is_err());
        assert!(PatternForm.parse("").is_err());
        assert!(PatternForm.parse("a@b").is_err());
    }

    #[test]
    fn patterns_cover_each_other() {
        assert!(pattern("*").covers(&pattern("+49*")));
        assert!(pattern("+4*").covers(&pattern("+49*")));
        assert!(!pattern("+49*").covers(&pattern("+4*")));
        assert!(pattern("100").covers(&pattern("100")));
        assert!(!pattern("100").covers(&pattern("100*")));
    }

    #[test]
    fn targets_name_their_kind() {
        assert_eq!(TargetForm.parse("user:bob"), Ok(Target::User("bob".to_owned())));
        let help = |text: &str| TargetForm.parse(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(help("echo"), "write `service:echo`");
        assert_eq!(help("bob"), "write `user:bob` if a user is meant");
        assert_eq!(help("service:ecko"), "did you mean `service:echo`?");
        assert_eq!(help("usr:bob"), "did you mean `user`?");
        assert_eq!(
            TargetForm.parse("trunk:acme"),
            Ok(Target::Trunk("acme".to_owned()))
        );
    }
}
