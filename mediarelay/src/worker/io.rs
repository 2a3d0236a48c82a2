//! The seam between a worker and the way its datagrams come and go.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use viaduct_forward::{PacketBuf, SocketId};

use crate::socket::MediaSocket;

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

/// Receives and sends a worker's datagrams.
///
/// [`PortSockets`](super::port_sockets::PortSockets) needs no privilege: a socket for each port. The seam is here for a
/// second way, in which a program in the kernel steers all ports of a range into one socket per worker; there, `open`
/// opens no descriptor, and a datagram's port comes as a control message.
pub(super) trait MediaIo {
    /// A socket to send through, and, if `listen`, to read from.
    fn open(&mut self, id: SocketId, socket: Arc<MediaSocket>, listen: bool) -> io::Result<()>;

    /// The socket is given up.
    fn close(&mut self, id: SocketId);

    /// Waits for datagrams or the mailbox's bell.
    fn wait(&mut self, wait: Wait) -> io::Result<Found>;

    /// Reads what [`wait`](Self::wait) found, at most a bounded share of each socket's, shows each datagram to `judge`
    /// and sends it where that says. Returns how many were read.
    fn exchange(&mut self, judge: impl FnMut(SocketId, SocketAddr, &mut PacketBuf) -> Departure) -> usize;

    /// Shows `judge` a datagram that did not come by a socket, or room for one, and sends what is there then where that
    /// says.
    fn inject(&mut self, datagram: &[u8], judge: impl FnOnce(&mut PacketBuf) -> Departure);
}
