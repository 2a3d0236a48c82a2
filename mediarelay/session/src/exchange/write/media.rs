//! One m-line for the reader.

use std::collections::BTreeSet;
use std::net::IpAddr;

use viaduct_forward::LegId;
use viaduct_ng::{Bundle, Flag, Osrtp, Replace, RtcpMux, SdpSection, TransportProtocol};
use viaduct_rtp::g711::Law;
use viaduct_sdp::{
    AddressFamily, Codec, CodecPattern, CodecRules, CodecSelector, Connection, Direction, Extmap,
    Fingerprint, HashFunction, Host, Media, MediaOut, PlainTwin, Protocol, RemoteCandidate, RemoteCandidates,
    Rtcp, Session, Setup, TlsId, static_rtpmap,
};

use super::{edits, rejected};
use crate::call::Call;
use crate::core::Core;
use crate::describe::{FIRST_DYNAMIC, MID_EXTENSION, RemoteMedia};
use crate::dtls::fingerprint;
use crate::exchange::fax::write_fax;
use crate::exchange::legs::protocol;
use crate::exchange::pairing::media_type;
use crate::exchange::{Exchange, Kind, chooses_extensions, names_new_medias};
use crate::ice::{FullAgent, Ice, local_candidates};
use crate::leg::{Component, Leg, Path};
use crate::party::Offered;

/// The port of nothing, as RTCP of an m-line that is not taken.
const NOWHERE: Rtcp = Rtcp {
    port: 9,
    address: None,
};

/// The member of `extmap` `mask` that stands for all.
const ALL: &str = "all";

/// Identifiers of header extensions that fit into headers of one octet end here (RFC 8285 section 4.2).
const EXTENSIONS_END: u16 = 15;

impl Call {
    /// The m-line at a position of the reader's SDP.
    pub(super) fn write_media(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        position: usize,
    ) -> MediaOut {
        let opposite = self.dialogues[exchange.dialogue].opposite(exchange.reader, position);
        let sender = opposite.and_then(|opposite| exchange.session.media(opposite));
        if let Some(sender) = sender.filter(|_| self.goes_through(core, exchange, position)) {
            return self.write_through(core, exchange, position, sender);
        }
        let mut out = match sender {
            Some(sender) => self.write_live(core, exchange, position, sender),
            None => None,
        }
        .or_else(|| self.write_left_out(exchange, position))
        .unwrap_or_else(|| self.write_rejected(exchange, position, sender));
        if let Some(fax) = &self.party(exchange.reader).medias[position].fax {
            write_fax(&mut out, fax);
        }
        out.mid = self.mid_to(exchange, position, sender);
        let doubles = exchange.kind == Kind::Offer && exchange.options.osrtp.contains(Osrtp::OfferLegacy);
        let offered = Some(PlainTwin::Offered).filter(|_| doubles && is_srtp(&out.protocol));
        out.twin = self.party(exchange.reader).medias[position].twin.or(offered);
        if let Some(sender) = sender {
            out.edits = edits(exchange.options, SdpSection::Media(media_type(sender.kind())));
        }
        out
    }

