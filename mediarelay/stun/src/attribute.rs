//! Attribute types and the values that need decoding (RFC 8489, section 14; RFC 8445, section 16.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::message::{MAGIC_COOKIE, TransactionId};

/// An attribute's 16-bit type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u16);

impl AttributeType {
    /// MAPPED-ADDRESS, kept for RFC 3489 peers; ICE never uses it.
    pub const MAPPED_ADDRESS: Self = Self(0x0001);
    /// USERNAME.
    pub const USERNAME: Self = Self(0x0006);
    /// MESSAGE-INTEGRITY: HMAC-SHA1 of what precedes it.
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    /// ERROR-CODE.
    pub const ERROR_CODE: Self = Self(0x0009);
    /// UNKNOWN-ATTRIBUTES.
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000A);
    /// REALM, of long-term credentials; understood and ignored.
    pub const REALM: Self = Self(0x0014);
    /// NONCE, of long-term credentials; understood and ignored.
    pub const NONCE: Self = Self(0x0015);
    /// MESSAGE-INTEGRITY-SHA256; understood as an end mark, never checked: ICE uses HMAC-SHA1.
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001C);
    /// XOR-MAPPED-ADDRESS.
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    /// PRIORITY (ICE).
    pub const PRIORITY: Self = Self(0x0024);
    /// USE-CANDIDATE (ICE).
    pub const USE_CANDIDATE: Self = Self(0x0025);
    /// SOFTWARE.
    pub const SOFTWARE: Self = Self(0x8022);
    /// FINGERPRINT.
    pub const FINGERPRINT: Self = Self(0x8028);
    /// ICE-CONTROLLED.
    pub const ICE_CONTROLLED: Self = Self(0x8029);
    /// ICE-CONTROLLING.
    pub const ICE_CONTROLLING: Self = Self(0x802A);

    /// Whether a receiver that does not know this type must refuse the message.
    #[must_use]
    pub const fn is_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether this crate knows the type.
    #[must_use]
    pub const fn is_understood(self) -> bool {
        matches!(
            self,
            Self::MAPPED_ADDRESS
                | Self::USERNAME
                | Self::MESSAGE_INTEGRITY
                | Self::ERROR_CODE
                | Self::UNKNOWN_ATTRIBUTES
                | Self::REALM
                | Self::NONCE
                | Self::MESSAGE_INTEGRITY_SHA256
                | Self::XOR_MAPPED_ADDRESS
                | Self::PRIORITY
                | Self::USE_CANDIDATE
                | Self::SOFTWARE
                | Self::FINGERPRINT
                | Self::ICE_CONTROLLED
                | Self::ICE_CONTROLLING
        )
    }
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttributeType({:#06x})", self.0)
    }
}

/// An attribute as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// Its type.
    pub kind: AttributeType,
    /// Its value without padding.
    pub value: &'a [u8],
}

impl<'a> RawAttribute<'a> {
    /// The attribute that begins at `at`, and where the next one begins. `None` at or past the end of the message.
    pub(crate) fn read(message: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let header: [u8; 4] = message.get(at..at + 4)?.try_into().ok()?;
        let kind = AttributeType(u16::from_be_bytes([header[0], header[1]]));
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let start = at + 4;
        let next = start + len.next_multiple_of(4);
        if next > message.len() {
            return None;
        }
        Some((
            Self {
                kind,
                value: &message[start..start + len],
            },
            next,
        ))
    }
}

/// Why an attribute's value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The message has no such attribute.
    #[error("attribute is absent")]
    Absent,
    /// The value has the wrong number of octets for its type or family.
    #[error("attribute value has {len} octets")]
    Length {
        /// Octets found.
        len: usize,
    },
    /// The address family is neither 1 (IPv4) nor 2 (IPv6).
    #[error("address family {0} is unknown")]
    Family(u8),
    /// The error code is outside 300 to 699 (RFC 8489, section 14.8).
    #[error("error class {class} with number {number} is not an error code")]
    ErrorCode {
        /// The hundreds digit, three bits.
        class: u8,
        /// The rest, 0 to 99 if valid.
        number: u8,
    },
    /// A text is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
}

/// An ERROR-CODE value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// 300 to 699.
    pub code: u16,
    /// Text for people.
    pub reason: &'a str,
}

impl<'a> ErrorCode<'a> {
    pub(crate) fn decode(value: &'a [u8]) -> Result<Self, ValueError> {
        let &[_, _, class, number, ref reason @ ..] = value else {
            return Err(ValueError::Length { len: value.len() });
        };
        let class = class & 7;
        if !(3..=6).contains(&class) || number > 99 {
            return Err(ValueError::ErrorCode { class, number });
        }
        let reason = std::str::from_utf8(reason).map_err(|_| ValueError::Utf8)?;
        Ok(Self {
            code: u16::from(class) * 100 + u16::from(number),
            reason,
        })
    }
}

/// Iterator over the types in UNKNOWN-ATTRIBUTES.
#[derive(Debug, Clone)]
pub struct UnknownAttributes<'a> {
    pairs: std::slice::Iter<'a, [u8; 2]>,
}

