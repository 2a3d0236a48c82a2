//! A call, one type for each stage of its life.

use std::time::{Duration, Instant};

use bytes::Bytes;
use viaduct_sip::Message;
use viaduct_txn::{ServerId, Timing};

use crate::dialog::Dialog;
use crate::negotiation::{Layout, Local, Pending, Plan};
use crate::{CallEnd, Family, MediaParams, Service};

/// What tells one INVITE from another, however it came (RFC 3261 section 8.2.2.2): Call-ID, From tag and CSeq.
pub(crate) type InviteKey = (Bytes, Bytes, u32);

/// An INVITE whose media is being opened.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) key: InviteKey,
    pub(crate) service: Service,
    pub(crate) server: ServerId,
    pub(crate) request: Message,
    pub(crate) dialog: Dialog,
    pub(crate) exchange: Exchange,
    pub(crate) family: Family,
}

/// How a session is agreed.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// The INVITE brought an offer; this is what becomes of it.
    Answer(Plan),
    /// It brought none; this is ours.
    Offer(Pending),
}

impl Exchange {
    pub(crate) fn params(&self) -> &MediaParams {
        match self {
            Self::Answer(plan) => &plan.params,
            Self::Offer(pending) => &pending.params,
        }
    }
}

/// A call that was answered.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) key: InviteKey,
    pub(crate) service: Service,
    pub(crate) dialog: Dialog,
    pub(crate) family: Family,
    pub(crate) local: Local,
    pub(crate) layout: Layout,
    pub(crate) params: MediaParams,
    pub(crate) answered_at: Instant,
    pub(crate) ends_at: Instant,
    /// The latest 2xx to an INVITE, until its ACK comes.
    pub(crate) unacknowledged: Option<Unacknowledged>,
    /// What ends the call as soon as a BYE may be sent.
    pub(crate) ending: Option<CallEnd>,
}

/// A 2xx to an INVITE that no ACK came for (RFC 3261 section 13.3.1.4).
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    pub(crate) server: ServerId,
    pub(crate) cseq: u32,
    pub(crate) octets: Bytes,
    /// The offer in it, if there is one.
    pub(crate) offer: Option<Pending>,
    pub(crate) repeat_at: Instant,
    interval: Duration,
    pub(crate) give_up_at: Instant,
}

impl Call {
    /// When this call wants to be woken.
    pub(crate) fn wakeup(&self) -> Instant {
        let waiting = self.unacknowledged.as_ref();
        let waiting = waiting.map(|waiting| waiting.repeat_at.min(waiting.give_up_at));
        // A call that waits for its ACK to be ended is not ended a second time.
        let end = self.ending.is_none().then_some(self.ends_at);
        waiting.into_iter().chain(end).min().unwrap_or(self.ends_at)
    }

    /// True when its time is over and nothing ends it yet.
    pub(crate) fn is_too_long(&self, now: Instant) -> bool {
        now >= self.ends_at && self.ending.is_none()
    }

    /// True while an offer of ours waits for its answer.
    pub(crate) fn has_offered(&self) -> bool {
        self.unacknowledged
            .as_ref()
            .is_some_and(|waiting| waiting.offer.is_some())
    }
}

impl Unacknowledged {
    /// A 2xx that was just sent.
    pub(crate) fn new(
        now: Instant,
        timing: &Timing,
        (server, cseq): (ServerId, u32),
        octets: Bytes,
        offer: Option<Pending>,
    ) -> Self {
        Self {
            server,
            cseq,
            octets,
            offer,
            repeat_at: now + timing.t1,
            interval: timing.t1,
            give_up_at: now + timing.lifetime(),
        }
    }

    /// It was sent again: the next time comes later, up to T2.
    pub(crate) fn repeated(&mut self, now: Instant, timing: &Timing) {
        self.interval = (2 * self.interval).min(timing.t2);
        self.repeat_at = now + self.interval;
    }
}
