//! Attributes: a view on the `a=` lines of one section, and the typed values behind the known names.

mod codec;
mod crypto;
mod dtls;
mod ice;
mod label;
mod rtcp;

pub use codec::{Extmap, Fmtp, MaxPtime, Ptime, Rid, RtcpFb, RtpMap, Simulcast};
pub use crypto::{Crypto, CryptoSuite, KeyParam, Lifetime, MasterKey, Mki, SessionParam};
pub use dtls::{Fingerprint, HashFunction, Setup, TlsId};
pub use ice::{
    Candidate, CandidateAddress, CandidateType, IceCredentials, IceOptions, IcePwd, IceUfrag,
    RemoteCandidate, RemoteCandidates, TcpType, Transport,
};
pub use label::{Direction, Group, Label, Mid, Msid};
pub use rtcp::{Rtcp, Ssrc, SsrcGroup};

use crate::error::{LineError, Reason};
use crate::session::{Line, Session};

/// An attribute with a typed value. [`Display`](std::fmt::Display) prints the value, so that
/// `parse_value(value.to_string()) == value`.
pub trait TypedAttribute: Sized + std::fmt::Display {
    /// What stands before the colon.
    const NAME: &'static str;

    /// Reads what stands after the colon. Space at either end has been taken off.
    fn parse_value(value: &str) -> Result<Self, Reason>;
}

/// One `a=` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Line of the document, counted from 1.
    pub line: usize,
    /// Everything after `a=`, as octets.
    pub content: &'a [u8],
    /// What stands before the colon, without space at its end; empty when it is not text.
    pub name: &'a str,
    /// What stands after the colon, as octets; `None` without a colon.
    pub value: Option<&'a [u8]>,
}

/// What stands before the first colon of an attribute, without space at its end, and what stands behind it.
pub(crate) fn name_and_value(content: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (name, value) = match memchr::memchr(b':', content) {
        Some(colon) => (&content[..colon], Some(&content[colon + 1..])),
        None => (content, None),
    };
    (name.trim_ascii_end(), value)
}

impl<'a> Attribute<'a> {
    pub(crate) fn from_line(line: Line<'a>) -> Option<Self> {
        if line.letter() != Some(b'a') {
            return None;
        }
        let content = line.value();
        let (name, value) = name_and_value(content);
        let name = str::from_utf8(name).unwrap_or_default();
        Some(Self {
            line: line.number,
            content,
            name,
            value,
        })
    }

    /// True when a relay passes it on as it is: its name is not [consumed](is_consumed). `a=rtcp-fb:*`
    /// holds for all formats, has no place in one format's group, and is passed on as well.
    pub fn is_passed(&self) -> bool {
        let is_wildcard = matches!(self.value.map(<[u8]>::trim_ascii_start), Some([b'*', ..]));
        !is_consumed(self.name) || (self.name == "rtcp-fb" && is_wildcard)
    }

    /// The value as `T`, whose name must be this attribute's.
    pub fn read<T: TypedAttribute>(&self) -> Result<T, LineError> {
        let fail = |reason| LineError {
            line: self.line,
            name: T::NAME,
            reason,
        };
        let text = str::from_utf8(self.value.unwrap_or_default()).map_err(|_| fail(Reason::NotText))?;
        T::parse_value(text.trim_ascii()).map_err(fail)
    }
}

