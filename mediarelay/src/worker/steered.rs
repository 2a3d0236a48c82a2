//! A worker's lane: the datagrams of all its ports at one address that have no sockets of their own.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use viaduct_forward::{PacketBuf, SocketId};
use viaduct_kmod_helper::IpHeader;

use super::batch::Headers;
use super::frames::Frames;
use super::stats::{IoStats, SendFault};
use crate::lane::{Lane, SteeredPort, is_too_long, mailing_address};

/// Ports that an address has.
const PORTS: usize = 1 << 16;

/// See the module.
pub(super) struct WorkerLane {
    lane: Arc<Lane>,
    batch: usize,
    headers: Headers,
    /// To which port each datagram of a batch came.
    ports: Box<[u16]>,
    /// By port: the number of its socket, plus one. Memory that is never touched costs nothing.
    ids: Box<[u32]>,
    departing: Vec<Departing>,
}

/// A datagram that waits to be sent.
struct Departing {
    buffer: usize,
    to: SocketAddr,
    port: u16,
    tos: u8,
    header: IpHeader,
}

impl WorkerLane {
    pub(super) fn new(lane: Arc<Lane>, batch: usize) -> Self {
        Self {
            batch,
            headers: Headers::with_destinations(SocketAddr::new(lane.address(), 0), batch),
            ports: vec![0; batch].into(),
            ids: vec![0; PORTS].into(),
            departing: Vec::with_capacity(batch),
            lane,
        }
    }

    /// Whether the ports of this address are here.
    pub(super) fn is_of(&self, local: SocketAddr) -> bool {
        self.lane.address() == local.ip()
    }

    /// What comes to a port is for this socket.
    pub(super) fn lead(&mut self, port: u16, id: SocketId) {
        self.ids[usize::from(port)] = id.0 + 1;
    }

    /// The opposite of [`lead`](Self::lead), unless another socket has the port by now.
    pub(super) fn forget(&mut self, port: u16, id: SocketId) {
        let slot = &mut self.ids[usize::from(port)];
        if *slot == id.0 + 1 {
            *slot = 0;
        }
    }

    /// Receives a batch into the front of `buffers`, and says in the front of `from` who sent each.
    pub(super) fn receive(
        &mut self,
        buffers: &mut [PacketBuf],
        from: &mut [SocketAddr],
    ) -> io::Result<usize> {
        let count = self
            .headers
            .receive_at_ports(self.lane.ears(), buffers, from, &mut self.ports)?;
        if self.ports[..count].contains(&0) {
            // Headers remember how little the kernel said.
            self.headers = Headers::with_destinations(SocketAddr::new(self.lane.address(), 0), self.batch);
        }
        Ok(count)
    }

    /// The socket that a datagram of the batch is for.
    pub(super) fn socket(&self, at: usize) -> Option<SocketId> {
        self.socket_of(self.ports[at])
    }

    /// The socket that has a port.
    pub(super) fn socket_of(&self, port: u16) -> Option<SocketId> {
        let id = self.ids[usize::from(port)];
        id.checked_sub(1).map(SocketId)
    }

    /// The headers of a datagram from a port that has a socket.
    pub(super) fn header(&self, port: u16, to: SocketAddr, tos: u8, payload: &[u8]) -> Option<IpHeader> {
        self.lane.header(port, to, tos, payload)
    }

    /// Puts a datagram down for the next [`flush`](Self::flush). Returns whether it is the first.
    pub(super) fn depart(&mut self, buffer: usize, port: &SteeredPort, to: SocketAddr) -> bool {
        self.departing.push(Departing {
            buffer,
            to,
            port: port.local().port(),
            tos: port.tos(),
            header: IpHeader::NONE,
        });
        self.departing.len() == 1
    }

    /// Sends what was put down; what `frames` takes is left to them.
    pub(super) fn flush(&mut self, buffers: &[PacketBuf], frames: Option<&mut Frames>, stats: &IoStats) {
        let lane = &self.lane;
        let mut frames = frames;
        self.departing.retain_mut(|leaving| {
            let payload = buffers[leaving.buffer].data();
            let header = lane.header(leaving.port, leaving.to, leaving.tos, payload);
            if header.is_none() {
                stats.count_fault(SendFault::Unreachable);
            }
            let Some(header) = header else { return false };
            leaving.header = header;
            let datagram = (leaving.buffer, payload.len());
            let is_taken = frames
                .as_mut()
                .is_some_and(|frames| frames.take(lane.address(), leaving.to, header, datagram));
            !is_taken
        });
        if self.departing.is_empty() {
            return;
        }
        let by: BorrowedFd<'_> = lane.mouth();
        let headers = &mut self.headers;
        let octets = |leaving: &Departing| buffers[leaving.buffer].len();
        super::batch::send_all(stats, &self.departing, octets, |rest| {
            let part = |at: usize| {
                let Departing {
                    buffer, to, header, ..
                } = &rest[at];
                (mailing_address(*to), [header.octets(), buffers[*buffer].data()])
            };
            match headers.send(by, rest.len(), part) {
                Err(error) if is_too_long(&error) => {
                    let Departing {
                        buffer,
                        to,
                        port,
                        tos,
                        ..
                    } = &rest[0];
                    lane.send_in_fragments(*port, *to, *tos, buffers[*buffer].data())
                        .map(|()| 1)
                }
                sent => sent,
            }
        });
        self.departing.clear();
    }
}
