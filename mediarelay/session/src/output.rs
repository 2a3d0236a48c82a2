//! What the shell must do next.

use std::net::SocketAddr;

use viaduct_forward::{Command, CryptoCommand, CryptoId, LocalAddr, MediaKind};

use crate::call::{FaxId, FaxInput};
use crate::event::Event;
use crate::ports::PortPair;

/// One thing to do. Outputs are to be done in their order: a rule is emitted after the keys and sockets that it names,
/// and a socket is closed after the last rule that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Bind both ports of a pair, tell the workers (`BindSocket`), then say
    /// [`handle_pair_opened`](crate::Relay::handle_pair_opened) or
    /// [`handle_pair_failed`](crate::Relay::handle_pair_failed).
    OpenPair(PortPair),
    /// Close both ports of a pair, after the workers have forgotten them (`UnbindSocket`).
    ClosePair(PortPair),
    /// A change of the workers' common SRTP contexts, before the commands that follow.
    Crypto(CryptoCommand),
    /// A change of the workers' tables: for the workers that serve the addresses it names. What names a shared browser
    /// port is for every worker.
    Forward(Command),
    /// Send a datagram: DTLS, or STUN of a full agent.
    Send {
        /// From which of our sockets.
        from: LocalAddr,
        /// To which peer.
        to: SocketAddr,
        /// Its octets.
        data: Vec<u8>,
    },
    /// Send a packet of our own, which is no flow's.
    Emit {
        /// From which of our sockets.
        from: LocalAddr,
        /// To which peer.
        to: SocketAddr,
        /// The send context, if the receiver wants SRTP.
        protect: Option<CryptoId>,
        /// What it is.
        kind: MediaKind,
        /// The packet, in the clear.
        packet: Vec<u8>,
    },
    /// Tell a fax gateway something. Between [`FaxInput::Begin`] and [`FaxInput::End`] it says
    /// [`handle_fax`](crate::Relay::handle_fax) every 20 ms.
    Fax(FaxId, FaxInput),
    /// Let the worker judge a datagram again that was handed up, as if it came in anew: there is a flow for it.
    Inject {
        /// The socket it came in by.
        local: LocalAddr,
        /// Where it came from.
        from: SocketAddr,
        /// Its octets.
        data: Vec<u8>,
    },
    /// Mark what leaves a socket of a pair with this DSCP and ECN octet (NG `TOS`).
    Mark {
        /// Which socket.
        local: LocalAddr,
        /// The octet.
        tos: u8,
    },
    /// Something happened.
    Event(Event),
}