/// The attributes of the session part or of one media, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    session: &'a Session,
    section: usize,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(session: &'a Session, section: usize) -> Self {
        Self { session, section }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.session
            .section_lines(self.section)
            .filter_map(Attribute::from_line)
    }

    /// Those with this name. Names count case (RFC 8866 section 9).
    pub fn named<'n>(&self, name: &'n str) -> impl Iterator<Item = Attribute<'a>> + use<'a, 'n> {
        self.beginning_with(move |content| content.starts_with(name.as_bytes()))
            .filter(move |attribute| attribute.name == name)
    }

    /// Those whose octets may be of interest: most lines are told by their first ones, and are not divided for that.
    pub(crate) fn beginning_with<F: Fn(&[u8]) -> bool>(
        &self,
        may_be: F,
    ) -> impl Iterator<Item = Attribute<'a>> + use<'a, F> {
        self.session
            .section_lines(self.section)
            .filter(move |line| line.content.get(2..).is_some_and(&may_be))
            .filter_map(Attribute::from_line)
    }

    /// True when one has this name.
    pub fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// The first of type `T`; `Ok(None)` when there is none.
    pub fn one<T: TypedAttribute>(&self) -> Result<Option<T>, LineError> {
        self.named(T::NAME)
            .next()
            .map(|attribute| attribute.read())
            .transpose()
    }

    /// Every one of type `T`, readable or not.
    pub fn all<T: TypedAttribute>(&self) -> impl Iterator<Item = Result<T, LineError>> + use<'a, T> {
        self.named(T::NAME).map(|attribute| attribute.read())
    }

    /// The first direction attribute.
    pub fn direction(&self) -> Option<Direction> {
        let is_one = |content: &[u8]| {
            let mut names = Direction::ALL.iter().map(|direction| direction.name());
            names.any(|name| content.starts_with(name.as_bytes()))
        };
        self.beginning_with(is_one)
            .find_map(|attribute| Direction::from_name(attribute.name))
    }
}

/// True for the attributes a relay reads and writes anew: addresses, keys, ICE,
/// grouping, direction and all that depends on the format list. Everything else belongs to the endpoints.
pub fn is_consumed(name: &str) -> bool {
    matches!(
        name,
        "bundle-only"
            | "candidate"
            | "crypto"
            | "end-of-candidates"
            | "extmap"
            | "extmap-allow-mixed"
            | "fingerprint"
            | "fmtp"
            | "group"
            | "ice-lite"
            | "ice-mismatch"
            | "ice-options"
            | "ice-pwd"
            | "ice-ufrag"
            | "inactive"
            | "label"
            | "maxptime"
            | "mid"
            | "ptime"
            | "recvonly"
            | "remote-candidates"
            | "rtcp"
            | "rtcp-fb"
            | "rtcp-mux"
            | "rtpengine"
            | "rtpmap"
            | "sendonly"
            | "sendrecv"
            | "setup"
            | "tls-id"
    )
}

/// Reads the value of `line` with `parse`; `Ok(None)` without a line.
pub(crate) fn read_value<T>(
    line: Option<Line<'_>>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Reason>,
) -> Result<Option<T>, LineError> {
    let Some(line) = line else { return Ok(None) };
    let fail = |reason| LineError {
        line: line.number,
        name,
        reason,
    };
    let text = str::from_utf8(line.value()).map_err(|_| fail(Reason::NotText))?;
    let value = parse(text).map_err(fail)?;
    Ok(Some(value))
}

/// Splits off the first word; the rest has no space at its start.
fn word(text: &str) -> (&str, &str) {
    let space = text.bytes().position(|octet| octet.is_ascii_whitespace());
    let (first, rest) = text.split_at(space.unwrap_or(text.len()));
    (first, rest.trim_ascii_start())
}

/// A decimal number: digits only, where `parse` would take a plus sign as well.
pub(crate) fn number<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, Reason> {
    if text.is_empty() {
        return Err(Reason::Missing(name));
    }
    if !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Reason::Malformed(name));
    }
    text.parse().map_err(|_| Reason::OutOfRange(name))
}

/// A word of at least one visible character: no space, no control.
fn token(text: &str, name: &'static str) -> Result<String, Reason> {
    if text.is_empty() {
        Err(Reason::Missing(name))
    } else if !is_plain(text) && text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err(Reason::Malformed(name))
    } else {
        Ok(text.to_owned())
    }
}

/// Whether all of it is visible ASCII, as almost everything is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
