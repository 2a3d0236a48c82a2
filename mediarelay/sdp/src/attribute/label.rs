//! What names and groups media: `mid`, `label`, `msid`, `group`, and the direction.

use std::fmt;

use super::{TypedAttribute, token, word};
use crate::error::Reason;

/// The direction of a media as its sender sees it (RFC 8866 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// `sendrecv`: what holds without any attribute.
    #[default]
    SendRecv,
    /// `sendonly`
    SendOnly,
    /// `recvonly`
    RecvOnly,
    /// `inactive`
    Inactive,
}

impl Direction {
    pub(super) const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// The direction with these halves.
    pub fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The direction an attribute's name means.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::SendRecv),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::RecvOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    /// The attribute's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// True when the describing side sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// True when the describing side receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What flows when both must agree, seen from the same side (RFC 3264 section 6.1).
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `a=mid:0` (RFC 5888 section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mid(pub String);

impl TypedAttribute for Mid {
    const NAME: &'static str = "mid";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        Ok(Self(token(value, "mid")?))
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `a=label:1` (RFC 4574), used by SIPREC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(pub String);

impl TypedAttribute for Label {
    const NAME: &'static str = "label";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        Ok(Self(token(value, "label")?))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `a=msid:stream track` (RFC 8830).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// Stream identifier; `-` for a track without a stream.
    pub stream: String,
    /// Track identifier.
    pub track: Option<String>,
}

impl TypedAttribute for Msid {
    const NAME: &'static str = "msid";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (stream, track) = word(value);
        let track = if track.is_empty() {
            None
        } else {
            Some(token(track, "track")?)
        };
        Ok(Self {
            stream: token(stream, "stream")?,
            track,
        })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.track {
            Some(track) => write!(f, "{} {track}", self.stream),
            None => f.write_str(&self.stream),
        }
    }
}

/// `a=group:BUNDLE 0 1` (RFC 5888 section 5, RFC 9143).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `BUNDLE`, `LS`, `DUP`, … as written.
    pub semantics: String,
    /// The `mid` values in their order. The first of a BUNDLE group is the tagged one.
    pub mids: Vec<String>,
}

impl Group {
    /// A BUNDLE group of these.
    pub fn bundle(mids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            semantics: "BUNDLE".to_owned(),
            mids: mids.into_iter().map(Into::into).collect(),
        }
    }

    /// True for BUNDLE.
    pub fn is_bundle(&self) -> bool {
        self.semantics == "BUNDLE"
    }
}

impl TypedAttribute for Group {
    const NAME: &'static str = "group";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (semantics, mids) = word(value);
        Ok(Self {
            semantics: token(semantics, "semantics")?,
            mids: mids.split_ascii_whitespace().map(str::to_owned).collect(),
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.semantics)?;
        self.mids.iter().try_for_each(|mid| write!(f, " {mid}"))
    }
}
