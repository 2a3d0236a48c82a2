//! Interfaces, advertised addresses, families.

use viaduct_session::{Config, Interface, InterfaceAddress};

use crate::between_likes::phones_hear_each_other;
use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::phone::Phone;
use crate::world::*;

fn address(ip: &str) -> InterfaceAddress {
    InterfaceAddress::new(ip.parse().unwrap())
}

fn interface(name: &str, addresses: Vec<InterfaceAddress>) -> Interface {
    Interface {
        name: name.to_owned(),
        addresses,
    }
}

/// One interface with both families.
fn dual_stack() -> Config {
    let mut config = config();
    let mut v6 = address(RELAY_V6);
    v6.browser_port = Some(SHARED);
    config.interfaces[0].addresses.push(v6);
    config
}

#[test]
fn each_side_gets_its_family() {
    let mut world = World::with(dual_stack());
    let mut caller = Phone::new("[2001:db8:aaaa::9]:4000", 1);
    let mut callee = Phone::new("203.0.113.44:6000", 2);
    let to_callee = world.sdp(&offer(
        &caller.sdp(),
        "a",
        None,
        "address-family=IP4 replace-origin",
    ));
    assert_eq!(to_callee.address(0).ip().to_string(), RELAY);
    assert!(
        to_callee.has(&format!("o=desk 77 1 IN IP4 {RELAY}")),
        "{}",
        to_callee.text
    );
    callee.read(&to_callee);
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", "replace-origin"));
    assert_eq!(to_caller.address(0).ip().to_string(), RELAY_V6);
    let calls = |world: &World| {
        let gauges = world.relay.gauges();
        [
            gauges.calls,
            gauges.calls_ipv4,
            gauges.calls_ipv6,
            gauges.calls_mixed,
        ]
    };
    assert_eq!(calls(&world), [1, 0, 0, 1]);
    caller.read(&to_caller);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

/// NG `direction`: names of old for the families, where no interface has them.
#[test]
fn internal_and_external_are_families_unless_interfaces_are_called_so() {
    for (named, told) in [(false, RELAY_V6), (true, "192.0.2.2")] {
        let mut config = dual_stack();
        if named {
            config
                .interfaces
                .push(interface("external", vec![address("192.0.2.2")]));
        }
        let mut world = World::with(config);
        let mut caller = Phone::new("198.51.100.9:4000", 1);
        let to_callee = world.sdp(&offer(&caller.sdp(), "a", None, "internal external"));
        assert_eq!(to_callee.address(0).ip().to_string(), told);
        let callee = Phone::new("[2001:db8:aaaa::9]:4000", 2).sdp();
        let to_caller = world.sdp(&answer(&callee, "a", "b", ""));
        assert_eq!(to_caller.address(0).ip().to_string(), RELAY);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn without_a_word_the_family_is_that_of_the_sender() {
    let mut world = World::with(dual_stack());
    let to_callee = world.sdp(&offer(
        &Phone::new("[2001:db8:aaaa::9]:4000", 1).sdp(),
        "a",
        None,
        "",
    ));
    assert_eq!(to_callee.address(0).ip().to_string(), RELAY_V6);
    let gauges = world.relay.gauges();
    assert_eq!(
        (gauges.calls_ipv4, gauges.calls_ipv6, gauges.calls_mixed),
        (0, 1, 0)
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_browser_is_told_of_all_addresses_and_connects_over_ipv6() {
    let mut world = World::with(dual_stack());
    let mut browser = Browser::new("[2001:db8:bbbb::7]:50000", 0xb000_0001);
    let mut phone = phone();
    phone.read(&world.sdp(&offer(
        &browser.offer(),
        "b",
        None,
        &format!("{WEB_TO_PHONE} address-family=IP4"),
    )));
    let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
    assert_eq!(to_browser.values("candidate").len(), 2);
    browser.read(&to_browser);
    Browser::connect(&mut world, &mut [&mut browser]);
    assert_eq!(browser.relay, Some(addr(&format!("[{RELAY_V6}]:{SHARED}"))));
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Two interfaces with one address: whoever is called over one of them gets its ports, also where the other side moves
/// and others have to be found.
#[test]
fn interfaces_with_one_address_have_their_own_ports() {
    let with_ports = |first, last| InterfaceAddress {
        ports: (first..=last).into(),
        ..address("10.0.0.1")
    };
    let config = Config {
        port_latching: false,
        ..Config::new(vec![
            interface("low", vec![with_ports(3_000, 3_015)]),
            interface("high", vec![with_ports(3_008, 3_023)]),
        ])
    };
    let (low, high) = (3_000..=3_015, 3_008..=3_023);
    for _ in 0..8 {
        let mut world = World::with(config.clone());
        let flags = "in-iface=low out-iface=high";
        let mut caller = Phone::new("198.51.100.9:4000", 1);
        let to_callee = world.sdp(&offer(&caller.sdp(), "a", None, flags));
        let told = to_callee.address(0);
        assert!(high.contains(&told.port()), "{told}");
        let mut callee = Phone::new("203.0.113.44:6000", 2);
        let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
        assert!(low.contains(&to_caller.address(0).port()));
        caller.read(&to_caller);
        let mut moved = Phone::new("198.51.100.9:4100", 1);
        let again = world.sdp(&offer(&moved.sdp(), "a", Some("b"), ""));
        assert_ne!(again.address(0), told);
        assert!(high.contains(&again.address(0).port()), "{}", again.address(0));
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn direction_chooses_interfaces_and_peers_are_told_the_advertised_address() {
    let mut outside = address("10.1.0.1");
    outside.advertised = Some("192.0.2.200".parse().unwrap());
    let mut config = Config::new(vec![
        interface("inside", vec![address("10.0.0.1")]),
        interface("outside", vec![outside]),
    ]);
    config.port_stock = 8;
    let mut world = World::with(config);
    let mut caller = Phone::new("10.0.0.5:4000", 1);
    let callee = Phone::new("203.0.113.44:6000", 2);
    let to_callee = world.sdp(&offer(
        &caller.sdp(),
        "a",
        None,
        "in-iface=inside out-iface=outside replace-origin",
    ));
    assert_eq!(to_callee.address(0).ip().to_string(), "192.0.2.200");
    assert!(
        to_callee.has("o=desk 77 1 IN IP4 192.0.2.200"),
        "{}",
        to_callee.text
    );
    let mut callee = callee;
    // On the network it is the local address, behind the NAT that the operator has told of.
    callee.relay = Some(std::net::SocketAddr::new(
        "10.1.0.1".parse().unwrap(),
        to_callee.address(0).port(),
    ));
    let to_caller = world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    assert_eq!(to_caller.address(0).ip().to_string(), "10.0.0.1");
    caller.read(&to_caller);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    // A name that there is not means the default, which is the first.
    world.ok(&delete_now());
    let to_callee = world.sdp(&offer(&caller.sdp(), "a", None, "in-iface=x out-iface=y"));
    assert_eq!(to_callee.address(0).ip().to_string(), "10.0.0.1");
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_media_address_is_printed_for_ours() {
    let mut world = World::new();
    let sdp = world.sdp(&offer(
        &browser().offer(),
        "b",
        None,
        "media-address=192.0.2.77 replace-origin",
    ));
    assert!(sdp.has("c=IN IP4 192.0.2.77"), "{}", sdp.text);
    assert!(
        sdp.values("candidate")
            .iter()
            .all(|candidate| candidate.contains(" 192.0.2.77 "))
    );
    assert!(sdp.text.contains(" IN IP4 192.0.2.77\r\ns="));
    world.ok(&delete_now());
    world.assert_empty();
}

/// NG `loop-protect`: what comes back to us is left alone.
#[test]
fn an_sdp_that_has_been_here_is_returned_untouched() {
    let mut world = World::new();
    let marked = world.sdp(&offer(&phone().sdp(), "a", None, "loop-protect"));
    assert_eq!(marked.value("rtpengine"), world.relay.instance_id());
    let viaduct_ng::Request::Offer(again) = offer(&marked.text, "other", None, "loop-protect") else {
        unreachable!()
    };
    let again = viaduct_ng::Request::Offer(Box::new(viaduct_ng::Offer {
        call_id: "call-2".into(),
        ..*again
    }));
    assert_eq!(world.sdp(&again).text, marked.text);
    assert_eq!(world.list().len(), 1);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn outgoing_media_is_marked_as_asked() {
    let mut world = World::new();
    world.sdp(&offer(&phone().sdp(), "a", None, "TOS=184"));
    assert_eq!(world.relay.calls().next().unwrap().tos, Some(184));
    assert_eq!(world.marks.len(), 4);
    assert!(world.marks.values().all(|tos| *tos == 184));
    world.ok(&delete_now());
    world.assert_empty();
}
