//! What waits, sends and receives: sockets around [`crate::sip`] and [`crate::media`].
//!
//! The loops do not sleep while something is going on: who waits for a wake-up measures it too. Each has a processor to
//! itself, and ends by the clock.

mod browser;
mod commands;
mod frames;
mod packets;
mod signalling;
mod web;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

pub use self::commands::Commander;
pub use self::frames::Sending;
pub use self::packets::{LAST_PACKETS, Phones, Unheard};
pub use self::signalling::{Signalling, Traffic};
pub use self::web::{WebPhones, WebTally, web_address};

/// Everything stays on this machine.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The largest datagram.
const DATAGRAM_MAX: usize = 65_536;

/// What the kernel is asked to keep for a socket, in octets. It may give less.
pub const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that never waits, at a port of the kernel's choice if `port` is 0.
fn bind(port: u16) -> io::Result<UdpSocket> {
    bind_at(ADDRESS, port)
}

/// The same, at another address of this network namespace.
fn bind_at(address: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((address, port)).into())?;
    Ok(socket.into())
}

/// The result of a receive: `None` when nothing is there.
fn received<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(received) => Ok(Some(received)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
