//! What the operator decides: addresses, timers, limits.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use viaduct_ng::EndpointLearning;

use crate::ports::PortSet;

/// Settings of a relay. [`Config::new`] has rtpengine's defaults where it has any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Addresses for media by name; the first interface is the default. Never empty.
    pub interfaces: Vec<Interface>,
    /// Whether we are ICE-lite where the request says nothing (NG `ICE-lite`). Default no: a full agent.
    pub ice_lite: bool,
    /// Whether we wait for the ClientHello where a peer leaves the DTLS role to us. Default no: we begin.
    pub dtls_passive: bool,
    /// Whose keys SDES uses, and which suites it offers. Default keys of our own.
    pub sdes: SdesMode,
    /// Whether SRTP goes on unopened between peers that have the same keys, where the request does not say `recrypt`. Only
    /// [`SdesMode::Rtpengine`] tells them any. Default no: every packet is checked.
    pub srtp_pass_through: bool,
    /// Whether the `ICE` words `force-relay` and `optional` leave peers with ICE to each other, with our candidates beside
    /// theirs. Default no: they mean what `force` does, and all media goes through the relay.
    pub direct_media: bool,
    /// Whether checks and handshakes with who sends an offer begin with the offer. Default no: they begin with the answer
    /// that tells it of us.
    pub begin_at_offer: bool,
    /// Whether what a full agent says has the attributes of rtpengine's messages in their order, SOFTWARE among them. Default
    /// no.
    pub rtpengine_checks: bool,
    /// Whether each m-line of a peer without ICE takes media from the addresses of its other m-lines as well. Default no.
    pub shared_endpoints: bool,
    /// Whether an answer may give DTMF another payload type than the offer, where no flag `allow-asymmetric-codecs` says so
    /// (RFC 3264 section 6.1). Default yes; else it is left out.
    pub renumbered_events: bool,
    /// Whose a packet of a bundle is that nothing tells.
    pub unnamed_media: UnnamedMedia,
    /// Largest DTLS datagram, octets. Default 1,200.
    pub dtls_mtu: usize,
    /// DTLS versions. Default 1.2.
    pub dtls_version: DtlsVersion,
    /// How the endpoint of a peer without ICE is found (NG `endpoint-learning`). Default heuristic.
    pub learning: EndpointLearning,
    /// How long after signalling a better source is followed. Default 3 s.
    pub learning_time: Duration,
    /// Whether a peer keeps the ports that it was told when the other side moves, where the request says nothing (NG
    /// `port-latching`). Default yes.
    pub port_latching: bool,
    /// Whether media from other sources than the endpoint is dropped although no flag `strict-source` asks for it.
    /// Default yes.
    pub strict_source: bool,
    /// Whether `received-from` counts as the media address without the flag `SIP-source-address`. Default no.
    pub sip_source: bool,
    /// DSCP and ECN octet of outgoing media where the request has no `TOS`; `None` leaves it to the sockets.
    pub tos: Option<u8>,
    /// An answered call without any packet ends after this. Default 60 s.
    pub media_timeout: Duration,
    /// The same while no media may flow both ways: hold, mute. Default 3,600 s.
    pub silent_timeout: Duration,
    /// A call that is not answered ends after this. Default 3,600 s.
    pub offer_timeout: Duration,
    /// Longest call; `None` for no limit, which is the default.
    pub final_timeout: Option<Duration>,
    /// How long a deleted call can be revived where `delete` says nothing (NG `delete-delay`). Default 30 s.
    pub delete_delay: Duration,
    /// A peer with ICE that has no working path after this has failed. Default 30 s.
    pub ice_timeout: Duration,
    /// A path on which the peer's checks have stopped this long is lost (RFC 7675). Default 30 s.
    pub consent_timeout: Duration,
    /// How long a pair of ports rests after use, so that late packets meet nobody else. Default 10 s.
    pub port_rest: Duration,
    /// Pairs of ports that are open in advance at each address. Default 64.
    pub port_stock: usize,
    /// Where digits are told (NG `DTMF-log-dest`) of calls that do not say.
    pub dtmf_log: Option<SocketAddr>,
    /// Whether events tell digits of calls for which nobody has said where as well. Default no.
    pub tell_digits: bool,
    /// Whether fax can be made sound of and the other way round (NG `T.38`): there is who does it, and says
    /// [`handle_fax`](crate::Relay::handle_fax). Default no: T.38 is passed on.
    pub fax: bool,
    /// Whether an SDP with an empty line in it is refused. Default no: it ends there.
    pub reject_invalid_sdp: bool,
    /// Calls beyond which offers are refused; 0 refuses all new calls; `None` leaves it to
    /// [`Limits::calls`].
    pub max_sessions: Option<usize>,
    /// Bounds on memory and work.
    pub limits: Limits,
}

