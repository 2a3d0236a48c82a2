//! Where a call may be sent, as a route or a hook names it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One end of a route. Its text is that of configurations: `user:alice`, `service:echo`, `trunk:acme`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Destination {
    /// Every registered contact of this user.
    User(String),
    /// A service of this process.
    Service(Service),
    /// A carrier, by the name it has in the configuration.
    Trunk(String),
}

/// What answers inside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// A short tone pattern, then the caller's own audio.
    Echo,
    /// Music without end.
    Music,
}

/// How several targets of a route ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ring {
    /// All at the same time; the first to answer has the call.
    #[default]
    Together,
    /// One after the other, in the order of the list.
    OneByOne,
}

/// What makes a call go on to the next target of a list, as a route or a hook writes it: a code (`503`), or
/// `timeout:4s` for a target that says nothing at all in that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "FailOnText")]
pub enum FailOn {
    /// A final answer with this code, 300 to 699.
    Status(u16),
    /// Nothing came back in this time, not even a 100.
    Timeout(Duration),
}

/// Text that names no destination, or nothing to fail on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Not one of `user:NAME`, `service:echo`, `service:music`, `trunk:NAME`.
    #[error("{0:?} is no destination: `user:NAME`, `service:echo`, `service:music` or `trunk:NAME`")]
    Destination(String),
    /// Neither a code from 300 to 699 nor `timeout:` with 1 to 180 seconds.
    #[error("{0:?} is nothing to fail on: a code from 300 to 699, or `timeout:4s` with 1 to 180 seconds")]
    FailOn(String),
}

/// A first answer later than this is not waited for anyway: a transaction of RFC 3261 has ended by then, and a proxy's
/// timer C as well.
const TIMEOUT_S_MAX: u64 = 180;

impl Service {
    /// The user part of the service's URI.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Music => "music",
        }
    }

    /// The service that a user part names.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "echo" => Some(Self::Echo),
            "music" => Some(Self::Music),
            _ => None,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::Service(service) => write!(f, "service:{}", service.name()),
            Self::Trunk(trunk) => write!(f, "trunk:{trunk}"),
        }
    }
}

impl FromStr for Destination {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let bad = || TextError::Destination(text.to_owned());
        let (kind, name) = text.split_once(':').ok_or_else(bad)?;
        if name.is_empty() || name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(bad());
        }
        match kind {
            "user" => Ok(Self::User(name.to_owned())),
            "trunk" => Ok(Self::Trunk(name.to_owned())),
            "service" => Service::from_name(name).map(Self::Service).ok_or_else(bad),
            _ => Err(bad()),
        }
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl TryFrom<String> for Destination {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        text.parse()
    }
}

impl FailOn {
    fn status(code: u16) -> Option<Self> {
        (300..=699).contains(&code).then_some(Self::Status(code))
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "{code}"),
            Self::Timeout(after) => write!(f, "timeout:{}s", after.as_secs()),
        }
    }
}

impl FromStr for FailOn {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let read = match text.strip_prefix("timeout:") {
            Some(time) => time
                .strip_suffix('s')
                .and_then(|seconds| seconds.parse().ok())
                .filter(|seconds| (1..=TIMEOUT_S_MAX).contains(seconds))
                .map(|seconds| Self::Timeout(Duration::from_secs(seconds))),
            None => text.parse().ok().and_then(Self::status),
        };
        read.ok_or_else(|| TextError::FailOn(text.to_owned()))
    }
}

impl From<FailOn> for String {
    fn from(fail_on: FailOn) -> Self {
        fail_on.to_string()
    }
}

/// A code may be written as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum FailOnText {
    Number(u16),
    Text(String),
}

impl TryFrom<FailOnText> for FailOn {
    type Error = TextError;

    fn try_from(text: FailOnText) -> Result<Self, TextError> {
        match text {
            FailOnText::Number(code) => Self::status(code).ok_or_else(|| TextError::FailOn(code.to_string())),
            FailOnText::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_as_they_are_printed() {
        for text in [
            "user:alice",
            "user:201",
            "service:echo",
            "service:music",
            "trunk:acme",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        for text in [
            "alice",
            "user:",
            "service:fax",
            "fax:1",
            "",
            "user:a b",
            "trunk:x\r\ny",
            ":x",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_to_fail_on_is_a_code_or_a_time() {
        for (text, read) in [
            ("503", FailOn::Status(503)),
            ("timeout:4s", FailOn::Timeout(Duration::from_secs(4))),
        ] {
            assert_eq!(text.parse::<FailOn>().unwrap(), read);
            assert_eq!(read.to_string(), text);
        }
        for text in [
            "200",
            "700",
            "timeout:0s",
            "timeout:181s",
            "timeout:4",
            "timeout:-1s",
            "busy",
            "",
        ] {
            assert!(text.parse::<FailOn>().is_err(), "{text:?}");
        }
        let read: Vec<FailOn> = serde_json::from_str("[503, \"408\", \"timeout:4s\"]").unwrap();
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            "[\"503\",\"408\",\"timeout:4s\"]"
        );
        assert!(serde_json::from_str::<FailOn>("100").is_err());
    }
}
