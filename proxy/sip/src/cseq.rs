use crate::text::{Cursor, decimal, is_token, trim};
use crate::{Method, ValueError};

/// The largest sequence number (RFC 3261 section 8.1.1.5).
pub const CSEQ_MAX: u32 = 0x7fff_ffff;

/// A CSeq value: number and method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// 0 to 2^31-1.
    pub number: u32,
    /// The method of the request that this belongs to.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads `number LWS method`.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new(trim(value));
        if cursor.at_end() {
            return Err(ValueError::Empty);
        }
        let digits = cursor.take_while(|byte| byte.is_ascii_digit());
        let number = decimal(digits)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|&number| number <= CSEQ_MAX)
            .ok_or(ValueError::BadNumber)?;
        let before = cursor.rest().len();
        cursor.skip_blanks();
        let blank = cursor.rest().len() < before;
        let method = cursor.take_while(is_token);
        if !blank || method.is_empty() || !cursor.at_end() {
            return Err(ValueError::BadMethod);
        }
        Ok(Self {
            number,
            method: Method::from_ascii(method),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_method_may_be_folded_apart() {
        assert_eq!(
            CSeq::parse(b"0009\r\n  INVITE"),
            Ok(CSeq {
                number: 9,
                method: Method::Invite
            })
        );
    }

    #[test]
    fn numbers_end_at_31_bits() {
        assert_eq!(
            CSeq::parse(b"2147483647 ACK").map(|cseq| cseq.number),
            Ok(CSEQ_MAX)
        );
        for text in [
            "2147483648 ACK",
            "36893488147419103232 REGISTER",
            "-1 ACK",
            "x ACK",
        ] {
            assert_eq!(CSeq::parse(text.as_bytes()), Err(ValueError::BadNumber), "{text}");
        }
        for text in ["1", "1ACK", "1 ACK BYE", "1 A<"] {
            assert_eq!(CSeq::parse(text.as_bytes()), Err(ValueError::BadMethod), "{text}");
        }
    }
}
