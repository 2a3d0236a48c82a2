//! Flag strings cut at their spaces.

/// One word of a flag string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'t> {
    /// Octets before it.
    pub(super) offset: usize,
    /// The whole of it.
    pub(super) text: &'t str,
    /// Up to the first `=`.
    pub(super) key: &'t str,
    /// After the first `=`.
    pub(super) value: Option<&'t str>,
}

/// Cuts `text` at white space outside brackets. A bracket opens a value only right after `=`, or at the start
/// of a word; it ends where it is closed, or with the text where it is not.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = at + rest.find(|c: char| !c.is_ascii_whitespace())?;
        let word = &text[start..];
        let key_end = word.find(|c: char| c == '=' || c.is_ascii_whitespace());
        let equals = key_end.filter(|end| word[*end..].starts_with('=') && !word.starts_with('['));
        let value_start = equals.map_or(0, |equals| equals + 1);
        let value = &word[value_start..];
        let length = if value.starts_with('[') {
            bracket_len(value)
        } else {
            word_len(value)
        };
        at = start + value_start + length;
        let text = &text[start..at];
        let (key, value) = match equals {
            Some(equals) => (&text[..equals], Some(&text[equals + 1..])),
            None => (text, None),
        };
        Some(Token {
            offset: start,
            text,
            key,
            value,
        })
    })
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len())
}

/// Length of the bracketed text that begins here, brackets included.
fn bracket_len(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(usize, &str, Option<&str>)> {
        tokens(text)
            .map(|token| (token.offset, token.key, token.value))
            .collect()
    }

    #[test]
    fn words_are_cut_at_spaces_and_at_the_first_equals_sign() {
        assert_eq!(
            cut("  a b=c  d=e=f g= "),
            [
                (2, "a", None),
                (4, "b", Some("c")),
                (9, "d", Some("e=f")),
                (15, "g", Some("")),
            ]
        );
        assert_eq!(cut(""), []);
        assert_eq!(cut(" \t\n "), []);
    }

    #[test]
    fn brackets_hold_spaces_together() {
        assert_eq!(
            cut("a=[b [c d] e=[f]] g=[h]i"),
            [
                (0, "a", Some("[b [c d] e=[f]]")),
                (18, "g", Some("[h]")),
                (23, "i", None),
            ]
        );
        assert_eq!(cut("[a=b c=d] e"), [(0, "[a=b c=d]", None), (10, "e", None)]);
        assert_eq!(cut("[a b] c"), [(0, "[a b]", None), (6, "c", None)]);
        assert_eq!(cut("a=[b c"), [(0, "a", Some("[b c"))]);
    }

    #[test]
    fn cuts_stay_on_character_boundaries() {
        assert_eq!(cut("é=ü ñ"), [(0, "é", Some("ü")), (6, "ñ", None)]);
        assert_eq!(cut("é=[ü ñ]x"), [(0, "é", Some("[ü ñ]")), (10, "x", None)]);
    }
}