    /// `None` if the m-line is not accepted.
    fn write_live(
        &mut self,
        core: &mut Core,
        exchange: &Exchange<'_>,
        position: usize,
        sender: Media<'_>,
    ) -> Option<MediaOut> {
        let theirs = self.party(exchange.sender).medias[sender.index()]
            .remote
            .clone()?;
        let reader = &self.party(exchange.reader).medias[position];
        let refused_before = exchange.kind == Kind::Answer && reader.is_rejected();
        if theirs.rejected || refused_before {
            return None;
        }
        let leg = reader.leg?;
        let offered = reader.offered;
        let own_offer = reader.remote.clone();
        let mut out = MediaOut::from_sender(sender);
        out.protocol = protocol_text(exchange, offered, own_offer.as_deref(), &theirs);
        if theirs.is_rtp() && !edit_codecs(exchange, &mut out) {
            return None;
        }
        if let (Kind::Answer, Some(own)) = (exchange.kind, &own_offer) {
            answer_codecs(core, exchange, own, &mut out);
            let law = self.dialogues[exchange.dialogue].toward_offerer.law;
            let law = law.filter(|law| accept_law(*law, own, &mut out));
            self.party_mut(exchange.sender).medias[sender.index()].law = None;
            self.party_mut(exchange.reader).medias[position].law = law;
        }
        let bundled = self.party(exchange.reader).tells_apart(position);
        let bundles = (bundled, self.party(exchange.sender).bundles);
        self.mask_extensions(exchange, position, sender.index(), &mut out);
        edit_extensions(exchange, own_offer.as_deref(), bundles, &mut out);
        self.agree_on_extensions(exchange, position, sender.index(), &theirs, &out);
        if exchange.has(Flag::OriginalSendrecv) {
            out.direction = sender
                .attributes()
                .direction()
                .or_else(|| sender.session().attributes().direction());
        } else {
            out.direction =
                Some(theirs.direction).filter(|_| theirs.is_rtp() || theirs.direction != Direction::SendRecv);
        }
        self.write_packet_times(exchange, own_offer.as_deref(), &mut out);
        let wishes = self.party(exchange.reader).wishes.clone();
        let bundle_only = self.is_bundle_only(exchange, position, leg);
        let leg = self.legs.get_mut(&leg)?;
        let told = Told::of(exchange, leg, offered, own_offer.as_deref());
        write_address(exchange, leg, &told, &theirs, &mut out);
        if let Some(word) = bundle_only {
            out.bundle_only = true;
            out.port = if word == Bundle::Strict { 0 } else { out.port };
        }
        if theirs.is_rtp() {
            write_rtcp(exchange, leg, &told, &mut out);
            write_ice(core, exchange, leg, &told, &mut out);
            let sdes = wishes.sdes.as_deref().cloned().unwrap_or_default();
            if told.sdes {
                out.cryptos = match exchange.kind {
                    Kind::Offer => {
                        let mode = core.config.sdes;
                        leg.sdes.offer(&theirs.cryptos, &sdes, mode, &mut core.rng)
                    }
                    Kind::Answer => leg.sdes.answer(&sdes).into_iter().collect(),
                };
            }
            let hash = wishes.fingerprint;
            write_dtls(core, exchange, leg, &told, hash, &mut out);
        }
        Some(out)
    }

    /// Header extensions that the answerer is not to know of are kept back in an offer, and are among those of the answer.
    fn mask_extensions(
        &mut self,
        exchange: &Exchange<'_>,
        position: usize,
        sender: usize,
        out: &mut MediaOut,
    ) {
        match exchange.kind {
            Kind::Offer => {
                let mask = &exchange.options.extmap_mask;
                let is_masked =
                    |extmap: &Extmap| mask.contains(&extmap.uri) || mask.iter().any(|of| of == ALL);
                let (masked, shown) = std::mem::take(&mut out.extmaps).into_iter().partition(is_masked);
                out.extmaps = shown;
                self.party_mut(exchange.sender).medias[sender].masked = masked;
            }
            Kind::Answer => {
                let masked = self.party(exchange.reader).medias[position].masked.iter();
                let unknown = |extmap: &&Extmap| !out.extmaps.iter().any(|known| known.id == extmap.id);
                let masked: Vec<Extmap> = masked.filter(unknown).cloned().collect();
                out.extmaps.splice(0..0, masked);
            }
        }
    }

    /// Where requests have chosen among header extensions, packets have those that the answerer has named and the offerer was
    /// told of.
    fn agree_on_extensions(
        &mut self,
        exchange: &Exchange<'_>,
        position: usize,
        sender: usize,
        theirs: &RemoteMedia,
        out: &MediaOut,
    ) {
        if exchange.kind == Kind::Offer {
            return;
        }
        let chosen = self.dialogues[exchange.dialogue]
            .toward_offerer
            .chooses_extensions;
        let told = |id: &u8| out.extmaps.iter().any(|extmap| extmap.id == u16::from(*id));
        let agreed = (chosen || chooses_extensions(exchange.options)).then(|| {
            theirs
                .extensions
                .iter()
                .copied()
                .filter(told)
                .collect::<Vec<u8>>()
        });
        self.party_mut(exchange.sender).medias[sender]
            .extensions
            .clone_from(&agreed);
        self.party_mut(exchange.reader).medias[position].extensions = agreed;
    }