impl Config {
    /// The defaults, with these interfaces.
    #[must_use]
    pub fn new(interfaces: Vec<Interface>) -> Self {
        Self {
            interfaces,
            ice_lite: false,
            dtls_passive: false,
            sdes: SdesMode::OwnKeys,
            srtp_pass_through: false,
            direct_media: false,
            begin_at_offer: false,
            rtpengine_checks: false,
            shared_endpoints: false,
            renumbered_events: true,
            unnamed_media: UnnamedMedia::Drop,
            dtls_mtu: 1_200,
            dtls_version: DtlsVersion::V1_2,
            learning: EndpointLearning::Heuristic,
            learning_time: Duration::from_secs(3),
            port_latching: true,
            strict_source: true,
            sip_source: false,
            tos: None,
            media_timeout: Duration::from_secs(60),
            silent_timeout: Duration::from_secs(3_600),
            offer_timeout: Duration::from_secs(3_600),
            final_timeout: None,
            delete_delay: Duration::from_secs(30),
            ice_timeout: Duration::from_secs(30),
            consent_timeout: Duration::from_secs(30),
            port_rest: Duration::from_secs(10),
            port_stock: 64,
            dtmf_log: None,
            tell_digits: false,
            fax: false,
            reject_invalid_sdp: false,
            max_sessions: None,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Whether an address that an SDP may name is one of ours.
    pub(crate) fn is_ours(&self, at: SocketAddr) -> bool {
        let mut addresses = self.interfaces.iter().flat_map(|interface| &interface.addresses);
        addresses.any(|of| {
            (of.address == at.ip() || of.advertised() == at.ip())
                && (of.ports.range().contains(&at.port()) || of.browser_port == Some(at.port()))
        })
    }
}

/// Whose keys SDES uses, and which suites it offers (RFC 4568).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdesMode {
    /// Every leg has keys of its own. The suites of [`SrtpProfile::ALL`](viaduct_rtp::srtp::SrtpProfile::ALL) are
    /// offered; those that do not encrypt are neither offered nor accepted.
    OwnKeys,
    /// As rtpengine: a key that one side gives for a suite is told to the other side with that suite, and all suites of
    /// [`SrtpProfile::SDES`](viaduct_rtp::srtp::SrtpProfile::SDES) are offered, among them the two that do not encrypt.
    /// DTLS is offered beside the keys unless it is forbidden.
    Rtpengine,
}

/// What happens to a packet of a bundle when neither a name in it, nor its SSRC, nor its payload type tells its m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnnamedMedia {
    /// It is dropped (RFC 8843 section 9.2).
    Drop,
    /// As rtpengine: the first m-line that has its payload type gets it.
    First,
}

/// Which DTLS versions are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsVersion {
    /// 1.2 (RFC 6347), which every WebRTC endpoint has.
    V1_2,
    /// 1.2 or 1.3 (RFC 9147), whatever the peer has.
    Auto,
}

/// A named set of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What `direction` and its kin choose it by.
    pub name: String,
    /// Its addresses, the preferred one of each family first. Peers with ICE are told all of them. Never empty.
    pub addresses: Vec<InterfaceAddress>,
}

/// One address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The local address that sockets are bound to.
    pub address: IpAddr,
    /// What peers are told, where it is another.
    pub advertised: Option<IpAddr>,
    /// Ports for RTP and RTCP, in pairs of an even and the following odd one.
    pub ports: PortSet,
    /// The one port that browsers share at this address. It is open whenever the relay runs and lies outside `ports`.
    /// Without it, each browser gets a pair from `ports`, as with rtpengine.
    pub browser_port: Option<u16>,
}

impl InterfaceAddress {
    /// An address with rtpengine's range of ports, 30000 to 40000, and no port for browsers.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self {
            address,
            advertised: None,
            ports: (30_000..=40_000).into(),
            browser_port: None,
        }
    }

    /// What peers are told.
    #[must_use]
    pub fn advertised(&self) -> IpAddr {
        self.advertised.unwrap_or(self.address)
    }
}

