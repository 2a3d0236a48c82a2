//! What somebody else's program is asked about a call, and what it may decide.
//!
//! Both are JSON. A program that answers `{"action": "continue"}` changes nothing:
//!
//! ```json
//! { "call_id": "a84b4c76e66710", "method": "INVITE", "number": "+4930123456", "from_user": "alice",
//!   "from_uri": "sip:alice@example.com", "from_name": "Alice", "source": "203.0.113.9", "transport": "WSS",
//!   "headers": { "User-Agent": ["JsSIP 3.13"] } }
//! ```
//!
//! ```json
//! { "action": "route", "send_to": ["trunk:acme", "trunk:second"], "on_fail": [503, "timeout:4s"],
//!   "number": "+4930123456", "from_name": "Example Ltd" }
//! ```
//!
//! ```json
//! { "action": "reject", "status": 403, "reason": "No calls abroad at night" }
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Destination, FailOn, Ring};

/// One request outside any dialog that waits for a decision. Its sender is known and admitted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HookQuery {
    /// Its Call-ID: the same call asks again with the same one.
    pub call_id: String,
    /// Its method: `INVITE`, `MESSAGE` …
    pub method: String,
    /// What was dialled: the user part of the Request-URI, unescaped.
    pub number: String,
    /// The account that proved to have sent it. `None` for a trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_user: Option<String>,
    /// The trunk that it came from. `None` for a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_trunk: Option<String>,
    /// The URI in From.
    pub from_uri: String,
    /// The display name in From, may be empty.
    #[serde(default)]
    pub from_name: String,
    /// Address that it came from.
    pub source: IpAddr,
    /// Transport that it came over, as a Via names it: `UDP`, `WSS` …
    pub transport: String,
    /// The headers that the configuration asks for, by the name it uses: every value, in order. A header that the
    /// request does not have is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
}

/// What becomes of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum HookDecision {
    /// The routes of the configuration decide.
    Continue(Changes),
    /// These targets are tried.
    Route(HookRoute),
    /// It goes nowhere.
    Reject(Rejection),
}

/// What a hook changes in a request. Routes see the changed number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// Another number in place of the dialled one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Another number for the caller, in From and P-Asserted-Identity where a trunk writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_number: Option<String>,
    /// Another display name for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
}

/// Targets instead of those of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookRoute {
    /// Where it goes, 1 to [`TARGETS_MAX`].
    pub send_to: Vec<Destination>,
    /// How several targets ring.
    #[serde(default)]
    pub ring: Ring,
    /// What makes it go on to the next target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_fail: Vec<FailOn>,
    /// Another number in place of the dialled one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Another number for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_number: Option<String>,
    /// Another display name for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
}

/// A final answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// Its code, 400 to 699. 401 and 407 are not a hook's to send: they need a challenge.
    pub status: u16,
    /// Its reason phrase; the code's own without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why an answer of a hook is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Longer than [`ANSWER_OCTETS_MAX`].
    #[error("the answer has {0} octets, more than {ANSWER_OCTETS_MAX}")]
    TooLong(usize),
    /// No JSON, or not of the form that is understood.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// No target, or more than [`TARGETS_MAX`].
    #[error("`send_to` has {0} targets; 1 to {TARGETS_MAX} are possible")]
    Targets(usize),
    /// A code that is no refusal.
    #[error("`status` is {0}; 400 to 699 are possible, without 401 and 407")]
    Status(u16),
    /// A number or name that would not fit a message.
    #[error("`{0}` has characters that it must not have, or too many")]
    Text(&'static str),
}

/// Octets of an answer. More is no decision but a mistake.
pub const ANSWER_OCTETS_MAX: usize = 64 * 1024;

/// Targets of one route of a hook.
pub const TARGETS_MAX: usize = 20;

/// Octets of a number, a display name or a reason phrase.
pub const TEXT_OCTETS_MAX: usize = 256;

impl HookQuery {
    /// The body of the question.
    pub fn to_json(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "a struct of text and addresses always prints")]
        serde_json::to_vec(self).expect("text and addresses print")
    }
}

impl HookDecision {
    /// Reads and checks an answer. What passes can go into a message as it is.
    pub fn from_json(answer: &[u8]) -> Result<Self, HookError> {
        if answer.len() > ANSWER_OCTETS_MAX {
            return Err(HookError::TooLong(answer.len()));
        }
        let decision: Self =
            serde_json::from_slice(answer).map_err(|error| HookError::Unreadable(error.to_string()))?;
        decision.check()?;
        Ok(decision)
    }

    /// What it changes in the request.
    pub fn changes(&self) -> Changes {
        match self {
            Self::Continue(changes) => changes.clone(),
            Self::Route(route) => Changes {
                number: route.number.clone(),
                from_number: route.from_number.clone(),
                from_name: route.from_name.clone(),
            },
            Self::Reject(_) => Changes::default(),
        }
    }

    fn check(&self) -> Result<(), HookError> {
        match self {
            Self::Continue(_) => {}
            Self::Route(route) => {
                let targets = route.send_to.len();
                if targets == 0 || targets > TARGETS_MAX {
                    return Err(HookError::Targets(targets));
                }
            }
            Self::Reject(rejection) => {
                let status = rejection.status;
                if !(400..=699).contains(&status) || matches!(status, 401 | 407) {
                    return Err(HookError::Status(status));
                }
                check_text("reason", rejection.reason.as_deref(), is_phrase)?;
            }
        }
        let changes = self.changes();
        check_text("number", changes.number.as_deref(), is_number)?;
        check_text("from_number", changes.from_number.as_deref(), is_number)?;
        check_text("from_name", changes.from_name.as_deref(), is_phrase)
    }
}

