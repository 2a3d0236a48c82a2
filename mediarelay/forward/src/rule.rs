//! What control wants: plain values, made by the session core.

use std::fmt;

use viaduct_rtp::g711::Law;
use viaduct_rtp::{ElementForms, Tick};

use crate::address::{CryptoId, FlowId, FlowKey, LegId, LocalAddr, Out};
use crate::stats::Shift;

/// One flow: what may come from one peer address, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowRule {
    /// Its name. Installing a rule under a known name replaces the rule and keeps counters, SSRCs and crypto state.
    pub flow: FlowId,
    /// The addresses it is found by.
    pub key: FlowKey,
    /// The leg it belongs to.
    pub leg: LegId,
    /// The receive context, if the peer sends SRTP. Nothing is learnt from a packet that it does not open.
    pub unprotect: Option<CryptoId>,
    /// What the peer may send.
    pub accept: Accept,
    /// Where it goes; see [`Select`] for how one is chosen.
    pub routes: Vec<Route>,
    /// Report the first good packet, once per installation.
    pub confirm: bool,
    /// For an RTCP port of its own: the flow of the RTP that its reports are about. Round trips need it.
    pub rtp_flow: Option<FlowId>,
    /// Clocks of payload types, for the jitter. Static payload types need none.
    pub clock_rates: Vec<ClockRate>,
    /// Payload types of telephone events (RFC 4733) that control wants to hear of, 0 to 127.
    pub events: Vec<u8>,
    /// The peer's SDP names an address of ours, so what goes to it may come back: a packet that keeps coming is dropped.
    pub may_loop: bool,
    /// A payload type that several sections list, in a packet that nothing else tells apart, belongs to the first of them.
    /// Otherwise such a packet is dropped.
    pub ambiguous_to_first: bool,
    /// Most packets are forwarded beside the worker, by the kernel: what is missing between those that come here is no loss.
    pub beside: bool,
    /// SRTP may go on unopened, if it [can](Self::passes).
    pub may_pass: bool,
}

impl FlowRule {
    /// A plain flow that accepts RTP and RTCP and reports nothing.
    #[must_use]
    pub fn new(flow: FlowId, key: FlowKey, leg: LegId, routes: Vec<Route>) -> Self {
        Self {
            flow,
            key,
            leg,
            unprotect: None,
            accept: Accept::RTP_AND_RTCP,
            routes,
            confirm: false,
            rtp_flow: None,
            clock_rates: Vec::new(),
            events: Vec::new(),
            may_loop: false,
            ambiguous_to_first: false,
            beside: false,
            may_pass: false,
        }
    }
}

impl FlowRule {
    /// Whether SRTP goes on as it came, unopened: its receiver has its sender's key, and nothing in it is to be read by
    /// others or changed. The first packet is opened all the same, and telephone events that control wants to hear of;
    /// SRTCP always is.
    #[must_use]
    pub fn passes(&self) -> bool {
        let [route] = &self.routes[..] else { return false };
        let Route {
            select,
            rtp_out: _,
            rtcp_out: _,
            protect: _,
            same_key,
            recode,
            silence,
            key_press,
            resume,
            to_control,
            extensions,
            mid,
            feedback: _,
            reports: _,
            block: _,
            listeners,
        } = route;
        let is_said = recode.is_none() && silence.is_none() && key_press.is_none();
        let is_said = is_said && resume.is_none() && !to_control;
        let as_it_is = is_said && extensions.is_none() && mid.is_none();
        let all = *select == Select::default();
        self.may_pass && *same_key && all && as_it_is && listeners.is_empty()
    }

    /// Everywhere that something of the flow may go.
    pub fn outs(&self) -> impl Iterator<Item = Out> {
        self.routes.iter().flat_map(|route| {
            let listeners = route.listeners.iter();
            let listeners = listeners.flat_map(|listener| [listener.rtp_out, listener.rtcp_out]);
            let own = [route.rtp_out, route.rtcp_out].into_iter();
            own.chain(listeners).flatten()
        })
    }
}

/// Which protocols a flow takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accept {
    /// RTP.
    pub rtp: bool,
    /// RTCP, on a port of its own or beside RTP.
    pub rtcp: bool,
    /// Anything that is not STUN goes to the first route's `rtp_out` as it is, whatever it looks like: UDPTL for T.38.
    /// Neither crypto nor selectors apply, and the two flags above do not count.
    pub raw: bool,
    /// STUN does so as well: the peers' own checks of each other.
    pub stun: bool,
}

