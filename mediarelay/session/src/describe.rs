//! What an SDP says of its sender: the parts that the relay acts on, as plain values.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use viaduct_forward::{ClockRate, MidSelector};
use viaduct_sdp::{
    AddressFamily, CandidateAddress, CodecList, Connection, Direction, Extmap, Label, Media, MediaKind,
    Protocol, Ptime, Session, Ssrc,
};

use crate::dtls::RemoteDtls;
use crate::ice::{RemoteCandidate, RemoteIce};
use crate::leg::{Endpoints, Wire};
use crate::sdes::Theirs;

/// The header extension that names an m-line in packets (RFC 9143 section 15).
pub(crate) const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// SSRCs of one m-line that packets are told apart by.
const SSRCS_MAX: usize = 16;

/// Payload types with a clock of their own that are told to the workers; there are 32 dynamic ones.
const CLOCKS_MAX: usize = 48;

/// The first payload type that means nothing by itself (RFC 3551 section 3).
pub(crate) const FIRST_DYNAMIC: u8 = 96;

/// Header extensions of one m-line that are looked at.
const EXTENSIONS_MAX: usize = 64;

/// `a=crypto` lines of one m-line that are read.
const CRYPTOS_MAX: usize = 32;

/// Why an SDP is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It has no m-line, or an accepted one without any address.
    Incomplete,
}

/// What the sender of an SDP says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) medias: Vec<RemoteMedia>,
    /// The `BUNDLE` groups, as positions of m-lines.
    pub(crate) bundles: Vec<Vec<usize>>,
    /// Candidates that cannot be used.
    pub(crate) candidates_unreachable: u64,
    /// Candidates beyond the limit.
    pub(crate) candidates_over_limit: u64,
}

/// One m-line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteMedia {
    pub(crate) kind: MediaKind,
    pub(crate) kind_text: String,
    pub(crate) protocol: Protocol,
    pub(crate) protocol_text: String,
    pub(crate) formats: Vec<String>,
    /// Port 0 and not bundled.
    pub(crate) rejected: bool,
    /// Only to be used in a bundle.
    pub(crate) bundle_only: bool,
    pub(crate) family: AddressFamily,
    /// Where it receives, by its own account.
    pub(crate) rtp: Option<SocketAddr>,
    pub(crate) rtcp: Option<SocketAddr>,
    /// A connection address of zero, which without ICE means hold.
    pub(crate) zero_address: bool,
    /// Direction as its sender sees it; a zero address counts as not receiving.
    pub(crate) direction: Direction,
    pub(crate) mux: bool,
    /// It takes RTCP feedback (RFC 4585): its profile or some `a=rtcp-fb` says so.
    pub(crate) feedback: bool,
    pub(crate) ice: Option<Box<RemoteIce>>,
    pub(crate) dtls: Option<Box<RemoteDtls>>,
    pub(crate) cryptos: Vec<Theirs>,
    pub(crate) mid: Option<String>,
    /// The identifiers of header extensions.
    pub(crate) extensions: Vec<u8>,
    /// The identifier of the MID header extension.
    pub(crate) mid_extension: Option<u8>,
    /// `a=extmap-allow-mixed` (RFC 8285 section 6)
    pub(crate) extmap_allow_mixed: bool,
    pub(crate) payload_types: Vec<u8>,
    pub(crate) telephone_events: Vec<u8>,
    /// Payload types of AMR in its octet-aligned form.
    pub(crate) octet_aligned: Vec<u8>,
    pub(crate) clock_rates: Vec<ClockRate>,
    pub(crate) ssrcs: Vec<u32>,
    /// Name of the first codec.
    pub(crate) codec: Option<String>,
    pub(crate) ptime: Option<u32>,
    pub(crate) label: Option<String>,
}

impl RemoteMedia {
    /// Whether RTP is spoken on it.
    pub(crate) fn is_rtp(&self) -> bool {
        self.protocol.is_rtp()
    }

    /// What is spoken on it.
    pub(crate) fn wire(&self) -> Wire {
        match self.protocol {
            Protocol::Udptl => Wire::Udptl,
            protocol if protocol.is_rtp() => Wire::Rtp,
            _ => Wire::Other,
        }
    }

    /// What it wants to be called in packets; `None` where its SDP lacks the extension for that, or a name.
    pub(crate) fn named_in_packets(&self) -> Option<MidSelector> {
        Some(MidSelector {
            extension_id: self.mid_extension?,
            mid: self.mid.clone().filter(|mid| !mid.is_empty())?,
        })
    }

