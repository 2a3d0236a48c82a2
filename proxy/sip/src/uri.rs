//! URIs as they stand in request lines and address headers: `sip`, `sips`, `tel`, and any other scheme as opaque text.

mod compare;
mod escape;
mod request_line;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

pub(crate) use self::escape::push_escape;
pub use self::escape::{escape_user, unescape};
use crate::text::{Cursor, is_all_uri};
use crate::{Host, Transport, ValueError};

/// A URI, taken apart but not changed: every part is a piece of the received text, escapes included.
///
/// Two URIs are compared with [`is_equivalent`](Self::is_equivalent). There is no `==`, because the rules of RFC 3261
/// section 19.1.4 are not transitive.
#[derive(Debug, Clone, Copy)]
pub struct Uri<'a> {
    text: &'a str,
    scheme: Scheme<'a>,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Option<Host<'a>>,
    port: Option<u16>,
    number: Option<&'a str>,
    params: UriParams<'a>,
    headers: UriHeaders<'a>,
}

/// A URI's scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `sip`, RFC 3261.
    Sip,
    /// `sips`, RFC 5630: TLS on every hop.
    Sips,
    /// `tel`, RFC 3966.
    Tel,
    /// Anything else, as written.
    Other(&'a str),
}

/// Why a text is no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// A blank, a control character, `<`, `>`, a quotation mark, or octets that are not UTF-8.
    #[error("character that no URI has")]
    BadCharacter,
    /// No scheme and colon at the front.
    #[error("scheme missing")]
    SchemeMissing,
    /// Nothing before `@`.
    #[error("user missing")]
    UserMissing,
    /// No host, or one with characters that no host has; an IPv6 address without brackets.
    #[error("bad host")]
    BadHost,
    /// A port that is no number from 1 to 65535.
    #[error("bad port")]
    BadPort,
    /// A `tel` URI without number.
    #[error("number missing")]
    NumberMissing,
    /// Something other than `;` or `?` after the host.
    #[error("characters after the host")]
    Junk,
}

impl<'a> Uri<'a> {
    /// Takes `text` apart.
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        if !is_all_uri(text.as_bytes()) {
            return Err(UriError::BadCharacter);
        }
        Self::parse_checked(text)
    }

    /// As [`parse`](Self::parse), for text whose characters were checked before.
    pub(crate) fn parse_checked(text: &'a str) -> Result<Self, UriError> {
        // The colon is near.
        let colon = text.bytes().position(|byte| byte == b':');
        let (scheme, rest) = text.split_at(colon.ok_or(UriError::SchemeMissing)?);
        let rest = &rest[1..];
        let scheme = Scheme::from_text(scheme).ok_or(UriError::SchemeMissing)?;
        let opaque = Self {
            text,
            scheme,
            user: None,
            password: None,
            host: None,
            port: None,
            number: None,
            params: UriParams(""),
            headers: UriHeaders(""),
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => opaque.with_sip_parts(rest),
            Scheme::Tel => opaque.with_tel_parts(rest),
            Scheme::Other(_) => Ok(opaque),
        }
    }

    /// As [`parse`](Self::parse), for octets of a message.
    pub fn from_octets(octets: &'a [u8]) -> Result<Self, UriError> {
        let text = std::str::from_utf8(octets).map_err(|_| UriError::BadCharacter)?;
        Self::parse(text)
    }

    /// The whole URI as written.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme<'a> {
        self.scheme
    }

    /// True for `sips`.
    pub fn is_sips(&self) -> bool {
        self.scheme == Scheme::Sips
    }

    /// The user part of a SIP URI as written, escapes included, without password.
    pub fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// The user part with escapes resolved. May be any octets: `%00` is legal (RFC 4475 section 3.1.1.4).
    pub fn user_unescaped(&self) -> Option<Cow<'a, [u8]>> {
        self.user.map(unescape)
    }

    /// The password of a SIP URI as written.
    pub fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// The host of a SIP URI. `None` for other schemes.
    pub fn host(&self) -> Option<Host<'a>> {
        self.host
    }

    /// The port of a SIP URI, if it names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The number of a `tel` URI as written, visual separators included.
    pub fn number(&self) -> Option<&'a str> {
        self.number
    }

    /// The parameters of a SIP or `tel` URI.
    pub fn params(&self) -> UriParams<'a> {
        self.params
    }

    /// The headers (`?name=value&…`) of a SIP URI.
    pub fn headers(&self) -> UriHeaders<'a> {
        self.headers
    }

    /// True with an `lr` parameter: a loose router (RFC 3261 section 19.1.1).
    pub fn is_loose_router(&self) -> bool {
        self.params.has("lr")
    }

    /// The transport that the `transport` parameter asks for, with `sips` taken into account. `None` when there is no
    /// such parameter or its value is unknown.
    pub fn transport(&self) -> Option<Transport> {
        let value = self.params.get("transport")?.value?;
        Transport::from_uri_param(value, self.is_sips())
    }

    /// Everything after the scheme's colon.
    pub fn after_scheme(&self) -> &'a str {
        &self.text[self.scheme.as_str().len() + 1..]
    }

    fn with_sip_parts(mut self, rest: &'a str) -> Result<Self, UriError> {
        // The user part may hold `;`, `?` and `/`, the rest no raw `@` (RFC 4475 section 3.1.1.9).
        let mut authority = rest;
        if let Some((userinfo, after)) = split_at(rest, b'@') {
            let (user, password) = match split_at(userinfo, b':') {
                Some((user, password)) => (user, Some(password)),
                None => (userinfo, None),
            };
            if user.is_empty() {
                return Err(UriError::UserMissing);
            }
            self.user = Some(user);
            self.password = password;
            authority = after;
        }
        let (host, rest) = Host::split(authority).map_err(UriError::of_host)?;
        let mut cursor = Cursor::new(rest.as_bytes());
        self.host = Some(host);
        self.port = Host::take_port(&mut cursor).map_err(UriError::of_host)?;
        let tail = &rest[rest.len() - cursor.rest().len()..];
        if !(tail.is_empty() || tail.starts_with([';', '?'])) {
            return Err(UriError::Junk);
        }
        let (params, headers) = split_at(tail, b'?').unwrap_or((tail, ""));
        self.params = UriParams(params);
        self.headers = UriHeaders(headers);
        Ok(self)
    }

    fn with_tel_parts(mut self, rest: &'a str) -> Result<Self, UriError> {
        let end = rest.find(';').unwrap_or(rest.len());
        let (number, params) = rest.split_at(end);
        if number.is_empty() {
            return Err(UriError::NumberMissing);
        }
        self.number = Some(number);
        self.params = UriParams(params);
        Ok(self)
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl<'a> Scheme<'a> {
    /// The scheme as it is to be compared and printed: lower case for the known ones.
    pub fn as_str(&self) -> &'a str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(text) => text,
        }
    }

    fn from_text(text: &'a str) -> Option<Self> {
        let mut letters = text.bytes();
        let starts_well = letters.next().is_some_and(|first| first.is_ascii_alphabetic());
        if !starts_well || !letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return None;
        }
        Some(if text.eq_ignore_ascii_case("sip") {
            Self::Sip
        } else if text.eq_ignore_ascii_case("sips") {
            Self::Sips
        } else if text.eq_ignore_ascii_case("tel") {
            Self::Tel
        } else {
            Self::Other(text)
        })
    }
}

