//! What describes a format: `rtpmap`, `fmtp`, `rtcp-fb`, packet times, header extensions, RID.

use std::fmt;

use super::{TypedAttribute, number, token, word};
use crate::error::Reason;

/// `a=rtpmap:96 opus/48000/2` (RFC 8866 section 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written; compare without case.
    pub encoding: String,
    /// Clock rate, Hz.
    pub clock_rate: u32,
    /// What follows the clock rate: channels for audio. As written; see [`channels`](Self::channels).
    pub parameters: Option<String>,
}

impl RtpMap {
    /// Channels: the parameter where it is a number, else 1.
    pub fn channels(&self) -> u32 {
        self.parameters
            .as_deref()
            .and_then(|text| text.parse().ok())
            .unwrap_or(1)
    }

    /// True when both mean the same codec: name without case, clock rate and channels.
    pub fn is_same_codec(&self, other: &Self) -> bool {
        self.encoding.eq_ignore_ascii_case(&other.encoding)
            && self.clock_rate == other.clock_rate
            && self.channels() == other.channels()
    }
}

impl TypedAttribute for RtpMap {
    const NAME: &'static str = "rtpmap";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (payload_type, encoding) = word(value);
        let payload_type = payload_number(payload_type)?;
        let mut parts = encoding.splitn(3, '/');
        let encoding = token(parts.next().unwrap_or_default(), "encoding name")?;
        let clock_rate = number(parts.next().unwrap_or_default(), "clock rate")?;
        let parameters = parts
            .next()
            .map(|text| token(text, "encoding parameters"))
            .transpose()?;
        Ok(Self {
            payload_type,
            encoding,
            clock_rate,
            parameters,
        })
    }
}

impl fmt::Display for RtpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.payload_type, self.encoding, self.clock_rate)?;
        match &self.parameters {
            Some(parameters) => write!(f, "/{parameters}"),
            None => Ok(()),
        }
    }
}

/// `a=fmtp:111 minptime=10;useinbandfec=1` (RFC 8866 section 6.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fmtp {
    /// The format: a payload type, or another word for other protocols.
    pub format: String,
    /// The rest, as written.
    pub parameters: String,
}

impl Fmtp {
    /// The value of a parameter in a `name=value;name=value` list; names without case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim_ascii()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim_ascii())
        })
    }
}

impl TypedAttribute for Fmtp {
    const NAME: &'static str = "fmtp";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (format, parameters) = word(value);
        Ok(Self {
            format: token(format, "format")?,
            parameters: parameters.to_owned(),
        })
    }
}

impl fmt::Display for Fmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.format, self.parameters)
    }
}

/// `a=rtcp-fb:96 nack pli` (RFC 4585 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpFb {
    /// Payload type; `None` for `*`.
    pub payload_type: Option<u8>,
    /// Feedback type and parameters, as written.
    pub feedback: String,
}

impl TypedAttribute for RtcpFb {
    const NAME: &'static str = "rtcp-fb";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (payload_type, feedback) = word(value);
        let payload_type = if payload_type == "*" {
            None
        } else {
            Some(payload_number(payload_type)?)
        };
        if feedback.is_empty() {
            return Err(Reason::Missing("feedback type"));
        }
        Ok(Self {
            payload_type,
            feedback: feedback.to_owned(),
        })
    }
}

impl fmt::Display for RtcpFb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.payload_type {
            Some(payload_type) => write!(f, "{payload_type} {}", self.feedback),
            None => write!(f, "* {}", self.feedback),
        }
    }
}

/// `a=ptime:20`, milliseconds of media in a packet (RFC 8866 section 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ptime(pub u32);

/// `a=maxptime:60`, milliseconds (RFC 8866 section 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPtime(pub u32);

impl TypedAttribute for Ptime {
    const NAME: &'static str = "ptime";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        Ok(Self(number(value, "packet time")?))
    }
}

impl fmt::Display for Ptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TypedAttribute for MaxPtime {
    const NAME: &'static str = "maxptime";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        Ok(Self(number(value, "packet time")?))
    }
}

impl fmt::Display for MaxPtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `a=extmap:3/sendonly urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 8285 section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extmap {
    /// Identifier: 1 to 14 and 16 to 255 in packets, 4096 to 4351 only in offers.
    pub id: u16,
    /// `sendonly`, … after the slash, as written.
    pub direction: Option<String>,
    /// The extension's URI.
    pub uri: String,
    /// What follows the URI; empty when nothing does.
    pub attributes: String,
}

impl TypedAttribute for Extmap {
    const NAME: &'static str = "extmap";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (mapping, rest) = word(value);
        let (id, direction) = match mapping.split_once('/') {
            Some((id, direction)) => (id, Some(token(direction, "direction")?)),
            None => (mapping, None),
        };
        let id = number(id, "extension id")?;
        if !matches!(id, 1..=14 | 16..=255 | 4096..=4351) {
            return Err(Reason::OutOfRange("extension id"));
        }
        let (uri, attributes) = word(rest);
        Ok(Self {
            id,
            direction,
            uri: token(uri, "URI")?,
            attributes: attributes.to_owned(),
        })
    }
}

impl fmt::Display for Extmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(direction) = &self.direction {
            write!(f, "/{direction}")?;
        }
        write!(f, " {}", self.uri)?;
        if self.attributes.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", self.attributes)
        }
    }
}

/// `a=rid:hi send pt=97` (RFC 8851).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid {
    /// Identifier.
    pub id: String,
    /// `send` or `recv`, as written.
    pub direction: String,
    /// Restrictions, as written; empty when there are none.
    pub restrictions: String,
}

impl TypedAttribute for Rid {
    const NAME: &'static str = "rid";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (id, rest) = word(value);
        let (direction, restrictions) = word(rest);
        Ok(Self {
            id: token(id, "rid")?,
            direction: token(direction, "direction")?,
            restrictions: restrictions.to_owned(),
        })
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.direction)?;
        if self.restrictions.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", self.restrictions)
        }
    }
}

/// `a=simulcast:send hi;lo` (RFC 8853), kept as written: a relay passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulcast(pub String);

impl TypedAttribute for Simulcast {
    const NAME: &'static str = "simulcast";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        if value.is_empty() {
            Err(Reason::Missing("streams"))
        } else {
            Ok(Self(value.to_owned()))
        }
    }
}

impl fmt::Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn payload_number(text: &str) -> Result<u8, Reason> {
    let payload_type = number(text, "payload type")?;
    if payload_type > 127 {
        Err(Reason::OutOfRange("payload type"))
    } else {
        Ok(payload_type)
    }
}
