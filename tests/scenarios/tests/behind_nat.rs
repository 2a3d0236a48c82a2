//! Phones whose Contact is an address that nobody outside reaches (RFC 3261 section 10.3, RFC 5626 section 3.5, RFC 3581).

#![expect(clippy::panic, reason = "helpers of tests: what is not there fails the test")]

use std::net::SocketAddr;
use std::time::Duration;

use viaduct_routing::Output;
use viaduct_sim::{EndId, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Transport};

/// Registers an end with any Contact.
fn register_as(world: &mut World, end: EndId, contact: &str) {
    let register = world.register_request_bare(end);
    world.send_with_password(end, register.header(HeaderName::Contact, contact));
    world.expect(end, "200");
}

/// Where empty lines were sent to in so many seconds, in order.
fn pings(world: &mut World, seconds: u64) -> Vec<SocketAddr> {
    let end = world.now() + Duration::from_secs(seconds);
    let mut pings = Vec::new();
    while let Some(due) = world.proxy().poll_timeout().filter(|&due| due <= end) {
        world.proxy().handle_timeout(due);
        while let Some(output) = world.proxy().poll_output() {
            let Output::Send { hop, octets, id } = output else {
                panic!("{output:?}")
            };
            assert_eq!((&*octets, id), (&b"\r\n\r\n"[..], None));
            pings.push(hop.remote());
        }
    }
    pings
}

/// RFC 3261 section 10.3: the binding keeps what was registered, the request goes where it came from.
#[test]
fn a_phone_with_a_private_contact_is_called_over_its_flow() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    register_as(&mut world, phone, "<sip:201@192.168.1.20:5060>");
    world.call(caller, "201", Some(PHONE_OFFER));
    let invite = world.expect(phone, "INVITE");
    assert_eq!(invite.request_uri_text(), Some("sip:201@192.168.1.20:5060"));
}

/// A NAT forgets a way that nothing goes by. An empty line means nothing to a phone (RFC 3261 section 7.5).
#[test]
fn the_way_to_a_phone_behind_a_nat_is_kept_open() {
    let mut world = World::new();
    let (phone, named) = (world.phone("201"), world.phone("202"));
    register_as(&mut world, phone, "<sip:201@192.168.1.20:5060>");
    register_as(&mut world, named, "<sip:202@phone.local>");
    // Where it says that it is, over a connection, or behind a proxy that looks after it.
    let open = world.phone("203");
    world.register(open);
    let browser = world.browser("300");
    world.register(browser);
    let tcp = world.add("204", Transport::Tcp);
    register_as(&mut world, tcp, "<sip:204@192.168.1.21:5060;transport=tcp>");
    let behind = world.phone("205");
    let register = world
        .register_request_bare(behind)
        .header(HeaderName::Supported, "path")
        .header(HeaderName::Path, "<sip:edge.example;lr>")
        .header(HeaderName::Contact, "<sip:205@192.168.1.22:5060>");
    world.send_with_password(behind, register);
    world.expect(behind, "200");
    world.pass(40.0);

    let now = world.now();
    world.proxy().look_after_flows(now);
    let mut wanted = [phone, named].map(|end| world.flow(end).remote);
    wanted.sort();
    for _ in 0..3 {
        let mut pings = pings(&mut world, 25);
        pings.sort();
        assert_eq!(pings, wanted);
        world.pass(25.0);
    }
    assert_eq!(world.proxy().counters().0.udp_pings, 6);
}

/// Who signs off is left alone, and so is everybody where `udp_ping` is `none`.
#[test]
fn nobody_is_sent_empty_lines_who_is_not_registered_or_where_that_is_not_wanted() {
    for udp_ping in [Some(Duration::from_secs(25)), None] {
        let mut world = World::with(|config, _| config.registrar.udp_ping = udp_ping);
        let phone = world.phone("201");
        let contact = "<sip:201@192.168.1.20:5060>";
        register_as(&mut world, phone, contact);
        let now = world.now();
        world.proxy().look_after_flows(now);
        world.pass(40.0);
        assert_eq!(pings(&mut world, 25).len(), usize::from(udp_ping.is_some()));
        world.pass(25.0);
        register_as(&mut world, phone, &format!("{contact};expires=0"));
        world.pass(40.0);
        assert_eq!(pings(&mut world, 25), []);
    }
}
