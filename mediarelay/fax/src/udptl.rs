//! UDPTL, the packets of T.38 over UDP (T.38 section 9.1): a number, an IFP packet, and what mends the loss of earlier ones.
//!
//! ```
//! use viaduct_fax::udptl::{ErrorCorrection, Limits, Receiver, Sender};
//!
//! let mut sender = Sender::new(ErrorCorrection::Redundancy, 2, 512);
//! let mut receiver = Receiver::new(Limits::default());
//! let mut datagrams = [Vec::new(), Vec::new(), Vec::new()];
//! for (datagram, ifp) in datagrams.iter_mut().zip([b"one", b"two", b"six"]) {
//!     sender.wrap(ifp, datagram)?;
//! }
//! let mut heard = Vec::new();
//! // The second is lost.
//! for datagram in [&datagrams[0], &datagrams[2]] {
//!     receiver.take(datagram, |sequence, ifp| heard.push((sequence, ifp.to_vec())))?;
//! }
//! assert_eq!(heard, [(0, b"one".to_vec()), (1, b"two".to_vec()), (2, b"six".to_vec())]);
//! # Ok::<(), viaduct_fax::udptl::UdptlError>(())
//! ```

mod packet;
mod receiver;
mod sender;

pub use receiver::{Counters, Limits, Receiver};
pub use sender::{SPAN, Sender};

use crate::ifp::whole;
use crate::parameters::VERSION_MAX;

/// Octets that an IFP packet may have. spandsp's longest are below 300; a fax machine on the Internet that packs a whole
/// ECM frame into one packet stays far below as well.
pub const IFP_MAX: usize = 1_400;

/// Earlier packets, or parities, that a packet may carry. T.38 has no bound; what is in use is below ten.
pub const ENTRIES_MAX: usize = 16;

/// What is sent along so that lost packets can be had back (T.38 section 9.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCorrection {
    /// Nothing.
    None,
    /// Earlier packets.
    Redundancy,
    /// Parities of earlier packets.
    Fec,
}

/// Why a packet is not read, or not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UdptlError {
    /// It ends within a field.
    #[error("a UDPTL packet ends within its {0}")]
    Truncated(&'static str),
    /// A length of 16,384 or more, which PER writes in fragments (X.691 section 11.9): no datagram has room for that.
    #[error("the {0} of a UDPTL packet is fragmented")]
    Fragmented(&'static str),
    /// An IFP packet of this many octets.
    #[error("an IFP packet of {0} octets")]
    Length(usize),
    /// More earlier packets or parities than [`Limits::entries`].
    #[error("a UDPTL packet with {0} entries for error recovery")]
    Entries(usize),
    /// A number of packets behind each parity that no sender means.
    #[error("a UDPTL packet whose parities span no number of packets that makes sense")]
    Span,
}

/// Whether a datagram is a UDPTL packet with an IFP packet in it, as far as that can be told without its predecessors.
#[must_use]
pub fn is_packet(datagram: &[u8]) -> bool {
    let packet = packet::Packet::read(datagram, IFP_MAX, ENTRIES_MAX);
    // Which version will be spoken is not known here, and there are two encodings.
    let is_whole = |version| packet.is_ok_and(|packet| whole(packet.primary, version).is_ok());
    is_whole(0) || is_whole(VERSION_MAX)
}

#[cfg(test)]
mod tests;
