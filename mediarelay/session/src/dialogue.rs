//! A dialogue: two parties of a call that exchange offers and answers, and which of their m-lines belong together.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use sha2::{Digest, Sha256};
use viaduct_ng::{AliasKey, ByteString, Options, Replace};

use crate::exchange::TowardOfferer;
use crate::party::PartyId;

/// One exchange as it was asked for and replied to, so that a repeat of it gets the same reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchanged {
    sender: PartyId,
    /// SHA-256 of the SDP.
    sdp: [u8; 32],
    /// A hash of the options: they are many times longer, and there is nobody who would want two to have the same.
    options: u64,
    alias_key: Option<AliasKey>,
    /// The SDP that was given back.
    pub(crate) reply: ByteString,
}

impl Exchanged {
    pub(crate) fn new(sender: PartyId, sdp: &[u8], options: &Options, reply: ByteString) -> Self {
        Self {
            sender,
            sdp: Sha256::digest(sdp).into(),
            options: hash(options),
            alias_key: options.alias_key,
            reply,
        }
    }

    /// Who asked.
    pub(crate) fn sender(&self) -> PartyId {
        self.sender
    }

    /// Whether a request asks the same again.
    pub(crate) fn is_repeat(&self, sender: PartyId, sdp: &[u8], options: &Options) -> bool {
        // Each is to have a version of its own.
        let counts = options.replace.contains(Replace::ForceIncrementSdpVersion);
        !counts && self.sender == sender && self.options == hash(options) && self.has_sdp(sdp)
    }

    /// Whether this was asked for with that SDP.
    pub(crate) fn has_sdp(&self, sdp: &[u8]) -> bool {
        self.sdp == <[u8; 32]>::from(Sha256::digest(sdp))
    }

    /// By what the sender may be found under another tag.
    pub(crate) fn alias_key(&self) -> Option<AliasKey> {
        self.alias_key
    }
}

/// Which SIP message an SDP came in changes nothing in the SDP that is given back: a 200 repeats what the 183 said.
fn hash(options: &Options) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    if options.sip_message_type.is_none() && options.sip_code.is_none() {
        options.hash(&mut hasher);
    } else {
        let without_message = Options {
            sip_message_type: None,
            sip_code: None,
            ..options.clone()
        };
        without_message.hash(&mut hasher);
    }
    hasher.finish()
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Dialogue {
    pub(crate) a: PartyId,
    pub(crate) b: PartyId,
    /// Positions of m-lines that belong together: at `a`, at `b`. A removed m-line has none at the other side.
    pub(crate) pairs: Vec<(usize, usize)>,
    /// Whether an answer has come since the first offer.
    pub(crate) answered: bool,
    /// `a=ptime` toward the party that made the last offer (NG `ptime-reverse`).
    pub(crate) ptime_reverse: Option<u32>,
    /// What the last offer asked for toward its sender: forks may differ.
    pub(crate) toward_offerer: TowardOfferer,
    pub(crate) last_offer: Option<Exchanged>,
    pub(crate) last_answer: Option<Exchanged>,
}

impl Dialogue {
    pub(crate) fn new(a: PartyId, b: PartyId) -> Self {
        Self {
            a,
            b,
            pairs: Vec::new(),
            answered: false,
            ptime_reverse: None,
            toward_offerer: TowardOfferer::default(),
            last_offer: None,
            last_answer: None,
        }
    }

    /// Changes the names of parties.
    pub(crate) fn rename(&mut self, name: impl Fn(PartyId) -> PartyId) {
        self.a = name(self.a);
        self.b = name(self.b);
        for exchanged in [&mut self.last_offer, &mut self.last_answer]
            .into_iter()
            .flatten()
        {
            exchanged.sender = name(exchanged.sender);
        }
    }

    pub(crate) fn joins(&self, one: PartyId, other: PartyId) -> bool {
        (self.a, self.b) == (one, other) || (self.b, self.a) == (one, other)
    }

    /// The other end, if `party` is one.
    pub(crate) fn other(&self, party: PartyId) -> Option<PartyId> {
        if party == self.a {
            Some(self.b)
        } else if party == self.b {
            Some(self.a)
        } else {
            None
        }
    }

    /// The m-line of the other end that belongs to the one at `position` of `party`.
    pub(crate) fn opposite(&self, party: PartyId, position: usize) -> Option<usize> {
        let mut pairs = self.pairs.iter();
        if party == self.a {
            pairs.find(|(a, _)| *a == position).map(|(_, b)| *b)
        } else {
            pairs.find(|(_, b)| *b == position).map(|(a, _)| *a)
        }
    }

    /// Joins an m-line of `party` with one of the other end.
    pub(crate) fn join(&mut self, party: PartyId, position: usize, opposite: usize) {
        self.pairs.reserve_exact(1);
        self.pairs.push(if party == self.a {
            (position, opposite)
        } else {
            (opposite, position)
        });
    }
}
