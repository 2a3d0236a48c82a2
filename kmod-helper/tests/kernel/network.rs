//! Media over real interfaces: two phones, each on a link of its own with the relay, and nobody but the kernel to forward.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use nix::sys::sendfile::sendfile;
use viaduct_kmod_helper::{Fast, Flow, Up};

use crate::bench::{
    ALICE, BOB, FAMILIES, Host, Street, TO_ALICE, TO_BOB, call_flow, flow, ip, pseudo_header, rtp, try_ip,
};

const MTU: usize = 1500;

/// The sockets of a call from Alice to Bob.
struct Call {
    alice: UdpSocket,
    relay: UdpSocket,
    bob: UdpSocket,
    fast: Fast,
}

impl Call {
    fn new(street: &Street, ends: (usize, usize)) -> Self {
        let mut fast = street.host.open();
        fast.install(Instant::now(), &call_flow(ends)).unwrap();
        let alice = street.socket(&street.alice, ALICE[ends.0]);
        alice.connect(TO_ALICE[ends.0]).unwrap();
        let call = Self {
            alice,
            relay: street.socket(&street.host.namespace, TO_ALICE[ends.0]),
            bob: street.socket(&street.bob, BOB[ends.1]),
            fast,
        };
        call.relay.set_nonblocking(true).unwrap();
        call
    }

    /// What Bob hears next, which must come from the relay.
    fn heard(&self, bob: usize) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let (len, from) = self.bob.recv_from(&mut buffer).unwrap();
        assert_eq!(from, TO_BOB[bob].parse().unwrap());
        buffer[..len].to_vec()
    }

    /// What has come up to the relay's socket, if anything.
    fn came_up(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        let len = self.relay.recv(&mut buffer).ok()?;
        Some(buffer[..len].to_vec())
    }

    fn up(&self, why: Up) -> u64 {
        self.fast.ups().unwrap()[why as usize].1
    }
}

#[test]
fn every_octet_arrives_in_order_between_all_families() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    for ends in FAMILIES {
        let mut call = Call::new(&street, ends);
        let mut octets = 0;
        for sequence in 65_500..65_500 + 200_u32 {
            let packet = rtp(sequence as u16, (sequence as usize * 7) % 1200);
            octets += packet.len() as u64;
            call.alice.send(&packet).unwrap();
            assert_eq!(call.heard(ends.1), packet, "{ends:?}");
        }
        assert_eq!(call.came_up(), None);
        let key = call_flow(ends).key;
        let counters = call.fast.counters(&key).unwrap();
        assert_eq!(call.fast.remove(Instant::now(), &key), Some(counters));
        assert_eq!((counters.rtp_packets, counters.rtp_octets), (200, octets));
        assert_eq!(counters.expected, 200);
        let source = counters.source.unwrap();
        assert_eq!((source.ssrc, source.payload_type), (0xcafe_babe, 8));
        assert_eq!(source.highest_sequence, 65_500 + 199);
        assert!(counters.last_packet.is_some());
    }
}

#[test]
fn headers_are_whole_and_the_checksum_is_the_new_addresses() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    for ends in FAMILIES {
        let call = Call::new(&street, ends);
        let tap = street.tap(&street.bob);
        call.alice.send(&rtp(1, 160)).unwrap();
        let frame = tap.next_to(5000);
        let packet = etherparse::PacketHeaders::from_ethernet_slice(&frame).unwrap();
        let udp = packet.transport.unwrap().udp().unwrap();
        let body = packet.payload.slice();
        let whole = match packet.net.unwrap() {
            etherparse::NetHeaders::Ipv4(ip, _) => {
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                assert_eq!(
                    (ip.time_to_live, ip.dscp.value(), ip.fragment_offset.value()),
                    (63, 46, 0)
                );
                udp.calc_checksum_ipv4(&ip, body).unwrap()
            }
            etherparse::NetHeaders::Ipv6(ip, _) => {
                assert_eq!((ip.hop_limit, ip.traffic_class), (63, 0xb8));
                udp.calc_checksum_ipv6(&ip, body).unwrap()
            }
            other => panic!("{other:?}"),
        };
        // Phones on a veth leave the sum of the body to hardware that is not there: then the field has that of the addresses.
        let [from, to] = [TO_BOB[ends.1], BOB[ends.1]].map(|text| text.parse::<SocketAddr>().unwrap().ip());
        let of_addresses = pseudo_header(from, to, udp.length);
        assert!(
            udp.checksum == whole || udp.checksum == of_addresses,
            "{ends:?}: {:04x} is neither {whole:04x} nor {of_addresses:04x}",
            udp.checksum
        );
    }
}

