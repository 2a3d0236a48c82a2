//! Offers and answers: from the SDP of one party to the SDP for the other.
//!
//! Both go the same way: find the m-lines that belong together, take what the sender says of itself, decide what the
//! reader is told, write it. What an offer says of its sender's ICE and keys is acted on when the answer is written:
//! until then nothing changes for media that flows already.

mod answer;
mod beginning;
mod direct;
mod doubled;
mod fax;
mod legs;
mod offer;
mod pairing;
mod write;

use std::net::IpAddr;
use std::time::Instant;

use viaduct_fax::parameters::Parameters;
use viaduct_ng::{Bundle, ByteString, ErrorReason, Flag, Options, RtcpMux, SdesWord};
use viaduct_rtp::g711::Law;
use viaduct_sdp::{PlainTwin, Session};

use crate::call::{Call, Reporting};
use crate::config::Config;
use crate::core::Core;
use crate::describe::{Description, Unusable};
use crate::leg::LearningRules;
use crate::party::PartyId;

pub(crate) use doubled::undouble;
pub(crate) use fax::Voiced;

/// Whether an SDP asks or replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Offer,
    Answer,
}

/// One exchange: who says what to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'e> {
    pub(crate) now: Instant,
    pub(crate) kind: Kind,
    pub(crate) sender: PartyId,
    pub(crate) reader: PartyId,
    /// Position of their dialogue in the call.
    pub(crate) dialogue: usize,
    pub(crate) session: &'e Session,
    /// For each of its m-lines the plain one that it stands for as well.
    pub(crate) twins: &'e [Option<PlainTwin>],
    /// For each of its m-lines what was said of T.38, where audio was made of that.
    pub(crate) faxes: &'e [Option<Parameters>],
    /// There is room for a fax gateway.
    pub(crate) may_fax: bool,
    pub(crate) options: &'e Options,
}

impl Exchange<'_> {
    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.options.has(flag)
    }

    fn twin(&self, position: usize) -> Option<PlainTwin> {
        self.twins.get(position).copied().flatten()
    }

    fn mux(&self, word: RtcpMux) -> bool {
        self.options.rtcp_mux.contains(word)
    }

    /// How the sender's endpoint is found.
    fn learning(&self, config: &Config) -> LearningRules {
        let rules = LearningRules::of(config);
        LearningRules {
            mode: self.options.endpoint_learning.unwrap_or(rules.mode),
            strict: rules.strict || self.has(Flag::StrictSource),
            asymmetric: self.has(Flag::Asymmetric),
            handover: self.has(Flag::MediaHandover),
            pierce: self.has(Flag::PierceNat),
            ..rules
        }
    }
}

/// What an offer asks for toward its sender; it holds until the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TowardOfferer {
    /// Accept rtcp-mux, whatever the answerer does.
    pub(crate) mux_accept: bool,
    pub(crate) mux_reject: bool,
    pub(crate) reject_ice: bool,
    pub(crate) accept_osrtp: bool,
    /// Prefer SDES where both are offered.
    pub(crate) prefer_sdes: bool,
    /// Wait for the ClientHello.
    pub(crate) dtls_passive: Option<bool>,
    /// How its endpoint is found.
    pub(crate) learning: Option<LearningRules>,
    /// Header extensions were chosen.
    pub(crate) chooses_extensions: bool,
    /// The law of G.711 that is taken from it, whichever one the answerer knows (NG `codec` `accept`).
    pub(crate) law: Option<Law>,
}

/// Whether an offer with these options names m-lines that have no name yet.
pub(crate) fn names_new_medias(options: &Options) -> bool {
    let mut words = [Bundle::Offer, Bundle::Require, Bundle::Strict, Bundle::Reject].into_iter();
    options.has(Flag::GenerateMid) || words.any(|word| options.bundle.contains(word))
}

/// Whether a request leaves header extensions out (NG `extmap`, `strip-extmap`).
pub(crate) fn chooses_extensions(options: &Options) -> bool {
    options.has(Flag::StripExtmap) || !options.extmap_strip.is_empty() || !options.extmap_mask.is_empty()
}

