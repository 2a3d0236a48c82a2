//! Events as text. No I/O.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::time::Duration;

use viaduct_routing::{AuthFailure, CallEnd, CallNumber, Event, Failed, TrunkChange, UnregisterReason};
use viaduct_txn::Flow;

use super::Item;

/// Calls that are remembered, to name them in later lines.
const CALLS_MAX: usize = 20_000;

/// An answered call of this length in which not both sides were heard deserves attention.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// Characters of a stranger's name that are shown.
const NAME_SHOWN: usize = 64;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Importance {
    /// Only to whoever looks for it.
    Detail,
    /// What a user did and got.
    Normal,
    /// Somebody should look at it.
    Attention,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) importance: Importance,
    pub(crate) text: String,
}

/// What the relay tells about the media of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MediaNote {
    /// Media flows both ways, so long after the relay was first asked.
    BothWays { call_id: String, after: Duration },
    /// Something that keeps media from flowing.
    Trouble { call_id: String, what: String },
}

#[derive(Debug)]
struct Call {
    number: CallNumber,
    from: String,
    to: String,
    /// Whether the relay saw media from either side reach the other.
    both_ways: bool,
}

/// Turns events into lines. Remembers calls, to say whose they are.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Whether the relay tells of media, so that its silence means something.
    hears_of_media: bool,
    calls: HashMap<String, Call>,
    by_number: HashMap<CallNumber, String>,
    oldest: VecDeque<String>,
}

impl Lines {
    /// `hears_of_media` says whether the relay tells of media.
    pub(crate) fn new(hears_of_media: bool) -> Self {
        Self {
            hears_of_media,
            ..Self::default()
        }
    }

    /// The lines for one event, mostly one.
    pub(crate) fn of(&mut self, item: Item) -> Option<Line> {
        match item {
            Item::Sip(event) => self.sip(event),
            Item::Media(note) => self.media(note),
        }
    }

    fn sip(&mut self, event: Event) -> Option<Line> {
        match event {
            Event::Registered {
                aor,
                flow,
                user_agent,
                ..
            } => {
                let device = user_agent.as_deref().unwrap_or("unknown device");
                Some(normal(format!(
                    "{} registered  {}  {device}, {}",
                    aor.user().unwrap_or(aor.as_str()),
                    flow.remote.ip(),
                    flow.transport
                )))
            }
            Event::Unregistered { aor, reason, .. } => {
                let why = match reason {
                    UnregisterReason::Removed => "signed off",
                    UnregisterReason::Expired => "did not refresh its registration",
                    UnregisterReason::ConnectionClosed => "closed its connection",
                    UnregisterReason::NobodysName => "is not in the configuration and was signed off",
                };
                Some(normal(format!("{} {why}", aor.user().unwrap_or(aor.as_str()))))
            }
            Event::AuthFailed {
                flow,
                failure,
                consequence,
            } => Some(attention(auth_failed(&flow, &failure, consequence))),
            Event::Refused {
                flow,
                method,
                uri,
                status,
                reason,
            } => Some(detail(format!(
                "{method} {uri} from {} refused: {status} {reason}",
                place(&flow)
            ))),
            Event::BadMessage { flow, fault } => Some(detail(format!(
                "dropped octets from {} that are no SIP message: {fault}",
                place(&flow)
            ))),
            Event::CallStarted {
                call,
                call_id,
                from,
                to,
            } => {
                let line = normal(format!("call {}  {from} → {to}", call.0));
                self.remember(
                    call_id,
                    Call {
                        number: call,
                        from,
                        to,
                        both_ways: false,
                    },
                );
                Some(line)
            }
            Event::CallAnswered { call, after } => Some(normal(format!(
                "call {}  answered after {}",
                call.0,
                seconds(after)
            ))),
            Event::CallEnded { call, end, talked } => self.ended(call, &end, talked),
            Event::Trunk { trunk, change } => Some(trunk_line(&trunk, change)),
            Event::RelayFailed { call_id, reason } => Some(attention(format!(
                "{}the media relay failed: {reason}",
                self.name(&call_id)
            ))),
        }
    }

    fn media(&mut self, note: MediaNote) -> Option<Line> {
        match note {
            MediaNote::BothWays { call_id, after } => {
                if let Some(call) = self.calls.get_mut(&call_id) {
                    call.both_ways = true;
                }
                Some(normal(format!(
                    "{}audio both ways after {}",
                    self.name(&call_id),
                    seconds(after)
                )))
            }
            MediaNote::Trouble { call_id, what } => Some(attention(format!("{}{what}", self.name(&call_id)))),
        }
    }

