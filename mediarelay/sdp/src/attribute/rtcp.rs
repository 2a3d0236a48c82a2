//! `rtcp`, `ssrc`, `ssrc-group`.

use std::fmt;

use super::{TypedAttribute, number, token, word};
use crate::connection::{Host, end};
use crate::error::Reason;

/// `a=rtcp:53020 IN IP4 192.0.2.1` (RFC 3605).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtcp {
    /// Port.
    pub port: u16,
    /// Address, where it differs from that of the media.
    pub address: Option<Host>,
}

impl TypedAttribute for Rtcp {
    const NAME: &'static str = "rtcp";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (port, rest) = word(value);
        let port = number(port, "port")?;
        if rest.is_empty() {
            return Ok(Self { port, address: None });
        }
        let mut fields = rest.split_ascii_whitespace();
        let address = Host::parse(&mut fields)?;
        end(fields)?;
        Ok(Self {
            port,
            address: Some(address),
        })
    }
}

impl fmt::Display for Rtcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        match &self.address {
            Some(address) => write!(f, " {address}"),
            None => Ok(()),
        }
    }
}

/// `a=ssrc:3735928559 cname:x` (RFC 5576 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssrc {
    /// The source.
    pub ssrc: u32,
    /// Name of the source's attribute.
    pub attribute: String,
    /// Its value.
    pub value: Option<String>,
}

impl TypedAttribute for Ssrc {
    const NAME: &'static str = "ssrc";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (ssrc, attribute) = word(value);
        let (attribute, value) = match attribute.split_once(':') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (attribute, None),
        };
        Ok(Self {
            ssrc: number(ssrc, "ssrc")?,
            attribute: token(attribute, "attribute")?,
            value,
        })
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ssrc, self.attribute)?;
        match &self.value {
            Some(value) => write!(f, ":{value}"),
            None => Ok(()),
        }
    }
}

/// `a=ssrc-group:FID 1 2` (RFC 5576 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID`, `FEC-FR`, `SIM`, … as written.
    pub semantics: String,
    /// The sources in their order.
    pub ssrcs: Vec<u32>,
}

impl TypedAttribute for SsrcGroup {
    const NAME: &'static str = "ssrc-group";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (semantics, ssrcs) = word(value);
        let ssrcs = ssrcs.split_ascii_whitespace().map(|text| number(text, "ssrc"));
        Ok(Self {
            semantics: token(semantics, "semantics")?,
            ssrcs: ssrcs.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for SsrcGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.semantics)?;
        self.ssrcs.iter().try_for_each(|ssrc| write!(f, " {ssrc}"))
    }
}