    /// Whether an offer lets the reader have an m-line in a bundle only, and how that is written (RFC 9143 section 6).
    fn is_bundle_only(&self, exchange: &Exchange<'_>, position: usize, leg: LegId) -> Option<Bundle> {
        let reader = self.party(exchange.reader);
        let leads = reader.first_media_on(leg) == Some(position);
        let mut words = [Bundle::Strict, Bundle::Require].into_iter();
        let asked = words.find(|word| exchange.options.bundle.contains(*word));
        // In a later offer the m-line has a port, that of the bundle, whichever word has asked for it.
        let bundles = reader.wishes.bundle_only || reader.tells_apart(position);
        let word = asked.or(bundles.then_some(Bundle::Require))?;
        Some(word).filter(|_| exchange.kind == Kind::Offer && !leads)
    }

    /// An m-line that the answer leaves out altogether, against RFC 3264 section 6: refused, and with what was offered, as
    /// rtpengine has it.
    fn write_left_out(&self, exchange: &Exchange<'_>, position: usize) -> Option<MediaOut> {
        let dialogue = &self.dialogues[exchange.dialogue];
        let opposite = dialogue.opposite(exchange.reader, position)?;
        let is_missing = exchange.kind == Kind::Answer && exchange.session.media(opposite).is_none();
        let offered = dialogue.last_offer.as_ref().filter(|_| is_missing)?;
        let told = Session::parse(offered.reply.as_bytes()).ok()?;
        let told = told.media(opposite)?;
        let own = self.party(exchange.reader).medias[position].remote.as_ref()?;
        if offered.sender() != exchange.reader || own.rejected || !own.is_rtp() {
            return None;
        }
        let mut out = MediaOut::from_sender(told);
        out.protocol.clone_from(&own.protocol_text);
        out.connection = Connection::zero(own.family);
        out.extmaps.clear();
        out.extmap_allow_mixed = false;
        out.rtcp = (!exchange.has(Flag::NoRtcpAttribute)).then_some(NOWHERE);
        Some(out)
    }

    fn write_rejected(
        &self,
        exchange: &Exchange<'_>,
        position: usize,
        sender: Option<Media<'_>>,
    ) -> MediaOut {
        let own = self.party(exchange.reader).medias[position].remote.as_ref();
        match (own, sender) {
            // What the reader has offered is refused as it stands.
            (Some(own), sender) if exchange.kind == Kind::Answer || sender.is_none() => rejected(
                &own.kind_text,
                &own.protocol_text,
                own.formats.clone(),
                own.family,
            ),
            (own, Some(sender)) => {
                let protocol = own.map_or(sender.protocol_text(), |own| &own.protocol_text);
                let connection = sender.effective_connection().ok().flatten();
                let family = connection.map_or(AddressFamily::Ip4, |connection| connection.address.family());
                rejected(
                    sender.kind_text(),
                    protocol,
                    sender.formats().map(str::to_owned).collect(),
                    family,
                )
            }
            (None, None) => rejected("audio", "RTP/AVP", Vec::new(), AddressFamily::Ip4),
            (Some(own), None) => rejected(
                &own.kind_text,
                &own.protocol_text,
                own.formats.clone(),
                own.family,
            ),
        }
    }

    /// What the reader knows the m-line by. An answer repeats what was offered; an offer may bring a name.
    fn mid_to(
        &mut self,
        exchange: &Exchange<'_>,
        position: usize,
        sender: Option<Media<'_>>,
    ) -> Option<String> {
        let known = self.party(exchange.reader).medias[position].mid.clone();
        if exchange.kind == Kind::Answer {
            let offered = self.party(exchange.reader).medias[position].remote.as_ref();
            return offered.and_then(|offered| offered.mid.clone());
        }
        let own = sender.and_then(|sender| sender.mid());
        let mid = known
            .or(own)
            .or_else(|| names_new_medias(exchange.options).then(|| self.new_mid(exchange, position)));
        self.party_mut(exchange.reader).medias[position]
            .mid
            .clone_from(&mid);
        mid
    }