    fn ended(&mut self, number: CallNumber, end: &CallEnd, talked: Option<Duration>) -> Option<Line> {
        let call_id = self.by_number.get(&number)?.clone();
        let call = self.calls.get(&call_id)?;
        let how = match end {
            CallEnd::ByCaller => format!("ended by {}", call.from),
            CallEnd::ByCallee => format!("ended by {}", call.to),
            CallEnd::Cancelled => format!("{} gave up", call.from),
            CallEnd::Failed { status, reason } => format!("failed: {status} {reason}"),
            CallEnd::ByProxy(why) => format!("ended: {}", why.words()),
        };
        let mut text = format!("call {}  {how}", number.0);
        if let Some(talked) = talked {
            let _ = write!(text, "  {} s", talked.as_secs());
        }
        let is_deaf =
            self.hears_of_media && !call.both_ways && talked.is_some_and(|talked| talked >= HEARD_WITHIN);
        self.forget(&call_id);
        if is_deaf {
            return Some(attention(format!("{text}  without audio both ways")));
        }
        Some(normal(text))
    }

    /// `call 7  `, or nothing for a call that nobody told of.
    fn name(&self, call_id: &str) -> String {
        self.calls
            .get(call_id)
            .map_or_else(String::new, |call| format!("call {}  ", call.number.0))
    }

    fn remember(&mut self, call_id: String, call: Call) {
        if self.oldest.len() >= CALLS_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.forget(&oldest);
        }
        self.by_number.insert(call.number, call_id.clone());
        self.oldest.push_back(call_id.clone());
        self.calls.insert(call_id, call);
    }

    fn forget(&mut self, call_id: &str) {
        if let Some(call) = self.calls.remove(call_id) {
            self.by_number.remove(&call.number);
        }
        // Ended calls leave the queue from its front; one behind a long call leaves when that one does.
        while self
            .oldest
            .front()
            .is_some_and(|oldest| !self.calls.contains_key(oldest))
        {
            self.oldest.pop_front();
        }
    }
}

fn trunk_line(trunk: &str, change: TrunkChange) -> Line {
    match change {
        TrunkChange::Up => normal(format!("trunk {trunk}  answers")),
        TrunkChange::Down => attention(format!("trunk {trunk}  does not answer: calls avoid it")),
        TrunkChange::Registered => normal(format!("trunk {trunk}  keeps our registration")),
        TrunkChange::NotRegistered { reason } => {
            attention(format!("trunk {trunk}  does not take our registration: {reason}"))
        }
    }
}

/// `user `alice`: wrong password from 203.0.113.9:5060 (UDP), 12th time; next try allowed in 8 s`.
fn auth_failed(flow: &Flow, failure: &AuthFailure, consequence: Option<Failed>) -> String {
    let AuthFailure::WrongSecret { name } = failure else {
        return format!("{failure}, from {}", place(flow));
    };
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_SHOWN)
        .collect();
    let mut text = format!("user `{name}`: wrong password from {}", place(flow));
    if let Some(Failed { times, pause }) = consequence {
        if times > 1 {
            let _ = write!(text, ", {} time", ordinal(times));
        }
        if let Some(pause) = pause {
            let _ = write!(
                text,
                "; next try allowed in {} s",
                pause.as_millis().div_ceil(1_000)
            );
        }
    }
    text
}

