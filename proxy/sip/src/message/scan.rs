//! The one pass over a message's head: where lines begin, what they are called, where their values are.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Index;
use crate::list::Elements;
use crate::text::{decimal, is_all_uri, is_blank, is_token};
use crate::{HeaderName, Limits, Occurs, ParseErrorKind, StatusCode};

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) index: Index,
    pub(crate) content_length: Option<u64>,
}

/// A range of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartLine {
    Request { method: Span, uri: Span },
    Response { status: StatusCode, reason: Span },
}

/// One header line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where the name begins.
    pub(crate) start: u32,
    /// The value without blanks at its ends.
    pub(crate) value: Span,
    name_length: u16,
    /// `None` for a name that we do not know.
    pub(crate) name: Option<HeaderName>,
}

impl Line {
    pub(crate) fn name_span(&self) -> Span {
        Span {
            start: self.start,
            end: self.start + u32::from(self.name_length),
        }
    }
}

/// Reads start line and headers up to the empty line.
pub(crate) fn scan(octets: &[u8], limits: &Limits) -> Result<Scan, ParseErrorKind> {
    if u32::try_from(octets.len()).is_err() {
        return Err(ParseErrorKind::MessageTooLarge {
            limit: u32::MAX as usize,
        });
    }
    // Offsets past the limit are never looked at, so a head that is too long is noticed by its end not being there.
    let head = &octets[..octets.len().min(limits.head_octets_max)];
    let unterminated = || {
        if octets.len() > limits.head_octets_max {
            ParseErrorKind::HeadTooLarge {
                limit: limits.head_octets_max,
            }
        } else {
            ParseErrorKind::HeadUnterminated
        }
    };
    let (start, mut at) = start_line(head, limits)?.ok_or_else(unterminated)?;
    let mut lines = Lines::default();
    loop {
        match head[at..] {
            [b'\r', b'\n', ..] => break,
            [] | [b'\r'] => return Err(unterminated()),
            [b'\r' | b'\n', ..] => return Err(ParseErrorKind::LoneLineBreak),
            _ => {}
        }
        let (line, end) = header_line(head, at)?.ok_or_else(unterminated)?;
        if end - 2 - at > limits.header_octets_max {
            return Err(ParseErrorKind::HeaderTooLong {
                limit: limits.header_octets_max,
            });
        }
        lines.add(head, line, limits)?;
        at = end;
    }
    lines.check_vias(head, limits)?;
    let index = Index {
        start,
        lines: Arc::from(lines.list.as_slice()),
        names: lines.names,
        body: at + 2,
    };
    Ok(Scan {
        index,
        content_length: lines.content_length,
    })
}

/// The lines so far, and what they say about each other.
#[derive(Default)]
struct Lines {
    list: SmallVec<[Line; 32]>,
    /// The known names so far, one bit for each.
    names: u128,
    content_length: Option<u64>,
    /// Octets of all Via values, and one for each line.
    via_octets: usize,
}

impl Lines {
    fn add(&mut self, head: &[u8], line: Line, limits: &Limits) -> Result<(), ParseErrorKind> {
        if self.list.len() == limits.headers_max {
            return Err(ParseErrorKind::TooManyHeaders {
                limit: limits.headers_max,
            });
        }
        if let Some(name) = line.name {
            if self.names & name.bit() == 0 {
                self.names |= name.bit();
            } else if name.occurs() == Occurs::Once {
                self.check_repeated(head, line, name)?;
            }
            if name == HeaderName::ContentLength {
                let length = decimal(&head[line.value.range()]).ok_or(ParseErrorKind::BadContentLength)?;
                self.content_length = Some(length);
            } else if name == HeaderName::Via {
                self.via_octets += line.value.range().len() + 1;
            }
        }
        self.list.push(line);
        Ok(())
    }

    /// The same header again is bearable only with the same value, and Content-Length not at all: it decides where the
    /// message ends, for readers that take the first as for those that take the last.
    fn check_repeated(&self, head: &[u8], line: Line, name: HeaderName) -> Result<(), ParseErrorKind> {
        let first = self.list.iter().find(|earlier| earlier.name == Some(name));
        let differs = first.is_some_and(|first| head[first.value.range()] != head[line.value.range()]);
        if differs || name == HeaderName::ContentLength {
            return Err(ParseErrorKind::HeaderRepeated(name));
        }
        Ok(())
    }

    fn check_vias(&self, head: &[u8], limits: &Limits) -> Result<(), ParseErrorKind> {
        // An element has an octet at least and a comma or a line end: most messages need not be counted.
        if self.via_octets / 2 <= limits.vias_max {
            return Ok(());
        }
        let vias = self.list.iter().filter(|line| line.name == Some(HeaderName::Via));
        let count: usize = vias
            .map(|line| Elements::new(&head[line.value.range()]).count())
            .sum();
        if count > limits.vias_max {
            return Err(ParseErrorKind::TooManyVias {
                limit: limits.vias_max,
            });
        }
        Ok(())
    }
}

