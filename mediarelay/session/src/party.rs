//! A party: one endpoint of a call, and what was agreed with it.

use std::sync::Arc;
use std::time::Instant;

use viaduct_fax::parameters::{Options as Modems, Parameters};
use viaduct_forward::{LegId, Resume};
use viaduct_ng::{AddressFamily as NgFamily, ByteString, IceMode, Sdes};
use viaduct_rtp::g711::Law;
use viaduct_sdp::{Direction, Extmap, HashFunction, PlainTwin, Protocol};

use crate::describe::RemoteMedia;
use crate::leg::Wire;

/// Names one party of a call; never reused within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartyId(pub(crate) u32);

/// What a party does in its call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// It talks and hears, as whoever sends an offer or an answer does.
    #[default]
    Talks,
    /// It hears others, which do not hear it.
    Listens,
    /// It is nobody's. A publisher talks to it, and listeners hear that.
    Audience,
    /// It is nobody's. To the listener that it has a dialogue with it stands for m-lines of others: for each of its own the
    /// one that it stands for, `None` once that is gone.
    StandsFor(Vec<Option<(PartyId, usize)>>),
}

impl Part {
    /// The m-line of a stand-in that stands for one of a party.
    pub(crate) fn stands_for(&self, party: PartyId, media: usize) -> Option<usize> {
        match self {
            Self::StandsFor(medias) => medias.iter().position(|of| *of == Some((party, media))),
            Self::Talks | Self::Listens | Self::Audience => None,
        }
    }
}

/// What requests have asked for toward a party and what holds until they ask for something else.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wishes {
    pub(crate) interface: Option<usize>,
    pub(crate) family: Option<NgFamily>,
    pub(crate) ice: Option<IceMode>,
    /// We are ICE-lite toward it.
    pub(crate) ice_lite: Option<bool>,
    pub(crate) sdes: Option<Box<Sdes>>,
    pub(crate) dtls_off: Option<bool>,
    pub(crate) fingerprint: Option<HashFunction>,
    /// Its bundles are understood.
    pub(crate) bundle: Option<bool>,
    /// It is offered m-lines in a bundle or not at all.
    pub(crate) bundle_only: bool,
}

/// What we have written to a party in `o=` and `s=`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// A hash of the last document with nothing in the place of the version. Documents of one party with the same would
    /// have the same version, and nothing else comes of it.
    pub(crate) document: Option<u64>,
    pub(crate) version: Option<String>,
    /// The first session id, which `origin-full` keeps.
    pub(crate) session_id: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) session_name: Option<Vec<u8>>,
}

/// What our last offer to a party said of an m-line, and its answer will settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) protocol: Protocol,
    /// A plain protocol with keys beside it (RFC 8643).
    pub(crate) opportunistic: bool,
    pub(crate) ice: bool,
    pub(crate) mux: bool,
    pub(crate) dtls: bool,
    pub(crate) sdes: bool,
}

impl Offered {
    /// A protocol without ICE, keys, or anything else to agree on.
    pub(crate) fn plain(protocol: Protocol) -> Self {
        Self {
            protocol,
            opportunistic: false,
            ice: false,
            mux: false,
            dtls: false,
            sdes: false,
        }
    }
}

/// One m-line of a party.
#[derive(Debug, Clone, Default)]
pub(crate) struct Media {
    /// What its own SDP said last; `None` before its first. It is never changed without need, so copies of a party share it.
    pub(crate) remote: Option<Arc<RemoteMedia>>,
    /// The transport; `None` where nothing is relayed.
    pub(crate) leg: Option<LegId>,
    /// What was told or heard in `a=mid`.
    pub(crate) mid: Option<String>,
    /// The protocol spoken with it.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) offered: Option<Offered>,
    /// The plain m-line beside it in its SDPs, of which nothing else is known.
    pub(crate) twin: Option<PlainTwin>,
    /// The peers have it with each other, and we pass on what comes to us.
    pub(crate) direct: bool,
    /// Header extensions of its offer that the other side is not told of, while it is told that they are taken (NG `extmap`
    /// `mask`).
    pub(crate) masked: Vec<Extmap>,
    /// The law of G.711 that an answer has told it to speak, while the answerer speaks the other one.
    pub(crate) law: Option<Law>,
    /// It speaks T.38 on its wire, and what stands in `remote` was made of that; in a box, since few do.
    pub(crate) fax: Option<Box<Fax>>,
    /// The header extensions that were agreed on, where requests have chosen: packets for it have no others.
    pub(crate) extensions: Option<Vec<u8>>,
    /// How the source that it hears goes on behind a clip that was played in its name.
    pub(crate) resume: Option<Resume>,
}

/// What was said of T.38 on an m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fax {
    /// By the party; until it answers an offer of ours, what that said.
    pub(crate) theirs: Parameters,
    /// By us.
    pub(crate) ours: Parameters,
    /// Which modems are used toward the other side.
    pub(crate) modems: Modems,
    /// It was answered. Until then what flows goes on as it did.
    pub(crate) agreed: bool,
}

impl Media {
    /// What the party sends and receives, by its own account.
    pub(crate) fn direction(&self) -> Direction {
        self.remote
            .as_ref()
            .map(|remote| remote.direction)
            .unwrap_or_default()
    }

    /// What is spoken on it where an SDP says this: its own, or one that was made for it.
    pub(crate) fn wire(&self, said: &RemoteMedia) -> Wire {
        match &self.fax {
            Some(fax) if fax.agreed => Wire::Udptl,
            _ => said.wire(),
        }
    }

