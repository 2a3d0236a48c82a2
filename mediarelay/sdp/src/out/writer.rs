//! The place where lines are made: nothing else writes a line end.

use std::fmt::{self, Display, Write as _};

use memchr::memchr3;

use super::AttributeEdits;
use crate::attribute::TypedAttribute;
use crate::edit::stays_in_line;

/// Collects the lines of one document.
pub(super) struct Writer {
    out: Vec<u8>,
}

/// What a line is formatted into.
struct Line<'w>(&'w mut Vec<u8>);

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            out: Vec::with_capacity(2_048),
        }
    }

    pub(super) fn line(&mut self, prefix: &str, content: &[u8]) {
        self.line_of(prefix, |out| out.extend_from_slice(content));
    }

    /// A line that is formatted in its place.
    pub(super) fn text(&mut self, prefix: &str, content: impl Display) {
        self.line_of(prefix, |out| format_into(out, content));
    }

    pub(super) fn lines<'l>(&mut self, prefix: &str, contents: impl IntoIterator<Item = &'l Vec<u8>>) {
        contents
            .into_iter()
            .for_each(|content| self.line(prefix, content));
    }

    pub(super) fn texts<T: Display>(&mut self, prefix: &str, contents: &[T]) {
        contents.iter().for_each(|content| self.text(prefix, content));
    }

    /// The attributes of one section, subject to `edits`.
    pub(super) fn attributes<'w>(&'w mut self, edits: &'w AttributeEdits) -> AttributeWriter<'w> {
        AttributeWriter { writer: self, edits }
    }

    /// The document, in no more room than it needs: it may be kept for the length of a call.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.shrink_to_fit();
        self.out
    }

    fn line_of(&mut self, prefix: &str, content: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(prefix.as_bytes());
        let start = self.out.len();
        content(&mut self.out);
        let forbidden = memchr3(0, b'\r', b'\n', &self.out[start..]);
        if let Some(first) = forbidden.map(|at| start + at) {
            let rest = self.out.split_off(first);
            self.out.extend(rest.iter().filter(|octet| stays_in_line(octet)));
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

fn format_into(out: &mut Vec<u8>, content: impl Display) {
    // A vector takes everything, and what is written here does not refuse to be.
    let _ = write!(Line(out), "{content}");
}

/// Writes `a=` lines of one section.
pub(super) struct AttributeWriter<'w> {
    writer: &'w mut Writer,
    edits: &'w AttributeEdits,
}

impl AttributeWriter<'_> {
    /// One attribute without `a=`, unless the edits say otherwise.
    pub(super) fn attribute(&mut self, content: &[u8]) {
        let hits = |wanted: &Vec<u8>| matches(content, wanted);
        if self.edits.remove.iter().any(hits) {
            return;
        }
        let substitute = self.edits.substitute.iter().find(|(wanted, _)| hits(wanted));
        self.writer
            .line("a=", substitute.map_or(content, |(_, substitute)| substitute));
    }

    /// Attributes as they are.
    pub(super) fn raw(&mut self, contents: &[Vec<u8>]) {
        contents.iter().for_each(|content| self.attribute(content));
    }

    /// An attribute without value, if `present`.
    pub(super) fn flag(&mut self, name: &str, present: bool) {
        if present {
            self.attribute(name.as_bytes());
        }
    }

    /// `name:value`, if there is a value.
    pub(super) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        let Some(value) = value else { return };
        if self.edits.remove.is_empty() && self.edits.substitute.is_empty() {
            self.writer.line_of("a=", |out| {
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
                format_into(out, value);
            });
        } else {
            self.attribute(format!("{name}:{value}").as_bytes());
        }
    }

    /// Typed attributes.
    pub(super) fn each<'t, T: TypedAttribute + 't>(&mut self, values: impl IntoIterator<Item = &'t T>) {
        values
            .into_iter()
            .for_each(|value| self.optional(T::NAME, Some(value)));
    }

    /// Ends the section with what the edits add.
    pub(super) fn finish(self) {
        self.writer.lines("a=", &self.edits.add);
    }
}

/// By name, by name and first word, or as a whole.
fn matches(content: &[u8], wanted: &[u8]) -> bool {
    let until = |end: u8| content.split(|octet| *octet == end).next().unwrap_or_default();
    [until(b':'), until(b' '), content]
        .iter()
        .any(|part| part.eq_ignore_ascii_case(wanted))
}
