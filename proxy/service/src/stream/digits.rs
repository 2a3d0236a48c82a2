//! Key presses in RTP: told apart as they come, and sent back one after the other (RFC 4733).

use std::time::{Duration, Instant};

use viaduct_rtp::telephone_event::TelephoneEvent;

/// Presses that wait to be sent back; one beyond is reported but not sent back.
const PRESSES_MAX: usize = 16;

/// A press of which nothing was heard for so long has ended: its last packets were lost.
const PRESS_LOST_AFTER: Duration = Duration::from_millis(200);

/// How often the end of an event is sent (RFC 4733 section 2.5.1.4).
const END_REPEATS: u8 = 3;

/// Samples of one packet.
const BLOCK_SAMPLES: u32 = super::BLOCK_SAMPLES as u32;

/// The presses that a caller makes.
#[derive(Debug, Default)]
pub(super) struct Heard {
    latest: Option<Press>,
}

/// One press as its packets tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Press {
    timestamp: u32,
    event: u8,
    duration: u16,
    ended: bool,
}

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// A key went down.
    Pressed,
    /// The latest key is still down, or was released.
    Goes,
    /// About an earlier key.
    Old,
}

impl Heard {
    /// Takes the event of one packet in.
    pub(super) fn take(&mut self, timestamp: u32, event: TelephoneEvent) -> News {
        let press = Press {
            timestamp,
            event: event.event,
            duration: event.duration,
            ended: event.end,
        };
        let Some(latest) = self.latest else {
            self.latest = Some(press);
            return News::Pressed;
        };
        let after = timestamp.wrapping_sub(latest.timestamp);
        // A key held for longer than sixteen bits tell goes on in a second segment (RFC 4733 section 2.5.1.3).
        let continues =
            latest.event == press.event && !latest.ended && after != 0 && after == u32::from(latest.duration);
        if continues {
            self.latest = Some(press);
            return News::Goes;
        }
        match after {
            0 => {
                self.latest = Some(Press {
                    duration: latest.duration.max(press.duration),
                    ended: latest.ended || press.ended,
                    ..latest
                });
                News::Goes
            }
            1..0x8000_0000 => {
                self.latest = Some(press);
                News::Pressed
            }
            _ => News::Old,
        }
    }

    /// The caller has begun anew, with timestamps of another origin.
    pub(super) fn reset(&mut self) {
        self.latest = None;
    }
}

/// The presses that go back to the caller.
#[derive(Debug, Default)]
pub(super) struct Returned {
    waiting: [Option<Return>; PRESSES_MAX],
    /// The first of `waiting` that is not done; those behind it follow, wrapping around.
    first: usize,
    len: usize,
    /// How far the first one has been sent.
    sending: Option<Sending>,
}

#[derive(Debug, Clone, Copy)]
struct Return {
    event: u8,
    volume: u8,
    /// How long the key was down, once that is known.
    duration: Option<u16>,
    heard: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Sending {
    timestamp: u32,
    duration: u32,
    ends_sent: u8,
}

/// One packet to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventPacket {
    /// First of its event: the marker bit.
    pub(super) first: bool,
    /// Of the event's beginning.
    pub(super) timestamp: u32,
    pub(super) event: TelephoneEvent,
}

impl Returned {
    /// Queues a press. False when there is no room.
    pub(super) fn press(&mut self, now: Instant, event: TelephoneEvent) -> bool {
        if self.len == PRESSES_MAX {
            return false;
        }
        self.waiting[(self.first + self.len) % PRESSES_MAX] = Some(Return {
            event: event.event,
            volume: event.volume,
            duration: event.end.then_some(event.duration),
            heard: now,
        });
        self.len += 1;
        true
    }

