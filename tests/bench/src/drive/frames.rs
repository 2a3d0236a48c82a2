//! What phones say as whole frames, many in one system call: so they can send more than by a socket each.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, ensure};
use aya::maps::{Array, MapData};
use aya::programs::{TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, TestRun as _};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket,
};
use viaduct_kmod_helper::{IpHeader, NextHop, frame};

use crate::street::{Street, macs, phones_interface};

/// Frames sent in one system call.
const BATCH: usize = 64;

/// Frames of a volley, and octets that each has room for (`volley.c`).
const VOLLEY: usize = 256;
const ROOM: usize = 256;

/// Octets before the frames: four words, interface, octets of each frame, the next one, and how many.
const HEAD: usize = 4 * 4;

/// Frames that the kernel handles one after the other before it looks for something else to do.
const VOLLEY_BATCH: u32 = 64;

/// The program that sends volleys.
static PROGRAM: &[u8] = include_bytes!("../../../../kmod-helper/ebpf/volley.o");

/// Octets of a frame: Ethernet's head and what it carries.
const FRAME_MAX: usize = 14 + MTU;

/// Octets of a packet.
const MTU: usize = 1_500;

/// Hops that a packet may take.
const HOPS: u8 = 64;

/// How frames get on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// By a socket for packets, as to any receiver.
    Packets,
    /// In volleys, at a fraction of the cost, to an interface that has a program for frames: one without takes none.
    Volleys,
}

/// Sends frames by one interface of a street's phones.
pub(super) struct FrameSender<'s> {
    street: &'s Street,
    side: usize,
    hop: NextHop,
    way: Way,
    frames: Box<[[u8; FRAME_MAX]]>,
    /// How long those are that wait, from the first on.
    waiting: Vec<usize>,
}

enum Way {
    Packets {
        socket: OwnedFd,
        headers: Box<MultiHeaders<LinkAddr>>,
    },
    Volleys(Box<Volleys>),
}

impl<'s> FrameSender<'s> {
    /// For the phones of a side.
    pub(super) fn open(street: &'s Street, side: usize, sending: Sending) -> anyhow::Result<Self> {
        street.at(side, || {
            let interface = phones_interface(side);
            let mut links = getifaddrs()?.filter(|address| address.interface_name == interface);
            let link = links.find_map(|address| address.address?.as_link_addr().copied());
            let link = link.with_context(|| format!("there is no {interface}"))?;
            let ifindex = u32::try_from(link.ifindex())?;
            let from = link.addr();
            let (way, batch) = match sending {
                Sending::Packets => (Way::packets(&link)?, BATCH),
                Sending::Volleys => (Way::Volleys(Box::new(Volleys::load(ifindex)?)), VOLLEY),
            };
            Ok(Self {
                street,
                side,
                hop: NextHop {
                    ifindex,
                    from: from.with_context(|| format!("{interface} has no hardware address"))?,
                    to: macs(side)[0],
                    mtu: MTU,
                },
                way,
                frames: vec![[0; FRAME_MAX]; batch].into(),
                waiting: Vec::with_capacity(batch),
            })
        })
    }

