//! What a caller hears, block by block.

use std::time::Instant;

use viaduct_rtp::telephone_event::TelephoneEvent;

use super::chime::Chime;
use super::digits::{EventPacket, Heard, News, Returned};
use super::melody::Melody;
use super::playout::Playout;
use super::receiver::Content;
use super::stats::StreamStats;
use crate::{Codec, Service};

/// A service's audio, and its ear.
#[derive(Debug)]
pub(super) struct Program {
    codec: Codec,
    heard: Heard,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Echo(Box<Echo>),
    Music(Box<Melody>),
}

/// The caller's own audio and key presses, after a chime.
#[derive(Debug)]
struct Echo {
    prelude: Prelude,
    playout: Playout,
    returned: Returned,
    /// Whether key presses go back: the caller takes them, and hears us.
    returns_digits: bool,
    /// The latest block was an event.
    in_event: bool,
}

/// What comes before the echo.
#[derive(Debug)]
enum Prelude {
    /// Silence until the caller is heard, at most until then.
    Waits {
        until: Instant,
    },
    Chimes(Chime),
    Over,
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Coded audio, written where it was asked for.
    Audio {
        /// It follows an event.
        resumes: bool,
    },
    /// A key press in its place.
    Event(EventPacket),
}

impl Program {
    /// From the beginning. A chime sounds when the caller is heard, or at `chime_at`.
    pub(super) fn new(service: Service, codec: Codec, chime_at: Instant) -> Self {
        let kind = match service {
            Service::Echo => Kind::Echo(Box::new(Echo {
                prelude: Prelude::Waits { until: chime_at },
                playout: Playout::new(codec),
                returned: Returned::default(),
                returns_digits: true,
                in_event: false,
            })),
            Service::Music => Kind::Music(Box::default()),
        };
        Self {
            codec,
            heard: Heard::default(),
            kind,
        }
    }

    /// Another codec, and whether key presses go back.
    pub(super) fn agree(&mut self, codec: Codec, returns_digits: bool) {
        let is_other = std::mem::replace(&mut self.codec, codec) != codec;
        let Kind::Echo(echo) = &mut self.kind else { return };
        if is_other {
            echo.playout.reset(codec);
        }
        echo.returns_digits = returns_digits;
        if !returns_digits {
            echo.returned.clear();
            echo.in_event = false;
        }
    }

    /// The caller's timestamps have another origin from here on.
    pub(super) fn source_changed(&mut self) {
        self.heard.reset();
        if let Kind::Echo(echo) = &mut self.kind {
            echo.playout.reset(self.codec);
        }
    }

    /// Something came from the caller. The key, if it just went down.
    pub(super) fn take(
        &mut self,
        now: Instant,
        content: &Content<'_>,
        stats: &mut StreamStats,
    ) -> Option<char> {
        if let Kind::Echo(echo) = &mut self.kind {
            echo.caller_heard();
        }
        match *content {
            Content::Audio {
                timestamp,
                codec,
                payload,
            } => {
                if let Kind::Echo(echo) = &mut self.kind {
                    echo.playout.write(timestamp, codec, payload);
                }
                None
            }
            Content::Event { timestamp, event } => self.event_heard(now, timestamp, event, stats),
        }
    }

    fn event_heard(
        &mut self,
        now: Instant,
        timestamp: u32,
        event: TelephoneEvent,
        stats: &mut StreamStats,
    ) -> Option<char> {
        // Other events than keys (RFC 4733 section 3) are nothing that we said we take.
        let key = event.key()?;
        let news = self.heard.take(timestamp, event);
        if let Kind::Echo(echo) = &mut self.kind
            && echo.returns_digits
        {
            match news {
                News::Pressed => {
                    if !echo.returned.press(now, event) {
                        stats.digits_over_limit += 1;
                    }
                }
                News::Goes => echo.returned.goes(now, event),
                News::Old => {}
            }
        }
        if news != News::Pressed {
            return None;
        }
        stats.digits += 1;
        Some(key)
    }

    /// Makes the next block; audio is written to `block`. `timestamp` is the block's.
    pub(super) fn next(&mut self, now: Instant, timestamp: u32, block: &mut [u8]) -> Block {
        match &mut self.kind {
            Kind::Echo(echo) => echo.next(now, timestamp, self.codec, block),
            Kind::Music(melody) => {
                for octet in block {
                    *octet = self.codec.encode(melody.next());
                }
                Block::Audio { resumes: false }
            }
        }
    }

    /// Time passes in which nothing is heard: the echo's moves on, the music waits.
    pub(super) fn skip(&mut self, samples: u64) {
        if let Kind::Echo(echo) = &mut self.kind {
            echo.playout.skip(samples);
        }
    }

    pub(super) fn resyncs(&self) -> u64 {
        match &self.kind {
            Kind::Echo(echo) => echo.playout.resyncs(),
            Kind::Music(_) => 0,
        }
    }
}

impl Echo {
    fn caller_heard(&mut self) {
        if let Prelude::Waits { .. } = self.prelude {
            self.prelude = Prelude::Chimes(Chime::default());
        }
    }

    fn next(&mut self, now: Instant, timestamp: u32, codec: Codec, block: &mut [u8]) -> Block {
        // Read in any case: what the caller says during the chime is not kept for later.
        self.playout.read(block);
        match &mut self.prelude {
            Prelude::Waits { until } if now < *until => block.fill(codec.silence()),
            Prelude::Waits { .. } => {
                let mut chime = Chime::default();
                sound(&mut chime, codec, block);
                self.prelude = Prelude::Chimes(chime);
            }
            Prelude::Chimes(chime) => {
                if !sound(chime, codec, block) {
                    self.prelude = Prelude::Over;
                    return self.next_echo(now, timestamp);
                }
            }
            Prelude::Over => return self.next_echo(now, timestamp),
        }
        Block::Audio { resumes: false }
    }

    /// The block holds the caller's audio already. An event takes its place.
    fn next_echo(&mut self, now: Instant, timestamp: u32) -> Block {
        let event = self.returned.next(now, timestamp);
        let was_event = std::mem::replace(&mut self.in_event, event.is_some());
        match event {
            Some(event) => Block::Event(event),
            None => Block::Audio { resumes: was_event },
        }
    }
}

/// Fills a block from the chime. False, and nothing written, when the chime is over.
fn sound(chime: &mut Chime, codec: Codec, block: &mut [u8]) -> bool {
    // The chime is a whole number of blocks long.
    for octet in block {
        match chime.next() {
            Some(sample) => *octet = codec.encode(sample),
            None => return false,
        }
    }
    true
}