impl Accept {
    /// A muxed port, or one whose RTCP has a port of its own but may come here as well.
    pub const RTP_AND_RTCP: Self = Self {
        rtp: true,
        rtcp: true,
        raw: false,
        stun: false,
    };
    /// An RTCP port.
    pub const RTCP: Self = Self {
        rtp: false,
        rtcp: true,
        raw: false,
        stun: false,
    };
    /// UDPTL.
    pub const RAW: Self = Self {
        rtp: false,
        rtcp: false,
        raw: true,
        stun: false,
    };
    /// Whatever comes, between peers that do everything with each other.
    pub const ANYTHING: Self = Self {
        stun: true,
        ..Self::RAW
    };
}

/// The clock of a payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockRate {
    /// 0 to 127.
    pub payload_type: u8,
    /// Hz.
    pub hertz: u32,
}

/// Where the packets that a selector picks go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// Which packets.
    pub select: Select,
    /// Where RTP goes; `None`: dropped and counted.
    pub rtp_out: Option<Out>,
    /// Where RTCP goes; `None`: dropped and counted.
    pub rtcp_out: Option<Out>,
    /// The send context, if the receiver wants SRTP.
    pub protect: Option<CryptoId>,
    /// That context has the key of the flow's `unprotect`: the receiver can open what the flow's peer has sent.
    pub same_key: bool,
    /// RTP of this law of G.711 is told in the other one.
    pub recode: Option<Law>,
    /// Speech of G.711 is told as silence, and other speech is dropped (NG `silence media`). Telephone events go on: these are
    /// their payload types, 0 to 127.
    pub silence: Option<Vec<u8>>,
    /// A key is pressed in the sender's name (NG `play DTMF`).
    pub key_press: Option<KeyPress>,
    /// Something else was said under the name of a source: it goes on behind that.
    pub resume: Option<Resume>,
    /// RTP, and what is not looked into, goes to control instead, opened: something else is made of it there (NG `T.38`).
    /// `rtp_out` does not count.
    pub to_control: bool,
    /// What is left of header extensions; `None`: all.
    pub extensions: Option<Extensions>,
    /// Put into RTP that does not name its m-line itself, for a receiver that bundles (RFC 8843, section 15).
    pub mid: Option<MidSelector>,
    /// RTCP feedback (RFC 4585) goes on. Without, it is taken out of compounds: the receiver has agreed on none.
    pub feedback: bool,
    /// RTCP other than feedback goes on. Without, it is taken out: control writes reports of its own (NG `generate-RTCP`).
    pub reports: bool,
    /// RTP is dropped for this reason. RTCP goes on: a held stream has reports too.
    pub block: Option<BlockReason>,
    /// Who else hears it, whatever becomes of it; at most [`LISTENERS_MAX`](crate::LISTENERS_MAX).
    pub listeners: Vec<Listener>,
}

/// A key that is pressed in a sender's name. What tells of it takes the place of what the sender says meanwhile, packet by packet,
/// so sequence numbers and SSRC stay as they are; who says nothing presses no key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyPress {
    /// Its name: a rule with the same goes on with it.
    pub id: u64,
    /// The event: 0 to 15 (RFC 4733 section 3.2).
    pub event: u8,
    /// How long, in milliseconds.
    pub millis: u16,
    /// Power in dBm0 with the sign dropped, 0 to 63.
    pub volume: u8,
    /// The receiver's payload types for telephone events, by their clocks: the one with the clock of the speech is taken. With
    /// none at all two tones are heard in G.711.
    pub payload_types: Vec<ClockRate>,
}

/// How a source goes on in whose name something else was said (NG `play media`): its first packet gets the numbers behind that, and
/// so do all that follow, by their distance to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resume {
    /// Its name: a rule with the same goes on with it.
    pub id: u64,
    /// The source.
    pub ssrc: u32,
    /// The next sequence number.
    pub sequence: u16,
    /// The next timestamp, if the packet comes at that moment. One that comes later has one that is as much later.
    pub timestamp: u32,
    /// That moment.
    pub at: Tick,
    /// What came of it on another flow by which the source came before.
    pub known: Option<Shift>,
}

/// Which elements of header extensions go on, by the identifiers of `a=extmap`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Extensions {
    /// These and no others, in the forms that the receiver takes.
    Only(Vec<u8>, ElementForms),
    /// All but this one.
    Without(u8),
}