    /// A name that no other m-line has, counted from 1 as rtpengine does.
    fn new_mid(&self, exchange: &Exchange<'_>, position: usize) -> String {
        let names: Vec<&String> = self
            .party(exchange.reader)
            .medias
            .iter()
            .filter_map(|media| media.mid.as_ref())
            .collect();
        let of_sender: Vec<String> = exchange
            .session
            .medias()
            .filter_map(|media| media.mid())
            .collect();
        let free = |name: &String| !names.contains(&name) && !of_sender.contains(name);
        let mut candidates = (position + 1..).map(|number| number.to_string());
        candidates.find(free).unwrap_or_default()
    }

    fn write_packet_times(
        &self,
        exchange: &Exchange<'_>,
        own_offer: Option<&RemoteMedia>,
        out: &mut MediaOut,
    ) {
        match exchange.kind {
            Kind::Offer => out.ptime = exchange.options.ptime.or(out.ptime),
            Kind::Answer => {
                let reverse = self.dialogues[exchange.dialogue].ptime_reverse;
                // Without a word from the answerer the offerer's own packet time stands.
                let own = own_offer.and_then(|own| own.ptime);
                out.ptime = reverse.or(out.ptime).or(own);
            }
        }
    }
}

/// What the reader is told of a leg.
struct Told {
    ice: bool,
    mux: bool,
    /// RTCP has no port of its own, or will have none.
    one_port: bool,
    dtls: bool,
    sdes: bool,
}

impl Told {
    fn of(
        exchange: &Exchange<'_>,
        leg: &Leg,
        offered: Option<Offered>,
        own_offer: Option<&RemoteMedia>,
    ) -> Self {
        match (exchange.kind, offered) {
            (Kind::Offer, Some(offered)) => Self {
                ice: offered.ice && leg.ice.is_some(),
                mux: offered.mux,
                one_port: leg.mux || leg.is_shared() || exchange.options.rtcp_mux.contains(RtcpMux::Require),
                dtls: offered.dtls,
                sdes: offered.sdes,
            },
            (Kind::Offer, None) | (Kind::Answer, _) => Self {
                ice: leg.ice.is_some(),
                mux: leg.mux && own_offer.is_some_and(|own| own.mux),
                one_port: leg.mux || leg.is_shared(),
                dtls: leg.secure && leg.dtls.is_some(),
                sdes: leg.secure && leg.sdes.is_agreed(),
            },
        }
    }
}

/// An offer names what was decided; an answer repeats what was offered, unless it shall say what the answerer speaks.
fn protocol_text(
    exchange: &Exchange<'_>,
    offered: Option<Offered>,
    own_offer: Option<&RemoteMedia>,
    theirs: &RemoteMedia,
) -> String {
    let accept = exchange.options.transport_protocol == Some(TransportProtocol::Accept);
    let decided = offered.and_then(|offered| offered.protocol.name());
    // What was agreed on about keys stands, whatever the answer calls it.
    let named = |own: &RemoteMedia| {
        let asked = exchange.options.transport_protocol.and_then(protocol)?;
        let fits = own.is_rtp() && asked.is_secure() == own.protocol.is_secure();
        asked.name().filter(|_| fits)
    };
    match (exchange.kind, own_offer) {
        (Kind::Answer, Some(own)) if !accept => named(own).unwrap_or(&own.protocol_text).to_owned(),
        (Kind::Offer, _) if theirs.is_rtp() => decided.unwrap_or(&theirs.protocol_text).to_owned(),
        _ => theirs.protocol_text.clone(),
    }
}

fn is_srtp(protocol: &str) -> bool {
    let protocol = Protocol::from_text(protocol);
    protocol.is_rtp() && protocol.is_secure()
}

