//! The message header and the walk over its attributes (RFC 8489, sections 5 and 14).

use std::fmt;
use std::net::SocketAddr;

use crate::attribute::{self, AttributeType, ErrorCode, RawAttribute, UnknownAttributes, ValueError};
use crate::fingerprint::{self, FingerprintError};
use crate::integrity::{self, IntegrityError, IntegrityKey};

/// Octets of a STUN header.
pub const HEADER_LEN: usize = 20;

/// The fixed value in octets 4 to 8 of every message (RFC 8489, section 5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// Whether a datagram looks like STUN: two zero bits, the magic cookie, a length that is a multiple of four.
///
/// Enough to choose a path; [`Message::parse`] does the rest. RTP, RTCP, DTLS, ZRTP and TURN channel data all fail it.
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER_LEN
        && datagram[0] & 0xc0 == 0
        && datagram[3] & 3 == 0
        && datagram[4..8] == MAGIC_COOKIE.to_be_bytes()
}

/// The 96-bit transaction identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionId(")?;
        for octet in self.0 {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(")")
    }
}

/// The class bits of the message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none; ICE uses it as a keepalive (RFC 8445, section 11).
    Indication,
    /// Success response.
    Success,
    /// Error response.
    Error,
}

/// The 12-bit method of the message type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// The only method ICE uses.
    pub const BINDING: Self = Self(0x001);

    /// A method by number; only the low twelve bits count.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number & 0x0fff)
    }

    /// The method's number, 0 to 0xfff.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The 14-bit type field: class bits sit at positions 4 and 8, between the method's bits (RFC 8489, figure 3).
pub(crate) fn encode_type(class: Class, method: Method) -> u16 {
    let m = method.0;
    let class_bits = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    (m & 0x000f) | ((m & 0x0070) << 1) | ((m & 0x0f80) << 2) | class_bits
}

fn decode_type(value: u16) -> (Class, Method) {
    let class = match value & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    (
        class,
        Method((value & 0x000f) | ((value & 0x00e0) >> 1) | ((value & 0x3e00) >> 2)),
    )
}

/// Why a datagram is not a STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Shorter than a header, the first two bits are not zero, or the magic cookie is missing.
    #[error("not a STUN message")]
    NotStun,
    /// The header's length is not a multiple of four.
    #[error("STUN length {length} is not a multiple of four")]
    LengthUnaligned {
        /// The length that the header gives, in octets.
        length: usize,
    },
    /// The header's length and the datagram's differ: a UDP datagram carries exactly one message.
    #[error("STUN header says {header} octets after it, the datagram has {actual}")]
    LengthMismatch {
        /// Octets after the header, as the header says.
        header: usize,
        /// Octets after the header in the datagram.
        actual: usize,
    },
    /// An attribute reaches past the end of the message.
    #[error("STUN attribute at octet {offset} reaches past the end")]
    AttributeOverrun {
        /// Where the attribute's header begins, in octets from the start of the message.
        offset: usize,
    },
    /// MESSAGE-INTEGRITY or FINGERPRINT has a value of the wrong length.
    #[error("STUN attribute {kind:?} has {len} octets")]
    AttributeLength {
        /// Which of the two.
        kind: AttributeType,
        /// The octets of its value.
        len: usize,
    },
    /// Something follows FINGERPRINT (RFC 8489, section 14.7: it must be last).
    #[error("STUN FINGERPRINT is not the last attribute")]
    FingerprintNotLast,
}

