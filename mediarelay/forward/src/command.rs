//! What control tells a worker.

use viaduct_rtp::Tick;
use viaduct_stun::TransactionId;

use crate::address::{CryptoId, FlowId, FlowKey, LegId, LocalAddr, SocketId};
use crate::rule::{FlowRule, IceRule, PortRule};

/// One change of a worker's tables. A command that fails changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// There is a socket. Every worker that has a flow from or to it must know.
    BindSocket {
        /// The shell's number for it.
        socket: SocketId,
        /// Its address, as rules name it.
        local: LocalAddr,
    },
    /// The socket is gone, and with it its port rule and the flows found by it. Routes to it drop their packets.
    UnbindSocket {
        /// Which.
        socket: SocketId,
    },
    /// What a port is for; replaces an earlier rule.
    SetPort(PortRule),
    /// The port belongs to no leg.
    ClearPort {
        /// Which.
        local: LocalAddr,
    },
    /// A flow, or another rule for a known one.
    InstallFlow(FlowRule),
    /// The flow is over. Its counters stay in the [`StatsTable`](crate::StatsTable) until they are forgotten there.
    RemoveFlow {
        /// Which.
        flow: FlowId,
    },
    /// An ICE username fragment, or other data for a known one.
    SetIce(IceRule),
    /// The fragment is given up: checks for it go unanswered.
    RemoveIce {
        /// Which.
        ufrag: String,
    },
    /// The addresses that a leg's media uses: a nomination of these is not reported.
    SelectTuple {
        /// Whose.
        leg: LegId,
        /// `None`: none yet.
        tuple: Option<FlowKey>,
    },
    /// DTLS from this address goes to control: ICE has validated it, or the leg has no ICE.
    AllowDtls {
        /// From where to where.
        tuple: FlowKey,
        /// Whose handshake.
        leg: LegId,
    },
    /// DTLS from this address is dropped again.
    RevokeDtls {
        /// From where to where.
        tuple: FlowKey,
    },
    /// A STUN answer is waited for: the next one with this transaction goes to control.
    ExpectStun {
        /// Of the request that control sends.
        transaction: TransactionId,
        /// Where the answer must come in.
        local: LocalAddr,
        /// Whose.
        leg: LegId,
        /// Later answers are dropped.
        until: Tick,
    },
    /// Control has sent a sender report of its own about a source to those that hear it: what they answer tells the round trip.
    ReportSent {
        /// By which the source comes.
        flow: FlowId,
        /// The source.
        ssrc: u32,
        /// The middle of the report's NTP timestamp.
        ntp_middle: u32,
        /// When.
        at: Tick,
    },
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The number is beyond [`Limits::sockets`](crate::Limits::sockets).
    #[error("socket number {} is beyond the limit", .0.0)]
    SocketNumber(SocketId),
    /// The number or the address belongs to another socket.
    #[error("socket {} or its address {local} is in use", .socket.0)]
    SocketInUse {
        /// The number.
        socket: SocketId,
        /// The address.
        local: LocalAddr,
    },
    /// No socket has this address.
    #[error("no socket is bound to {0}")]
    UnknownSocket(LocalAddr),
    /// No socket has this number.
    #[error("there is no socket {}", .0.0)]
    UnknownSocketNumber(SocketId),
    /// No flow has this name.
    #[error("there is no flow {}", .0.0)]
    UnknownFlow(FlowId),
    /// Another flow is found by the same addresses.
    #[error("flow {} is found by the same addresses", .by.0)]
    KeyInUse {
        /// The addresses.
        key: FlowKey,
        /// The other flow.
        by: FlowId,
    },
    /// The context is not in the [`CryptoTable`](crate::CryptoTable), or is one of the other direction.
    #[error("there is no such crypto context: {}", .0.0)]
    UnknownCrypto(CryptoId),
    /// No such username fragment.
    #[error("there is no ICE username fragment {0:?}")]
    UnknownUfrag(String),
    /// The leg has no username fragment here.
    #[error("leg {} has no ICE credentials", .0.0)]
    UnknownLeg(LegId),
    /// The fragment belongs to another leg.
    #[error("ICE username fragment {ufrag:?} belongs to leg {}", .leg.0)]
    UfragInUse {
        /// Which.
        ufrag: String,
        /// Its leg.
        leg: LegId,
    },
    /// A payload type above 127, an extension identifier of 0, or an empty MID.
    #[error("a selector of the rule cannot match")]
    Selector,
    /// A table is full, or a rule too long: the name of the field in [`Limits`](crate::Limits) that says so.
    #[error("limit reached: {0}")]
    Limit(&'static str),
}
