//! A parsed document: the octets as received and an index of their lines.

use std::fmt;
use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::attribute::{Attributes, Group, name_and_value, read_value};
use crate::connection::{Bandwidth, Connection, Origin};
use crate::error::{LineError, ParseError, ParseFault};
use crate::limits::Limits;
use crate::media::{Media, MediaHead};

/// One SDP document (RFC 8866).
///
/// It keeps the octets it was parsed from, so [`source`](Self::source) is what came in, and every reader
/// is a view on those octets. Nothing is interpreted before it is asked for, except what divides the
/// document: line ends, `v=` and `m=` lines.
///
/// Tolerated: LF for CRLF, a missing line end at the end, lines of one section in any order, unknown line
/// types, lines without `=`, octets above 127, empty `s=`. A blank line ends the document; what follows it
/// is kept but not read.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    source: Box<[u8]>,
    /// Lines up to the first blank one, in order.
    lines: Vec<Span>,
    /// The session part, then one per `m=` line. Never empty; in order; without gaps.
    sections: Vec<Section>,
}

/// Octets `start..end` of the source: a line without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, source: &[u8]) -> &[u8] {
        &source[self.start as usize..self.end as usize]
    }
}

/// Lines `first..last` of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    first: usize,
    last: usize,
    /// Present for every section but the first.
    head: Option<MediaHead>,
}

/// One line as it stands in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Line of the document, counted from 1.
    pub number: usize,
    /// The octets without the line end.
    pub content: &'a [u8],
}

impl<'a> Line<'a> {
    /// The letter before `=`; `None` for a line that is not of the form `x=…`.
    pub fn letter(&self) -> Option<u8> {
        match self.content {
            [letter, b'=', ..] => Some(*letter),
            _ => None,
        }
    }

    /// What follows `x=`; the whole line when it is not of that form.
    pub fn value(&self) -> &'a [u8] {
        if self.letter().is_some() {
            &self.content[2..]
        } else {
            self.content
        }
    }
}

impl Session {
    /// Indexes `source` within the default [`Limits`].
    pub fn parse(source: &[u8]) -> Result<Self, ParseError> {
        Self::parse_within(source, &Limits::default())
    }

    /// Indexes `source` within `limits`. Costs one pass over the octets and one copy of them.
    pub fn parse_within(source: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        check_size(source, limits)?;
        let lines = index_lines(source, limits)?;
        if !lines.first().is_some_and(|span| is_version_zero(span.of(source))) {
            return Err(ParseError {
                line: 1,
                fault: ParseFault::NoVersion,
            });
        }
        let sections = divide(source, &lines, limits)?;
        Ok(Self {
            source: source.into(),
            lines,
            sections,
        })
    }

    /// Whether it ends at an empty line, of which RFC 8866 knows none. What follows the line, if anything does, was not read.
    #[must_use]
    pub fn ends_at_empty_line(&self) -> bool {
        let read = self.lines.last().map_or(0, |span| span.end as usize);
        let line_end = memchr(b'\n', &self.source[read..]);
        line_end.is_some_and(|at| read + at + 1 < self.source.len())
    }

    /// Indexes what is not a whole document: `v=` may be absent.
    pub(crate) fn parse_fragment(source: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        check_size(source, limits)?;
        let lines = index_lines(source, limits)?;
        let sections = divide(source, &lines, limits)?;
        Ok(Self {
            source: source.into(),
            lines,
            sections,
        })
    }

    /// The document octet for octet as it was parsed.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Every line up to the first blank one.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        (0..self.lines.len()).map(|index| self.line(index))
    }

    /// The lines before the first `m=`.
    pub fn session_lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.section_lines(0)
    }

    /// The media descriptions in their order.
    pub fn medias(&self) -> impl ExactSizeIterator<Item = Media<'_>> {
        (1..self.sections.len()).map(|section| Media::new(self, section))
    }

    /// The media description at `index`, counted from 0 (NG counts them from 1).
    pub fn media(&self, index: usize) -> Option<Media<'_>> {
        let section = index
            .checked_add(1)
            .filter(|section| *section < self.sections.len())?;
        Some(Media::new(self, section))
    }

    /// The attributes before the first `m=`.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::new(self, 0)
    }

    /// The value of the first session line with this letter, such as `s` or `t`, as octets.
    pub fn value(&self, letter: u8) -> Option<&[u8]> {
        self.values(letter).next()
    }

    /// The values of every session line with this letter (`e`, `p`, `t` and `r` may be repeated).
    pub fn values(&self, letter: u8) -> impl Iterator<Item = &[u8]> {
        self.section_values(0, letter).map(|line| line.value())
    }

    /// `o=` (RFC 8866 section 5.2). `Ok(None)` when there is no such line.
    pub fn origin(&self) -> Result<Option<Origin>, LineError> {
        read_value(self.section_values(0, b'o').next(), "o=", Origin::parse)
    }

    /// `s=`; may be empty. `None` when there is no such line.
    pub fn name(&self) -> Option<&[u8]> {
        self.value(b's')
    }

    /// `c=` of the session part. See [`Media::effective_connection`] for what holds for one media.
    pub fn connection(&self) -> Result<Option<Connection>, LineError> {
        read_value(self.section_values(0, b'c').next(), "c=", Connection::parse)
    }

    /// `b=` lines of the session part.
    pub fn bandwidths(&self) -> impl Iterator<Item = Result<Bandwidth, LineError>> {
        self.section_bandwidths(0)
    }

    /// True when the sender is an ICE-lite agent (RFC 8839 section 5.3).
    pub fn ice_lite(&self) -> bool {
        self.attributes().has("ice-lite")
    }

    /// The `BUNDLE` groups in their order (RFC 9143). Groups that cannot be read are left out.
    pub fn bundle_groups(&self) -> Vec<Group> {
        self.attributes()
            .all::<Group>()
            .flatten()
            .filter(Group::is_bundle)
            .collect()
    }

    pub(crate) fn head(&self, section: usize) -> Option<&MediaHead> {
        self.sections[section].head.as_ref()
    }

    /// Section 0 is the session part.
    pub(crate) fn section_lines(&self, section: usize) -> impl Iterator<Item = Line<'_>> {
        let Section { first, last, .. } = self.sections[section];
        (first..last).map(|index| self.line(index))
    }

    pub(crate) fn section_values(&self, section: usize, letter: u8) -> impl Iterator<Item = Line<'_>> {
        self.section_lines(section)
            .filter(move |line| line.letter() == Some(letter))
    }

    pub(crate) fn section_bandwidths(
        &self,
        section: usize,
    ) -> impl Iterator<Item = Result<Bandwidth, LineError>> {
        self.section_values(section, b'b')
            .filter_map(|line| read_value(Some(line), "b=", Bandwidth::parse).transpose())
    }

    /// Where the line `number` (counted from 1) stands in the source with its end, and where that end
    /// begins.
    pub(crate) fn line_range(&self, number: usize) -> Option<(Range<usize>, usize)> {
        let Span { start, end } = *self.lines.get(number.checked_sub(1)?)?;
        let (start, content_end) = (start as usize, end as usize);
        let next = memchr(b'\n', &self.source[content_end..]);
        let end = next.map_or(self.source.len(), |offset| content_end + offset + 1);
        Some((start..end, content_end))
    }

    fn line(&self, index: usize) -> Line<'_> {
        Line {
            number: index + 1,
            content: self.lines[index].of(&self.source),
        }
    }
}

