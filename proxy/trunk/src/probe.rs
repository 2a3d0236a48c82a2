//! Is a trunk there? OPTIONS asked again and again (RFC 3261 section 11).

use std::time::{Duration, Instant};

/// Asks one trunk at an interval whether it is there.
///
/// Any final answer but 503 says that it is, whatever it thinks of OPTIONS. One is enough to be up again.
///
/// **After every `handle_*` call, drain [`poll_output`](Self::poll_output) until it returns `None`.**
#[derive(Debug)]
pub struct Probe {
    interval: Duration,
    phase: Phase,
    /// Lost in a row.
    lost: u32,
    up: Option<bool>,
    ask: bool,
    changed: Option<bool>,
}

/// What must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeOutput {
    /// Send OPTIONS to the trunk, and tell what comes of it.
    Ask,
    /// The trunk is there, or is not.
    Changed {
        /// It is.
        up: bool,
    },
}

#[derive(Debug)]
enum Phase {
    Idle { ask_at: Instant },
    Asked { answer_by: Instant, ask_at: Instant },
}

/// Lost probes in a row after which a trunk is down.
const LOST_MAX: u32 = 3;

/// How long an answer may take. An answer that takes longer would be too late for a call as well.
const PATIENCE: Duration = Duration::from_secs(4);

/// Not asked more often than this.
const INTERVAL_MIN: Duration = Duration::from_secs(5);

impl Probe {
    /// A probe that asks for the first time at `first` and then every `interval`, of at least 5 s.
    pub fn new(first: Instant, interval: Duration) -> Self {
        Self {
            interval: interval.max(INTERVAL_MIN),
            phase: Phase::Idle { ask_at: first },
            lost: 0,
            up: None,
            ask: false,
            changed: None,
        }
    }

    /// A final answer came, with this code.
    pub fn handle_answer(&mut self, status: u16) {
        if status == 503 {
            return self.handle_no_answer();
        }
        if self.answered() {
            self.lost = 0;
            self.set(true);
        }
    }

    /// The probe could not be sent, or was not answered.
    pub fn handle_no_answer(&mut self) {
        if self.answered() {
            self.lost = self.lost.saturating_add(1);
            if self.lost >= LOST_MAX {
                self.set(false);
            }
        }
    }

    /// [`poll_timeout`](Self::poll_timeout) was reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Idle { ask_at } if ask_at <= now => {
                self.phase = Phase::Asked {
                    answer_by: now + PATIENCE,
                    ask_at: now + self.interval,
                };
                self.ask = true;
            }
            Phase::Asked { answer_by, .. } if answer_by <= now => self.handle_no_answer(),
            Phase::Idle { .. } | Phase::Asked { .. } => {}
        }
    }

    /// What must be done next.
    pub fn poll_output(&mut self) -> Option<ProbeOutput> {
        if let Some(up) = self.changed.take() {
            return Some(ProbeOutput::Changed { up });
        }
        std::mem::take(&mut self.ask).then_some(ProbeOutput::Ask)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Instant {
        match self.phase {
            Phase::Idle { ask_at } => ask_at,
            Phase::Asked { answer_by, .. } => answer_by,
        }
    }

    /// Ends the wait for an answer. False when none was awaited: it came too late.
    fn answered(&mut self) -> bool {
        let Phase::Asked { ask_at, .. } = self.phase else {
            return false;
        };
        self.phase = Phase::Idle { ask_at };
        true
    }

    fn set(&mut self, up: bool) {
        if self.up != Some(up) {
            self.up = Some(up);
            self.changed = Some(up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::base;

    const INTERVAL: Duration = Duration::from_secs(30);

    /// Reaches the next time at which something must be asked.
    fn ask(probe: &mut Probe) -> Instant {
        let at = probe.poll_timeout();
        probe.handle_timeout(at);
        assert_eq!(probe.poll_output(), Some(ProbeOutput::Ask));
        at
    }

    #[test]
    fn one_good_answer_is_enough_and_any_code_but_503_is_one() {
        for status in [200, 403, 404, 405, 501] {
            let mut probe = Probe::new(base(), INTERVAL);
            ask(&mut probe);
            probe.handle_answer(status);
            assert_eq!(
                probe.poll_output(),
                Some(ProbeOutput::Changed { up: true }),
                "{status}"
            );
            assert_eq!(probe.poll_output(), None);
        }
    }

    #[test]
    fn three_lost_probes_in_a_row_are_down_and_one_answer_is_up() {
        let start = base();
        let mut probe = Probe::new(start, INTERVAL);
        ask(&mut probe);
        probe.handle_answer(200);
        probe.poll_output();
        for lost in 1..=3_u32 {
            assert_eq!(ask(&mut probe), start + INTERVAL * lost);
            if lost == 2 {
                probe.handle_answer(503);
            } else {
                let late = probe.poll_timeout();
                assert_eq!(late, start + INTERVAL * lost + PATIENCE);
                probe.handle_timeout(late);
            }
            let expected = (lost == 3).then_some(ProbeOutput::Changed { up: false });
            assert_eq!(probe.poll_output(), expected, "{lost}");
        }
        ask(&mut probe);
        probe.handle_no_answer();
        assert_eq!(probe.poll_output(), None, "said once");
        ask(&mut probe);
        probe.handle_answer(200);
        assert_eq!(probe.poll_output(), Some(ProbeOutput::Changed { up: true }));
    }

    #[test]
    fn an_answer_that_comes_too_late_says_nothing() {
        let mut probe = Probe::new(base(), INTERVAL);
        ask(&mut probe);
        probe.handle_timeout(probe.poll_timeout());
        probe.handle_answer(200);
        assert_eq!(probe.poll_output(), None);
        let early = probe.poll_timeout() - Duration::from_millis(1);
        probe.handle_timeout(early);
        assert_eq!(probe.poll_output(), None);
    }
}
