//! Who offers and who answers (RFC 3261 section 13.2, RFC 3262 section 5, RFC 3311, RFC 6337).
//!
//! An SDP does not say whether it is an offer or an answer; that follows from the message it came in and from what went
//! before.

use viaduct_sip::Method;

/// One side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// Who sent the first INVITE.
    Caller,
    /// Who answers it.
    Callee,
}

impl Party {
    /// The other side.
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// What an SDP is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An offer.
    Offer,
    /// The answer to the last offer.
    Answer,
}

/// Where the two sides of one dialog stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Who made the last offer, and whether it has been answered.
    last: Option<(Party, bool)>,
}

impl Exchange {
    /// A request came from `from`. `None` when its SDP, if it has one, is nothing that a relay can act on.
    pub fn request(&mut self, from: Party, method: Method<'_>, has_sdp: bool) -> Option<Operation> {
        match method {
            Method::Invite if !has_sdp => {
                // The offer comes with the answer to the INVITE.
                self.last = None;
                None
            }
            Method::Invite | Method::Update if has_sdp => Some(self.offer(from)),
            Method::Prack if has_sdp => Some(match self.last {
                Some((offerer, false)) if offerer == from.other() => self.answer(),
                _ => self.offer(from),
            }),
            Method::Ack if has_sdp => match self.last {
                Some((offerer, _)) if offerer == from.other() => Some(self.answer()),
                _ => None,
            },
            _ => None,
        }
    }

    /// A response with SDP came from `from`.
    pub fn response(&mut self, from: Party) -> Operation {
        match self.last {
            Some((offerer, _)) if offerer == from.other() => self.answer(),
            // The first SDP of an INVITE without one, or its repeat in a later response.
            _ => self.offer(from),
        }
    }

    fn offer(&mut self, from: Party) -> Operation {
        self.last = Some((from, false));
        Operation::Offer
    }

    fn answer(&mut self) -> Operation {
        if let Some((_, answered)) = &mut self.last {
            *answered = true;
        }
        Operation::Answer
    }
}

#[cfg(test)]
mod tests {
    use super::Operation::{Answer, Offer};
    use super::Party::{Callee, Caller};
    use super::*;

    #[test]
    fn an_invite_offers_and_its_responses_answer() {
        let mut exchange = Exchange::default();
        assert_eq!(exchange.request(Caller, Method::Invite, true), Some(Offer));
        assert_eq!(exchange.response(Callee), Answer, "183");
        assert_eq!(exchange.response(Callee), Answer, "200, the same again");
    }

    /// RFC 3261 13.2.1: the offer may come in the 2xx, then the ACK answers.
    #[test]
    fn an_invite_without_sdp_is_answered_by_an_offer() {
        let mut exchange = Exchange::default();
        assert_eq!(exchange.request(Caller, Method::Invite, false), None);
        assert_eq!(exchange.response(Callee), Offer);
        assert_eq!(exchange.response(Callee), Offer, "a repeat of the 200");
        assert_eq!(exchange.request(Caller, Method::Ack, true), Some(Answer));
    }

    /// RFC 3262 section 5: an offer in a reliable 18x is answered in the PRACK; a PRACK may also offer.
    #[test]
    fn a_prack_answers_an_offer_and_otherwise_makes_one() {
        let mut exchange = Exchange::default();
        exchange.request(Caller, Method::Invite, false);
        assert_eq!(exchange.response(Callee), Offer);
        assert_eq!(exchange.request(Caller, Method::Prack, true), Some(Answer));
        assert_eq!(exchange.request(Caller, Method::Prack, true), Some(Offer));
        assert_eq!(exchange.response(Callee), Answer);
    }

    #[test]
    fn either_side_offers_anew_inside_the_dialog() {
        let mut exchange = Exchange::default();
        exchange.request(Caller, Method::Invite, true);
        exchange.response(Callee);
        assert_eq!(exchange.request(Callee, Method::Invite, true), Some(Offer));
        assert_eq!(exchange.response(Caller), Answer);
        assert_eq!(exchange.request(Caller, Method::Update, true), Some(Offer));
        assert_eq!(exchange.response(Callee), Answer);
        assert_eq!(exchange.request(Callee, Method::Invite, false), None);
        assert_eq!(exchange.response(Caller), Offer, "a re-INVITE without SDP");
        assert_eq!(exchange.request(Callee, Method::Ack, true), Some(Answer));
    }

    #[test]
    fn sdp_where_none_belongs_is_left_alone() {
        let mut exchange = Exchange::default();
        assert_eq!(exchange.request(Caller, Method::Info, true), None);
        assert_eq!(exchange.request(Caller, Method::Ack, true), None);
        exchange.request(Caller, Method::Invite, true);
        exchange.response(Callee);
        assert_eq!(
            exchange.request(Caller, Method::Ack, true),
            None,
            "the offerer does not answer itself"
        );
    }
}
