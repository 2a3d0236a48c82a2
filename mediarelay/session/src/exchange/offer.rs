//! An offer: what its sender says is noted, and the reader's side is made ready to be told.

use std::sync::Arc;

use viaduct_ng::{DtlsRequest, Flag, Osrtp, RtcpMux, TransportProtocol};
use viaduct_sdp::Protocol;

use super::Exchange;
use crate::call::Call;
use crate::config::SdesMode;
use crate::core::Core;
use crate::describe::{Description, RemoteMedia};
use crate::leg::{IceRole, LearningRules};
use crate::party::Offered;

impl Call {
    /// Notes what the sender says. Its addresses count at once, so that early media reaches it; ICE and keys count when
    /// it is answered.
    pub(super) fn take_offer(&mut self, core: &mut Core, exchange: &Exchange<'_>, description: Description) {
        let rules = exchange.learning(&core.config);
        let count = description.medias.len();
        self.dialogues[exchange.dialogue].toward_offerer.learning = Some(rules);
        let sender = self.party_mut(exchange.sender);
        sender.bundles = sender.may_bundle() && !description.bundles.is_empty();
        for (position, remote) in description.medias.into_iter().enumerate() {
            let media = &mut self.party_mut(exchange.sender).medias[position];
            media.protocol = Some(remote.protocol);
            media.twin = exchange.twin(position);
            media.fax = exchange.fax_of_offer(position, media.fax.as_deref());
            media.mid = remote.mid.clone().or(media.mid.take());
            if remote.rejected {
                media.leg = None;
            }
            let endpoints = remote.endpoints();
            let uses_ice = remote.ice.is_some() && !exchange.has(Flag::RejectIce) && !media.direct;
            let wire = media.wire(&remote);
            let is_first = media.remote.is_none();
            let secure = remote.protocol.is_secure();
            media.remote = Some(Arc::new(remote));
            // In a bundle the first m-line speaks for all.
            let leg = media.leg;
            let sender = self.party(exchange.sender);
            let speaks = leg.is_some_and(|leg| sender.first_media_on(leg) == Some(position));
            if let Some(leg) = self.leg_of_mut(exchange.sender, position).filter(|_| speaks) {
                leg.wire = wire;
                if is_first {
                    leg.secure = secure && !leg.transparent;
                }
                if !uses_ice && leg.ice.is_none() {
                    leg.set_endpoints(exchange.now, core, rules, endpoints);
                }
            }
        }
        // An offer may not drop m-lines (RFC 3264 section 8); what is missing is taken to be over.
        for media in self.party_mut(exchange.sender).medias.iter_mut().skip(count) {
            media.leg = None;
            if let Some(remote) = &mut media.remote {
                Arc::make_mut(remote).rejected = true;
            }
        }
        self.close_rejected(exchange);
    }

    /// An m-line that its owner has given up is over on the other side as well.
    fn close_rejected(&mut self, exchange: &Exchange<'_>) {
        for position in 0..self.party(exchange.sender).medias.len() {
            if !self.party(exchange.sender).medias[position].is_rejected() {
                continue;
            }
            if let Some(opposite) = self.dialogues[exchange.dialogue].opposite(exchange.sender, position) {
                self.party_mut(exchange.reader).medias[opposite].leg = None;
            }
        }
    }

    /// Makes the reader's legs what it will be told of.
    pub(super) fn prepare_reader(&mut self, core: &mut Core, exchange: &Exchange<'_>) {
        let reader = self.party(exchange.reader);
        // Said once and for all: a peer does not expect us to change.
        let spoken = reader
            .medias
            .iter()
            .any(|media| media.offered.is_some() || media.remote.is_some());
        let lite = reader.wishes.ice_lite.unwrap_or(core.config.ice_lite);
        if !spoken {
            self.party_mut(exchange.reader).ice_lite = lite;
        }
        for position in 0..self.party(exchange.sender).medias.len() {
            let Some(opposite) = self.dialogues[exchange.dialogue].opposite(exchange.sender, position) else {
                continue;
            };
            let Some(remote) = self.party(exchange.sender).medias[position].remote.clone() else {
                continue;
            };
            if remote.is_live() {
                self.prepare_media(core, exchange, opposite, &remote);
            }
        }
        let dialogue = &mut self.dialogues[exchange.dialogue];
        dialogue.ptime_reverse = exchange.options.ptime_reverse;
        // Until somebody has answered, the latest fork is the one that is heard.
        for (party, peer) in [
            (exchange.sender, exchange.reader),
            (exchange.reader, exchange.sender),
        ] {
            let answered = self
                .dialogues
                .iter()
                .any(|dialogue| dialogue.answered && dialogue.other(party).is_some());
            let party = self.party_mut(party);
            if !answered || party.peer.is_none() {
                party.peer = Some(peer);
            }
        }
    }

