//! One message on the wire: a cookie, a space, a body.

use std::fmt;

use crate::byte_string::ByteString;
use crate::decode::DecodeError;
use crate::error_reason::ErrorReason;
use crate::limits::Limits;
use crate::reply::Reply;
use crate::request::{Received, Request, RequestError};
use crate::templates::Templates;
use crate::value::Value;
use crate::{bencode, json};

/// How a body is written. A reply is written as its request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Begins with `d`.
    Bencode,
    /// Begins with `{`.
    Json,
}

impl Encoding {
    /// The encoding of a body, by its first octet. `None` for an empty body and for any other octet.
    pub fn of(body: &[u8]) -> Option<Self> {
        match body.first()? {
            b'd' => Some(Self::Bencode),
            b'{' => Some(Self::Json),
            _ => None,
        }
    }

    /// Reads a body.
    pub fn decode(self, body: &[u8], limits: &Limits) -> Result<Value, DecodeError> {
        match self {
            Self::Bencode => bencode::decode(body, limits),
            Self::Json => json::decode(body, limits),
        }
    }

    /// Writes a body.
    pub fn encode(self, value: &Value) -> Vec<u8> {
        match self {
            Self::Bencode => bencode::encode(value),
            Self::Json => json::encode(value),
        }
    }

    /// What is wrong with a body of this encoding that cannot be read.
    pub fn undecodable(self) -> ErrorReason {
        match self {
            Self::Bencode => ErrorReason::UndecodableBencode,
            Self::Json => ErrorReason::UndecodableJson,
        }
    }
}

/// A message split into its parts, the body not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Names the request; the reply carries the same. Not empty, holds no space.
    pub cookie: &'a [u8],
    /// How the body is written.
    pub encoding: Encoding,
    /// The body.
    pub body: &'a [u8],
}

/// Why a datagram is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError<'a> {
    /// No space, or nothing before it. There is no cookie to answer with: drop it silently.
    #[error("no cookie")]
    NoCookie,
    /// The cookie is longer than [`Limits::cookie_octets_max`]. Not one of ours: drop it silently.
    #[error("the cookie has {0} octets")]
    CookieTooLong(usize),
    /// A cookie, and nothing after the space.
    #[error("no payload")]
    NoPayload(&'a [u8]),
    /// The body begins with neither `d` nor `{`.
    #[error("neither bencode nor JSON")]
    UnknownFormat(&'a [u8]),
}

impl PacketError<'_> {
    /// What to send back: an error reply, or nothing where the datagram is to be dropped silently.
    pub fn reply(&self) -> Option<Vec<u8>> {
        let (cookie, reason) = match self {
            Self::NoCookie | Self::CookieTooLong(_) => return None,
            Self::NoPayload(cookie) => (cookie, ErrorReason::NoPayload),
            Self::UnknownFormat(cookie) => (cookie, ErrorReason::InvalidFormat),
        };
        Some(encode_packet(
            cookie,
            Encoding::Bencode,
            &Reply::error(reason).to_value(),
        ))
    }
}

impl<'a> Packet<'a> {
    /// Splits a datagram at its first space.
    pub fn split(datagram: &'a [u8], limits: &Limits) -> Result<Self, PacketError<'a>> {
        let space = datagram
            .iter()
            .position(|octet| *octet == b' ')
            .filter(|space| *space > 0);
        let space = space.ok_or(PacketError::NoCookie)?;
        let (cookie, body) = (&datagram[..space], &datagram[space + 1..]);
        if cookie.len() > limits.cookie_octets_max {
            return Err(PacketError::CookieTooLong(cookie.len()));
        }
        if body.is_empty() {
            return Err(PacketError::NoPayload(cookie));
        }
        let encoding = Encoding::of(body).ok_or(PacketError::UnknownFormat(cookie))?;
        Ok(Self {
            cookie,
            encoding,
            body,
        })
    }

    /// Reads the body as a request.
    pub fn request(&self, limits: &Limits) -> Result<Received, RequestError> {
        self.request_with(limits, &std::sync::Arc::default())
    }

    /// The same, with flag strings that the request may refer to.
    pub fn request_with(
        &self,
        limits: &Limits,
        templates: &std::sync::Arc<Templates>,
    ) -> Result<Received, RequestError> {
        let value = self
            .encoding
            .decode(self.body, limits)
            .map_err(|error| RequestError::Undecodable {
                encoding: self.encoding,
                error,
            })?;
        Request::from_value_with(&value, templates)
    }

    /// The datagram that answers this one.
    pub fn reply(&self, reply: &Reply) -> Vec<u8> {
        encode_packet(self.cookie, self.encoding, &reply.to_value())
    }

    /// The cookie, to be kept.
    pub fn cookie(&self) -> ByteString {
        ByteString::from(self.cookie)
    }
}

impl fmt::Display for Packet<'_> {
    /// The cookie and the size of the body, for a log line: bodies hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} octets)", self.cookie.escape_ascii(), self.body.len())
    }
}

