//! What may reach control, and how fast.

use std::collections::VecDeque;
use std::time::Duration;

use viaduct_rtp::Tick;

use crate::verdict::Report;

/// A queue of fixed size.
#[derive(Debug)]
pub(super) struct Reports {
    queue: VecDeque<Report>,
    max: usize,
}

impl Reports {
    pub(super) fn new(max: usize) -> Self {
        Self {
            queue: VecDeque::with_capacity(max),
            max,
        }
    }

    /// Whether there was room.
    #[must_use]
    pub(super) fn push(&mut self, report: Report) -> bool {
        let room = self.queue.len() < self.max;
        if room {
            self.queue.push_back(report);
        }
        room
    }

    pub(super) fn pop(&mut self) -> Option<Report> {
        self.queue.pop_front()
    }
}

/// So many events per second, counted in windows of one second that begin with an event.
#[derive(Debug, Default)]
pub(super) struct RateWindow {
    start: Tick,
    count: u32,
}

impl RateWindow {
    /// Whether one more is allowed, and counts it.
    pub(super) fn permit(&mut self, now: Tick, per_second: u32) -> bool {
        if now.since(self.start) >= Duration::from_secs(1) {
            *self = Self { start: now, count: 0 };
        }
        let allowed = self.count < per_second;
        self.count += u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_allows_so_many_and_then_begins_anew() {
        let mut window = RateWindow::default();
        let at = |millis: u64| Tick::from_micros(millis * 1000);
        let allowed = (0..1000).filter(|n| window.permit(at(5000 + n / 2), 3)).count();
        assert_eq!(allowed, 3);
        assert!(!window.permit(at(5999), 3));
        assert!(window.permit(at(6000), 3));
    }
}