#[test]
fn packets_of_the_mtu_go_through_and_what_grows_beyond_it_goes_up() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    for ends in FAMILIES {
        let call = Call::new(&street, ends);
        // The bigger header decides: on the way in the packet must fit as well.
        let header = if ends == (0, 0) { 20 } else { 40 };
        let fitting = rtp(1, MTU - header - 8 - 12);
        call.alice.send(&fitting).unwrap();
        assert_eq!(call.heard(ends.1), fitting);
        if ends == (0, 1) {
            let growing = rtp(2, MTU - 20 - 8 - 12);
            call.alice.send(&growing).unwrap();
            assert_eq!(call.came_up(), Some(growing));
            assert_eq!(call.up(Up::Mtu), 1);
        }
    }
}

/// As with drivers that leave all but the first octets of a packet in pages of its own.
#[test]
fn packets_in_several_pieces_are_forwarded_like_others() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    let path = std::env::temp_dir().join(format!("viaduct-pieces-{}", std::process::id()));
    for ends in FAMILIES {
        let call = Call::new(&street, ends);
        for sequence in 0..20 {
            let packet = rtp(sequence, 40 + usize::from(sequence) * 60);
            std::fs::write(&path, &packet).unwrap();
            let file = File::open(&path).unwrap();
            assert_eq!(sendfile(&call.alice, &file, None, packet.len()), Ok(packet.len()));
            assert_eq!(call.heard(ends.1), packet, "{ends:?}");
        }
        assert_eq!(call.came_up(), None);
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn what_the_relay_must_see_comes_up_to_its_socket() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    let mut call = Call::new(&street, (0, 0));
    let g711 = Flow {
        payload_types: 1 << 8,
        ..call_flow((0, 0))
    };
    call.fast.install(Instant::now(), &g711).unwrap();
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let dtls = [&[22, 0xfe, 0xfd][..], &[0; 40]].concat();
    let receiver_report = [&[0x81, 201, 0, 7][..], &[0; 28]].concat();
    let mut digits = rtp(3, 4);
    digits[1] = 101;
    let mut padded = rtp(4, 160);
    padded[0] |= 0x20;
    for (packet, why) in [
        (stun, Up::NotRtp),
        (dtls, Up::NotRtp),
        (receiver_report, Up::Rtcp),
        (digits, Up::PayloadType),
        (padded, Up::Padding),
    ] {
        let before = call.up(why);
        call.alice.send(&packet).unwrap();
        assert_eq!(call.came_up(), Some(packet));
        assert_eq!(call.up(why), before + 1, "{why:?}");
    }
    call.alice.set_ttl(1).unwrap();
    call.alice.send(&rtp(5, 160)).unwrap();
    assert_eq!((call.came_up(), call.up(Up::Ttl)), (Some(rtp(5, 160)), 1));
    call.alice.set_ttl(64).unwrap();
    // Somebody else, at Alice's address.
    let other = street.socket(&street.alice, "10.1.0.2:4001");
    other.send_to(&rtp(6, 160), TO_ALICE[0]).unwrap();
    assert_eq!(call.came_up(), Some(rtp(6, 160)));
    call.alice.send(&rtp(7, 160)).unwrap();
    assert_eq!(call.heard(0), rtp(7, 160));
}

#[test]
fn rtcp_is_forwarded_where_the_flow_says_so() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    let mut call = Call::new(&street, (0, 0));
    let flow = Flow {
        rtcp: true,
        ..call_flow((0, 0))
    };
    call.fast.install(Instant::now(), &flow).unwrap();
    let report = [&[0x81, 201, 0, 7][..], &[0; 28]].concat();
    call.alice.send(&report).unwrap();
    assert_eq!(call.heard(0), report);
    let counters = call.fast.counters(&flow.key).unwrap();
    assert_eq!(
        (counters.rtcp_packets, counters.rtcp_octets, counters.rtp_packets),
        (1, 32, 0)
    );
    assert_eq!(counters.source, None);
}

