//! Quoted strings (RFC 3261 section 25.1): put text into one, take it out again.

use std::borrow::Cow;

/// The text of a quoted string, escapes resolved. A value without quotes comes back as it is.
pub fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let [b'"', inner @ .., b'"'] = value else {
        return Cow::Borrowed(value);
    };
    if memchr::memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut octets = inner.iter();
    while let Some(&octet) = octets.next() {
        let literal = if octet == b'\\' {
            octets.next().copied()
        } else {
            Some(octet)
        };
        text.extend(literal);
    }
    Cow::Owned(text)
}

/// A quoted string that holds `text`: `"` and `\` escaped. CR and LF, which no quoted string can hold, become blanks.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\r' | '\n' => quoted.push(' '),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_comes_back_as_it_is() {
        assert_eq!(unquote(b"auth"), Cow::Borrowed(b"auth".as_slice()));
        assert_eq!(unquote(b"\""), Cow::Borrowed(b"\"".as_slice()));
    }

    #[test]
    fn line_breaks_cannot_leave_a_quoted_string() {
        assert_eq!(quote("a\r\nVia: b"), "\"a  Via: b\"");
    }

    proptest! {
        #[test]
        fn quoted_text_reads_back(text in "[^\r\n]*") {
            let quoted = quote(&text);
            prop_assert_eq!(crate::text::quoted_end(quoted.as_bytes(), 0), Some(quoted.len()));
            prop_assert_eq!(unquote(quoted.as_bytes()).into_owned(), text.into_bytes());
        }
    }
}
