//! Messages out of a stream of octets: TCP and TLS.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::message::{Index, scan};
use crate::{Limits, Message, ParseError, ParseErrorKind};

/// A buffer that holds nothing is given back when it has more room than this, so that an idle connection is small.
const IDLE_OCTETS_MAX: usize = 4096;

/// Cuts a stream into messages (RFC 3261 section 18.3) and keep-alives (RFC 5626 section 3.5.1).
///
/// **After every [`push`](Self::push), call [`next_frame`](Self::next_frame) until it returns `Ok(None)`.** Then no more
/// is held than one message within the limits. How the octets are cut into pushes makes no difference to the frames.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the octets not yet handed out begin.
    start: usize,
    state: State,
    pongs_expected: u32,
}

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Message(Message),
    /// CRLFCRLF between messages. The answer is [`KeepAlive::PONG`](crate::KeepAlive::PONG).
    Ping,
    /// A lone CRLF between messages: the answer to a ping.
    Pong,
}

#[derive(Debug)]
enum State {
    /// Between messages. `half_ping` when one CRLF has been seen.
    Between { half_ping: bool },
    /// Inside start line and headers. `checked` octets of them have been looked at.
    Head { checked: usize },
    /// Waiting for `octets` of head and body together.
    Body { index: Index, octets: usize },
    /// A fault was reported; nothing after it can be framed.
    Failed,
}

impl Framer {
    /// A framer for one connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            start: 0,
            state: State::Between { half_ping: false },
            pongs_expected: 0,
        }
    }

    /// Takes octets as they came. After a fault they are dropped.
    pub fn push(&mut self, octets: &[u8]) {
        if matches!(self.state, State::Failed) {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// Says that a ping went out on this connection: the next CRLF between messages is its pong, at once. Without it a
    /// CRLF may be the first half of a ping, and is a pong only when something else follows.
    pub fn expect_pong(&mut self) {
        self.pongs_expected = self.pongs_expected.saturating_add(1);
    }

    /// The next frame, `Ok(None)` when more octets are needed. An error is fatal: answer it if it
    /// [can be](ParseError::answer), then close. After it there are no more frames.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ParseError> {
        let frame = self.advance();
        match &frame {
            Ok(Some(_)) => {}
            Ok(None) => self.release_idle(),
            Err(_) => self.fail(),
        }
        frame
    }

    /// True when a message has begun and is not complete: the time for which a shell allows that is limited.
    pub fn is_inside_message(&self) -> bool {
        matches!(self.state, State::Head { .. } | State::Body { .. })
    }

    /// Octets held.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn advance(&mut self) -> Result<Option<Frame>, ParseError> {
        loop {
            match &mut self.state {
                State::Between { half_ping } => {
                    let half_ping = *half_ping;
                    match self.between(half_ping) {
                        Between::Frame(frame) => return Ok(Some(frame)),
                        Between::Wait => return Ok(None),
                        Between::Again => {}
                    }
                }
                State::Head { checked } => {
                    let checked = *checked;
                    if !self.head(checked)? {
                        return Ok(None);
                    }
                }
                State::Body { index, octets } => {
                    let whole = self.start..self.start + *octets;
                    let Some(message) = self.buffer.get(whole.clone()) else {
                        return Ok(None);
                    };
                    // Copied, so that a message kept for long does not keep the connection's buffer.
                    let message = Message::new(Bytes::copy_from_slice(message), index.clone());
                    self.start = whole.end;
                    self.state = State::Between { half_ping: false };
                    return Ok(Some(Frame::Message(message)));
                }
                State::Failed => return Ok(None),
            }
        }
    }

    fn between(&mut self, half_ping: bool) -> Between {
        match self.buffer[self.start..] {
            [] | [b'\r'] => Between::Wait,
            [b'\r', b'\n', ..] => {
                self.start += 2;
                let is_pong = !half_ping && self.pongs_expected > 0;
                self.state = State::Between {
                    half_ping: !half_ping && !is_pong,
                };
                if is_pong {
                    self.pongs_expected -= 1;
                    Between::Frame(Frame::Pong)
                } else if half_ping {
                    Between::Frame(Frame::Ping)
                } else {
                    Between::Again
                }
            }
            _ => {
                self.state = State::Head { checked: 0 };
                if half_ping {
                    Between::Frame(Frame::Pong)
                } else {
                    Between::Again
                }
            }
        }
    }

    /// Looks for the empty line. Each octet is looked at once, however the stream is cut. True when the head is there.
    fn head(&mut self, mut checked: usize) -> Result<bool, ParseError> {
        let held = &self.buffer[self.start..];
        let window = &held[..held.len().min(self.limits.head_octets_max)];
        while let Some(found) = memchr::memchr(b'\n', &window[checked..]) {
            let end = checked + found + 1;
            let line = &window[..end];
            if line.ends_with(b"\r\n\r\n") {
                return self.take_head(end).map(|()| true);
            }
            if !line.ends_with(b"\r\n") {
                return Err(self.error(ParseErrorKind::LoneLineBreak, end));
            }
            checked = end;
        }
        checked = window.len();
        if checked == self.limits.head_octets_max {
            let kind = ParseErrorKind::HeadTooLarge { limit: checked };
            return Err(self.error(kind, checked));
        }
        self.state = State::Head { checked };
        Ok(false)
    }

    /// Judges a complete head of `octets`, and the length that it declares before any of the body is waited for.
    fn take_head(&mut self, octets: usize) -> Result<(), ParseError> {
        let head = &self.buffer[self.start..self.start + octets];
        let scan = scan(head, &self.limits).map_err(|kind| self.error(kind, octets))?;
        let Some(body) = scan.content_length else {
            return Err(self.error(ParseErrorKind::ContentLengthMissing, octets));
        };
        let room = self.limits.stream_octets_max.checked_sub(octets);
        if room.is_none_or(|room| body > room as u64) {
            let kind = ParseErrorKind::MessageTooLarge {
                limit: self.limits.stream_octets_max,
            };
            return Err(self.error(kind, octets));
        }
        // It fits: it is no more than `room`.
        self.state = State::Body {
            index: scan.index,
            octets: octets + body as usize,
        };
        Ok(())
    }

    fn error(&self, kind: ParseErrorKind, octets: usize) -> ParseError {
        let seen = Bytes::copy_from_slice(&self.buffer[self.start..self.start + octets]);
        ParseError::new(kind, &seen, &self.limits)
    }

    fn fail(&mut self) {
        self.buffer = Vec::new();
        self.start = 0;
        self.state = State::Failed;
    }

    fn release_idle(&mut self) {
        if self.buffered() == 0 {
            self.buffer.clear();
            self.start = 0;
            if self.buffer.capacity() > IDLE_OCTETS_MAX {
                self.buffer = Vec::new();
            }
        }
    }
}

/// What the octets between two messages led to.
enum Between {
    Frame(Frame),
    Wait,
    Again,
}