impl<'a> UnknownAttributes<'a> {
    pub(crate) fn decode(value: &'a [u8]) -> Self {
        Self {
            pairs: value.as_chunks::<2>().0.iter(),
        }
    }
}

impl Iterator for UnknownAttributes<'_> {
    type Item = AttributeType;

    fn next(&mut self) -> Option<AttributeType> {
        self.pairs
            .next()
            .map(|pair| AttributeType(u16::from_be_bytes(*pair)))
    }
}

const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;

/// The longest XOR-MAPPED-ADDRESS value: two octets, port, IPv6 address.
pub(crate) const XOR_ADDRESS_MAX: usize = 20;

/// Writes an XOR-MAPPED-ADDRESS value and says how long it is: 8 or 20 octets.
///
/// An IPv4 address mapped into IPv6 (from a dual-stack socket) goes out as IPv4: that is what the peer sent from.
pub(crate) fn encode_xor_address(
    address: SocketAddr,
    transaction: TransactionId,
    out: &mut [u8; XOR_ADDRESS_MAX],
) -> usize {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    let port = address.port() ^ u16::from_be_bytes([cookie[0], cookie[1]]);
    out[0] = 0;
    out[2..4].copy_from_slice(&port.to_be_bytes());
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            out[1] = FAMILY_V4;
            out[4..8].copy_from_slice(&(u32::from(ip) ^ MAGIC_COOKIE).to_be_bytes());
            8
        }
        IpAddr::V6(ip) => {
            out[1] = FAMILY_V6;
            out[4..20].copy_from_slice(&(u128::from(ip) ^ v6_mask(transaction)).to_be_bytes());
            20
        }
    }
}

pub(crate) fn decode_xor_address(value: &[u8], transaction: TransactionId) -> Result<SocketAddr, ValueError> {
    let wrong_length = ValueError::Length { len: value.len() };
    let &[_, family, port_high, port_low, ref address @ ..] = value else {
        return Err(wrong_length);
    };
    let port = u16::from_be_bytes([port_high, port_low]) ^ ((MAGIC_COOKIE >> 16) as u16);
    let ip = match family {
        FAMILY_V4 => {
            let address: [u8; 4] = address.try_into().map_err(|_| wrong_length)?;
            IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(address) ^ MAGIC_COOKIE))
        }
        FAMILY_V6 => {
            let address: [u8; 16] = address.try_into().map_err(|_| wrong_length)?;
            IpAddr::V6(Ipv6Addr::from(
                u128::from_be_bytes(address) ^ v6_mask(transaction),
            ))
        }
        other => return Err(ValueError::Family(other)),
    };
    Ok(SocketAddr::new(ip, port))
}

/// Magic cookie followed by the transaction identifier: what an IPv6 address is combined with.
fn v6_mask(transaction: TransactionId) -> u128 {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&transaction.0);
    u128::from_be_bytes(mask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: TransactionId = TransactionId([9; 12]);

    proptest! {
        #[test]
        fn an_address_survives_the_round_trip(ip: IpAddr, port: u16, id: [u8; 12]) {
            let address = SocketAddr::new(ip, port);
            let mut value = [0; XOR_ADDRESS_MAX];
            let len = encode_xor_address(address, TransactionId(id), &mut value);
            let canonical = SocketAddr::new(ip.to_canonical(), port);
            prop_assert_eq!(decode_xor_address(&value[..len], TransactionId(id)), Ok(canonical));
        }

        #[test]
        fn any_octets_decode_or_fail_as_an_address(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let decoded = decode_xor_address(&value, ID);
            prop_assert_eq!(decoded.is_ok(), matches!((value.len(), value.get(1)), (8, Some(1)) | (20, Some(2))));
        }
    }

    #[test]
    fn a_mapped_address_goes_out_as_ipv4() {
        let mut value = [0; XOR_ADDRESS_MAX];
        let len = encode_xor_address("[::ffff:192.0.2.7]:4000".parse().unwrap(), ID, &mut value);
        assert_eq!(
            decode_xor_address(&value[..len], ID),
            Ok("192.0.2.7:4000".parse().unwrap())
        );
    }

    #[test]
    fn error_code_checks_its_range() {
        assert_eq!(
            ErrorCode::decode(b"\0\0\x04\x57Role Conflict"),
            Ok(ErrorCode {
                code: 487,
                reason: "Role Conflict"
            })
        );
        assert_eq!(
            ErrorCode::decode(b"\0\0\x02\x00"),
            Err(ValueError::ErrorCode { class: 2, number: 0 })
        );
        assert_eq!(
            ErrorCode::decode(b"\0\0\x04\x64"),
            Err(ValueError::ErrorCode {
                class: 4,
                number: 100
            })
        );
        assert_eq!(ErrorCode::decode(b"\0\0\x04"), Err(ValueError::Length { len: 3 }));
        assert_eq!(ErrorCode::decode(b"\0\0\x04\x00\xff"), Err(ValueError::Utf8));
    }
}