fn check_text(name: &'static str, text: Option<&str>, is_good: fn(&str) -> bool) -> Result<(), HookError> {
    match text {
        Some(text) if text.len() > TEXT_OCTETS_MAX || !is_good(text) => Err(HookError::Text(name)),
        _ => Ok(()),
    }
}

/// A user part that needs no escaping (RFC 3261 section 25.1, `user` without `escaped`).
fn is_number(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/".contains(c);
    !text.is_empty() && text.chars().all(fits)
}

fn is_phrase(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query() -> HookQuery {
        HookQuery {
            call_id: "a84b4c76e66710".to_owned(),
            method: "INVITE".to_owned(),
            number: "+4930123456".to_owned(),
            from_user: Some("alice".to_owned()),
            from_trunk: None,
            from_uri: "sip:alice@example.com".to_owned(),
            from_name: "Alice \"A\"".to_owned(),
            source: "203.0.113.9".parse().unwrap(),
            transport: viaduct_sip::Transport::Wss.to_string(),
            headers: BTreeMap::from([("User-Agent".to_owned(), vec!["JsSIP".to_owned()])]),
        }
    }

    #[test]
    fn a_query_is_read_as_it_is_printed() {
        let query = query();
        let json = query.to_json();
        assert_eq!(serde_json::from_slice::<HookQuery>(&json).unwrap(), query);
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains("\"transport\":\"WSS\"") && !text.contains("from_trunk"));
    }

    #[test]
    fn every_question_and_answer_of_the_manual_is_understood() {
        let manual = include_str!("../../../docs/hook.md");
        let blocks = manual.split("```json\n").skip(1);
        let blocks: Vec<&str> = blocks.map(|rest| rest.split("```").next().unwrap()).collect();
        let (question, answers) = blocks.split_first().unwrap();
        let read: HookQuery = serde_json::from_str(question).unwrap();
        assert_eq!(read.number, "030123456");
        let actions = answers
            .iter()
            .map(|answer| HookDecision::from_json(answer.as_bytes()).unwrap());
        let actions: Vec<&str> = actions
            .map(|decision| match decision {
                HookDecision::Continue(_) => "continue",
                HookDecision::Route(_) => "route",
                HookDecision::Reject(_) => "reject",
            })
            .collect();
        assert_eq!(actions, ["continue", "route", "reject"]);
    }

    #[test]
    fn each_action_is_understood() {
        let read = |json: &str| HookDecision::from_json(json.as_bytes()).unwrap();
        assert_eq!(
            read(r#"{"action":"continue"}"#),
            HookDecision::Continue(Changes::default())
        );
        let changed = read(r#"{"action":"continue","number":"+49301"}"#);
        assert_eq!(changed.changes().number.as_deref(), Some("+49301"));
        let HookDecision::Route(route) = read(
            r#"{"action":"route","send_to":["trunk:a","user:b"],"ring":"one_by_one","on_fail":[503,"timeout:4s"]}"#,
        ) else {
            panic!("no route");
        };
        assert_eq!(
            route.send_to,
            [
                Destination::Trunk("a".to_owned()),
                Destination::User("b".to_owned())
            ]
        );
        assert_eq!((route.ring, route.on_fail.len()), (Ring::OneByOne, 2));
        assert_eq!(
            read(r#"{"action":"reject","status":403,"reason":"No"}"#),
            HookDecision::Reject(Rejection {
                status: 403,
                reason: Some("No".to_owned())
            })
        );
    }

    #[test]
    fn what_would_not_fit_a_message_is_no_decision() {
        let error = |json: &str| HookDecision::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(error(r#"{"action":"route","send_to":[]}"#), HookError::Targets(0));
        assert_eq!(
            error(r#"{"action":"reject","status":200}"#),
            HookError::Status(200)
        );
        assert_eq!(
            error(r#"{"action":"reject","status":407}"#),
            HookError::Status(407)
        );
        assert_eq!(
            error(r#"{"action":"continue","number":"1\r\nX: y"}"#),
            HookError::Text("number")
        );
        assert_eq!(
            error(r#"{"action":"continue","from_name":"a\nb"}"#),
            HookError::Text("from_name")
        );
        assert_eq!(
            error(r#"{"action":"reject","status":403,"reason":"a\u0000"}"#),
            HookError::Text("reason")
        );
        let long = format!(r#"{{"action":"continue","number":"{}"}}"#, "1".repeat(257));
        assert_eq!(error(&long), HookError::Text("number"));
        for json in [
            "",
            "{}",
            "[]",
            r#"{"action":"fly"}"#,
            r#"{"action":"route","send_to":["fax:1"]}"#,
            r#"{"action":"continue","nmuber":"1"}"#,
        ] {
            assert!(matches!(error(json), HookError::Unreadable(_)), "{json}");
        }
        let huge = vec![b' '; ANSWER_OCTETS_MAX + 1];
        assert_eq!(
            HookDecision::from_json(&huge),
            Err(HookError::TooLong(ANSWER_OCTETS_MAX + 1))
        );
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = HookDecision::from_json(&octets);
        }

        #[test]
        fn a_decision_is_read_as_it_is_printed(number in "[+0-9]{1,20}", name in "[a-zA-Z \"\\\\ä]{0,20}") {
            let decision = HookDecision::Route(HookRoute {
                send_to: vec![Destination::Trunk("acme".to_owned())],
                ring: Ring::Together,
                on_fail: vec![FailOn::Status(503)],
                number: Some(number),
                from_number: None,
                from_name: Some(name),
            });
            let json = serde_json::to_vec(&decision).unwrap();
            prop_assert_eq!(HookDecision::from_json(&json), Ok(decision));
        }
    }
}