/// Applies NG's `codec`. False if nothing is left and that shall refuse the m-line.
fn edit_codecs(exchange: &Exchange<'_>, out: &mut MediaOut) -> bool {
    let codec = &exchange.options.codec;
    let selectors = |texts: &[String]| texts.iter().map(|text| CodecSelector::parse(text)).collect();
    let patterns = |texts: &[String]| texts.iter().map(|text| CodecPattern::parse(text)).collect();
    let rules = CodecRules {
        strip: selectors(&codec.strip),
        mask: selectors(&codec.mask)
            .into_iter()
            .chain(selectors(&codec.consume))
            .collect::<Vec<_>>(),
        except: patterns(&codec.except),
        offer: patterns(&codec.offer),
    };
    if rules != CodecRules::default() {
        let original = out.codecs.clone();
        out.codecs.apply(&rules);
        if out.codecs.is_empty() {
            if exchange.has(Flag::AllowNoCodecMedia) {
                return false;
            }
            out.codecs = original;
        }
    }
    true
}

/// An answer names no static payload type that was not offered (RFC 3264 section 6.1), nor AMR in the other form (RFC 4867
/// section 8.3.1), and one codec where one is asked for; what accompanies codecs stays, unless it is to have the number that
/// it was offered with.
fn answer_codecs(core: &Core, exchange: &Exchange<'_>, own: &RemoteMedia, out: &mut MediaOut) {
    let may_renumber = core.config.renumbered_events || exchange.has(Flag::AllowAsymmetricCodecs);
    let is_event = |codec: &Codec| {
        let rtpmap = codec.rtpmap.as_ref();
        rtpmap.is_some_and(|rtpmap| rtpmap.encoding.eq_ignore_ascii_case("telephone-event"))
    };
    let is_in_other_form = |codec: &Codec| {
        let aligned = codec.octet_aligned().zip(codec.payload_type());
        aligned.is_some_and(|(aligned, of)| {
            own.payload_types.contains(&of) && own.octet_aligned.contains(&of) != aligned
        })
    };
    let was_offered = |codec: &Codec| match codec.payload_type() {
        _ if is_in_other_form(codec) => false,
        Some(payload_type) if is_event(codec) && !may_renumber => {
            own.telephone_events.contains(&payload_type)
        }
        Some(payload_type) if payload_type < FIRST_DYNAMIC => own.payload_types.contains(&payload_type),
        _ => true,
    };
    if out.codecs.iter().any(was_offered) {
        out.codecs.0.retain(was_offered);
    }
    if exchange.has(Flag::SingleCodec) {
        let mut first = true;
        out.codecs
            .0
            .retain(|codec| codec.is_supplemental() || std::mem::take(&mut first));
    }
}

/// Names a law of G.711 in an answer instead of the other one, which the answerer has taken. Not where the answerer takes it, or
/// something that the offerer likes better.
fn accept_law(law: Law, own: &RemoteMedia, out: &mut MediaOut) -> bool {
    let is = |codec: &Codec, law: Law| codec.payload_type() == Some(law.payload_type());
    let better = own
        .payload_types
        .iter()
        .take_while(|offered| **offered != law.payload_type());
    let better: Vec<u8> = better.copied().collect();
    let is_offered = better.len() < own.payload_types.len();
    let takes = |codec: &Codec| is(codec, law) || codec.payload_type().is_some_and(|of| better.contains(&of));
    let mut taken = out.codecs.iter().filter(|codec| !codec.is_supplemental());
    if !is_offered || taken.any(takes) {
        return false;
    }
    let Some(rtpmap) = static_rtpmap(law.payload_type()) else {
        return false;
    };
    let mut codecs = out.codecs.0.iter_mut();
    let Some(other) = codecs.find(|codec| is(codec, law.other())) else {
        return false;
    };
    *other = Codec::new(rtpmap);
    true
}

