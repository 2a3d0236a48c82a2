//! Where a gateway is reached: one address, any address, and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use viaduct_sip::{HeaderName, Method, Transport};

use crate::support::echo_call::EchoCall;
use crate::support::gateway::Setup;
use crate::support::http::get;
use crate::support::media::Media;
use crate::support::phone::{Phone, expect_status};
use crate::support::{free_port, own_address};

/// The transports that phones use.
const TRANSPORTS: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
];

/// A call that is accepted, and ended by the one who was called.
fn call_through(mut caller: Phone, mut called: Phone) {
    called.register();
    let [offer, answer] = [&caller, &called].map(|phone| Media::at(phone.wire.local().ip()).sdp());
    let sent = caller.begin(caller.invitation(called.user, &offer));
    let invite = called.request(Method::Invite);
    for name in [HeaderName::Via, HeaderName::RecordRoute] {
        for value in invite.values(name).map(String::from_utf8_lossy) {
            let is_nowhere = value.contains("0.0.0.0") || value.contains("[::]");
            assert!(!is_nowhere, "nobody is reached at {value}");
        }
    }
    called.accept(&invite, &answer);
    let accepted = caller.final_answer(&sent);
    caller.acknowledge(&accepted);
    let dialog = called.acknowledged(&invite);
    let ended = called.leave(dialog);
    let bye = caller.request(Method::Bye);
    assert!(!bye.has(HeaderName::Reason), "the gateway has ended it");
    caller.respond(&bye, 200);
    expect_status(&called.final_answer(&ended), 200);
    called.register_for(0);
}

/// Another address of this machine than the one for itself, if it has one.
fn another_address() -> IpAddr {
    let mut interfaces = nix::ifaddrs::getifaddrs().unwrap();
    let v4 = interfaces.find_map(|interface| {
        let ip = interface.address?.as_sockaddr_in()?.ip();
        (!ip.is_loopback()).then_some(ip)
    });
    v4.unwrap_or(Ipv4Addr::LOCALHOST).into()
}

/// Sockets that are bound to every address answer from the one they were asked at, and tell that one to peers.
#[test]
fn a_gateway_on_every_address_is_reached_at_each_of_them() {
    let mut gateway = Setup::bound_to(Ipv4Addr::UNSPECIFIED.into(), own_address()).start();
    let addresses = [gateway.address, another_address()];
    for transport in TRANSPORTS {
        // Each of them knows the gateway by another address, and hears nobody else.
        let [caller, called] = [(addresses[0], "201"), (addresses[1], "202")].map(|(address, user)| {
            gateway.address = address;
            Phone::between(transport, &gateway, address, user)
        });
        gateway.address = addresses[0];
        call_through(caller, called);
    }
    assert_eq!(
        get((addresses[1], gateway.ports.http).into(), "/health/live").status,
        200
    );
    gateway.finish();
}

#[test]
fn phones_and_browsers_call_over_ipv6() {
    let gateway = Setup::at(Ipv6Addr::LOCALHOST.into()).start();
    for transport in TRANSPORTS {
        let mut phone = Phone::over(transport, &gateway, "201");
        phone.register();
        let shown = gateway.registrations("201");
        assert_eq!(shown[0]["address"], phone.wire.local().to_string());
        phone.register_for(0);
    }
    for transport in [Transport::Udp, Transport::Tcp] {
        let [caller, called] = ["201", "202"].map(|user| Phone::over(transport, &gateway, user));
        call_through(caller, called);
    }
    let mut call = EchoCall::of(&gateway, "203");
    call.expect_echo();
    call.hang_up();
    gateway.finish();
}

/// RFC 3261 section 16.6: with a socket for each family, and one at a single address beside them, each peer is told the address
/// that it has spoken to, whoever has spoken before.
#[test]
fn sockets_beside_each_other_do_not_mix_up_their_addresses() {
    let (v4, v6) = (own_address(), IpAddr::from(Ipv6Addr::LOCALHOST));
    let mut setup = Setup::bound_to(Ipv4Addr::UNSPECIFIED.into(), v4);
    let single = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 3).into(), free_port(v4));
    setup.more_listeners = vec![
        format!("sip+udp://[::]:{}", setup.ports.sip),
        format!("sip+udp://{single}"),
    ];
    let mut gateway = setup.start();
    let ports = gateway.ports;
    for _ in 0..3 {
        let [caller, called, other] = [
            (v4, ports.sip, "201"),
            (v6, ports.sip, "202"),
            (single.ip(), single.port(), "203"),
        ]
        .map(|(address, port, user)| {
            gateway.address = address;
            gateway.ports.sip = port;
            Phone::between(Transport::Udp, &gateway, address, user)
        });
        let mut other = other;
        other.register();
        call_through(caller, called);
        other.register_for(0);
    }
    gateway.address = v4;
    gateway.ports = ports;
    gateway.finish();
}
