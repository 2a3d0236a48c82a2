//! `%HH` escapes (RFC 3261 section 25.1, RFC 3986 section 2).

use std::borrow::Cow;

/// Octets with every `%HH` resolved, once and not again (RFC 4475 section 3.1.1.3). A `%` without two hex digits stays.
pub fn unescape(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    Cow::Owned(
        Units {
            rest: text.as_bytes(),
        }
        .map(|unit| unit.octet)
        .collect(),
    )
}

/// Text for the user part of a SIP URI: what may not stand there is escaped.
pub fn escape_user(text: &str) -> Cow<'_, str> {
    if text.bytes().all(may_stand_in_user) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for octet in text.bytes() {
        if may_stand_in_user(octet) {
            escaped.push(char::from(octet));
        } else {
            push_escape(&mut escaped, octet);
        }
    }
    Cow::Owned(escaped)
}

pub(crate) fn push_escape(text: &mut String, octet: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(HEX[usize::from(octet >> 4)]));
    text.push(char::from(HEX[usize::from(octet & 15)]));
}

/// `unreserved` and `user-unreserved`.
fn may_stand_in_user(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&octet)
}

/// Equal by RFC 3261 section 19.1.4: an escaped character equals the plain one unless it is in the reserved set.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || Units { rest: a.as_bytes() }.eq(Units { rest: b.as_bytes() })
}

/// As [`same`], letters of both cases being equal.
pub(super) fn same_ignoring_case(a: &str, b: &str) -> bool {
    let fold = |unit: Unit| Unit {
        octet: unit.octet.to_ascii_lowercase(),
        ..unit
    };
    Units { rest: a.as_bytes() }
        .map(fold)
        .eq(Units { rest: b.as_bytes() }.map(fold))
}

/// One character of escaped text.
#[derive(PartialEq, Eq)]
struct Unit {
    octet: u8,
    /// Escaping made a difference: it kept a delimiter from being one.
    escaped_reserved: bool,
}

struct Units<'a> {
    rest: &'a [u8],
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        if let [b'%', high, low, rest @ ..] = self.rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.rest = rest;
            let octet = high << 4 | low;
            return Some(Unit {
                octet,
                escaped_reserved: b";/?:@&=+$,".contains(&octet),
            });
        }
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(Unit {
            octet,
            escaped_reserved: false,
        })
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_resolved_once() {
        assert_eq!(unescape("v%61lue%25%34%31").as_ref(), b"value%41");
        assert_eq!(unescape("null-%00-null").as_ref(), b"null-\0-null");
        assert_eq!(unescape("%Z%4").as_ref(), b"%Z%4");
    }

    #[test]
    fn escaping_matters_for_reserved_characters_only() {
        assert!(same("%61lice", "alice"));
        assert!(same("%61LICE", "aLICE"));
        assert!(!same("a%3Bb", "a;b"));
        assert!(same("a%3Bb", "a%3bb"));
        assert!(!same("alice", "Alice"));
        assert!(same_ignoring_case("%6C%52", "LR"));
    }

    proptest! {
        #[test]
        fn escaped_users_read_back(user in ".*") {
            let escaped = escape_user(&user).into_owned();
            prop_assert_eq!(unescape(&escaped).into_owned(), user.into_bytes());
        }
    }
}