impl fmt::Debug for Session {
    /// The document as text, with what would leave the line escaped. Keys in `a=crypto` and ICE passwords
    /// are part of the document: do not log it above debug level.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session(\"{}\")", self.source.escape_ascii())
    }
}

fn check_size(source: &[u8], limits: &Limits) -> Result<(), ParseError> {
    if source.len() > limits.octets_max || u32::try_from(source.len()).is_err() {
        let fault = ParseFault::TooLong {
            octets: source.len(),
            limit: limits.octets_max,
        };
        return Err(ParseError { line: 1, fault });
    }
    Ok(())
}

fn is_version_zero(line: &[u8]) -> bool {
    line.strip_prefix(b"v=")
        .is_some_and(|version| version.trim_ascii_end() == b"0")
}

fn index_lines(source: &[u8], limits: &Limits) -> Result<Vec<Span>, ParseError> {
    let mut lines: Vec<Span> = Vec::with_capacity(source.len() / 24 + 4);
    let mut at = 0;
    while at < source.len() {
        let number = lines.len() + 1;
        let end = memchr(b'\n', &source[at..]).map_or(source.len(), |offset| at + offset);
        let content = strip_carriage_returns(&source[at..end]);
        if content.is_empty() {
            break;
        }
        if let Some(at) = memchr2(0, b'\r', content) {
            let fault = ParseFault::ForbiddenOctet { octet: content[at] };
            return Err(ParseError { line: number, fault });
        }
        if lines.len() == limits.lines_max {
            let fault = ParseFault::TooManyLines {
                limit: limits.lines_max,
            };
            return Err(ParseError { line: number, fault });
        }
        // Fits: the caller checked that the whole source is shorter than 2^32 octets.
        lines.push(Span {
            start: at as u32,
            end: (at + content.len()) as u32,
        });
        at = end + 1;
    }
    Ok(lines)
}

/// CR before LF belongs to the line end; a few senders write it twice.
fn strip_carriage_returns(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = line {
        line = rest;
    }
    line
}

fn divide(source: &[u8], lines: &[Span], limits: &Limits) -> Result<Vec<Section>, ParseError> {
    let mut sections = vec![Section {
        first: 0,
        last: 0,
        head: None,
    }];
    let (mut attributes, mut candidates) = (0, 0);
    for (index, span) in lines.iter().enumerate() {
        let content = span.of(source);
        let fail = |fault| {
            Err(ParseError {
                line: index + 1,
                fault,
            })
        };
        match content {
            [b'v', b'=', ..] if index > 0 => return fail(ParseFault::SecondSession),
            [b'm', b'=', value @ ..] => {
                if sections.len() > limits.medias_max {
                    return fail(ParseFault::TooManyMedias {
                        limit: limits.medias_max,
                    });
                }
                let head = match MediaHead::parse(value) {
                    Ok(head) => head,
                    Err(reason) => return fail(ParseFault::MediaLine(reason)),
                };
                if head.formats > limits.formats_max {
                    return fail(ParseFault::TooManyFormats {
                        limit: limits.formats_max,
                    });
                }
                sections.push(Section {
                    first: index,
                    last: index,
                    head: Some(head),
                });
                (attributes, candidates) = (0, 0);
            }
            [b'a', b'=', value @ ..] => {
                attributes += 1;
                candidates += usize::from(name_and_value(value).0 == b"candidate");
                if attributes > limits.attributes_max {
                    return fail(ParseFault::TooManyAttributes {
                        limit: limits.attributes_max,
                    });
                }
                if candidates > limits.candidates_max {
                    return fail(ParseFault::TooManyCandidates {
                        limit: limits.candidates_max,
                    });
                }
            }
            _ => {}
        }
        if let Some(section) = sections.last_mut() {
            section.last = index + 1;
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests;