#[test]
fn a_receiver_behind_a_router_is_reached_through_it() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    ip("route add 10.77.0.0/16 via 10.2.0.2");
    street.bob.enter();
    ip("addr add 10.77.0.9/32 dev lo");
    street.host.namespace.enter();
    let flow = flow(ALICE[0], TO_ALICE[0], TO_BOB[0], "10.77.0.9:5000");
    let mut fast = street.host.open();
    fast.install(Instant::now(), &flow).unwrap();
    let alice = street.socket(&street.alice, ALICE[0]);
    let bob = street.socket(&street.bob, "10.77.0.9:5000");
    alice.send_to(&rtp(1, 160), TO_ALICE[0]).unwrap();
    let mut buffer = [0; 2048];
    let (len, from) = bob.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..len], from),
        (&rtp(1, 160)[..], TO_BOB[0].parse().unwrap())
    );
}

#[test]
fn frames_with_a_vlan_tag_are_forwarded_from_and_to_their_vlan() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    if !try_ip("link add link r1 name r1v type vlan id 5") {
        println!("skipped: this kernel has no VLAN interfaces");
        return;
    }
    ip("addr add 10.5.0.1/24 dev r1v");
    ip("link set r1v up");
    street.alice.enter();
    ip("link add link p1 name p1v type vlan id 5");
    ip("addr add 10.5.0.2/24 dev p1v");
    ip("link set p1v up");
    street.host.namespace.enter();
    let mut fast = street.host.open();
    let there = flow("10.5.0.2:4000", "10.5.0.1:30000", TO_BOB[0], BOB[0]);
    let back = flow(BOB[0], TO_BOB[0], "10.5.0.1:30000", "10.5.0.2:4000");
    fast.install(Instant::now(), &there).unwrap();
    fast.install(Instant::now(), &back).unwrap();
    let alice = street.socket(&street.alice, "10.5.0.2:4000");
    let bob = street.socket(&street.bob, BOB[0]);
    let mut buffer = [0; 2048];
    alice.send_to(&rtp(1, 160), "10.5.0.1:30000").unwrap();
    let (len, from) = bob.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..len], from),
        (&rtp(1, 160)[..], TO_BOB[0].parse().unwrap())
    );
    bob.send_to(&rtp(2, 160), TO_BOB[0]).unwrap();
    let (len, from) = alice.recv_from(&mut buffer).unwrap();
    assert_eq!(
        (&buffer[..len], from),
        (&rtp(2, 160)[..], "10.5.0.1:30000".parse().unwrap())
    );
    for flow in [there, back] {
        assert_eq!(fast.counters(&flow.key).unwrap().rtp_packets, 1);
    }
}

#[test]
fn both_ends_on_this_host_are_served_over_the_loopback_interface() {
    let Some(host) = Host::new() else { return };
    let mut fast = host.open();
    for ip in ["127.0.0.1", "[::1]"] {
        let [peer, local, source, destination] =
            [4000, 30_000, 30_002, 5000].map(|port| format!("{ip}:{port}"));
        let flow = flow(&peer, &local, &source, &destination);
        fast.install(Instant::now(), &flow).unwrap();
        let [alice, bob] = [&peer, &destination].map(|address| UdpSocket::bind(address).unwrap());
        bob.set_read_timeout(Some(crate::bench::PATIENCE)).unwrap();
        alice.send_to(&rtp(1, 160), &local).unwrap();
        let mut buffer = [0; 2048];
        let (len, from) = bob.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..len], from),
            (&rtp(1, 160)[..], source.parse().unwrap())
        );
        assert_eq!(fast.counters(&flow.key).unwrap().rtp_packets, 1);
    }
    let crossing = flow("127.0.0.1:4000", "127.0.0.1:30004", "[::1]:30006", "[::1]:5000");
    assert!(fast.install(Instant::now(), &crossing).is_err());
}

#[test]
fn a_phone_behind_a_bridge_is_served_at_the_bridge() {
    let Some(street) = Street::new(MTU as u32) else {
        return;
    };
    ip("link add br1 type bridge");
    ip("addr flush dev r1");
    ip("link set r1 master br1");
    crate::bench::configure(1, 1, "br1");
    let call = Call::new(&street, (0, 0));
    let names: Vec<_> = call
        .fast
        .interfaces()
        .iter()
        .map(|link| link.name.as_str())
        .collect();
    assert_eq!(names, ["lo", "r2", "br1"]);
    call.alice.send(&rtp(1, 160)).unwrap();
    assert_eq!(call.heard(0), rtp(1, 160));
    assert_eq!(call.came_up(), None);
}