/// A STUN message in a borrowed datagram, all attribute bounds checked.
///
/// Where an attribute appears twice the first one counts (RFC 8489, section 14), and what follows the message
/// integrity is ignored except FINGERPRINT (section 14.5).
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The whole message. Never longer than `HEADER_LEN + u16::MAX`.
    bytes: &'a [u8],
    class: Class,
    method: Method,
    /// Where MESSAGE-INTEGRITY begins, if present.
    integrity_at: Option<usize>,
    /// Where FINGERPRINT begins, if present. It is the last attribute then.
    fingerprint_at: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads a datagram that holds exactly one message.
    ///
    /// # Errors
    /// [`ParseError`] names what is wrong; integrity and fingerprint *values* are not checked here.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let Some((header, body)) = datagram.split_first_chunk::<HEADER_LEN>() else {
            return Err(ParseError::NotStun);
        };
        if header[0] & 0xc0 != 0 || header[4..8] != MAGIC_COOKIE.to_be_bytes() {
            return Err(ParseError::NotStun);
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if length % 4 != 0 {
            return Err(ParseError::LengthUnaligned { length });
        }
        if length != body.len() {
            return Err(ParseError::LengthMismatch {
                header: length,
                actual: body.len(),
            });
        }
        let (class, method) = decode_type(u16::from_be_bytes([header[0], header[1]]));
        let mut message = Self {
            bytes: datagram,
            class,
            method,
            integrity_at: None,
            fingerprint_at: None,
        };
        message.index()?;
        Ok(message)
    }

    /// Walks every attribute once: bounds, and the places of the two that need special treatment.
    fn index(&mut self) -> Result<(), ParseError> {
        let mut at = HEADER_LEN;
        let mut sealed = false;
        while at < self.bytes.len() {
            if self.fingerprint_at.is_some() {
                return Err(ParseError::FingerprintNotLast);
            }
            let Some((attribute, next)) = RawAttribute::read(self.bytes, at) else {
                return Err(ParseError::AttributeOverrun { offset: at });
            };
            match attribute.kind {
                AttributeType::MESSAGE_INTEGRITY if !sealed => {
                    expect_len(&attribute, integrity::VALUE_LEN)?;
                    self.integrity_at = Some(at);
                    sealed = true;
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256 => sealed = true,
                AttributeType::FINGERPRINT => {
                    expect_len(&attribute, fingerprint::VALUE_LEN)?;
                    self.fingerprint_at = Some(at);
                }
                _ => {}
            }
            at = next;
        }
        Ok(())
    }

    /// The whole message.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Request, indication, success or error.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The method; [`Method::BINDING`] for ICE.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The transaction this message belongs to.
    #[must_use]
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_LEN]);
        TransactionId(id)
    }

    /// The attributes that count, in order: everything up to and including the message integrity, then FINGERPRINT.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes {
            bytes: self.bytes,
            at: HEADER_LEN,
            sealed: false,
        }
    }

    /// The value of the first attribute of this type that counts.
    #[must_use]
    pub fn attribute(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|a| a.kind == kind).map(|a| a.value)
    }

    /// USERNAME as text; `None` if absent or not UTF-8.
    #[must_use]
    pub fn username(&self) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(AttributeType::USERNAME)?).ok()
    }

    /// SOFTWARE as text; `None` if absent or not UTF-8.
    #[must_use]
    pub fn software(&self) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(AttributeType::SOFTWARE)?).ok()
    }

    /// PRIORITY (RFC 8445, section 16.1), if present and four octets long.
    #[must_use]
    pub fn priority(&self) -> Option<u32> {
        Some(u32::from_be_bytes(
            self.attribute(AttributeType::PRIORITY)?.try_into().ok()?,
        ))
    }

    /// Whether USE-CANDIDATE is there.
    #[must_use]
    pub fn use_candidate(&self) -> bool {
        self.attribute(AttributeType::USE_CANDIDATE).is_some()
    }

    /// The tie-breaker of ICE-CONTROLLED, if present.
    #[must_use]
    pub fn ice_controlled(&self) -> Option<u64> {
        Some(u64::from_be_bytes(
            self.attribute(AttributeType::ICE_CONTROLLED)?.try_into().ok()?,
        ))
    }

    /// The tie-breaker of ICE-CONTROLLING, if present.
    #[must_use]
    pub fn ice_controlling(&self) -> Option<u64> {
        Some(u64::from_be_bytes(
            self.attribute(AttributeType::ICE_CONTROLLING)?.try_into().ok()?,
        ))
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489, section 14.2).
    ///
    /// # Errors
    /// [`ValueError`] if absent, of an unknown family or of the wrong length.
    pub fn xor_mapped_address(&self) -> Result<SocketAddr, ValueError> {
        let value = self
            .attribute(AttributeType::XOR_MAPPED_ADDRESS)
            .ok_or(ValueError::Absent)?;
        attribute::decode_xor_address(value, self.transaction_id())
    }

    /// ERROR-CODE (RFC 8489, section 14.8).
    ///
    /// # Errors
    /// [`ValueError`] if absent, too short, outside 300 to 699, or the reason is not UTF-8.
    pub fn error_code(&self) -> Result<ErrorCode<'a>, ValueError> {
        let value = self
            .attribute(AttributeType::ERROR_CODE)
            .ok_or(ValueError::Absent)?;
        ErrorCode::decode(value)
    }

    /// The types listed in UNKNOWN-ATTRIBUTES; empty if the attribute is absent.
    #[must_use]
    pub fn unknown_attributes(&self) -> UnknownAttributes<'a> {
        UnknownAttributes::decode(self.attribute(AttributeType::UNKNOWN_ATTRIBUTES).unwrap_or(&[]))
    }

    /// Comprehension-required attributes (type below 0x8000) of this message that neither RFC 8489 nor ICE defines.
    ///
    /// A request that has any is answered with 420 (RFC 8489, section 6.3.1).
    pub fn not_understood(&self) -> impl Iterator<Item = AttributeType> + 'a {
        self.attributes()
            .map(|a| a.kind)
            .filter(|kind| kind.is_required() && !kind.is_understood())
    }

    /// Checks MESSAGE-INTEGRITY (HMAC-SHA1) with a key, in constant time.
    ///
    /// # Errors
    /// Absent, or not made with this key.
    pub fn verify_integrity(&self, key: &IntegrityKey) -> Result<(), IntegrityError> {
        let at = self.integrity_at.ok_or(IntegrityError::Absent)?;
        let found = self.bytes[at + 4..].first_chunk().ok_or(IntegrityError::Absent)?;
        if key.matches(&self.bytes[..at], found) {
            Ok(())
        } else {
            Err(IntegrityError::Mismatch)
        }
    }

    /// Whether a MESSAGE-INTEGRITY attribute is there (its value may still be wrong).
    #[must_use]
    pub fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Checks FINGERPRINT.
    ///
    /// # Errors
    /// Absent, or the CRC differs.
    pub fn verify_fingerprint(&self) -> Result<(), FingerprintError> {
        let at = self.fingerprint_at.ok_or(FingerprintError::Absent)?;
        let expected = fingerprint::of(&self.bytes[..at]).to_be_bytes();
        let found = &self.bytes[at + 4..at + 4 + fingerprint::VALUE_LEN];
        if found == expected {
            Ok(())
        } else {
            Err(FingerprintError::Mismatch)
        }
    }
}

fn expect_len(attribute: &RawAttribute<'_>, len: usize) -> Result<(), ParseError> {
    if attribute.value.len() == len {
        Ok(())
    } else {
        Err(ParseError::AttributeLength {
            kind: attribute.kind,
            len: attribute.value.len(),
        })
    }
}

/// Iterator of [`Message::attributes`].
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
    sealed: bool,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    fn next(&mut self) -> Option<RawAttribute<'a>> {
        loop {
            // `Message::index` has walked the same attributes, so `None` means the end here.
            let (attribute, next) = RawAttribute::read(self.bytes, self.at)?;
            self.at = next;
            if self.sealed && attribute.kind != AttributeType::FINGERPRINT {
                continue;
            }
            self.sealed |= attribute.kind == AttributeType::MESSAGE_INTEGRITY
                || attribute.kind == AttributeType::MESSAGE_INTEGRITY_SHA256;
            return Some(attribute);
        }
    }
}

#[cfg(test)]
mod tests;
