//! Ports that a few sockets hear: over the loopback interface and over links, beside sockets of others.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::sockopt::{Ipv4OrigDstAddr, Ipv6OrigDstAddr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, setsockopt};
use viaduct_kmod_helper::{Hearer, SteerError, Steering};

use crate::bench::{Host, PATIENCE, Street, rtp};

/// A socket that says where each datagram was sent to.
struct Ear(UdpSocket);

impl Ear {
    fn new(local: &str) -> Self {
        let socket = UdpSocket::bind(local).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        if socket.local_addr().unwrap().is_ipv4() {
            setsockopt(&socket, Ipv4OrigDstAddr, &true).unwrap();
        } else {
            setsockopt(&socket, Ipv6OrigDstAddr, &true).unwrap();
        }
        Self(socket)
    }

    /// The next datagram, and the port that it was sent to.
    fn hears(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let mut control = nix::cmsg_space!(nix::libc::sockaddr_in6);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let fd = self.0.as_raw_fd();
        let message = recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::empty()).unwrap();
        let len = message.bytes;
        let to = message.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::Ipv4OrigDstAddr(to) => Some(SocketAddr::V4(SockaddrIn::from(to).into())),
            ControlMessageOwned::Ipv6OrigDstAddr(to) => Some(SocketAddr::V6(SockaddrIn6::from(to).into())),
            _ => None,
        });
        (buffer[..len].to_vec(), to.unwrap())
    }
}

/// By the socket at a place, and by no worker.
fn heard_by(socket: u32) -> Hearer {
    Hearer { socket, worker: None }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a connected socket is told when nobody listens at its peer.
fn is_refused(peer: &str) -> bool {
    let bind = if peer.starts_with('[') {
        "[::1]:0"
    } else {
        "127.0.0.1:0"
    };
    let phone = UdpSocket::bind(bind).unwrap();
    phone.set_read_timeout(Some(PATIENCE)).unwrap();
    phone.connect(peer).unwrap();
    phone.send(b"x").unwrap();
    phone.recv(&mut [0; 16]).unwrap_err().kind() == std::io::ErrorKind::ConnectionRefused
}

#[test]
fn each_port_is_heard_by_the_socket_that_it_is_given_to_and_by_nobody_when_it_is_released() {
    let Some(_host) = Host::new() else { return };
    for ip in ["127.0.0.1", "[::1]"] {
        let ears = [Ear::new(&format!("{ip}:0")), Ear::new(&format!("{ip}:0"))];
        let mut steering = Steering::open(4, &ears.each_ref().map(|ear| ear.0.as_fd())).unwrap();
        assert!(steering.is_attached());
        let [first, second, other] = [30_000, 30_001, 30_002].map(|port| format!("{ip}:{port}"));
        steering.steer(address(&first), heard_by(0)).unwrap();
        steering.steer(address(&second), heard_by(1)).unwrap();
        let phone = UdpSocket::bind(format!("{ip}:0")).unwrap();
        for (ear, port) in [(&ears[0], &first), (&ears[1], &second)] {
            phone.send_to(&rtp(1, 160), port).unwrap();
            assert_eq!(ear.hears(), (rtp(1, 160), address(port)));
        }
        assert!(is_refused(&other), "nobody opened this one");
        steering.steer(address(&first), heard_by(1)).unwrap();
        phone.send_to(&rtp(2, 160), &first).unwrap();
        assert_eq!(
            ears[1].hears(),
            (rtp(2, 160), address(&first)),
            "it was given away"
        );
        steering.release(address(&first));
        steering.release(address(&first));
        assert!(is_refused(&first));
        drop(steering);
        // Another test may be reading what the kernel tells of all descriptors here, and holds each for that long.
        assert!(is_refused(&second) || is_refused(&second));
    }
}

#[test]
fn a_full_table_says_so() {
    let Some(_host) = Host::new() else { return };
    let ear = Ear::new("127.0.0.1:0");
    let mut steering = Steering::open(1, &[ear.0.as_fd()]).unwrap();
    steering.steer(address("127.0.0.1:30000"), heard_by(0)).unwrap();
    steering.steer(address("127.0.0.1:65535"), heard_by(0)).unwrap();
    let refused = steering
        .steer(address("127.0.0.2:30000"), heard_by(0))
        .unwrap_err();
    assert!(matches!(refused, SteerError::Addresses(1)), "{refused}");
}

#[test]
fn sockets_of_others_hear_as_before() {
    let Some(_host) = Host::new() else { return };
    let ear = Ear::new("127.0.0.1:0");
    let mut steering = Steering::open(16, &[ear.0.as_fd()]).unwrap();
    let [bound, connected] = ["127.0.0.1:30001", "127.0.0.1:30003"].map(|at| UdpSocket::bind(at).unwrap());
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(phone.local_addr().unwrap()).unwrap();
    for port in ["127.0.0.1:30000", "127.0.0.1:30003", "127.0.0.2:30001"] {
        steering.steer(address(port), heard_by(0)).unwrap();
    }
    for socket in [&bound, &connected] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        phone.send_to(b"yours", socket.local_addr().unwrap()).unwrap();
        let len = socket.recv(&mut [0; 16]).unwrap();
        assert_eq!(len, 5);
    }
    // Of TCP the program knows nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:30000").unwrap();
    std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
}

#[test]
fn two_relays_steer_ports_of_one_host() {
    let Some(_host) = Host::new() else { return };
    let ears = [Ear::new("127.0.0.1:0"), Ear::new("127.0.0.1:0")];
    let mut relays = ears
        .each_ref()
        .map(|ear| Steering::open(4, &[ear.0.as_fd()]).unwrap());
    let ports = ["127.0.0.1:30000", "127.0.0.1:40000"];
    for (relay, port) in relays.iter_mut().zip(ports) {
        relay.steer(address(port), heard_by(0)).unwrap();
    }
    let phone = UdpSocket::bind("127.0.0.1:0").unwrap();
    for (ear, port) in ears.iter().zip(ports) {
        phone.send_to(port.as_bytes(), port).unwrap();
        assert_eq!(ear.hears(), (port.as_bytes().to_vec(), address(port)));
    }
    let [first, second] = relays;
    drop(first);
    phone.send_to(b"still", ports[1]).unwrap();
    assert_eq!(ears[1].hears().0, b"still");
    assert!(second.is_attached());
}

#[test]
fn phones_on_several_interfaces_are_heard_in_both_families() {
    let Some(street) = Street::new(1500) else { return };
    for (phones, at) in [
        (
            [(&street.alice, "10.1.0.2:4000"), (&street.bob, "10.2.0.2:4000")],
            "0.0.0.0:0",
        ),
        (
            [(&street.alice, "[fd01::2]:4000"), (&street.bob, "[fd02::2]:4000")],
            "[::]:0",
        ),
    ] {
        let ear = Ear::new(at);
        let mut steering = Steering::open(4, &[ear.0.as_fd()]).unwrap();
        for (namespace, phone) in phones {
            let to = phone
                .replace(".2:4000", ".1:30000")
                .replace("::2]:4000", "::1]:30000");
            steering.steer(address(&to), heard_by(0)).unwrap();
            let phone = street.socket(namespace, phone);
            phone.send_to(&rtp(1, 1400), &to).unwrap();
            assert_eq!(ear.hears(), (rtp(1, 1400), address(&to)));
        }
    }
}