/// The start line and the index after it. `None` when the octets end before it does.
fn start_line(head: &[u8], limits: &Limits) -> Result<Option<(StartLine, usize)>, ParseErrorKind> {
    let Some(end) = memchr::memchr2(b'\r', b'\n', head) else {
        if head.len() > limits.start_line_octets_max {
            return Err(ParseErrorKind::StartLineTooLong {
                limit: limits.start_line_octets_max,
            });
        }
        return Ok(None);
    };
    match head[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return Ok(None),
        _ => return Err(ParseErrorKind::LoneLineBreak),
    }
    if end > limits.start_line_octets_max {
        return Err(ParseErrorKind::StartLineTooLong {
            limit: limits.start_line_octets_max,
        });
    }
    let line = &head[..end];
    // No method holds a slash, so this cannot be a request.
    let is_response = line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    let start = if is_response {
        status_line(line)?
    } else {
        request_line(line)?
    };
    Ok(Some((start, end + 2)))
}

/// `Method SP Request-URI SP SIP-Version`, single spaces.
fn request_line(line: &[u8]) -> Result<StartLine, ParseErrorKind> {
    let method = line.iter().take_while(|&&byte| is_token(byte)).count();
    let version = memchr::memrchr(b' ', line).ok_or(ParseErrorKind::BadStartLine)?;
    if method == 0 || line[method] != b' ' || version <= method {
        return Err(ParseErrorKind::BadStartLine);
    }
    check_version(&line[version + 1..])?;
    let uri = &line[method + 1..version];
    if uri.is_empty() || uri.starts_with(b" ") || uri.ends_with(b" ") {
        return Err(ParseErrorKind::BadStartLine);
    }
    if !is_all_uri(uri) || std::str::from_utf8(uri).is_err() {
        return Err(ParseErrorKind::BadRequestUri);
    }
    Ok(StartLine::Request {
        method: span(0, method),
        uri: span(method + 1, version),
    })
}

/// `SIP-Version SP 3DIGIT SP Reason-Phrase`. The space before an empty reason may be missing, as some peers have it.
fn status_line(line: &[u8]) -> Result<StartLine, ParseErrorKind> {
    let version = memchr::memchr(b' ', line).ok_or(ParseErrorKind::BadStartLine)?;
    check_version(&line[..version])?;
    let rest = &line[version + 1..];
    let code = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let status = match rest[..code] {
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => decimal(&rest[..code]),
        _ => None,
    };
    let status = status
        .and_then(|code| u16::try_from(code).ok())
        .and_then(StatusCode::new)
        .ok_or(ParseErrorKind::BadStatusCode)?;
    let reason = (version + 1 + code + 1).min(line.len());
    Ok(StartLine::Response {
        status,
        reason: span(reason, line.len()),
    })
}

fn check_version(version: &[u8]) -> Result<(), ParseErrorKind> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let is_other_sip = version
        .get(..4)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"))
        && version.get(4..).is_some_and(|number| {
            let (major, minor) = match memchr::memchr(b'.', number) {
                Some(dot) => (&number[..dot], &number[dot + 1..]),
                None => (number, &b""[..]),
            };
            [major, minor]
                .iter()
                .all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
        });
    Err(if is_other_sip {
        ParseErrorKind::UnsupportedVersion
    } else {
        ParseErrorKind::BadStartLine
    })
}

/// One header with its folds, and the index after its CRLF. `None` when the octets end before it does: that is known
/// only when the octet after the CRLF is there, because a blank would go on with the header.
#[inline]
pub(super) fn header_line(head: &[u8], at: usize) -> Result<Option<(Line, usize)>, ParseErrorKind> {
    let rest = &head[at..];
    let name_length = rest
        .iter()
        .position(|&byte| !is_token(byte))
        .unwrap_or(rest.len());
    let mut colon = name_length;
    while let Some(b' ' | b'\t') = rest.get(colon) {
        colon += 1;
    }
    match rest.get(colon) {
        Some(b':') if name_length > 0 => {}
        None => return Ok(None),
        Some(_) => return Err(ParseErrorKind::BadHeaderLine),
    }
    let mut end = colon + 1;
    loop {
        let Some(length) = memchr::memchr2(b'\r', b'\n', &rest[end..]) else {
            return Ok(None);
        };
        end += length;
        match rest[end..] {
            [b'\r', b'\n', b' ' | b'\t', ..] => end += 3,
            [b'\r', b'\n', _, ..] => break,
            [b'\r', b'\n'] | [b'\r'] => return Ok(None),
            _ => return Err(ParseErrorKind::LoneLineBreak),
        }
    }
    let Ok(name_length) = u16::try_from(name_length) else {
        return Err(ParseErrorKind::BadHeaderLine);
    };
    let mut value = colon + 1..end;
    while value.start < value.end && is_blank(rest[value.start]) {
        value.start += 1;
    }
    while value.start < value.end && is_blank(rest[value.end - 1]) {
        value.end -= 1;
    }
    let line = Line {
        start: at as u32,
        value: span(at + value.start, at + value.end),
        name_length,
        name: HeaderName::recognize(&rest[..usize::from(name_length)]),
    };
    Ok(Some((line, at + end + 2)))
}

/// Offsets fit: [`scan`] refuses messages over 4 GiB.
pub(super) fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}