/// How much of everything there may be. What goes over a limit is refused and counted in
/// [`LimitCounters`](crate::LimitCounters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls, those among them that wait for their deletion. Default 20,000.
    pub calls: usize,
    /// Octets of a call-id, tag, via-branch, label or other name that is stored. Default 1,024.
    pub name_octets: usize,
    /// Parties of a call: the caller and its forks. Default 32.
    pub parties_per_call: usize,
    /// Further tags that one party may go by. Default 16.
    pub aliases_per_party: usize,
    /// m-lines of a party. All may be bundled, and then a flow has a route for each and one for DTMF: less than the
    /// workers' limit of routes per flow. Default 7.
    pub medias_per_party: usize,
    /// Candidates that are used of one m-line, trickled ones among them; further ones are ignored. Default 32.
    pub candidates_per_media: usize,
    /// Octets of an SDP. Default 32,768.
    pub sdp_octets: usize,
    /// Lines of an SDP. Default 4,096.
    pub sdp_lines: usize,
    /// Formats of one m-line. Default 256.
    pub sdp_formats: usize,
    /// Attributes of one section of an SDP. Default 1,024.
    pub sdp_attributes: usize,
    /// `a=candidate` lines of one section; an SDP with more is refused. Default 128.
    pub sdp_candidates: usize,
    /// What one DTLS handshake may take. All of it holds for peers whose certificate may be RSA; `first_timeout`,
    /// `longest_timeout` and `handshake` hold for browsers as well.
    pub dtls: viaduct_dtls::Limits,
    /// Network paths that are kept per transport: the selected one and others that ICE has validated. Default 6.
    pub paths_per_leg: usize,
    /// Pairs of ports that a leg has been told of before, and which stay open. Default 2.
    pub former_ports_per_leg: usize,
    /// SSRCs of a call whose quality is followed; others are relayed all the same. Default 32.
    pub sources_per_call: usize,
    /// DTLS associations of the relay. Default 40,000.
    pub dtls_associations: usize,
    /// Parties of the relay that something is played to at a time, and keys that are pressed or wait for it. Default 1,000.
    pub players: usize,
    /// Faxes that sound is made of, or that are made of sound, at a time. An offer that asks for more gets its T.38 passed on.
    /// Default 32.
    pub fax_gateways: usize,
    /// Octets of clips that are played, each counted once however many hear it. A second has 16,000. Default 67,108,864.
    pub clip_octets: usize,
    /// Trickled fragments that wait for the party they are for. Default 256.
    pub fragments_waiting: usize,
    /// Commands of one call that are kept for a relay that goes on after this one. A call with more is not kept any
    /// longer. Default 256.
    pub commands_kept: usize,
    /// Changes of what is kept of calls that wait for the store. A call whose command finds no room is not kept any
    /// longer. Default 16,384.
    pub state_waiting: usize,
    /// Clients whose commands are counted by address; the others are counted together. Default 64.
    pub clients_counted: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 20_000,
            name_octets: 1_024,
            parties_per_call: 32,
            aliases_per_party: 16,
            medias_per_party: 7,
            candidates_per_media: 32,
            sdp_octets: 32_768,
            sdp_lines: 4_096,
            sdp_formats: 256,
            sdp_attributes: 1_024,
            sdp_candidates: 128,
            dtls: viaduct_dtls::Limits::default(),
            paths_per_leg: 6,
            former_ports_per_leg: 2,
            sources_per_call: 32,
            dtls_associations: 40_000,
            players: 1_000,
            fax_gateways: 32,
            clip_octets: 64 << 20,
            fragments_waiting: 256,
            commands_kept: 256,
            state_waiting: 16_384,
            clients_counted: 64,
        }
    }
}

impl Limits {
    /// Those of one SDP.
    pub(crate) fn sdp(&self) -> viaduct_sdp::Limits {
        viaduct_sdp::Limits {
            octets_max: self.sdp_octets,
            lines_max: self.sdp_lines,
            medias_max: self.medias_per_party,
            formats_max: self.sdp_formats,
            attributes_max: self.sdp_attributes,
            candidates_max: self.sdp_candidates,
        }
    }
}
