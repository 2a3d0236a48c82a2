//! CSeq numbers towards a trunk that differ from those of the caller (RFC 3261 sections 8.1.3.5 and 12.2.1.1).
//!
//! A request that the trunk challenges is sent again with a higher number, of which the caller knows nothing. From then
//! on every request of that dialog has another number on the trunk's side than on the caller's.

use std::collections::VecDeque;

use viaduct_sip::CSEQ_MAX;

/// The numbers of one side's requests in one dialog: as that side sends them, and as they leave here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CseqMap {
    /// What is added to a number that was not seen before.
    shift: u32,
    /// The highest number that left.
    highest: u32,
    /// The last requests, as they came and as they left.
    recent: VecDeque<(u32, u32)>,
}

/// Requests that are remembered, so that an ACK or PRACK for an earlier one finds its number. A dialog rarely has more
/// than two under way.
const RECENT_MAX: usize = 16;

impl CseqMap {
    /// A map for requests that leave with the numbers that they come with.
    pub fn new() -> Self {
        Self::default()
    }

    /// True while every number leaves as it came.
    pub fn is_identity(&self) -> bool {
        self.shift == 0 && self.recent.iter().all(|(came, leaves)| came == leaves)
    }

    /// The number that a request leaves with. The same request again leaves with the same number.
    pub fn leave(&mut self, came: u32) -> u32 {
        if let Some(leaves) = self.known(came) {
            return leaves;
        }
        let leaves = came.saturating_add(self.shift);
        // A number that is used up would make the trunk refuse the request as out of order.
        let leaves = if self.recent.iter().any(|&(_, used)| used == leaves) {
            self.highest.saturating_add(1)
        } else {
            leaves
        };
        self.note(came, leaves.min(CSEQ_MAX));
        leaves.min(CSEQ_MAX)
    }

    /// The number that a request leaves with that was challenged and is sent again.
    pub fn leave_again(&mut self, came: u32) -> u32 {
        let leaves = self.highest.max(came).saturating_add(1).min(CSEQ_MAX);
        self.recent.retain(|(known, _)| *known != came);
        self.note(came, leaves);
        leaves
    }

    /// The number that the request of an ACK, or the INVITE of a PRACK, left with.
    pub fn of(&self, came: u32) -> u32 {
        self.known(came)
            .unwrap_or_else(|| came.saturating_add(self.shift).min(CSEQ_MAX))
    }

    fn known(&self, came: u32) -> Option<u32> {
        self.recent
            .iter()
            .find(|(known, _)| *known == came)
            .map(|&(_, leaves)| leaves)
    }

    fn note(&mut self, came: u32, leaves: u32) {
        self.shift = self.shift.max(leaves.saturating_sub(came));
        self.highest = self.highest.max(leaves);
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((came, leaves));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_challenge_nothing_is_renumbered() {
        let mut map = CseqMap::new();
        for number in [1, 2, 2, 7] {
            assert_eq!(map.leave(number), number);
        }
        assert!(map.is_identity());
        assert_eq!(map.of(8), 8);
    }

    #[test]
    fn after_a_challenge_every_later_request_is_renumbered() {
        let mut map = CseqMap::new();
        assert_eq!(map.leave(1), 1);
        assert_eq!(map.leave_again(1), 2, "the INVITE with credentials");
        assert_eq!(map.of(1), 2, "its ACK, and the RAck of its PRACK");
        assert_eq!(map.leave(2), 3, "PRACK");
        assert_eq!(map.leave(3), 4, "re-INVITE");
        assert_eq!(map.leave_again(3), 5, "challenged inside the dialog");
        assert_eq!((map.of(3), map.of(1)), (5, 2));
        assert_eq!(map.leave(4), 6, "BYE");
        assert!(!map.is_identity());
    }

    #[test]
    fn a_request_that_was_under_way_keeps_its_number() {
        let mut map = CseqMap::new();
        map.leave(1);
        map.leave(2);
        map.leave(3);
        assert_eq!(map.leave_again(2), 4, "not 3, which is used");
        assert_eq!((map.of(3), map.leave(3)), (3, 3));
        assert_eq!(map.leave(4), 6);
    }

    proptest! {
        /// What leaves rises as what comes rises, and no number leaves twice for two requests.
        #[test]
        fn numbers_rise_and_are_unique(challenged in proptest::collection::vec(any::<bool>(), 1..40)) {
            let mut map = CseqMap::new();
            let mut last = 0;
            for (came, again) in (1_u32..).zip(challenged) {
                let left = map.leave(came);
                prop_assert!(left > last);
                last = if again { map.leave_again(came) } else { left };
                prop_assert!(last >= left);
                prop_assert_eq!(map.of(came), last);
                prop_assert_eq!(map.leave(came), last);
            }
        }

        #[test]
        fn no_number_is_too_high(came in any::<u32>()) {
            let mut map = CseqMap::new();
            map.leave(came);
            prop_assert!(map.leave_again(came) <= CSEQ_MAX);
            prop_assert!(map.leave(came.saturating_add(1)) <= CSEQ_MAX);
        }
    }
}