    /// Where it receives, by its own account.
    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints {
            rtp: self.rtp,
            rtcp: self.rtcp,
        }
    }

    fn read_codecs(&mut self, codecs: &CodecList) {
        for codec in codecs.iter() {
            let Some(payload_type) = codec.payload_type() else {
                continue;
            };
            self.payload_types.push(payload_type);
            if codec.octet_aligned() == Some(true) {
                self.octet_aligned.push(payload_type);
            }
            let Some(rtpmap) = &codec.rtpmap else {
                continue;
            };
            if rtpmap.encoding.eq_ignore_ascii_case("telephone-event") {
                self.telephone_events.push(payload_type);
            }
            if payload_type >= FIRST_DYNAMIC && self.clock_rates.len() < CLOCKS_MAX {
                self.clock_rates.push(ClockRate {
                    payload_type,
                    hertz: rtpmap.clock_rate,
                });
            }
        }
    }

    /// Whether it takes part in anything: accepted, or waiting in a bundle.
    pub(crate) fn is_live(&self) -> bool {
        !self.rejected
    }
}

impl Description {
    /// Reads an SDP. `source` stands for every address in it, where the sender's SIP source counts instead.
    pub(crate) fn read(
        session: &Session,
        source: Option<IpAddr>,
        candidates_max: usize,
    ) -> Result<Self, Unusable> {
        let mut description = Self {
            medias: Vec::new(),
            bundles: Vec::new(),
            candidates_unreachable: 0,
            candidates_over_limit: 0,
        };
        for media in session.medias() {
            let read = description.read_media(media, source, candidates_max)?;
            description.medias.push(read);
        }
        if description.medias.is_empty() {
            return Err(Unusable::Incomplete);
        }
        let position = |mid: &String| {
            let mut medias = description.medias.iter();
            medias.position(|media| media.is_rtp() && media.mid.as_ref() == Some(mid))
        };
        let groups = session.bundle_groups();
        description.bundles = groups
            .iter()
            .map(|group| group.mids.iter().filter_map(position).collect())
            .collect();
        Ok(description)
    }

    fn read_media(
        &mut self,
        media: Media<'_>,
        source: Option<IpAddr>,
        candidates_max: usize,
    ) -> Result<RemoteMedia, Unusable> {
        // Data channels run inside DTLS, which ends here.
        let rejected =
            media.is_rejected() || media.protocol_text().to_ascii_uppercase().ends_with("DTLS/SCTP");
        let connection = media.effective_connection().ok().flatten();
        let ice = self.read_ice(media, candidates_max);
        if !rejected && connection.is_none() && ice.is_none() {
            return Err(Unusable::Incomplete);
        }
        let zero_address = ice.is_none() && connection.as_ref().is_some_and(Connection::is_zero);
        let (rtp, rtcp) = addresses(media, connection.as_ref(), source);
        if !rejected && rtp.is_none() && !zero_address && ice.is_none() && !media.is_bundle_only() {
            // A name: we resolve none.
            return Err(Unusable::Incomplete);
        }
        let mut direction = media.effective_direction();
        if zero_address {
            direction = Direction::new(direction.sends(), false);
        }
        let is_rtp = media.protocol().is_rtp();
        let family = connection.as_ref().map(|connection| connection.address.family());
        let mut read = RemoteMedia {
            kind: media.kind(),
            kind_text: media.kind_text().to_owned(),
            protocol: media.protocol(),
            protocol_text: media.protocol_text().to_owned(),
            formats: media.formats().map(str::to_owned).collect(),
            rejected,
            bundle_only: media.is_bundle_only(),
            family: family.unwrap_or(AddressFamily::Ip4),
            rtp,
            rtcp,
            zero_address,
            direction,
            mux: media.rtcp_mux() && is_rtp,
            feedback: media.protocol().has_feedback() || media.attributes().has("rtcp-fb"),
            dtls: read_dtls(media).filter(|_| is_rtp),
            cryptos: Vec::new(),
            mid: media.mid(),
            extensions: extensions(media),
            mid_extension: mid_extension(media),
            extmap_allow_mixed: media.effective_extmap_allow_mixed(),
            payload_types: Vec::new(),
            telephone_events: Vec::new(),
            octet_aligned: Vec::new(),
            clock_rates: Vec::new(),
            ssrcs: ssrcs(media),
            codec: None,
            ptime: media.effective_one::<Ptime>().ok().flatten().map(|ptime| ptime.0),
            label: media
                .attributes()
                .one::<Label>()
                .ok()
                .flatten()
                .map(|label| label.0),
            ice,
        };
        let codecs = media.codecs();
        read.codec = codecs.iter().next().map(|codec| codec.encoding().to_owned());
        if is_rtp {
            read.read_codecs(&codecs);
            let lines = media.cryptos().take(CRYPTOS_MAX).flatten();
            read.cryptos = lines.filter_map(|crypto| Theirs::read(&crypto)).collect();
        }
        Ok(read)
    }

