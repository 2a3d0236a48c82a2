//! Edits of single lines of a document, everything else staying as it is.

use std::collections::BTreeMap;

use crate::session::Session;

/// A set of edits against one [`Session`]; [`apply`](Self::apply) gives the edited document.
///
/// Lines are named by their number in the document, counted from 1, as [`Line`](crate::Line),
/// [`Attribute`](crate::Attribute) and the errors give it. Edits of a line that does not exist are ignored.
/// CR, LF and NUL inside a text are left out, so that an edit cannot bring in a line of its own.
#[derive(Debug, Clone)]
pub struct Edits<'a> {
    session: &'a Session,
    changes: BTreeMap<usize, Change>,
}

#[derive(Debug, Clone, Default)]
struct Change {
    line: Fate,
    /// New lines below it, in order.
    below: Vec<Vec<u8>>,
}

/// What becomes of a line.
#[derive(Debug, Clone, Default)]
enum Fate {
    #[default]
    Stays,
    Goes,
    Becomes(Vec<u8>),
}

impl<'a> Edits<'a> {
    /// No edits.
    pub fn new(session: &'a Session) -> Self {
        Self {
            session,
            changes: BTreeMap::new(),
        }
    }

    /// Takes a line out.
    pub fn remove(&mut self, line: usize) -> &mut Self {
        self.changes.entry(line).or_default().line = Fate::Goes;
        self
    }

    /// Puts `text` in the place of a line. The line keeps its end.
    pub fn replace(&mut self, line: usize, text: impl AsRef<[u8]>) -> &mut Self {
        self.changes.entry(line).or_default().line = Fate::Becomes(one_line(text.as_ref()));
        self
    }

    /// Adds a line below another, and below those added there before.
    pub fn insert_after(&mut self, line: usize, text: impl AsRef<[u8]>) -> &mut Self {
        self.changes
            .entry(line)
            .or_default()
            .below
            .push(one_line(text.as_ref()));
        self
    }

    /// The edited document. Without edits it is [`Session::source`].
    pub fn apply(&self) -> Vec<u8> {
        let source = self.session.source();
        let mut out = Vec::with_capacity(source.len() + 256);
        let mut copied = 0;
        for (number, change) in &self.changes {
            let Some((range, content_end)) = self.session.line_range(*number) else {
                continue;
            };
            out.extend_from_slice(&source[copied..range.start]);
            copied = range.end;
            let end = &source[content_end..range.end];
            match &change.line {
                Fate::Stays => out.extend_from_slice(&source[range]),
                Fate::Goes => {}
                Fate::Becomes(text) => {
                    out.extend_from_slice(text);
                    out.extend_from_slice(end);
                }
            }
            for text in &change.below {
                if out.last().is_some_and(|last| *last != b'\n') {
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(text);
                // Below a last line without an end, the addition becomes the last line without an end.
                out.extend_from_slice(end);
            }
        }
        out.extend_from_slice(&source[copied..]);
        out
    }
}

/// `text` without the octets that would end the line.
fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(stays_in_line).collect()
}

/// False for the octets that end a line, for us or for a peer.
pub(crate) fn stays_in_line(octet: &u8) -> bool {
    !matches!(octet, 0 | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &[u8] = b"v=0\r\ns=-\nt=0 0\r\r\nm=audio 1 RTP/AVP 0\r\na=sendrecv";

    fn edited(edit: impl FnOnce(&mut Edits<'_>)) -> String {
        let session = Session::parse(DOCUMENT).unwrap();
        let mut edits = Edits::new(&session);
        edit(&mut edits);
        String::from_utf8(edits.apply()).unwrap()
    }

    #[test]
    fn no_edit_gives_the_source() {
        assert_eq!(edited(|_| {}).as_bytes(), DOCUMENT);
    }

    #[test]
    fn removed_line_takes_its_end_along() {
        assert_eq!(
            edited(|edits| _ = edits.remove(2)),
            "v=0\r\nt=0 0\r\r\nm=audio 1 RTP/AVP 0\r\na=sendrecv"
        );
    }

    #[test]
    fn replaced_line_keeps_its_end() {
        let text = edited(|edits| {
            _ = edits
                .replace(2, "s=x")
                .replace(3, "t=1 1")
                .replace(5, "a=inactive");
        });
        assert_eq!(text, "v=0\r\ns=x\nt=1 1\r\r\nm=audio 1 RTP/AVP 0\r\na=inactive");
    }

    #[test]
    fn lines_are_added_below_in_order() {
        let text = edited(|edits| _ = edits.insert_after(2, "i=a").insert_after(2, "i=b"));
        assert_eq!(
            text,
            "v=0\r\ns=-\ni=a\ni=b\nt=0 0\r\r\nm=audio 1 RTP/AVP 0\r\na=sendrecv"
        );
    }

    #[test]
    fn addition_below_an_unended_last_line_starts_a_line() {
        let text = edited(|edits| _ = edits.insert_after(5, "a=x").insert_after(5, "a=y"));
        assert!(text.ends_with("a=sendrecv\r\na=x\r\na=y"), "{text:?}");
    }

    #[test]
    fn text_cannot_bring_a_line_of_its_own() {
        let text = edited(|edits| _ = edits.replace(2, "s=x\r\na=evil\0"));
        assert!(text.contains("s=xa=evil\n"), "{text:?}");
    }

    #[test]
    fn unknown_line_numbers_are_ignored() {
        assert_eq!(
            edited(|edits| _ = edits.remove(0).replace(99, "x")).as_bytes(),
            DOCUMENT
        );
    }
}