/// Header extensions: those that are to be left out are, and the one that names m-lines is there where a bundle needs it
/// and was not asked for where there is none (RFC 9143 section 9).
fn edit_extensions(
    exchange: &Exchange<'_>,
    own_offer: Option<&RemoteMedia>,
    (bundled, sender_bundles): (bool, bool),
    out: &mut MediaOut,
) {
    let options = exchange.options;
    let named = |uri: &String| options.extmap_strip.contains(uri);
    if exchange.has(Flag::StripExtmap) {
        out.extmaps.clear();
    }
    out.extmaps.retain(|extmap| !named(&extmap.uri));
    match exchange.kind {
        Kind::Offer => {
            let mut words = [Bundle::Offer, Bundle::Require, Bundle::Strict].into_iter();
            let offers = words.any(|word| exchange.options.bundle.contains(word));
            // Whoever bundles without the names does not need them.
            let takes_names = own_offer.is_none_or(|own| own.mid_extension.is_some());
            if (offers || bundled && takes_names)
                && !out.extmaps.iter().any(|extmap| extmap.uri == MID_EXTENSION)
            {
                out.extmaps.extend(free_extension(exchange).map(names_media));
            }
            // The name of m-lines in a bundle of the sender's alone is nothing to a reader who has shown to have neither.
            let knows_neither = own_offer.is_some_and(|own| own.mid_extension.is_none());
            if knows_neither && sender_bundles && !offers && !bundled {
                out.extmaps.retain(|extmap| extmap.uri != MID_EXTENSION);
            }
            // Packets are passed on as they are: whoever reads mixed headers may get them.
            out.extmap_allow_mixed = !out.extmaps.is_empty();
        }
        Kind::Answer => {
            let offered = own_offer.and_then(|own| own.mid_extension);
            let has = out.extmaps.iter().any(|extmap| extmap.uri == MID_EXTENSION);
            match offered {
                Some(id) if bundled && !has => {
                    // Where nothing but the name comes from the other side, we are who understands mixed headers.
                    let alone = out.extmaps.is_empty();
                    out.extmap_allow_mixed |= alone && own_offer.is_some_and(|own| own.extmap_allow_mixed);
                    out.extmaps.push(names_media(u16::from(id)));
                }
                None => out.extmaps.retain(|extmap| extmap.uri != MID_EXTENSION),
                Some(_) => {}
            }
            out.extmap_allow_mixed &= !out.extmaps.is_empty();
        }
    }
}

/// The header extension that names the m-line of a packet.
fn names_media(id: u16) -> Extmap {
    Extmap {
        id,
        direction: None,
        uri: MID_EXTENSION.to_owned(),
        attributes: String::new(),
    }
}

/// An identifier that no m-line uses: they are the same in all of a bundle.
fn free_extension(exchange: &Exchange<'_>) -> Option<u16> {
    let medias = exchange.session.medias();
    let extmaps = medias.flat_map(|media| media.attributes().all::<Extmap>().flatten());
    let used: BTreeSet<u16> = extmaps.map(|extmap| extmap.id).collect();
    (1..EXTENSIONS_END).find(|id| !used.contains(id))
}

/// `c=` and the port.
fn write_address(exchange: &Exchange<'_>, leg: &Leg, told: &Told, theirs: &RemoteMedia, out: &mut MediaOut) {
    let socket = leg.primary();
    let address: IpAddr = exchange.options.media_address.unwrap_or(socket.advertised);
    out.port = socket.rtp.port();
    // A zero address is how old phones hold. It is passed on to those who may know it; with ICE it means something else.
    let holds = theirs.zero_address && !told.ice && !exchange.options.replace.contains(Replace::ZeroAddress);
    out.connection = if holds {
        Connection::zero(AddressFamily::of(address))
    } else {
        Connection::unicast(address)
    };
}

