//! Comma lists: `a, "b, c" <d,e>` has two elements. Quotes and angle brackets protect commas (RFC 3261 section 7.3.1).

use std::ops::Range;

use crate::text::{is_blank, quoted_end};

/// The elements of a comma list (RFC 3261 section 7.3.1): quotes and angle brackets protect commas, empty elements are
/// skipped.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    Elements::new(value)
}

/// The elements of one header value. Empty elements (`a,,b`) are skipped, as lists in the field have them.
#[derive(Debug, Clone)]
pub(crate) struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next element's range in the value, without blanks around it.
    pub(crate) fn next_range(&mut self) -> Option<Range<usize>> {
        while self.at < self.text.len() {
            let end = element_end(self.text, self.at);
            let range = trim_range(self.text, self.at..end);
            self.at = end + 1;
            if !range.is_empty() {
                return Some(range);
            }
        }
        None
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let range = self.next_range()?;
        Some(&self.text[range])
    }
}

/// The index of the comma that ends the element which begins at `from`, or the end of the value. A quote or bracket
/// that never closes protects the whole rest.
fn element_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = text
        .get(at..)
        .and_then(|rest| memchr::memchr3(b',', b'"', b'<', rest))
    {
        let found = at + found;
        let closed = match text[found] {
            b',' => return found,
            b'"' => quoted_end(text, found),
            _ => memchr::memchr(b'>', &text[found..]).map(|length| found + length + 1),
        };
        at = match closed {
            Some(after) => after,
            None => break,
        };
    }
    text.len()
}

fn trim_range(text: &[u8], range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    while start < end && is_blank(text[start]) {
        start += 1;
    }
    while start < end && is_blank(text[end - 1]) {
        end -= 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        Elements::new(text.as_bytes())
            .map(|element| std::str::from_utf8(element).unwrap())
            .collect()
    }

    #[test]
    fn commas_in_quotes_and_brackets_are_text() {
        assert_eq!(
            split(r#""Bell, A" <sip:a,b@c>;x="1,\"2" , <sip:d>"#),
            [r#""Bell, A" <sip:a,b@c>;x="1,\"2""#, "<sip:d>"]
        );
    }

    #[test]
    fn folds_part_elements_and_do_not_belong_to_them() {
        assert_eq!(split("a\r\n ,\r\n\tb"), ["a", "b"]);
    }

    #[test]
    fn empty_elements_are_skipped() {
        assert_eq!(split(",, a ,,b,"), ["a", "b"]);
        assert_eq!(split(" \r\n "), Vec::<&str>::new());
    }

    #[test]
    fn what_never_closes_takes_the_rest() {
        assert_eq!(split("a, \"b, c"), ["a", "\"b, c"]);
        assert_eq!(split("a, <b, c"), ["a", "<b, c"]);
    }
}