/// Somebody who hears what goes by a route, and is heard by nobody: a recorder (NG `subscribe request`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Where RTP goes.
    pub rtp_out: Option<Out>,
    /// Where RTCP goes.
    pub rtcp_out: Option<Out>,
    /// The send context, if the listener wants SRTP.
    pub protect: Option<CryptoId>,
    /// Names the m-line in RTP instead of what its sender calls it.
    pub mid: Option<MidSelector>,
}

impl Route {
    /// Everything to one muxed peer, unprotected.
    #[must_use]
    pub fn to(out: Out) -> Self {
        Self {
            rtp_out: Some(out),
            rtcp_out: Some(out),
            ..Self::nowhere()
        }
    }

    /// Everything to nobody.
    #[must_use]
    pub fn nowhere() -> Self {
        Self {
            select: Select::default(),
            rtp_out: None,
            rtcp_out: None,
            protect: None,
            same_key: false,
            recode: None,
            silence: None,
            key_press: None,
            resume: None,
            to_control: false,
            extensions: None,
            mid: None,
            feedback: true,
            reports: true,
            block: None,
            listeners: Vec::new(),
        }
    }
}

/// Which RTP packets a route takes. With nothing given: all.
///
/// The routes that name the same MID form a *section*, which stands for one m-line of a bundle. A packet's section is
/// found as RFC 8843, section 9.2 says: by the MID in its header extension; else by what its SSRC was last found to
/// belong to, or by an SSRC that a route of the section lists; else by its payload type, if only one section lists it or
/// [`FlowRule::ambiguous_to_first`] holds.
/// A flow with one section needs none of these. Then the first route in order is taken that
///
/// 1. belongs to the packet's section, or to none and lists the packet's SSRC or no SSRC, and
/// 2. lists the packet's payload type or none.
///
/// So a route without MID before the others takes its payload types out of every section: how DTMF is blocked.
///
/// RTCP goes where its sender's SSRC was found to belong, else to the route towards a flow of this worker from which
/// one of the sources it reports on comes, else to the first route; routes without `rtcp_out` are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Select {
    /// Payload types, 0 to 127.
    pub payload_types: Vec<u8>,
    /// SSRCs that the peer's SDP announces.
    pub ssrcs: Vec<u32>,
    /// The m-line of a bundle.
    pub mid: Option<MidSelector>,
}

/// An m-line of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MidSelector {
    /// The identifier that `a=extmap` gives to `urn:ietf:params:rtp-hdrext:sdes:mid`; 1 to 255.
    pub extension_id: u8,
    /// `a=mid`.
    pub mid: String,
}

/// Why RTP of a route is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockReason {
    /// NG `block media`.
    Media,
    /// NG `block DTMF`.
    Dtmf,
    /// The direction attributes do not let it: on hold, or one-way.
    Direction,
    /// NG `drop-traffic`.
    Traffic,
}

/// What a local port is for, where datagrams of no known flow are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRule {
    /// Which port.
    pub local: LocalAddr,
    /// The leg that it belongs to. The browsers' shared port belongs to none and has no rule.
    pub leg: LegId,
    /// What to do with media from unknown sources.
    pub mode: PortMode,
    /// The receive context, if the leg's peer sends SRTP: an unknown source is heard only with a packet that it opens.
    pub authenticate: Option<CryptoId>,
}

/// What to do with media from unknown sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortMode {
    /// Tell control, at a bounded rate: the leg's endpoint may be this one.
    Learning,
    /// The same, and whatever comes counts as media: what the peers of the call speak is theirs.
    LearningAny,
    /// Drop: the leg has its endpoint.
    Settled,
}

/// An ICE username fragment of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceRule {
    /// `a=ice-ufrag` of our SDP.
    pub ufrag: String,
    /// Whose it is.
    pub leg: LegId,
    /// `a=ice-ufrag` of the peer's SDP, once known; any is taken until then.
    pub remote_ufrag: Option<String>,
    /// Who answers.
    pub agent: IceAgent,
}

/// Who answers the checks for a username fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IceAgent {
    /// The worker, at once.
    Lite {
        /// `a=ice-pwd` of our SDP.
        password: IcePassword,
    },
    /// Control: checks and their answers are handed over.
    Full,
}

/// An ICE password. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct IcePassword(pub String);

impl fmt::Debug for IcePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IcePassword(..)")
    }
}
