//! The place where lines are made: nothing else writes a line end.

use std::fmt::Display;

use super::AttributeEdits;
use crate::attribute::TypedAttribute;
use crate::edit::stays_in_line;

/// Collects the lines of one document.
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            out: Vec::with_capacity(2_048),
        }
    }

    pub(super) fn line(&mut self, prefix: &str, content: &[u8]) {
        self.out.extend_from_slice(prefix.as_bytes());
        self.out
            .extend(content.iter().filter(|octet| stays_in_line(octet)));
        self.out.extend_from_slice(b"\r\n");
    }

    pub(super) fn lines<'l>(&mut self, prefix: &str, contents: impl IntoIterator<Item = &'l Vec<u8>>) {
        contents
            .into_iter()
            .for_each(|content| self.line(prefix, content));
    }

    pub(super) fn texts<T: Display>(&mut self, prefix: &str, contents: &[T]) {
        contents
            .iter()
            .for_each(|content| self.line(prefix, content.to_string().as_bytes()));
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
        if let Some(value) = value {
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