impl TowardOfferer {
    fn read(options: &Options) -> Self {
        use viaduct_ng::{DtlsRequest, Osrtp};
        let word = |word| options.rtcp_mux.contains(word);
        // `DTLS` in an offer is about its sender, except that `off` with another word for the sender is not.
        let dtls = options.dtls_reverse.or(options.dtls);
        Self {
            mux_accept: word(RtcpMux::Demux) || word(RtcpMux::Accept),
            mux_reject: word(RtcpMux::Reject),
            reject_ice: options.has(Flag::RejectIce),
            accept_osrtp: options.osrtp.contains(Osrtp::Accept) || options.osrtp.contains(Osrtp::AcceptRfc),
            prefer_sdes: options.sdes.words.contains(SdesWord::Prefer) || dtls == Some(DtlsRequest::Off),
            dtls_passive: passive(dtls),
            learning: None,
            chooses_extensions: chooses_extensions(options),
            law: options.codec.accept.iter().find_map(|name| Law::named(name)),
        }
    }
}

/// The role that a request asks for, if it asks for one.
fn passive(wish: Option<viaduct_ng::DtlsRequest>) -> Option<bool> {
    use viaduct_ng::DtlsRequest;
    match wish? {
        DtlsRequest::Passive => Some(true),
        DtlsRequest::Active => Some(false),
        DtlsRequest::Off => None,
    }
}

impl Call {
    /// Takes an offer or answer in and writes the SDP for the other party.
    pub(crate) fn exchange(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
    ) -> Result<ByteString, ErrorReason> {
        let mut description = self.describe(core, exchange)?;
        match exchange.kind {
            Kind::Offer => {
                description.forget_ambiguous_bundles();
                self.pair_offer(core, exchange, &description);
                self.note_wishes(core, exchange);
                self.note_direct(core, exchange, &description);
                self.provide_legs(core, exchange, &description)?;
                self.settle_direct(core, exchange);
                self.take_offer(core, exchange, description);
                self.begin_with_offerer(core, exchange);
                self.prepare_reader(core, exchange);
            }
            Kind::Answer => {
                self.pair_answer(core, exchange, &description);
                self.note_wishes(core, exchange);
                self.note_direct(core, exchange, &description);
                self.settle_direct(core, exchange);
                self.take_answer(core, exchange, description);
                self.conclude_offer(core, exchange);
                self.agree_on_fax(exchange.sender);
                self.agree_on_fax(exchange.reader);
            }
        }
        if let Some(tos) = exchange.options.tos {
            self.tos = match tos {
                viaduct_ng::Tos::Keep => self.tos,
                viaduct_ng::Tos::Set(octet) => Some(octet),
            };
        }
        self.dtmf_log = exchange.options.dtmf_log_dest.or(self.dtmf_log);
        self.recrypts |= exchange.has(Flag::Recrypt);
        let generates = exchange.has(Flag::GenerateRtcp);
        if generates {
            let new = || Box::new(Reporting::new(exchange.now));
            self.reporting.get_or_insert_with(new);
        } else if exchange.kind == Kind::Offer {
            self.reporting = None;
        }
        self.party_mut(exchange.sender).blocked.dtmf |= exchange.has(Flag::BlockDtmf);
        if let Some(metadata) = &exchange.options.metadata {
            self.metadata = Some(metadata.clone());
        }
        if core.config.shared_endpoints {
            for party in [exchange.sender, exchange.reader] {
                self.share_endpoints(exchange.now, core, party);
            }
        }
        let written = self.write(core, exchange);
        self.close_unused_legs(exchange.now, core);
        self.check_soon(exchange.now);
        Ok(written.into())
    }

    fn describe(&self, core: &mut Core, exchange: &Exchange<'_>) -> Result<Description, ErrorReason> {
        let use_source = exchange.has(Flag::SipSourceAddress) || core.config.sip_source;
        let source: Option<IpAddr> = exchange.options.received_from.filter(|_| use_source);
        let limit = core.config.limits.candidates_per_media;
        match Description::read(exchange.session, source, limit) {
            Ok(description) => {
                core.counters.candidates_unreachable += description.candidates_unreachable;
                core.counters.limits.candidates_per_media += description.candidates_over_limit;
                Ok(description)
            }
            Err(Unusable::Incomplete) => {
                core.counters.sdp_unusable += 1;
                Err(ErrorReason::IncompleteSdp)
            }
        }
    }
}
