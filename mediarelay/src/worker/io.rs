//! The seam between a worker and the way its datagrams come and go.

use std::io;
use std::net::SocketAddr;

use viaduct_forward::{PacketBuf, SocketId};

use super::frames::HopAnswer;
use crate::socket::MediaPort;

/// How long to wait for something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until there is something.
    ForWork,
    /// The same, but not for long: something else is to be tried again.
    Briefly,
    /// Not at all.
    Look,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Orders wait in the mailbox.
    pub(super) bell: bool,
    /// Datagrams wait.
    pub(super) datagrams: bool,
}

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Departure {
    /// It goes nowhere.
    None,
    /// It goes out by this socket to this peer.
    By(SocketId, SocketAddr),
}

/// Says what becomes of datagrams.
pub(super) trait Judge {
    /// These will be judged one after the other, given by their sockets and senders.
    fn expect(&mut self, datagrams: &[(SocketId, SocketAddr)]);

    /// What becomes of one.
    fn judge(&mut self, socket: SocketId, from: SocketAddr, buffer: &mut PacketBuf) -> Departure;
}

/// Receives and sends a worker's datagrams.
pub(super) trait MediaIo {
    /// A port to send from, and, if `listen`, to read from; in place of the one that had the number.
    fn open(&mut self, id: SocketId, port: MediaPort, listen: bool) -> io::Result<()>;

    /// The port is given up.
    fn close(&mut self, id: SocketId);

    /// Waits for datagrams or the mailbox's bell.
    fn wait(&mut self, wait: Wait) -> io::Result<Found>;

    /// Reads what [`wait`](Self::wait) found, at most a bounded share of each socket's, shows each datagram to `judge`
    /// and sends it where that says. Returns how many were read.
    fn exchange(&mut self, judge: &mut impl Judge) -> usize;

    /// Takes note of where frames for a receiver go.
    fn learn(&mut self, answer: HopAnswer);

    /// Shows `judge` a datagram that did not come by a socket, or room for one, and sends what is there then where that
    /// says.
    fn inject(&mut self, datagram: &[u8], judge: impl FnOnce(&mut PacketBuf) -> Departure);
}
