//! What phones say as whole frames, many in one system call: so they can send more than by a socket each.

use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::Context;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket,
};

use crate::street::Link;

/// Frames sent in one system call.
const BATCH: usize = 64;

/// Octets before the payload: Ethernet, IPv4 without options, UDP.
const HEADER_LEN: usize = 14 + 20 + 8;

/// From a phone to the relay.
type Way = (SocketAddrV4, SocketAddrV4);

/// Sends frames by one interface.
pub(super) struct FrameSender {
    socket: OwnedFd,
    headers: MultiHeaders<LinkAddr>,
    frames: Vec<Vec<u8>>,
    /// So many of them wait.
    waiting: usize,
}

impl FrameSender {
    /// For an interface of the network namespace of this thread.
    pub(super) fn open(interface: &str) -> anyhow::Result<Self> {
        let mut links = getifaddrs()?.filter(|address| address.interface_name == interface);
        let link = links.find_map(|address| address.address?.as_link_addr().copied());
        let link = link.with_context(|| format!("there is no {interface}"))?;
        // Without a protocol it hears nothing.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &link)?;
        Ok(Self {
            socket,
            headers: MultiHeaders::preallocate(BATCH, None),
            frames: vec![Vec::new(); BATCH],
            waiting: 0,
        })
    }

    /// Puts a datagram down for the next flush.
    pub(super) fn put(&mut self, link: Link, way: Way, payload: &[u8]) -> anyhow::Result<()> {
        let frame = &mut self.frames[self.waiting];
        frame.clear();
        frame.extend_from_slice(&header(link, way, payload.len())?);
        frame.extend_from_slice(payload);
        self.waiting += 1;
        if self.waiting == BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what was put down.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let mut frames = &self.frames[..self.waiting];
        while !frames.is_empty() {
            let slices: Vec<_> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
            let to = vec![None; frames.len()];
            let fd = self.socket.as_raw_fd();
            let sent = sendmmsg(fd, &mut self.headers, &slices, to, [], MsgFlags::empty())?.count();
            frames = &frames[sent..];
        }
        self.waiting = 0;
        Ok(())
    }
}

/// Ethernet, IPv4 (RFC 791), and UDP without a checksum (RFC 768).
fn header(link: Link, (from, to): Way, payload: usize) -> anyhow::Result<[u8; HEADER_LEN]> {
    let mut header = [0; HEADER_LEN];
    header[..6].copy_from_slice(&link.relay);
    header[6..12].copy_from_slice(&link.phones);
    header[12..14].copy_from_slice(&[8, 0]);
    let ip = &mut header[14..34];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&u16::try_from(20 + 8 + payload)?.to_be_bytes());
    // Not to be fragmented, 64 hops, UDP.
    ip[6] = 0x40;
    ip[8..10].copy_from_slice(&[64, 17]);
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..20].copy_from_slice(&to.ip().octets());
    let words = ip
        .chunks_exact(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !(sum + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = &mut header[34..];
    udp[..2].copy_from_slice(&from.port().to_be_bytes());
    udp[2..4].copy_from_slice(&to.port().to_be_bytes());
    udp[4..6].copy_from_slice(&u16::try_from(8 + payload)?.to_be_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::*;
    use crate::street::{PHONES, RELAY, SIDES, Street, phones_interface};

    #[test]
    fn a_relay_hears_what_is_sent_as_frames() {
        let Some(street) = Street::of_a_test() else { return };
        let relay = UdpSocket::bind((RELAY, 0)).unwrap();
        let v4 = |socket: &UdpSocket| match socket.local_addr().unwrap() {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => unreachable!("it was bound to IPv4"),
        };
        for side in SIDES {
            let mut sender = street
                .at(side, || FrameSender::open(&phones_interface(side)))
                .unwrap();
            let from = SocketAddrV4::new(PHONES[side], 4_000);
            // More than one batch.
            for number in 0..100 {
                sender
                    .put(Link::of(side), (from, v4(&relay)), &[number; 172])
                    .unwrap();
            }
            sender.flush().unwrap();
            relay.set_nonblocking(true).unwrap();
            for number in 0..100 {
                let mut buffer = [0; 200];
                // What is sent over veth has arrived when the call that sends it returns.
                let heard = relay.recv_from(&mut buffer).unwrap();
                assert_eq!(heard, (172, from.into()));
                assert_eq!(buffer[..172], [number; 172]);
            }
        }
    }

    #[test]
    fn the_head_of_a_frame_is_as_the_rfcs_have_it() {
        let link = Link {
            phones: [2, 0, 0, 0, 1, 2],
            relay: [2, 0, 0, 0, 1, 1],
        };
        let [from, to] = ["10.1.0.2:4000", "10.1.0.1:30000"].map(|address| address.parse().unwrap());
        let header = header(link, (from, to), 172).unwrap();
        let expected = [
            "020000000101",
            "020000000102",
            "0800", // Ethernet
            "450000c8",
            "00004000",
            "4011",
            "2621",
            "0a010002",
            "0a010001", // IPv4
            "0fa07530",
            "00b40000", // UDP
        ];
        let hex: String = header.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, expected.concat());
    }
}
