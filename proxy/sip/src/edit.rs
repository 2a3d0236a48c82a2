//! Changes to a message, applied in one pass: everything else leaves as it came.

mod list;
mod splice;
#[cfg(test)]
mod tests;
mod via;

use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use self::list::ListChange;
use self::splice::Splices;
pub(crate) use self::via::{ViaParam, source_params, via_param_splices};
use crate::text::{is_all_uri, is_whole_token, offset_in};
use crate::{HeaderName, Message, NameRef, StatusCode, Via};

/// Collects changes to one message. [`finish`](Self::finish) applies them and gives the new octets.
///
/// - Headers are spoken of as the message was received: a line put in is not seen by later calls, but a second
///   [`set`](Self::set) of a header replaces the first.
/// - About one header line the last call wins. What was asked of the values of a line is void once the line itself is
///   replaced or removed.
/// - Faults are kept and reported by `finish`. A line break in a value is one: a folded value from another message has to
///   be [unfolded](crate::Header::unfolded) first.
#[derive(Debug)]
pub struct Edit<'m> {
    message: &'m Message,
    /// What is put in, one piece behind the other; everything below points into it.
    text: Vec<u8>,
    start_line: Option<(Range<usize>, Piece)>,
    lines: SmallVec<[(usize, LineChange); 8]>,
    lists: SmallVec<[ListChange; 4]>,
    via_params: SmallVec<[ViaParam; 2]>,
    insertions: SmallVec<[Insertion; 8]>,
    insertions_made: isize,
    pieces: SmallVec<[(Range<usize>, Piece); 2]>,
    body: Option<Piece>,
    fault: Option<EditError>,
}

/// Why a message cannot be changed as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A Request-URI was set in a response.
    #[error("not a request")]
    NotARequest,
    /// A response code was set in a request.
    #[error("not a response")]
    NotAResponse,
    /// A Request-URI with characters that no URI has, or none.
    #[error("bad Request-URI")]
    BadRequestUri,
    /// A header or parameter name that is no token.
    #[error("bad name")]
    BadName,
    /// A value with CR or LF: it would become a header of its own.
    #[error("line break in a value")]
    LineBreak,
    /// A parameter for the top Via, and there is no Via, or none that can be read.
    #[error("no Via to change")]
    NoVia,
    /// A piece to replace that is no part of the message.
    #[error("piece of another message")]
    ForeignPiece,
    /// A replaced piece overlaps another change.
    #[error("changes overlap")]
    Overlap,
}

/// Room for what a proxy usually puts in, so that collecting changes allocates once.
const TEXT_OCTETS: usize = 512;

/// A range of [`Edit::text`].
type Piece = Range<usize>;

#[derive(Debug, Clone)]
enum LineChange {
    Remove,
    /// Another value for the line.
    Value(Piece),
}

/// A whole line to put in.
#[derive(Debug)]
struct Insertion {
    offset: usize,
    /// Among insertions at one offset, lower comes first.
    order: isize,
    line: Piece,
    /// The name's length in `line`, if the line was put in by [`Edit::set`].
    set_name: Option<usize>,
}

impl<'m> Edit<'m> {
    /// No change yet.
    pub fn new(message: &'m Message) -> Self {
        Self {
            message,
            text: Vec::new(),
            start_line: None,
            lines: SmallVec::new(),
            lists: SmallVec::new(),
            via_params: SmallVec::new(),
            insertions: SmallVec::new(),
            insertions_made: 0,
            pieces: SmallVec::new(),
            body: None,
            fault: None,
        }
    }

    /// Replaces the Request-URI.
    pub fn set_request_uri(&mut self, uri: &str) -> &mut Self {
        let Some(old) = self.message.request_uri_text() else {
            return self.fail(EditError::NotARequest);
        };
        if uri.is_empty() || !is_all_uri(uri.as_bytes()) {
            return self.fail(EditError::BadRequestUri);
        }
        let range = self.range_of(old.as_bytes());
        let piece = self.add_text(&[uri.as_bytes()]);
        self.start_line = range.map(|range| (range, piece));
        self
    }

