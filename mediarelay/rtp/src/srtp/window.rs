//! Packet indices and the replay window (RFC 3711, sections 3.3.1 and 3.3.2).

/// How far back from the highest index a packet may lie.
pub(super) const WINDOW_LEN: u64 = 128;

/// RTP indices have 48 bits: 32 of rollover counter, 16 of sequence number.
pub(super) const RTP_INDEX_END: u64 = 1 << 48;

/// RTCP indices have 31 bits.
pub(super) const RTCP_INDEX_END: u64 = 1 << 31;

/// Why an index is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Seen before.
    Seen,
    /// Too far back to know.
    TooOld,
    /// Beyond the last one there is.
    Exhausted,
}

/// Which of the latest indices were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ReplayWindow {
    /// One more than the highest index seen; 0 if none was.
    next: u64,
    /// Bit `n`: whether the index `n` below the highest was seen.
    seen: u128,
}

impl ReplayWindow {
    /// A window in which every index below `next` counts as seen.
    pub(super) fn resumed(next: u64) -> Self {
        Self {
            next,
            seen: u128::MAX,
        }
    }

    /// One more than the highest index seen; 0 if none was.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether an index may be accepted. Changes nothing.
    pub(super) fn check(&self, index: u64) -> Result<(), Refusal> {
        if index >= self.next {
            return Ok(());
        }
        let back = self.next - 1 - index;
        if back >= WINDOW_LEN {
            Err(Refusal::TooOld)
        } else if self.seen >> back & 1 == 1 {
            Err(Refusal::Seen)
        } else {
            Ok(())
        }
    }

    /// Notes an index that [`check`](Self::check) has passed.
    pub(super) fn accept(&mut self, index: u64) {
        if index >= self.next {
            let ahead = index + 1 - self.next;
            self.seen = if ahead < WINDOW_LEN { self.seen << ahead } else { 0 };
            self.seen |= 1;
            self.next = index + 1;
        } else {
            let back = self.next - 1 - index;
            debug_assert!(back < WINDOW_LEN, "the caller has checked the index");
            self.seen |= 1 << (back & (WINDOW_LEN - 1));
        }
    }

    /// The index that a sequence number most likely has, given the highest so far (RFC 3711, section 3.3.1): the one
    /// with these low 16 bits that lies nearest. The first packet's rollover counter is 0.
    pub(super) fn estimate(&self, sequence: u16) -> Result<u64, Refusal> {
        let Some(highest) = self.next.checked_sub(1) else {
            return Ok(u64::from(sequence));
        };
        // The distance as a number with sign: -32768 to 32767, forward at most half a cycle.
        let distance = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        let Some(index) = highest.checked_add_signed(distance) else {
            return Err(Refusal::TooOld);
        };
        if index < RTP_INDEX_END {
            Ok(index)
        } else {
            Err(Refusal::Exhausted)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// The pseudocode of RFC 3711, section 3.3.1, with `None` where it would leave the numbers there are.
    fn rfc_estimate(roc: u32, highest: u16, sequence: u16) -> Option<u64> {
        let (s_l, seq) = (i64::from(highest), i64::from(sequence));
        let v = if s_l < 32768 {
            if seq - s_l > 32768 {
                roc.checked_sub(1)?
            } else {
                roc
            }
        } else if s_l - 32768 > seq {
            roc.checked_add(1)?
        } else {
            roc
        };
        Some(u64::from(v) << 16 | u64::from(sequence))
    }

    proptest! {
        #[test]
        fn estimates_as_the_rfc_does(roc in prop_oneof![Just(0), Just(u32::MAX), any::<u32>()], highest: u16, sequence: u16) {
            // At exactly half a cycle both neighbours are equally near; the RFC's two branches disagree there too.
            prop_assume!(sequence.wrapping_sub(highest) != 0x8000);
            let window = ReplayWindow::resumed((u64::from(roc) << 16 | u64::from(highest)) + 1);
            prop_assert_eq!(window.estimate(sequence).ok(), rfc_estimate(roc, highest, sequence));
        }

        /// Against a model that remembers every index.
        #[test]
        fn accepts_each_index_once(steps in proptest::collection::vec((any::<bool>(), 0_u64..300), 1..300)) {
            let mut window = ReplayWindow::default();
            let (mut seen, mut highest) = (HashSet::new(), None::<u64>);
            for (back, distance) in steps {
                let at = highest.unwrap_or(1000);
                let index = if back { at.saturating_sub(distance) } else { at + distance };
                let expected = match highest {
                    Some(highest) if index + WINDOW_LEN <= highest => Err(Refusal::TooOld),
                    _ if seen.contains(&index) => Err(Refusal::Seen),
                    _ => Ok(()),
                };
                prop_assert_eq!(window.check(index), expected);
                if expected.is_ok() {
                    window.accept(index);
                    seen.insert(index);
                    highest = Some(highest.map_or(index, |highest| highest.max(index)));
                }
            }
        }
    }

    #[test]
    fn a_resumed_window_refuses_all_that_was() {
        let window = ReplayWindow::resumed(5000);
        assert!((0..5000).all(|index| window.check(index).is_err()));
        assert_eq!(window.check(5000), Ok(()));
    }

    #[test]
    fn the_last_index_is_the_last() {
        let window = ReplayWindow::resumed(RTP_INDEX_END);
        assert_eq!(window.estimate(0), Err(Refusal::Exhausted));
        assert_eq!(window.estimate(0xffff), Ok(RTP_INDEX_END - 1));
    }
}
