//! The buffer that a datagram is received into, changed in and sent from.

use std::fmt;

/// Octets of a buffer.
pub const PACKET_BUF_LEN: usize = 2048;

/// Octets before the datagram, for whoever must put a header in front of it.
pub const HEADROOM: usize = 64;

/// Octets after the longest datagram: protecting it adds at most 52 (SRTCP's tag and index, and an identifier of the key),
/// and naming its m-line at most 24.
pub const TAILROOM: usize = 80;

/// The longest datagram that is received, plus one: a datagram that fills this may have been cut by the kernel.
pub const RECEIVE_MAX: usize = PACKET_BUF_LEN - HEADROOM - TAILROOM;

/// One datagram in a buffer of fixed size.
#[derive(Clone)]
pub struct PacketBuf {
    octets: [u8; PACKET_BUF_LEN],
    len: usize,
    /// The datagram was longer than [`RECEIVE_MAX`], or may have been.
    cut: bool,
}

impl PacketBuf {
    /// An empty buffer. Make them once, not per packet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            octets: [0; PACKET_BUF_LEN],
            len: 0,
            cut: false,
        }
    }

    /// Where the shell receives into: [`RECEIVE_MAX`] octets. Empties the buffer; call
    /// [`set_received`](Self::set_received) afterwards.
    pub fn receive_space(&mut self) -> &mut [u8] {
        self.len = 0;
        self.cut = false;
        &mut self.octets[HEADROOM..HEADROOM + RECEIVE_MAX]
    }

    /// Says how many octets were received, or how long the datagram really was (`MSG_TRUNC`). One that fills the space
    /// is taken to be cut, and dropped by the worker.
    pub fn set_received(&mut self, len: usize) {
        self.cut = len >= RECEIVE_MAX;
        self.len = len.min(RECEIVE_MAX);
    }

    /// Copies a datagram in.
    pub fn fill(&mut self, datagram: &[u8]) {
        let len = datagram.len().min(RECEIVE_MAX);
        self.receive_space()[..len].copy_from_slice(&datagram[..len]);
        self.set_received(datagram.len());
    }

    /// The datagram.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.octets[HEADROOM..HEADROOM + self.len]
    }

    /// The datagram, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.octets[HEADROOM..HEADROOM + self.len]
    }

    /// Octets of the datagram.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no datagram, or one of no octets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// The datagram with the room after it.
    pub(crate) fn with_room(&mut self) -> &mut [u8] {
        &mut self.octets[HEADROOM..]
    }

    /// Makes the datagram longer or shorter without touching its octets.
    pub(crate) fn set_len(&mut self, len: usize) {
        debug_assert!(len <= RECEIVE_MAX + TAILROOM);
        self.len = len.min(RECEIVE_MAX + TAILROOM);
    }
}

impl Default for PacketBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PacketBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketBuf")
            .field("len", &self.len)
            .field("cut", &self.cut)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use viaduct_rtp::ELEMENT_GROWTH_MAX;
    use viaduct_rtp::srtp::{RTCP_GROWTH_MAX, RTP_GROWTH_MAX};

    use super::*;

    #[test]
    fn the_tailroom_holds_every_tag() {
        const { assert!(TAILROOM >= RTCP_GROWTH_MAX && TAILROOM >= RTP_GROWTH_MAX + ELEMENT_GROWTH_MAX) };
    }

    #[test]
    fn what_fills_the_space_counts_as_cut() {
        let mut buffer = PacketBuf::new();
        buffer.fill(&[1; RECEIVE_MAX - 1]);
        assert!(!buffer.is_cut() && buffer.len() == RECEIVE_MAX - 1);
        buffer.fill(&[1; RECEIVE_MAX]);
        assert!(buffer.is_cut());
        assert_eq!(buffer.receive_space().len(), RECEIVE_MAX);
        buffer.set_received(9000);
        assert!(buffer.is_cut() && buffer.len() == RECEIVE_MAX);
        buffer.fill(b"short");
        assert!(!buffer.is_cut());
        assert_eq!(buffer.data(), b"short");
    }
}