/// Writes a message.
pub fn encode_packet(cookie: &[u8], encoding: Encoding, body: &Value) -> Vec<u8> {
    [cookie, b" ", &encoding.encode(body)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(datagram: &[u8]) -> Result<Packet<'_>, PacketError<'_>> {
        Packet::split(datagram, &Limits::default())
    }

    /// What the relay answers to `datagram`, if it gets no further than reading it.
    fn answer(datagram: &str) -> Option<String> {
        let limits = Limits::default();
        let reply = match Packet::split(datagram.as_bytes(), &limits) {
            Err(error) => error.reply()?,
            Ok(packet) => packet.reply(&packet.request(&limits).unwrap_err().reply()),
        };
        Some(String::from_utf8(reply).unwrap())
    }

    #[test]
    fn cookie_ends_at_the_first_space() {
        let packet = split(b"1_2_3 d7:command4:pinge").unwrap();
        assert_eq!(
            (packet.cookie, packet.encoding),
            (&b"1_2_3"[..], Encoding::Bencode)
        );
        let packet = split(b"x {\"command\": \"ping\"}").unwrap();
        assert_eq!(
            (packet.body, packet.encoding),
            (&b"{\"command\": \"ping\"}"[..], Encoding::Json)
        );
        assert_eq!(packet.to_string(), "x (19 octets)");
    }

    #[test]
    fn datagram_without_a_space_is_dropped_silently() {
        for datagram in [&b""[..], b"abc", b"d7:command4:pinge", b" d7:command4:pinge"] {
            assert_eq!(split(datagram), Err(PacketError::NoCookie));
        }
        assert_eq!(PacketError::NoCookie.reply(), None);
    }

    #[test]
    fn oversized_cookie_is_dropped_silently() {
        let datagram = [&b"x".repeat(256)[..], b" d7:command4:pinge"].concat();
        assert_eq!(split(&datagram), Err(PacketError::CookieTooLong(256)));
        assert_eq!(PacketError::CookieTooLong(256).reply(), None);
        assert!(split(&datagram[1..]).is_ok());
    }

    #[test]
    fn cookie_without_body_has_no_payload() {
        let text = "1 d6:result5:error12:error-reason25:Invalid data (no payload)e";
        assert_eq!(answer("1 ").as_deref(), Some(text));
    }

    #[test]
    fn body_of_unknown_form_is_answered_in_bencode() {
        let text = "1 d6:result5:error12:error-reason22:Invalid NG data formate";
        for datagram in ["1 x", "1  d7:command4:pinge", "1 l4:pinge", "1 [1]"] {
            assert_eq!(answer(datagram).as_deref(), Some(text), "{datagram}");
        }
    }

    #[test]
    fn broken_bodies_are_answered_in_their_encoding() {
        let bencode = "1 d6:result5:error12:error-reason35:Could not decode bencode dictionarye";
        assert_eq!(answer("1 d7:command4:ping").as_deref(), Some(bencode));
        let json = r#"1 {"result":"error","error-reason":"Failed to parse JSON document"}"#;
        assert_eq!(answer("1 {").as_deref(), Some(json));
    }

    #[test]
    fn missing_and_unknown_commands_are_answered() {
        let none = "1 d6:result5:error12:error-reason36:Dictionary contains no key \"command\"e";
        assert_eq!(answer("1 de").as_deref(), Some(none));
        let unknown = r#"1 {"result":"error","error-reason":"Unrecognized command"}"#;
        assert_eq!(answer(r#"1 {"command":"Offer"}"#).as_deref(), Some(unknown));
    }

    #[test]
    fn reply_uses_the_encoding_of_the_request() {
        let limits = Limits::default();
        let packet = split(b"5 d7:command4:pinge").unwrap();
        assert_eq!(packet.request(&limits).unwrap().request, Request::Ping);
        assert_eq!(packet.reply(&Reply::Pong), b"5 d6:result4:ponge");
        let packet = split(b"5 {\"command\":\"ping\"}").unwrap();
        assert_eq!(packet.reply(&Reply::Pong), br#"5 {"result":"pong"}"#);
    }
}