impl UriError {
    fn of_host(error: ValueError) -> Self {
        if error == ValueError::BadPort {
            Self::BadPort
        } else {
            Self::BadHost
        }
    }
}

/// The `;name=value` parameters of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriParams<'a>(&'a str);

/// The `name=value` headers of a URI, parted by `&`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriHeaders<'a>(&'a str);

/// A URI parameter or URI header as written, escapes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriParam<'a> {
    /// The name. Compare without case and with escapes resolved, as [`UriParams::get`] does.
    pub name: &'a str,
    /// The value, `None` without `=`.
    pub value: Option<&'a str>,
}

impl<'a> UriParams<'a> {
    /// The parameters in order. Empty ones (`;;`) are skipped.
    pub fn iter(&self) -> impl Iterator<Item = UriParam<'a>> + Clone + use<'a> {
        pairs(self.0, ';')
    }

    /// The first parameter of this name, any case, escaped or not.
    pub fn get(&self, name: &str) -> Option<UriParam<'a>> {
        self.iter().find(|param| param.is_named(name))
    }

    /// True when there is a parameter of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// As written, the first `;` included.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl<'a> UriHeaders<'a> {
    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = UriParam<'a>> + Clone + use<'a> {
        pairs(self.0, '&')
    }

    /// The first header of this name, any case, escaped or not.
    pub fn get(&self, name: &str) -> Option<UriParam<'a>> {
        self.iter().find(|header| header.is_named(name))
    }

    /// True when the URI has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As written, without the `?`.
    pub fn as_str(&self) -> &'a str {
        self.0
    }
}

impl<'a> UriParam<'a> {
    /// The value with escapes resolved.
    pub fn value_unescaped(&self) -> Option<Cow<'a, [u8]>> {
        self.value.map(unescape)
    }

    fn is_named(&self, name: &str) -> bool {
        escape::same_ignoring_case(self.name, name)
    }
}

fn pairs<'a>(text: &'a str, separator: char) -> impl Iterator<Item = UriParam<'a>> + Clone + use<'a> {
    text.split(separator)
        .filter(|pair| !pair.is_empty())
        .map(|pair| match split_at(pair, b'=') {
            Some((name, value)) => UriParam {
                name,
                value: Some(value),
            },
            None => UriParam {
                name: pair,
                value: None,
            },
        })
}

/// Both sides of the first `separator`, an ASCII character.
fn split_at(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(separator, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}