    /// Leaves out bundles in which nothing would tell whose a packet is: m-lines with a payload type in common, and
    /// neither the name in packets nor SSRCs (RFC 9143 section 9.2). Such an offer is answered without them.
    pub(crate) fn forget_ambiguous_bundles(&mut self) {
        let medias = &self.medias;
        self.bundles.retain(|group| {
            let live = || {
                group
                    .iter()
                    .map(|at| &medias[*at])
                    .filter(|media| media.is_live())
            };
            let mut listed = BTreeSet::new();
            let told = |media: &RemoteMedia| media.mid_extension.is_some() || !media.ssrcs.is_empty();
            live().all(told)
                || live().all(|media| {
                    let own: BTreeSet<u8> = media.payload_types.iter().copied().collect();
                    own.into_iter().all(|of| listed.insert(of))
                })
        });
    }

    fn read_ice(&mut self, media: Media<'_>, candidates_max: usize) -> Option<Box<RemoteIce>> {
        if !media.protocol().is_rtp() {
            return None;
        }
        let credentials = media.effective_ice().ok().flatten()?;
        let options = media.effective_ice_options();
        let says = |name: &str| options.0.iter().any(|option| option == name);
        let mut ice = RemoteIce {
            credentials,
            lite: media.session().ice_lite(),
            trickle: says("trickle"),
            ice2: says("ice2"),
            candidates: Vec::new(),
        };
        for candidate in media.candidates() {
            match candidate.ok().as_ref().and_then(reachable) {
                Some(candidate) if ice.candidates.len() < candidates_max => ice.candidates.push(candidate),
                Some(_) => self.candidates_over_limit += 1,
                None => self.candidates_unreachable += 1,
            }
        }
        Some(Box::new(ice))
    }
}

/// A candidate that checks can be sent to. Names, `.local` ones among them, cannot be resolved here: their owners are
/// found by the checks they send.
pub(crate) fn reachable(candidate: &viaduct_sdp::Candidate) -> Option<RemoteCandidate> {
    let CandidateAddress::Ip(address) = candidate.address else {
        return None;
    };
    candidate.is_reachable().then_some(RemoteCandidate {
        component: candidate.component,
        address: SocketAddr::new(address, candidate.port),
        priority: candidate.priority,
    })
}

/// The addresses of RTP and of RTCP (RFC 3605; else the next port).
fn addresses(
    media: Media<'_>,
    connection: Option<&Connection>,
    source: Option<IpAddr>,
) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let named = connection
        .filter(|connection| !connection.is_zero())
        .and_then(|connection| connection.address.ip());
    let (Some(address), true) = (source.or(named), media.port() != 0) else {
        return (None, None);
    };
    if connection.is_some_and(Connection::is_zero) {
        return (None, None);
    }
    let rtp = SocketAddr::new(address, media.port());
    let rtcp = match media.rtcp().ok().flatten() {
        Some(rtcp) if rtcp.port != 0 => {
            let own = rtcp
                .address
                .and_then(|host| host.ip())
                .filter(|ip| !ip.is_unspecified());
            Some(SocketAddr::new(source.or(own).unwrap_or(address), rtcp.port))
        }
        Some(_) => None,
        None => media
            .port()
            .checked_add(1)
            .map(|port| SocketAddr::new(address, port)),
    };
    (Some(rtp), rtcp)
}

fn read_dtls(media: Media<'_>) -> Option<Box<RemoteDtls>> {
    let fingerprints = media.effective_fingerprints();
    if fingerprints.is_empty() {
        return None;
    }
    Some(Box::new(RemoteDtls {
        setup: media.effective_setup().ok().flatten(),
        fingerprints,
        tls_id: media.effective_tls_id().ok().flatten().map(|tls_id| tls_id.0),
    }))
}

fn mid_extension(media: Media<'_>) -> Option<u8> {
    let mut extmaps = media.attributes().all::<Extmap>().flatten();
    let extmap = extmaps.find(|extmap| extmap.uri == MID_EXTENSION)?;
    u8::try_from(extmap.id).ok()
}

fn extensions(media: Media<'_>) -> Vec<u8> {
    let extmaps = media.attributes().all::<Extmap>().flatten();
    let ids = extmaps.filter_map(|extmap| u8::try_from(extmap.id).ok());
    ids.take(EXTENSIONS_MAX).collect()
}

fn ssrcs(media: Media<'_>) -> Vec<u32> {
    let all = media.attributes().all::<Ssrc>().flatten().map(|ssrc| ssrc.ssrc);
    let mut seen = BTreeSet::new();
    all.filter(|ssrc| seen.insert(*ssrc)).take(SSRCS_MAX).collect()
}
