//! Media that may pass beside the relay (NG `ICE`: `force-relay`, `optional`): SDPs go through, with the relay's candidates
//! beside those of their senders (RFC 8839 section 5.1).

use std::net::SocketAddr;
use std::time::Duration;

use viaduct_session::{Config, What};

use crate::phone::{Phone, receiver_report};
use crate::world::*;

const UFRAG: &str = "a=ice-ufrag:theirown";

/// A relay that lets peers with ICE have media with each other.
fn world() -> World {
    World::with(Config {
        direct_media: true,
        ..config()
    })
}

fn with_ice(phone: &mut Phone) -> String {
    let (ip, port) = (phone.rtp.ip(), phone.rtp.port());
    let host = format!("a=candidate:h 1 UDP 2130706431 {ip} {port} typ host");
    let turn = "a=candidate:t 1 UDP 16777215 203.0.113.77 5000 typ relay raddr 203.0.113.9 rport 4000";
    let lines = [
        UFRAG,
        "a=ice-pwd:apasswordoftheirownxxxxx",
        &host,
        turn,
        "a=setup:actpass",
        "a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13",
    ];
    phone.sdp_with("UDP/TLS/RTP/SAVP", &lines)
}

/// Where the relay's own candidates are, by component.
fn ours(sdp: &Sdp) -> [SocketAddr; 2] {
    let candidates = sdp.values("candidate");
    let of = |component: &str| {
        let mut ours = candidates.iter().filter(|line| line.contains(RELAY));
        let line = ours.find(|line| line.split(' ').nth(1) == Some(component));
        let fields: Vec<&str> = line.expect("a candidate of ours").split(' ').collect();
        addr(&format!("{}:{}", fields[4], fields[5]))
    };
    [of("1"), of("2")]
}

fn phones() -> (Phone, Phone) {
    (
        Phone::new("198.51.100.9:4000", 1),
        Phone::new("203.0.113.9:4000", 2),
    )
}

#[test]
fn what_peers_with_ice_send_to_our_candidates_is_passed_on_whatever_it_is() {
    for (word, kind) in [
        ("ICE=force-relay", " typ relay raddr "),
        ("ICE=optional", " typ host"),
    ] {
        let mut world = world();
        let (mut caller, mut callee) = phones();
        let offered = with_ice(&mut caller);
        let to_callee = world.sdp(&offer(&offered, "a", None, word));
        for line in [
            UFRAG,
            "c=IN IP4 198.51.100.9",
            "a=fingerprint:sha-1 00:01",
            "m=audio 4000 ",
        ] {
            assert!(to_callee.text.contains(line), "{line}: {}", to_callee.text);
        }
        assert!(to_callee.text.contains(kind), "{}", to_callee.text);
        assert_eq!(
            to_callee.text.contains("203.0.113.77"),
            word == "ICE=optional",
            "one relay is enough: {}",
            to_callee.text
        );
        let to_caller = world.sdp(&answer(&with_ice(&mut callee), "a", "b", word));
        let (at_caller, at_callee) = (ours(&to_caller), ours(&to_callee));
        let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
        let hello = [22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        let noise = [0xff; 40];
        for data in [&check[..], &hello, &noise, &receiver_report(1)] {
            world.receive(callee.rtp, at_callee[0], data);
            assert_eq!(caller.received(&mut world), [data], "{word}");
            world.receive(caller.rtp, at_caller[0], data);
            assert_eq!(callee.received(&mut world), [data], "{word}");
            world.receive(callee.rtcp(), at_callee[1], data);
            assert_eq!(caller.received_reports(&mut world), [data], "{word}");
        }
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// The endpoint is found as without ICE; a check is as good as media then.
#[test]
fn a_check_from_elsewhere_finds_the_endpoint() {
    let mut world = world();
    let (mut caller, mut callee) = phones();
    let to_callee = world.sdp(&offer(&with_ice(&mut caller), "a", None, "ICE=force-relay"));
    world.sdp(&answer(&with_ice(&mut callee), "a", "b", "ICE=force-relay"));
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    world.receive(addr("203.0.113.9:61000"), ours(&to_callee)[0], &check);
    assert_eq!(caller.received(&mut world), [check]);
    let learnt =
        |what: &What| matches!(what, What::EndpointLearnt { endpoint, .. } if endpoint.port() == 61_000);
    assert!(world.take_events().iter().any(learnt));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn media_that_never_comes_by_here_ends_no_call() {
    let mut world = world();
    let (mut caller, mut callee) = phones();
    world.sdp(&offer(&with_ice(&mut caller), "a", None, "ICE=force-relay"));
    world.sdp(&answer(&with_ice(&mut callee), "a", "b", "ICE=force-relay"));
    world.wait(Duration::from_secs(600));
    assert_eq!(world.list(), [CALL]);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Without ICE on both sides there is nothing to choose from: `optional` is `force` toward a peer that is asked, while
/// `force-relay` leaves an SDP alone.
#[test]
fn an_offer_without_ice_gets_ours_or_goes_through() {
    let mut world = world();
    let (mut caller, _) = phones();
    let told = world.sdp(&offer(&caller.sdp(), "a", None, "ICE=optional"));
    assert!(told.has_attribute("ice-ufrag") && told.text.contains("c=IN IP4 192.0.2.1"));
    world.ok(&delete_now());
    let told = world.sdp(&offer(&caller.sdp(), "a", None, "ICE=force-relay"));
    assert!(!told.has_attribute("ice-ufrag"), "{}", told.text);
    assert!(told.text.contains("c=IN IP4 198.51.100.9"), "{}", told.text);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_relay_that_keeps_media_to_itself_reads_both_words_as_force() {
    for word in ["ICE=force-relay", "ICE=optional"] {
        let mut world = World::new();
        let (mut caller, _) = phones();
        let told = world.sdp(&offer(&with_ice(&mut caller), "a", None, word));
        assert!(!told.text.contains(UFRAG) && told.has_attribute("ice-ufrag"));
        assert!(!told.text.contains("198.51.100.9 4000"), "{}", told.text);
        world.ok(&delete_now());
        world.assert_empty();
    }
}
