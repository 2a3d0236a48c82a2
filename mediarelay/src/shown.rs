//! Names from the network, as people see them.

/// Shows a text on one line and without control characters: what a phone has put into a name must not move anybody's
/// cursor, nor look like a line of the log. At most `chars` characters of it.
pub(crate) fn shown(text: &str, chars: usize) -> String {
    let mut shown = String::new();
    let mut rest = text.chars();
    for c in rest.by_ref().take(chars) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out_and_the_rest_stays() {
        assert_eq!(shown("a\r\n\u{1b}[2Jé", 99), "a\\r\\n\\u{1b}[2Jé");
        assert_eq!(shown("", 0), "");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(shown("abcdef", 3), "abc…");
        assert_eq!(shown("abc", 3), "abc");
    }
}