    pub(crate) fn is_rejected(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.rejected)
    }

    /// Nothing is relayed for it.
    fn let_go(&mut self) {
        self.leg = None;
        self.offered = None;
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    pub(crate) id: PartyId,
    pub(crate) part: Part,
    /// `None` until an answer names it.
    pub(crate) tag: Option<ByteString>,
    pub(crate) aliases: Vec<ByteString>,
    pub(crate) via_branch: Option<ByteString>,
    /// Which of its call's ids it came under: 0 is the call's own, and others are those of merged calls in their order.
    pub(crate) call_id: u16,
    pub(crate) label: Option<ByteString>,
    pub(crate) created: Instant,
    pub(crate) medias: Vec<Media>,
    /// Whom it hears and talks to: of several forks the one that answered last.
    pub(crate) peer: Option<PartyId>,
    pub(crate) wishes: Wishes,
    /// What its last offer asked for of SDES, in both directions, where it did.
    pub(crate) offer_sdes: Option<Box<Sdes>>,
    pub(crate) written: Written,
    /// We have said `a=ice-lite`, or have not.
    pub(crate) ice_lite: bool,
    /// It groups m-lines, and we understand that.
    pub(crate) bundles: bool,
    /// Our last offer to it groups m-lines.
    pub(crate) offered_bundle: bool,
    /// A final response has fixed the tag.
    pub(crate) tag_fixed: bool,
    /// When it goes, unless it is revived.
    pub(crate) delete_at: Option<Instant>,
    /// Its media is blocked on request.
    pub(crate) blocked: Blocked,
    /// With NG `media-echo`: whether it hears itself. Nobody else hears it then.
    pub(crate) echo: Option<bool>,
}

/// What is blocked on request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// NG `block media`.
    pub(crate) media: bool,
    /// NG `block DTMF`.
    pub(crate) dtmf: bool,
    /// NG `silence media`.
    pub(crate) speech: bool,
}

impl Blocked {
    /// What one or the other blocks.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            media: self.media || other.media,
            dtmf: self.dtmf || other.dtmf,
            speech: self.speech || other.speech,
        }
    }

    /// What both block.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            media: self.media && other.media,
            dtmf: self.dtmf && other.dtmf,
            speech: self.speech && other.speech,
        }
    }
}

impl Party {
    pub(crate) fn new(id: PartyId, now: Instant) -> Self {
        Self {
            id,
            part: Part::Talks,
            tag: None,
            aliases: Vec::new(),
            via_branch: None,
            call_id: 0,
            label: None,
            created: now,
            medias: Vec::new(),
            peer: None,
            wishes: Wishes::default(),
            offer_sdes: None,
            written: Written::default(),
            ice_lite: false,
            bundles: false,
            offered_bundle: false,
            tag_fixed: false,
            delete_at: None,
            blocked: Blocked::default(),
            echo: None,
        }
    }

    /// Changes the names of parties, its own among them.
    pub(crate) fn rename(&mut self, name: impl Fn(PartyId) -> PartyId) {
        self.id = name(self.id);
        self.peer = self.peer.map(&name);
        if let Part::StandsFor(medias) = &mut self.part {
            medias
                .iter_mut()
                .flatten()
                .for_each(|(party, _)| *party = name(*party));
        }
    }

    /// Whether it has been sent an SDP of ours.
    pub(crate) fn is_told(&self) -> bool {
        self.written.session_name.is_some()
    }

    /// Whether it goes by a tag.
    pub(crate) fn is_called(&self, tag: &[u8]) -> bool {
        self.tag.as_deref() == Some(tag) || self.aliases.iter().any(|alias| alias.as_bytes() == tag)
    }

    /// Its tag; empty while it has none.
    pub(crate) fn name(&self) -> ByteString {
        self.tag.clone().unwrap_or_default()
    }

    /// One more m-line; its place, counted from 0.
    pub(crate) fn add_media(&mut self) -> usize {
        // Most parties have one, and a vector begins with room for four.
        self.medias.reserve_exact(1);
        self.medias.push(Media::default());
        self.medias.len() - 1
    }

    /// Whether a bundle that it offers is understood: that was asked for, or it has accepted one of ours.
    pub(crate) fn may_bundle(&self) -> bool {
        self.wishes.bundle.unwrap_or(self.bundles)
    }

    /// Whether it has to tell an m-line from others on the same transport (RFC 8843 section 9): it has grouped them.
    pub(crate) fn tells_apart(&self, media: usize) -> bool {
        let leg = self.medias.get(media).and_then(|media| media.leg);
        let on_leg = self.medias.iter().filter(|other| other.leg == leg);
        self.bundles && leg.is_some() && on_leg.count() > 1
    }

    /// An answer has refused an m-line. What it was offered stays its own while another answer may take it, unless that is on
    /// the leg of others.
    pub(crate) fn refuse(&mut self, position: usize) {
        let leg = self.medias[position].leg;
        if self.medias.iter().filter(|media| media.leg == leg).count() > 1 {
            self.medias[position].let_go();
        }
    }

    /// No other answer follows.
    pub(crate) fn refuse_for_good(&mut self) {
        let refused = self.medias.iter_mut().filter(|media| media.is_rejected());
        refused.for_each(Media::let_go);
    }

    /// The first m-line on a leg, counted from 0.
    pub(crate) fn first_media_on(&self, leg: LegId) -> Option<usize> {
        self.medias.iter().position(|media| media.leg == Some(leg))
    }
}
