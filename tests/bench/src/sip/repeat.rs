//! Requests and answers that are sent again over UDP until the other side has answered.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Outbox, Side};

/// T1, the estimate of the round trip (RFC 3261 17.1.1.1).
const T1: Duration = Duration::from_millis(500);

/// T2, the longest interval between repetitions of everything but INVITE.
const T2: Duration = Duration::from_secs(4);

/// One message that waits for its answer.
#[derive(Debug, Clone)]
pub(super) struct Repeat {
    side: Side,
    message: Bytes,
    due: Instant,
    interval: Duration,
    interval_max: Duration,
}

impl Repeat {
    /// An INVITE, sent at `now`: again after T1, then after twice as long each time (Timer A, RFC 3261 17.1.1.2).
    pub(super) fn invite(now: Instant, side: Side, message: Bytes) -> Self {
        Self::new(now, side, message, Duration::MAX)
    }

    /// Any other request (Timer E, RFC 3261 17.1.2.2), or a 2xx to an INVITE (13.3.1.4): at most T2 apart.
    pub(super) fn other(now: Instant, side: Side, message: Bytes) -> Self {
        Self::new(now, side, message, T2)
    }

    fn new(now: Instant, side: Side, message: Bytes, interval_max: Duration) -> Self {
        Self {
            side,
            message,
            due: now + T1,
            interval: T1,
            interval_max,
        }
    }

    /// Sends it again if it is time. True if so.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) -> bool {
        if now < self.due {
            return false;
        }
        out.push(self.side, self.message.clone());
        self.interval = self.interval.saturating_mul(2).min(self.interval_max);
        self.due = now + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it is sent again within so many seconds, in milliseconds.
    fn times(mut repeat: Repeat, begun: Instant, seconds: u64) -> Vec<u64> {
        let mut out = Outbox::default();
        let at = |millis| begun + Duration::from_millis(millis);
        (0..=seconds * 1_000)
            .filter(|&millis| repeat.handle_timeout(at(millis), &mut out))
            .collect()
    }

    #[test]
    fn an_invite_is_sent_again_ever_more_rarely() {
        let now = Instant::now();
        let invite = Repeat::invite(now, Side::Caller, Bytes::from_static(b"INVITE"));
        assert_eq!(times(invite, now, 32), [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    }

    #[test]
    fn other_messages_are_sent_again_every_four_seconds_at_least() {
        let now = Instant::now();
        let bye = Repeat::other(now, Side::Caller, Bytes::from_static(b"BYE"));
        assert_eq!(times(bye, now, 16), [500, 1_500, 3_500, 7_500, 11_500, 15_500]);
    }
}