    /// There is more to say about the press that was queued last.
    pub(super) fn goes(&mut self, now: Instant, event: TelephoneEvent) {
        let Some(last) = self.len.checked_sub(1) else {
            return;
        };
        if let Some(press) = &mut self.waiting[(self.first + last) % PRESSES_MAX]
            && press.event == event.event
            && press.duration.is_none()
        {
            press.heard = now;
            press.duration = event.end.then_some(event.duration);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The packet of this block, if an event takes the place of audio. `timestamp` is that of the block.
    pub(super) fn next(&mut self, now: Instant, timestamp: u32) -> Option<EventPacket> {
        let press = self.waiting[self.first].filter(|_| self.len > 0)?;
        let is_first = self.sending.is_none();
        let mut sending = self.sending.unwrap_or(Sending {
            timestamp,
            duration: 0,
            ends_sent: 0,
        });
        if sending.ends_sent == 0 {
            sending.duration = (sending.duration + BLOCK_SAMPLES).min(u16::MAX.into());
        }
        let is_lost = now.saturating_duration_since(press.heard) >= PRESS_LOST_AFTER;
        let ends = match press.duration {
            Some(duration) => sending.duration >= u32::from(duration),
            // The longest that one event can tell: the key may stay down, the echo does not.
            None => is_lost || sending.duration == u32::from(u16::MAX),
        };
        if ends && sending.ends_sent == 0 {
            sending.duration = press.duration.map_or(sending.duration, u32::from);
        }
        sending.ends_sent += u8::from(ends);
        let packet = EventPacket {
            first: is_first,
            timestamp: sending.timestamp,
            event: TelephoneEvent {
                event: press.event,
                end: ends,
                volume: press.volume,
                duration: sending.duration as u16,
            },
        };
        if sending.ends_sent == END_REPEATS {
            self.waiting[self.first] = None;
            self.first = (self.first + 1) % PRESSES_MAX;
            self.len -= 1;
            self.sending = None;
        } else {
            self.sending = Some(sending);
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::base;

    const MS: Duration = Duration::from_millis(1);

    fn event(event: u8, duration: u16, end: bool) -> TelephoneEvent {
        TelephoneEvent {
            event,
            end,
            volume: 10,
            duration,
        }
    }

    #[test]
    fn a_press_is_told_once_however_often_its_packets_come() {
        let mut heard = Heard::default();
        let news: Vec<News> = [
            (1_000, event(5, 160, false)),
            (1_000, event(5, 320, false)),
            (1_000, event(5, 160, false)),
            (1_000, event(5, 480, true)),
            (1_000, event(5, 480, true)),
            (2_000, event(5, 160, false)),
            (1_000, event(5, 480, true)),
        ]
        .map(|(timestamp, event)| heard.take(timestamp, event))
        .into();
        use News::{Goes, Old, Pressed};
        assert_eq!(news, [Pressed, Goes, Goes, Goes, Goes, Pressed, Old]);
    }

    #[test]
    fn a_key_held_for_long_is_one_press() {
        let mut heard = Heard::default();
        assert_eq!(heard.take(0, event(1, 0xffff, false)), News::Pressed);
        assert_eq!(heard.take(0xffff, event(1, 160, false)), News::Goes);
        assert_eq!(heard.take(0xffff, event(1, 320, true)), News::Goes);
        // The same key again, right behind the end of the first press.
        assert_eq!(heard.take(0xffff + 320, event(1, 160, false)), News::Pressed);
    }

    #[test]
    fn a_press_goes_back_with_its_length_and_three_ends() {
        let (now, mut returned) = (base(), Returned::default());
        assert!(returned.press(now, event(7, 160, false)));
        let first = returned.next(now, 8_000).unwrap();
        assert_eq!(
            (first.first, first.timestamp, first.event),
            (true, 8_000, event(7, 160, false))
        );
        returned.goes(now, event(7, 400, true));
        let sent: Vec<_> = (1..)
            .map_while(|block| returned.next(now, 8_000 + 160 * block))
            .collect();
        assert!(
            sent.iter()
                .all(|packet| !packet.first && packet.timestamp == 8_000)
        );
        let told: Vec<_> = sent.iter().map(|packet| packet.event).collect();
        assert_eq!(
            told,
            [
                event(7, 320, false),
                event(7, 400, true),
                event(7, 400, true),
                event(7, 400, true)
            ]
        );
    }

    #[test]
    fn a_press_whose_end_was_lost_ends() {
        let (now, mut returned) = (base(), Returned::default());
        returned.press(now, event(3, 160, false));
        let ends = (0..40)
            .filter_map(|block| returned.next(now + block * 20 * MS, 160 * block))
            .filter(|packet| packet.event.end)
            .count();
        assert_eq!(ends, 3);
        assert_eq!(returned.next(now + 1_000 * MS, 0), None);
    }

    #[test]
    fn a_press_ends_at_what_sixteen_bits_tell() {
        let (now, mut returned) = (base(), Returned::default());
        returned.press(now, event(3, 160, false));
        let mut last = None;
        for block in 0..1_000 {
            let now = now + block * 20 * MS;
            returned.goes(now, event(3, 160, false));
            last = returned.next(now, 0).or(last);
        }
        let last = last.unwrap();
        assert_eq!((last.event.end, last.event.duration), (true, u16::MAX));
    }

    #[test]
    fn presses_follow_each_other_up_to_a_bound() {
        let (now, mut returned) = (base(), Returned::default());
        for key in 0..PRESSES_MAX as u8 {
            assert!(returned.press(now, event(key, 100, true)));
        }
        assert!(!returned.press(now, event(0, 100, true)));
        let mut keys = Vec::new();
        while let Some(packet) = returned.next(now, 0) {
            keys.push(packet.event.event);
        }
        let expected: Vec<u8> = (0..PRESSES_MAX as u8).flat_map(|key| [key; 3]).collect();
        assert_eq!(keys, expected);
        assert!(returned.press(now, event(0, 100, true)));
    }
}