/// `1st`, `2nd`, `3rd`, `4th`.
fn ordinal(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn place(flow: &Flow) -> String {
    format!("{} ({})", flow.remote, flow.transport)
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn normal(text: String) -> Line {
    Line {
        importance: Importance::Normal,
        text,
    }
}

fn attention(text: String) -> Line {
    Line {
        importance: Importance::Attention,
        text,
    }
}

fn detail(text: String) -> Line {
    Line {
        importance: Importance::Detail,
        text,
    }
}

#[cfg(test)]
mod tests {
    use viaduct_routing::ProxyEnd;
    use viaduct_sip::{Aor, Transport, Uri};

    use super::*;

    fn tell(lines: &mut Lines, event: Event) -> String {
        lines.of(Item::Sip(event)).unwrap().text
    }

    fn started(number: u64) -> Event {
        Event::CallStarted {
            call: CallNumber(number),
            call_id: format!("id-{number}"),
            from: "300".to_owned(),
            to: "100".to_owned(),
        }
    }

    #[test]
    fn wrong_passwords_are_counted_in_words() {
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "203.0.113.9:5062".parse().unwrap(),
            conn: None,
        };
        let say = |name: &str, times, pause: Option<u64>| {
            let failure = AuthFailure::WrongSecret {
                name: name.to_owned(),
            };
            let pause = pause.map(Duration::from_secs);
            auth_failed(&flow, &failure, Some(Failed { times, pause }))
        };
        let text = "user `alice`: wrong password from 203.0.113.9:5062 (UDP)";
        assert_eq!(say("alice", 1, None), text);
        assert_eq!(say("alice", 3, None), format!("{text}, 3rd time"));
        assert_eq!(
            say("al\nice", 12, Some(8)),
            format!("{text}, 12th time; next try allowed in 8 s")
        );
        assert!(say(&"x".repeat(1_000), 2, None).len() < 150);
        assert_eq!(
            auth_failed(&flow, &AuthFailure::Forged, None),
            "nonce not ours, from 203.0.113.9:5062 (UDP)"
        );
        assert_eq!(
            [1, 2, 11, 21, 113].map(ordinal),
            ["1st", "2nd", "11th", "21st", "113th"]
        );
    }

    #[test]
    fn a_call_reads_as_a_story() {
        let mut lines = Lines::default();
        let call = CallNumber(1);
        assert_eq!(tell(&mut lines, started(1)), "call 1  300 → 100");
        let answered = Event::CallAnswered {
            call,
            after: Duration::from_millis(212),
        };
        assert_eq!(tell(&mut lines, answered), "call 1  answered after 0.21 s");
        let both = MediaNote::BothWays {
            call_id: "id-1".to_owned(),
            after: Duration::from_millis(340),
        };
        assert_eq!(
            lines.of(Item::Media(both)).unwrap().text,
            "call 1  audio both ways after 0.34 s"
        );
        let ended = Event::CallEnded {
            call,
            end: CallEnd::ByCaller,
            talked: Some(Duration::from_secs(22)),
        };
        assert_eq!(tell(&mut lines, ended), "call 1  ended by 300  22 s");
        assert!(lines.calls.is_empty() && lines.by_number.is_empty() && lines.oldest.is_empty());
    }

    #[test]
    fn a_call_that_was_not_heard_both_ways_stands_out() {
        for (hears_of_media, both_ways, talked, expected) in [
            (
                true,
                false,
                3,
                "call 1  ended by 100  3 s  without audio both ways",
            ),
            (true, false, 2, "call 1  ended by 100  2 s"),
            (true, true, 9, "call 1  ended by 100  9 s"),
            (false, false, 9, "call 1  ended by 100  9 s"),
        ] {
            let mut lines = Lines::new(hears_of_media);
            tell(&mut lines, started(1));
            if both_ways {
                lines.of(Item::Media(MediaNote::BothWays {
                    call_id: "id-1".to_owned(),
                    after: Duration::ZERO,
                }));
            }
            let talked = Some(Duration::from_secs(talked));
            let ended = Event::CallEnded {
                call: CallNumber(1),
                end: CallEnd::ByCallee,
                talked,
            };
            let line = lines.of(Item::Sip(ended)).unwrap();
            assert_eq!(line.text, expected);
            assert_eq!(
                line.importance == Importance::Attention,
                expected.ends_with("both ways")
            );
        }
    }

    #[test]
    fn ends_say_who_or_why() {
        let mut lines = Lines::default();
        for (number, end, text) in [
            (1, CallEnd::ByCallee, "ended by 100"),
            (2, CallEnd::Cancelled, "300 gave up"),
            (
                3,
                CallEnd::Failed {
                    status: 486,
                    reason: "Busy Here".to_owned(),
                },
                "failed: 486 Busy Here",
            ),
            (
                4,
                CallEnd::ByProxy(ProxyEnd::MediaTimeout),
                "ended: no media from either side",
            ),
        ] {
            tell(&mut lines, started(number));
            let ended = Event::CallEnded {
                call: CallNumber(number),
                end,
                talked: None,
            };
            assert_eq!(tell(&mut lines, ended), format!("call {number}  {text}"));
        }
    }

    #[test]
    fn a_registration_names_the_device_and_how_it_came() {
        let flow = Flow {
            transport: Transport::Wss,
            local: "192.0.2.1:443".parse().unwrap(),
            remote: "192.0.2.7:50000".parse().unwrap(),
            conn: None,
        };
        let registered = Event::Registered {
            aor: Aor::from_uri(&Uri::parse("sip:300@example.com").unwrap()).unwrap(),
            uri: "sip:x@y.invalid".into(),
            flow,
            user_agent: Some("Firefox 152".into()),
        };
        assert_eq!(
            tell(&mut Lines::default(), registered),
            "300 registered  192.0.2.7  Firefox 152, WSS"
        );
    }

    #[test]
    fn the_memory_of_calls_is_bounded() {
        let mut lines = Lines::default();
        for number in 0..CALLS_MAX as u64 + 10 {
            tell(&mut lines, started(number));
        }
        assert_eq!(
            (lines.calls.len(), lines.by_number.len(), lines.oldest.len()),
            (CALLS_MAX, CALLS_MAX, CALLS_MAX)
        );
    }
}