    /// Puts a datagram down for the next flush.
    pub(super) fn put(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> anyhow::Result<()> {
        let header = IpHeader::new(from, to, 0, HOPS, payload);
        let header = header.context("a datagram that cannot be sent")?;
        let frame = &mut self.frames[self.waiting.len()];
        self.waiting
            .push(frame::write(frame, &self.hop, &header, payload));
        if self.waiting.len() == self.frames.len() {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what was put down.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let frames = self.frames.iter().zip(&self.waiting);
        let frames: Vec<&[u8]> = frames.map(|(frame, len)| &frame[..*len]).collect();
        match &mut self.way {
            Way::Packets { socket, headers } => {
                let slices: Vec<_> = frames.into_iter().map(|frame| [IoSlice::new(frame)]).collect();
                let mut left = &slices[..];
                while !left.is_empty() {
                    let to = vec![None; left.len()];
                    let fd = socket.as_raw_fd();
                    let sent = sendmmsg(fd, headers, left, to, [], MsgFlags::empty())?.count();
                    left = &left[sent..];
                }
            }
            Way::Volleys(volleys) if !frames.is_empty() => {
                self.street.at(self.side, || volleys.send(&frames))?;
            }
            Way::Volleys(_) => {}
        }
        self.waiting.clear();
        Ok(())
    }
}

impl Way {
    fn packets(link: &LinkAddr) -> anyhow::Result<Self> {
        // Without a protocol it hears nothing.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), link)?;
        Ok(Self::Packets {
            socket,
            headers: Box::new(MultiHeaders::preallocate(BATCH, None)),
        })
    }
}

/// Frames that the kernel runs through a program, which gives each the octets of one that was written down, and puts it on the link.
struct Volleys {
    ebpf: Ebpf,
    table: Array<MapData, [u8; HEAD + VOLLEY * ROOM]>,
    /// What is written into the table.
    written: Box<[u8; HEAD + VOLLEY * ROOM]>,
    ifindex: u32,
}

impl Volleys {
    /// For an interface of the network namespace of this thread, which is the one to send in, too.
    fn load(ifindex: u32) -> anyhow::Result<Self> {
        let mut ebpf = EbpfLoader::new().load(PROGRAM)?;
        let table = ebpf.take_map("VOLLEY").context("the object lacks its table")?;
        let volley = program(&mut ebpf)?;
        volley.load()?;
        // Nothing comes there. But while a program is attached somewhere the kernel need not prepare for each run of it anew.
        volley.attach("lo", XdpMode::Skb)?;
        Ok(Self {
            ebpf,
            table: table.try_into()?,
            written: Box::new([0; HEAD + VOLLEY * ROOM]),
            ifindex,
        })
    }

    /// Sends frames, all as long as the first.
    fn send(&mut self, frames: &[&[u8]]) -> anyhow::Result<()> {
        let len = frames.first().map_or(0, |frame| frame.len());
        ensure!(len <= ROOM, "frames of {len} octets are too long for a volley");
        let count = u32::try_from(frames.len())?;
        let head = [self.ifindex, u32::try_from(len)?, 0, count];
        for (word, value) in head.into_iter().enumerate() {
            self.written[4 * word..][..4].copy_from_slice(&value.to_ne_bytes());
        }
        for (frame, place) in frames.iter().zip(self.written[HEAD..].chunks_exact_mut(ROOM)) {
            ensure!(frame.len() == len, "frames of a volley have one length");
            place[..len].copy_from_slice(frame);
        }
        self.table.set(0, self.written.as_ref(), 0)?;
        program(&mut self.ebpf)?.test_run(TestRunOptions {
            data_in: Some(frames[0]),
            repeat: count,
            attrs: TestRunAttrs::new().xdp_live_frames(VOLLEY_BATCH),
            ..TestRunOptions::default()
        })?;
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> anyhow::Result<&mut Xdp> {
    let program = ebpf.program_mut("viaduct_volley");
    Ok(program.context("the object lacks its program")?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::super::bind_at;
    use super::*;
    use crate::street::{INTERFACES, PHONES, RELAY, SIDES};

    fn relay_hears(street: &Street, sending: Sending) {
        let relay = bind_at(RELAY, 0).unwrap();
        let to = relay.local_addr().unwrap();
        for side in SIDES {
            let mut sender = FrameSender::open(street, side, sending).unwrap();
            let from = SocketAddr::from((PHONES[side], 4_000));
            // More than one batch of either.
            for round in 0..3 {
                for number in 0..100 {
                    sender.put(from, to, &[round + number; 172]).unwrap();
                }
            }
            sender.flush().unwrap();
            for round in 0..3 {
                for number in 0..100 {
                    let mut buffer = [0; 200];
                    // What is sent over veth has arrived when the call that sends it returns.
                    let heard = relay.recv_from(&mut buffer).unwrap();
                    assert_eq!(heard, (172, from));
                    assert_eq!(buffer[..172], [round + number; 172]);
                }
            }
        }
    }

    #[test]
    fn a_relay_hears_what_is_sent_as_frames() {
        let Some(street) = Street::of_a_test() else { return };
        relay_hears(&street, Sending::Packets);
    }

    #[test]
    fn an_interface_with_a_program_hears_volleys() {
        let Some(street) = Street::of_a_test() else { return };
        // One that lets everything pass, since it has nothing to send.
        let mut idle = match EbpfLoader::new().load(PROGRAM) {
            Ok(idle) => idle,
            Err(error) => {
                println!("skipped: this process may not load programs: {error}");
                return;
            }
        };
        let program = program(&mut idle).unwrap();
        program.load().unwrap();
        for interface in INTERFACES {
            program.attach(interface, XdpMode::Driver).unwrap();
        }
        relay_hears(&street, Sending::Volleys);
    }
}
