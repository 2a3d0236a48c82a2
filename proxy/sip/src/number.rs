use std::io::Write as _;
use std::net::IpAddr;

use crate::text::{decimal, trim};

/// `delta-seconds` (RFC 3261 section 25.1). More than 2^32-1 is cut to it, so that RFC 4475's overlong values mean "for
/// ever" and not nothing. `None` for anything but digits.
pub fn delta_seconds(value: &[u8]) -> Option<u32> {
    let digits = trim(value);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        decimal(digits)
            .and_then(|seconds| u32::try_from(seconds).ok())
            .unwrap_or(u32::MAX),
    )
}

/// Writes a number in decimal digits: what every message is full of, without the machinery of `fmt`.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    const DIGITS_MAX: usize = 20;
    let mut digits = [0; DIGITS_MAX];
    let mut at = DIGITS_MAX;
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes an address as `received` has it (RFC 3261 section 25.1): IPv6 without brackets.
pub(crate) fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                push_decimal(out, octet.into());
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// `qvalue` (RFC 3261 section 25.1) in thousandths: `0.5` is 500, `1` is 1000. `None` for anything else; digits after
/// the third are refused as the grammar does.
pub fn q_value(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match trim(value) {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = *fraction.get(place).unwrap_or(&b'0');
        thousandths = thousandths * 10 + digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_written_as_everybody_writes_them() {
        let decimal = |number| {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            String::from_utf8(out).unwrap()
        };
        for number in [0, 9, 10, 5060, 65_535, u64::MAX] {
            assert_eq!(decimal(number), number.to_string());
        }
        for text in ["192.0.2.10", "0.0.0.0", "255.255.255.255", "2001:db8::9"] {
            let mut out = Vec::new();
            push_address(&mut out, text.parse().unwrap());
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn overlong_expiry_is_cut() {
        assert_eq!(delta_seconds(b" 3600 "), Some(3600));
        assert_eq!(delta_seconds(b"10000000000000000000000000000"), Some(u32::MAX));
        assert_eq!(delta_seconds(b"-1"), None);
        assert_eq!(delta_seconds(b""), None);
    }

    #[test]
    fn q_is_exact_in_thousandths() {
        for (text, value) in [
            ("0", 0),
            ("1", 1000),
            ("0.", 0),
            ("0.5", 500),
            ("0.33", 330),
            ("1.000", 1000),
        ] {
            assert_eq!(q_value(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "2", "1.1", "0.5555", ".5", "0,5", "0.a"] {
            assert_eq!(q_value(text.as_bytes()), None, "{text}");
        }
    }
}