fn write_rtcp(exchange: &Exchange<'_>, leg: &Leg, told: &Told, out: &mut MediaOut) {
    out.rtcp_mux = told.mux;
    if exchange.has(Flag::NoRtcpAttribute) {
        return;
    }
    let component = if told.one_port {
        Component::Rtp
    } else {
        Component::Rtcp
    };
    let Some(told) = leg.primary().told(component) else {
        return;
    };
    let address: IpAddr = exchange.options.media_address.unwrap_or(told.ip());
    out.rtcp = Some(Rtcp {
        port: told.port(),
        address: exchange.has(Flag::FullRtcpAttribute).then_some(Host::Ip(address)),
    });
}

fn write_ice(core: &Core, exchange: &Exchange<'_>, leg: &Leg, told: &Told, out: &mut MediaOut) {
    let Some(ice) = leg.ice.as_ref().filter(|_| told.ice) else {
        return;
    };
    let components: &[Component] = if told.one_port {
        &Component::BOTH[..1]
    } else {
        leg.components()
    };
    let media_address = exchange.options.media_address;
    out.ice = Some(ice.local.clone());
    out.candidates = local_candidates(&leg.sockets, components, &core.instance_id, media_address);
    // An answer says what the offer said, and what is asked for.
    let theirs = ice.remote.as_ref().filter(|_| exchange.kind == Kind::Answer);
    let trickle = exchange.options.ice.trickle || theirs.is_some_and(|theirs| theirs.trickle);
    let ice2 = exchange.options.ice.ice2 || theirs.is_some_and(|theirs| theirs.ice2);
    for (option, wanted) in [("trickle", trickle), ("ice2", ice2)] {
        if wanted {
            out.ice_options.0.push(option.to_owned());
        }
    }
    out.end_of_candidates = trickle;
    if exchange.kind == Kind::Offer {
        write_chosen(leg, ice, components, out);
    }
}

/// A full agent that has chosen names its choice only (RFC 8839 section 4.4.1.2.2).
fn write_chosen(leg: &Leg, ice: &Ice, components: &[Component], out: &mut MediaOut) {
    if !ice.full().is_some_and(FullAgent::is_controlling) {
        return;
    }
    let chosen: Vec<_> = components
        .iter()
        .filter_map(|component| {
            Some((
                component,
                leg.paths.selected(*component).filter(|path| path.nominated)?,
            ))
        })
        .collect();
    if chosen.len() != components.len() {
        return;
    }
    out.candidates.retain(|candidate| {
        chosen.iter().any(|(component, path)| {
            let mut sockets = leg.sockets.iter();
            let socket = sockets.find(|socket| socket.local(**component) == Some(path.tuple.local));
            let told = socket.and_then(|socket| socket.told(**component));
            candidate.component == component.number()
                && told.is_some_and(|told| candidate.port == told.port())
                && candidate.address.ip().map(|ip| ip.is_ipv4()) == Some(path.tuple.local.is_ipv4())
        })
    });
    let remote = |(component, path): &(&Component, &Path)| RemoteCandidate {
        component: component.number(),
        address: viaduct_sdp::CandidateAddress::Ip(path.tuple.remote.ip()),
        port: path.tuple.remote.port(),
    };
    out.remote_candidates = Some(RemoteCandidates(chosen.iter().map(remote).collect()));
}

fn write_dtls(
    core: &Core,
    exchange: &Exchange<'_>,
    leg: &Leg,
    told: &Told,
    hash: Option<HashFunction>,
    out: &mut MediaOut,
) {
    let Some(dtls) = leg.dtls.as_ref().filter(|_| told.dtls) else {
        return;
    };
    out.setup = Some(match exchange.kind {
        Kind::Offer => Setup::Actpass,
        Kind::Answer => dtls.setup(),
    });
    // An offer may be read by somebody else than who has answered the last one.
    let theirs = dtls
        .remote()
        .filter(|_| exchange.kind == Kind::Answer)
        .and_then(|remote| remote.fingerprints.first())
        .map(Fingerprint::hash);
    let hash = hash.or(theirs).unwrap_or(HashFunction::Sha256);
    out.fingerprints = vec![fingerprint(hash, &core.certificate)];
    if !exchange.has(Flag::NoTlsId) {
        out.tls_id = Some(TlsId(dtls.tls_id().to_owned()));
    }
}