    /// Replaces response code and reason phrase.
    pub fn set_status(&mut self, status: StatusCode, reason: &str) -> &mut Self {
        if self.message.status().is_none() {
            return self.fail(EditError::NotAResponse);
        }
        let line = format!("SIP/2.0 {status} {reason}");
        let Some(piece) = self.add_line_text(&[line.as_bytes()]) else {
            return self;
        };
        let end = self.message.headers_start() - 2;
        self.start_line = Some((0..end, piece));
        self
    }

    /// Puts a line in before the first of its name: on top of the list for Via, Route, Record-Route and Path. Called
    /// again, the later line is on top. Without such a line: Via goes before all headers, routing headers behind the
    /// Vias, anything else behind all headers.
    pub fn prepend<'n>(&mut self, name: impl Into<NameRef<'n>>, value: impl AsRef<[u8]>) -> &mut Self {
        let name = name.into();
        let first = self.message.line_indices(name).next();
        let offset = first.map_or_else(
            || self.place_for(name),
            |index| self.message.line_range(index).start,
        );
        let order = -1 - self.insertions_made;
        self.insert(name, value.as_ref(), offset, order, false);
        self
    }

    /// Puts a line in behind all headers. Called again, the later line is behind.
    pub fn append<'n>(&mut self, name: impl Into<NameRef<'n>>, value: impl AsRef<[u8]>) -> &mut Self {
        self.insert(
            name.into(),
            value.as_ref(),
            self.message.headers_end(),
            self.insertions_made,
            false,
        );
        self
    }

    /// Gives a header one line with this value: the first line's value is replaced (its name stays as written), any
    /// other line removed. A header that is not there is put in where [`prepend`](Self::prepend) would.
    pub fn set<'n>(&mut self, name: impl Into<NameRef<'n>>, value: impl AsRef<[u8]>) -> &mut Self {
        let name = name.into();
        self.remove_all(name);
        let Some(first) = self.message.line_indices(name).next() else {
            let offset = self.place_for(name);
            self.insert(name, value.as_ref(), offset, self.insertions_made, true);
            return self;
        };
        if let Some(piece) = self.add_line_text(&[value.as_ref()]) {
            self.change_line(first, LineChange::Value(piece));
        }
        self
    }

    /// Removes every line of a header, a line that [`set`](Self::set) put in too. Answers how many were received.
    pub fn remove_all<'n>(&mut self, name: impl Into<NameRef<'n>>) -> usize {
        let name = name.into();
        let text = &self.text;
        self.insertions.retain(|insertion| {
            let set_name = insertion
                .set_name
                .map(|length| &text[insertion.line.start..][..length]);
            !set_name.is_some_and(|set_name| set_name.eq_ignore_ascii_case(name.as_str().as_bytes()))
        });
        let lines: SmallVec<[usize; 8]> = self.message.line_indices(name).collect();
        for &line in &lines {
            self.change_line(line, LineChange::Remove);
        }
        lines.len()
    }

    /// Removes one line, known by [`Header::index`](crate::Header::index). An index beyond the last line is
    /// [`EditError::ForeignPiece`].
    pub fn remove_line(&mut self, index: usize) -> &mut Self {
        if index >= self.message.lines().len() {
            return self.fail(EditError::ForeignPiece);
        }
        self.change_line(index, LineChange::Remove);
        self
    }

    /// Removes the first value that is left of a header, wherever it stands: alone on its line, joined by commas,
    /// folded. Called again, the next one. Answers the removed value.
    pub fn remove_first<'n>(&mut self, name: impl Into<NameRef<'n>>) -> Option<&'m [u8]> {
        match name.into() {
            NameRef::Known(list) if list.is_list() => self.remove_first_element(list),
            name => {
                let index = self
                    .message
                    .line_indices(name)
                    .find(|&index| !self.is_changed(index))?;
                Some(self.remove_whole_value(index))
            }
        }
    }

    /// Removes the last value that is left of a header. Called again, the one before. Answers the removed value.
    pub fn remove_last<'n>(&mut self, name: impl Into<NameRef<'n>>) -> Option<&'m [u8]> {
        match name.into() {
            NameRef::Known(list) if list.is_list() => self.remove_last_element(list),
            name => {
                let index = self
                    .message
                    .line_indices(name)
                    .filter(|&index| !self.is_changed(index))
                    .last()?;
                Some(self.remove_whole_value(index))
            }
        }
    }

    /// Gives a parameter to the first received Via that is left, or replaces its value there; `None` for a parameter
    /// without value.
    pub fn set_via_param(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if !is_whole_token(name.as_bytes()) {
            return self.fail(EditError::BadName);
        }
        if value.is_some_and(|value| value.contains(['\r', '\n'])) {
            return self.fail(EditError::LineBreak);
        }
        let value = value.map(|value| |text: &mut Vec<u8>| text.extend_from_slice(value.as_bytes()));
        let param = ViaParam::new(self.text_buffer(), name, value);
        self.add_via_param(param);
        self
    }

    /// Writes into the top Via where the request came from: `received` when sent-by says another address, and both
    /// `received` and `rport` when the client asked for `rport` (RFC 3261 section 18.2.1, RFC 3581 section 4). What the
    /// client itself wrote into them is overwritten.
    pub fn mark_source(&mut self, source: SocketAddr) -> &mut Self {
        let Some(range) = self.first_left(HeaderName::Via) else {
            return self.fail(EditError::NoVia);
        };
        let Ok(via) = Via::parse(&self.message.octets()[range]) else {
            return self.fail(EditError::NoVia);
        };
        for param in source_params(&via, source, self.text_buffer()) {
            self.add_via_param(param);
        }
        self
    }

    /// Replaces the body, its length and its type; with `None` the type stays as it is.
    pub fn set_body(&mut self, content_type: Option<&str>, body: &[u8]) -> &mut Self {
        if let Some(content_type) = content_type {
            self.set(HeaderName::ContentType, content_type);
        }
        self.set(HeaderName::ContentLength, body.len().to_string());
        self.body = Some(self.add_text(&[body]));
        self
    }

    /// Removes the body with the headers that describe it; Content-Length becomes 0.
    pub fn remove_body(&mut self) -> &mut Self {
        for name in [
            HeaderName::ContentType,
            HeaderName::ContentDisposition,
            HeaderName::ContentEncoding,
            HeaderName::ContentLanguage,
        ] {
            self.remove_all(name);
        }
        self.set_body(None, b"")
    }

    /// Puts Content-Length in when the message has none: streams need it (RFC 3261 section 18.3).
    pub fn ensure_content_length(&mut self) -> &mut Self {
        if self.body.is_none() && !self.message.has(HeaderName::ContentLength) {
            self.set(HeaderName::ContentLength, self.message.body().len().to_string());
        }
        self
    }

    /// Replaces any piece of the message's head: a slice that a view gave out, a Contact's URI for example. It must not
    /// overlap another change; `finish` answers [`EditError::Overlap`] if it does.
    pub fn replace(&mut self, piece: &'m [u8], text: impl AsRef<[u8]>) -> &mut Self {
        let Some(range) = self.range_of(piece) else {
            return self;
        };
        if let Some(text) = self.add_line_text(&[text.as_ref()]) {
            self.pieces.push((range, text));
        }
        self
    }

    /// Applies all changes. Without any, these are the message's own octets, not copied.
    pub fn finish(self) -> Result<Bytes, EditError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut splices = Splices::new(self.message.octets(), &self.text);
        if let Some((range, piece)) = &self.start_line {
            splices.replace(range.clone(), piece.clone());
        }
        for (index, change) in &self.lines {
            match change {
                LineChange::Remove => splices.remove(self.message.line_range(*index)),
                LineChange::Value(piece) => {
                    splices.replace(self.message.line(*index).value.range(), piece.clone());
                }
            }
        }
        self.remove_elements(&mut splices);
        for insertion in &self.insertions {
            splices.insert(insertion.offset, insertion.order, insertion.line.clone());
        }
        for (range, piece) in &self.pieces {
            splices.replace(range.clone(), piece.clone());
        }
        if let Some(piece) = &self.body {
            splices.replace(
                self.message.headers_end() + 2..self.message.octets().len(),
                piece.clone(),
            );
        }
        if !self.via_params.is_empty() {
            let via = self.first_left(HeaderName::Via).ok_or(EditError::NoVia)?;
            let octets = &self.message.octets()[via.clone()];
            let parsed = Via::parse(octets).map_err(|_| EditError::NoVia)?;
            let changes = via_param_splices(octets, &parsed, &self.via_params, &self.text);
            let changes = changes.ok_or(EditError::NoVia)?;
            for change in changes {
                splices.replace(
                    via.start + change.range.start..via.start + change.range.end,
                    change.text,
                );
            }
        }
        splices.apply()
    }

    fn fail(&mut self, fault: EditError) -> &mut Self {
        self.fault.get_or_insert(fault);
        self
    }

    fn insert(&mut self, name: NameRef<'_>, value: &[u8], offset: usize, order: isize, by_set: bool) {
        let name = name.as_str().as_bytes();
        if !is_whole_token(name) {
            self.fail(EditError::BadName);
            return;
        }
        if let Some(value) = self.add_line_text(&[name, b": ", value]) {
            self.text.extend_from_slice(b"\r\n");
            let line = value.start..self.text.len();
            let set_name = by_set.then_some(name.len());
            self.insertions.push(Insertion {
                offset,
                order,
                line,
                set_name,
            });
            self.insertions_made += 1;
        }
    }

    /// The last value given to a parameter counts.
    fn add_via_param(&mut self, param: ViaParam) {
        let text = &self.text;
        let name = param.name(text);
        self.via_params
            .retain(|old| !old.name(text).eq_ignore_ascii_case(name));
        self.via_params.push(param);
    }

    /// As [`add_text`](Self::add_text), refusing line breaks.
    fn add_line_text(&mut self, parts: &[&[u8]]) -> Option<Piece> {
        if parts
            .iter()
            .any(|part| memchr::memchr2(b'\r', b'\n', part).is_some())
        {
            self.fail(EditError::LineBreak);
            return None;
        }
        Some(self.add_text(parts))
    }

    fn add_text(&mut self, parts: &[&[u8]]) -> Piece {
        let text = self.text_buffer();
        let start = text.len();
        parts.iter().for_each(|part| text.extend_from_slice(part));
        start..text.len()
    }

    fn text_buffer(&mut self) -> &mut Vec<u8> {
        if self.text.is_empty() {
            self.text.reserve(TEXT_OCTETS);
        }
        &mut self.text
    }

    fn change_line(&mut self, index: usize, change: LineChange) {
        self.lines.retain(|(changed, _)| *changed != index);
        self.lines.push((index, change));
    }

    fn is_changed(&self, index: usize) -> bool {
        self.lines.iter().any(|(changed, _)| *changed == index)
    }

    fn remove_whole_value(&mut self, index: usize) -> &'m [u8] {
        self.change_line(index, LineChange::Remove);
        self.message.at(self.message.line(index).value)
    }

    /// Where a header goes that is not there yet.
    fn place_for(&self, name: NameRef<'_>) -> usize {
        match name {
            NameRef::Known(HeaderName::Via) => self.message.headers_start(),
            NameRef::Known(
                HeaderName::Route
                | HeaderName::RecordRoute
                | HeaderName::Path
                | HeaderName::ServiceRoute
                | HeaderName::MaxForwards,
            ) => {
                let last_via = self.message.line_indices(HeaderName::Via.into()).last();
                last_via.map_or(self.message.headers_start(), |index| {
                    self.message.line_range(index).end
                })
            }
            _ => self.message.headers_end(),
        }
    }

    /// Where a piece of the start line or of one header's value is.
    fn range_of(&mut self, piece: &[u8]) -> Option<Range<usize>> {
        let message = self.message;
        let holds =
            |outer: &Range<usize>, inner: &Range<usize>| outer.start <= inner.start && inner.end <= outer.end;
        let range = offset_in(message.octets(), piece).map(|start| start..start + piece.len());
        let range = range.filter(|range| {
            let start_line = 0..message.headers_start() - 2;
            holds(&start_line, range)
                || (0..message.lines().len()).any(|index| holds(&message.line(index).value.range(), range))
        });
        if range.is_none() {
            self.fail(EditError::ForeignPiece);
        }
        range
    }
}