    fn prepare_media(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        opposite: usize,
        remote: &RemoteMedia,
    ) {
        if exchange.wants_fax(core, remote) && !exchange.may_fax {
            core.counters.limits.fax_gateways += 1;
        }
        let fax = exchange
            .forces_fax(core, remote)
            .then(|| exchange.fax_to_offer(self.party(exchange.reader).medias[opposite].fax.as_deref()));
        let protocol = match fax {
            Some(_) => Protocol::RtpAvp,
            None => self.protocol_to(exchange, opposite, remote),
        };
        let ice = remote.is_rtp() && self.ice_to_reader(core, exchange, opposite, remote);
        let offered = match fax {
            Some(_) => Offered::plain(protocol),
            None => self.offered(core, exchange, opposite, remote, protocol, ice),
        };
        let reader = self.party(exchange.reader);
        let is_first = reader.medias[opposite].remote.is_none();
        let lite_peer = reader.medias[opposite]
            .remote
            .as_ref()
            .and_then(|known| known.ice.as_ref())
            .is_some_and(|ice| ice.lite);
        let role = if reader.ice_lite && !lite_peer {
            IceRole::Lite
        } else {
            IceRole::Full { controlling: true }
        };
        let rules = LearningRules::of(&core.config);
        let media = &mut self.party_mut(exchange.reader).medias[opposite];
        if media.direct {
            media.protocol = Some(remote.protocol);
            if let Some(leg) = self.leg_of_mut(exchange.reader, opposite) {
                leg.await_endpoint(exchange.now, rules);
            }
            return;
        }
        media.offered = Some(offered);
        media.protocol.get_or_insert(protocol);
        media.fax = fax;
        let wire = media.wire(remote);
        let Some(leg) = self.leg_of_mut(exchange.reader, opposite) else {
            return;
        };
        leg.wire = wire;
        leg.tell_of_ports(core);
        if ice {
            leg.ensure_ice(core, role);
        } else if is_first {
            leg.await_endpoint(exchange.now, rules);
        }
        if is_first {
            leg.secure = protocol.is_secure();
        }
        if offered.dtls {
            leg.ensure_dtls(core);
        }
    }

    /// What the reader is offered for an m-line.
    fn offered(
        &self,
        core: &Core,
        exchange: &Exchange<'_>,
        opposite: usize,
        remote: &RemoteMedia,
        protocol: Protocol,
        ice: bool,
    ) -> Offered {
        let reader = self.party(exchange.reader);
        let leg = self.leg_of(exchange.reader, opposite);
        // Asked for, or passed on as the sender offers it.
        let wants_opportunity = exchange.options.osrtp.contains(Osrtp::Offer)
            || !remote.protocol.is_secure() && !remote.cryptos.is_empty();
        let opportunistic = !protocol.is_secure() && protocol.is_rtp() && wants_opportunity;
        let wants_keys = protocol.is_secure() || opportunistic;
        // Without a word about the protocol the reader gets the kind of keys that the sender has; else both kinds.
        // rtpengine offers DTLS beside SDES in either case.
        let dictated = exchange
            .options
            .transport_protocol
            .is_none_or(|asked| asked == TransportProtocol::Accept)
            && remote.protocol.is_secure();
        let known = leg.is_some_and(|leg| leg.dtls.is_some());
        let agreed = leg.is_some_and(|leg| leg.sdes.is_agreed());
        let dtls_off =
            reader.wishes.dtls_off.unwrap_or(false) || exchange.options.dtls == Some(DtlsRequest::Off);
        let sdes_off = reader
            .wishes
            .sdes
            .as_deref()
            .is_some_and(viaduct_ng::Sdes::is_off);
        let beside = core.config.sdes == SdesMode::Rtpengine;
        // Whoever has settled on keys in the SDP is not asked again.
        let dtls_fits =
            known || !agreed && (!dictated || beside || remote.dtls.is_some() || remote.cryptos.is_empty());
        let sdes_fits = !dictated || !remote.cryptos.is_empty() || remote.dtls.is_none();
        let mux = match leg {
            Some(leg) if leg.mux => true,
            _ => {
                let asked = exchange.mux(RtcpMux::Offer)
                    || exchange.mux(RtcpMux::Require)
                    || exchange.mux(RtcpMux::Accept);
                let kept = remote.mux && !exchange.mux(RtcpMux::Demux);
                (asked || kept) && protocol.is_rtp()
            }
        };
        Offered {
            protocol,
            opportunistic,
            ice,
            mux,
            dtls: wants_keys && !opportunistic && !dtls_off && dtls_fits,
            sdes: wants_keys && !sdes_off && sdes_fits,
        }
    }
}
