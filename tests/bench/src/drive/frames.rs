//! What phones say as whole frames, many in one system call: so they can send more than by a socket each.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::Context;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket,
};
use viaduct_kmod_helper::{IpHeader, NextHop, frame};

/// Frames sent in one system call.
const BATCH: usize = 64;

/// Octets of a frame: Ethernet's head and what it carries.
const FRAME_MAX: usize = 14 + MTU;

/// Octets of a packet.
const MTU: usize = 1_500;

/// Hops that a packet may take.
const HOPS: u8 = 64;

/// Sends frames by one interface.
pub(super) struct FrameSender {
    socket: OwnedFd,
    headers: MultiHeaders<LinkAddr>,
    hop: NextHop,
    frames: Box<[[u8; FRAME_MAX]]>,
    /// How long those are that wait, from the first on.
    waiting: Vec<usize>,
}

impl FrameSender {
    /// For an interface of the network namespace of this thread, and a receiver with this hardware address.
    pub(super) fn open(interface: &str, to: [u8; 6]) -> anyhow::Result<Self> {
        let mut links = getifaddrs()?.filter(|address| address.interface_name == interface);
        let link = links.find_map(|address| address.address?.as_link_addr().copied());
        let link = link.with_context(|| format!("there is no {interface}"))?;
        // Without a protocol it hears nothing.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &link)?;
        let from = link.addr();
        Ok(Self {
            socket,
            headers: MultiHeaders::preallocate(BATCH, None),
            hop: NextHop {
                ifindex: u32::try_from(link.ifindex())?,
                from: from.with_context(|| format!("{interface} has no hardware address"))?,
                to,
                mtu: MTU,
            },
            frames: vec![[0; FRAME_MAX]; BATCH].into(),
            waiting: Vec::with_capacity(BATCH),
        })
    }

    /// Puts a datagram down for the next flush.
    pub(super) fn put(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> anyhow::Result<()> {
        let header = IpHeader::new(from, to, 0, HOPS, payload);
        let header = header.context("a datagram that cannot be sent")?;
        let frame = &mut self.frames[self.waiting.len()];
        self.waiting
            .push(frame::write(frame, &self.hop, &header, payload));
        if self.waiting.len() == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what was put down.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let frames = self.frames.iter().zip(&self.waiting);
        let slices: Vec<_> = frames
            .map(|(frame, len)| [IoSlice::new(&frame[..*len])])
            .collect();
        let mut left = &slices[..];
        while !left.is_empty() {
            let to = vec![None; left.len()];
            let fd = self.socket.as_raw_fd();
            let sent = sendmmsg(fd, &mut self.headers, left, to, [], MsgFlags::empty())?.count();
            left = &left[sent..];
        }
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::street::{PHONES, RELAY, SIDES, Street, macs, phones_interface};

    #[test]
    fn a_relay_hears_what_is_sent_as_frames() {
        let Some(street) = Street::of_a_test() else { return };
        let relay = UdpSocket::bind((RELAY, 0)).unwrap();
        let to = relay.local_addr().unwrap();
        for side in SIDES {
            let mut sender = street
                .at(side, || FrameSender::open(&phones_interface(side), macs(side)[0]))
                .unwrap();
            let from = SocketAddr::from((PHONES[side], 4_000));
            // More than one batch.
            for number in 0..100 {
                sender.put(from, to, &[number; 172]).unwrap();
            }
            sender.flush().unwrap();
            relay.set_nonblocking(true).unwrap();
            for number in 0..100 {
                let mut buffer = [0; 200];
                // What is sent over veth has arrived when the call that sends it returns.
                let heard = relay.recv_from(&mut buffer).unwrap();
                assert_eq!(heard, (172, from));
                assert_eq!(buffer[..172], [number; 172]);
            }
        }
    }
}
