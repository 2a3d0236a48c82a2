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
