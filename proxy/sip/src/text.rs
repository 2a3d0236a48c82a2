//! Lexical ground: octet classes and a cursor over one header value.
//!
//! A header value may hold folds (CRLF and blank). The scanner has made sure that CR and LF occur in no other way, so
//! here they are blanks like any other (RFC 3261 section 25.1, `LWS`).

const TOKEN: u8 = 1;
const BLANK: u8 = 1 << 1;
const HOST: u8 = 1 << 2;
const PARAM_VALUE: u8 = 1 << 3;

/// What each octet may be part of.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let byte = octet as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() {
            class |= TOKEN | HOST;
        }
        if contains(b"-.!%*_+`'~", byte) {
            class |= TOKEN;
        }
        // The underscore is no host character by the grammar, and common in real host names.
        if contains(b"-._", byte) {
            class |= HOST;
        }
        if contains(b" \t\r\n", byte) {
            class |= BLANK;
        }
        // Wider than `gen-value` (which is token, host or quoted-string): peers send unquoted `/`, `@`, `=` and UTF-8.
        if byte > b' ' && byte != 0x7f && !contains(b";,\"<>", byte) {
            class |= PARAM_VALUE;
        }
        table[octet] = class;
        octet += 1;
    }
    table
}

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

/// RFC 3261 `token` characters: method, header name, parameter name, tag.
pub(crate) fn is_token(byte: u8) -> bool {
    CLASS[usize::from(byte)] & TOKEN != 0
}

/// A blank inside a header value, the octets of a fold included.
pub(crate) fn is_blank(byte: u8) -> bool {
    CLASS[usize::from(byte)] & BLANK != 0
}

/// Characters of a host name or an IPv4 address.
pub(crate) fn is_host(byte: u8) -> bool {
    CLASS[usize::from(byte)] & HOST != 0
}

/// Characters of a header parameter's unquoted value.
pub(crate) fn is_param_value(byte: u8) -> bool {
    CLASS[usize::from(byte)] & PARAM_VALUE != 0
}

/// True when all characters may stand in a URI: no blank, no control, no `<`, `>` or quote. Every octet is looked at, so
/// that the compiler can look at many at once.
pub(crate) fn is_all_uri(text: &[u8]) -> bool {
    text.iter().fold(true, |good, &byte| {
        let bad = byte <= b' ' || byte == 0x7f || byte == b'<' || byte == b'>' || byte == b'"';
        good & !bad
    })
}

/// True when all characters are visible ASCII.
pub(crate) fn is_all_graphic(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |good, byte| good & byte.is_ascii_graphic())
}

/// True when the text is one `token` of at least one character.
pub(crate) fn is_whole_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token(byte))
}

/// The value without blanks at both ends.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Text whose octets were all seen to be in an ASCII class.
pub(crate) fn ascii(text: &[u8]) -> &str {
    #[expect(clippy::expect_used, reason = "callers pass octets of an ASCII-only class")]
    std::str::from_utf8(text).expect("octets of an ASCII class are UTF-8")
}

/// Digits to a number: `None` for no digit, another character, or a value that does not fit.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Where `part`, a sub-slice of `whole`, begins in it.
pub(crate) fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (offset + part.len() <= whole.len()).then_some(offset)
}

/// The end of a quoted string that opens at `at`: the index after the closing quote, `None` when it never closes.
pub(crate) fn quoted_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Reads one header value from left to right.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    pub(crate) fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek()
            && is_blank(byte)
        {
            self.at += 1;
        }
    }

    /// Takes `byte` if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte` with any blanks around it, if it is next after blanks.
    pub(crate) fn eat_spaced(&mut self, byte: u8) -> bool {
        let before = self.at;
        self.skip_blanks();
        if self.eat(byte) {
            self.skip_blanks();
            return true;
        }
        self.at = before;
        false
    }

    #[inline]
    pub(crate) fn take_while(&mut self, class: impl Fn(u8) -> bool) -> &'a [u8] {
        let start = self.at;
        while let Some(&byte) = self.text.get(self.at)
            && class(byte)
        {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// Takes `text` if it is next, letter for letter.
    pub(crate) fn eat_all(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Takes up to the first `byte`, which is taken too but not part of the answer. `None` (and nothing taken) when it
    /// does not occur.
    pub(crate) fn take_until(&mut self, byte: u8) -> Option<&'a [u8]> {
        let rest = self.rest();
        let length = memchr::memchr(byte, rest)?;
        self.at += length + 1;
        Some(&rest[..length])
    }

    /// Takes a quoted string with its quotes. `None` (and nothing taken) when there is none or it never closes.
    pub(crate) fn take_quoted(&mut self) -> Option<&'a [u8]> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at;
        self.at = quoted_end(self.text, start)?;
        Some(&self.text[start..self.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_blanks_like_any_other() {
        assert_eq!(trim(b" \r\n\t a b \r\n "), b"a b");
        assert_eq!(trim(b"\r\n "), b"");
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(decimal(b"0068"), Some(68));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal(b"-1"), None);
        assert_eq!(decimal(b""), None);
    }

    #[test]
    fn an_escaped_quote_does_not_close_a_quoted_string() {
        assert_eq!(quoted_end(br#""a\"b"c"#, 0), Some(6));
        assert_eq!(quoted_end(br#""a\"#, 0), None);
        assert_eq!(quoted_end(br#""a\""#, 0), None);
    }

    #[test]
    fn a_slice_from_elsewhere_has_no_offset() {
        let text = *b"abcdef";
        let other = *b"cd";
        assert_eq!(offset_in(&text, &text[2..4]), Some(2));
        assert_eq!(offset_in(&text, &other), None);
    }
}
