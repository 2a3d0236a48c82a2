//! Strangers, liars, floods.

use std::time::Duration;

use viaduct_forward::{DropReason, FlowId, LegId, Report, Tick, ToControl, Verdict};
use viaduct_ng::{ErrorReason, LoadLimit, Offer, Reply, Request};
use viaduct_session::{Config, DtlsFailure, Limits, What};
use viaduct_stun::{AttributeType, Class, MessageWriter, Method, TransactionId};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::browser::Browser;
use crate::browser_and_phone::*;
use crate::phone::Phone;
use crate::world::*;

const STRANGER: &str = "198.51.100.66:6666";

/// A ClientHello as far as demultiplexing looks.
pub(crate) const DTLS: &[u8] = b"\x16\xfe\xff\0\0\0\0\0\0\0\0\0\x10\x01\0\0\x04\0\0\0\0\0\0\0\x04abcd";

/// An ICE check of somebody who calls himself so.
pub(crate) fn check(username: &str, password: &str) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = MessageWriter::new(
        &mut buffer,
        Class::Request,
        Method::BINDING,
        TransactionId([9; 12]),
    )
    .unwrap();
    writer
        .username(username)
        .unwrap()
        .priority(1)
        .unwrap()
        .ice_controlling(1)
        .unwrap();
    writer
        .integrity(&viaduct_stun::IntegrityKey::short_term(password))
        .unwrap()
        .fingerprint()
        .unwrap();
    writer.finish().to_vec()
}

#[test]
fn strangers_get_no_word_out_of_the_browsers_port() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    let shared = addr(&format!("{RELAY}:{SHARED}"));
    for (data, reason) in [
        (check("nobody:x", "no password of ours"), DropReason::UnknownUfrag),
        (DTLS.to_vec(), DropReason::DtlsNotAllowed),
        (crate::phone::rtp(1, 1, 0), DropReason::NoLeg),
        (vec![0xff; 40], DropReason::Unclassified),
        (Vec::new(), DropReason::Unclassified),
    ] {
        assert_eq!(
            world.receive(addr(STRANGER), shared, &data),
            Verdict::Drop(reason)
        );
    }
    assert_eq!(world.take(addr(STRANGER)), []);
    // RTP in the clear from the browser's own address.
    let forged = crate::phone::rtp(browser.ssrc, 9_999, 8);
    let verdict = world.receive(browser.address, shared, &forged);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Who knows the user fragment, which every packet shows, but not the password.
#[test]
fn a_check_with_a_wrong_password_moves_nothing() {
    for flags in [
        WEB_TO_PHONE.to_owned(),
        WEB_TO_PHONE.replace("ICE-lite=backward ", ""),
    ] {
        let mut world = World::new();
        let (mut browser, mut phone) = (browser(), phone());
        phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags)));
        let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
        browser.read(&to_browser);
        Browser::connect(&mut world, &mut [&mut browser]);
        let name = format!("{}:{}", to_browser.value("ice-ufrag"), browser.credentials.ufrag);
        let shared = addr(&format!("{RELAY}:{SHARED}"));
        for n in 0..500_u16 {
            world.receive(
                addr(&format!("198.51.100.66:{}", 1_000 + n)),
                shared,
                &check(&name, "a guess of twenty-two"),
            );
        }
        let verdict = world.receive(addr("198.51.100.66:1000"), shared, DTLS);
        assert_eq!(verdict, Verdict::Drop(DropReason::DtlsNotAllowed));
        hear_each_other(&mut world, &mut browser, &mut phone);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

#[test]
fn a_certificate_that_is_not_the_one_of_the_sdp_gives_no_keys() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    browser.lies = true;
    phone.read(&world.sdp(&offer(&browser.offer(), "b", None, WEB_TO_PHONE)));
    browser.read(&world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB)));
    Browser::run(&mut world, &mut [&mut browser], Duration::from_secs(3));
    let events = world.take_events();
    let wrong = |what: &What| {
        matches!(
            what,
            What::DtlsFailed {
                reason: DtlsFailure::WrongFingerprint,
                ..
            }
        )
    };
    assert!(events.iter().any(wrong), "{events:?}");
    assert_eq!(world.relay.counters().dtls_wrong_fingerprint, 1);
    // The browser has keys; what it sends is not understood.
    assert!(browser.has_keys());
    let (verdict, _) = browser.send(&mut world);
    assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    phone.send(&mut world);
    assert_eq!(browser.received(&mut world), Vec::<Vec<u8>>::new());
    assert_eq!(world.relay.gauges().crypto, 0);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn the_right_peer_can_hardly_make_us_work() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    let shared = addr(&format!("{RELAY}:{SHARED}"));
    for _ in 0..20_000 {
        world.receive(browser.address, shared, DTLS);
    }
    assert!(
        world
            .worker
            .stats()
            .snapshot()
            .dropped(DropReason::ControlLimited)
            > 19_000
    );
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A peer that knows the password and checks from everywhere.
#[test]
fn paths_of_a_leg_are_bounded() {
    for flags in [
        WEB_TO_PHONE.to_owned(),
        WEB_TO_PHONE.replace("ICE-lite=backward ", ""),
    ] {
        let mut world = World::new();
        let (mut browser, mut phone) = (browser(), phone());
        phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags)));
        let to_browser = world.sdp(&answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB));
        browser.read(&to_browser);
        Browser::connect(&mut world, &mut [&mut browser]);
        let name = format!("{}:{}", to_browser.value("ice-ufrag"), browser.credentials.ufrag);
        let password = to_browser.value("ice-pwd").to_owned();
        let shared = addr(&format!("{RELAY}:{SHARED}"));
        for n in 0..600_u16 {
            let from = addr(&format!("198.51.100.{}:{}", n % 100, 1_000 + n));
            world.receive(from, shared, &check(&name, &password));
            world.wait_millis(20);
        }
        let gauges = world.relay.gauges();
        assert!(gauges.flows <= 10 && gauges.dtls_tuples <= 10, "{gauges:?}");
        assert!(world.relay.counters().limits.paths_per_leg > 0);
        world.network.retain(|datagram| datagram.to == browser.address);
        Browser::run(&mut world, &mut [&mut browser], Duration::from_secs(6));
        browser.received(&mut world);
        hear_each_other(&mut world, &mut browser, &mut phone);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// An SDP may name anybody's address; only a password moves media.
#[test]
fn an_sdp_does_not_take_a_browsers_path_away() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    let call = |request| in_call("call-2", request);
    let mut liar = Phone::new(&browser.address.to_string(), 9);
    world.sdp(&call(offer(&phone.sdp(), "p", None, PHONE_TO_WEB)));
    world.sdp(&call(answer(&liar.sdp(), "p", "b", WEB_ANSWERS_PHONE)));
    assert_eq!(world.relay.counters().addresses_taken, 1);
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_call("call-2"));
    hear_each_other(&mut world, &mut browser, &mut phone);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn what_is_handed_up_late_is_counted() {
    let mut world = World::new();
    let (leg, tick) = (LegId(77), Tick::ZERO);
    let now = world.now;
    world.relay.handle_packet(
        now,
        ToControl::Dtls { leg },
        addr("192.0.2.1:1"),
        addr(STRANGER),
        DTLS,
    );
    world.relay.handle_packet(
        now,
        ToControl::Stun { leg },
        addr("192.0.2.1:1"),
        addr(STRANGER),
        b"",
    );
    world.report(Report::FlowConfirmed {
        flow: FlowId(9),
        leg,
        at: tick,
    });
    assert_eq!(world.relay.counters().stale, 3);
    assert_eq!(world.relay.poll_output(), None);
}

#[test]
fn no_ports_is_an_error_that_proxies_know() {
    let mut small = config();
    small.interfaces[0].addresses[0].ports = (30_000..=30_005).into();
    let mut world = World::with(small);
    let sdp = Phone::new("198.51.100.9:4000", 1).sdp();
    world.sdp(&offer(&sdp, "a", None, ""));
    let Request::Offer(second) = offer(&sdp, "a", None, "") else {
        unreachable!()
    };
    let second = Request::Offer(Box::new(Offer {
        call_id: "call-2".into(),
        ..*second
    }));
    assert_eq!(world.fails(&second), ErrorReason::OutOfPorts);
    assert_eq!((world.list().len(), world.relay.counters().out_of_ports), (1, 1));
    assert_eq!(
        world.relay.gauges().ports_in_use,
        4,
        "the pair that was left is not lost"
    );
    // A re-offer that finds none leaves the call as it was.
    let before = world.query();
    let two = format!("{sdp}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
    assert_eq!(world.fails(&offer(&two, "a", None, "")), ErrorReason::OutOfPorts);
    assert_eq!(world.query(), before);
    let to_caller = world.sdp(&answer(&Phone::new("203.0.113.44:6000", 2).sdp(), "a", "b", ""));
    assert_eq!(to_caller.m_lines().len(), 1, "{}", to_caller.text);
    world.ok(&delete_now());
    world.wait_millis(11_000);
    world.sdp(&second);
    world.ok(&delete_call("call-2"));
    world.assert_empty();
}

#[test]
fn ports_that_cannot_be_opened_are_tried_elsewhere_later() {
    let mut world = World::new();
    world.ports_fail = true;
    for _ in 0..4 {
        phones(&mut world, "");
        world.ok(&delete_now());
    }
    let sdp = Phone::new("198.51.100.9:4000", 1).sdp();
    assert_eq!(world.fails(&offer(&sdp, "a", None, "")), ErrorReason::OutOfPorts);
    assert!(world.relay.counters().ports_failed > 0);
    world.ports_fail = false;
    world.wait_millis(70_000);
    let (mut caller, mut callee) = phones(&mut world, "");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn as_many_calls_as_there_may_be() {
    let mut world = World::with(Config {
        max_sessions: Some(1),
        ..config()
    });
    phones(&mut world, "");
    let sdp = Phone::new("198.51.100.9:4000", 1).sdp();
    let another = |supports: bool| {
        let Request::Offer(mut second) = offer(&sdp, "a", None, "") else {
            unreachable!()
        };
        second.call_id = "call-2".into();
        second.options.supports_load_limit = supports;
        Request::Offer(second)
    };
    assert_eq!(world.fails(&another(false)), ErrorReason::ParallelSessionLimit);
    assert_eq!(
        world.ng(&another(true)),
        Reply::LoadLimit {
            message: LoadLimit::Sessions
        }
    );
    assert_eq!(world.relay.counters().calls_refused, 2);
    assert_eq!(world.relay.counters().calls_refused_for_load, 0);
    // A machine that has too much to do is another reason, told by its name (NG `max-load` and the like).
    world.relay.set_max_sessions(None);
    world.relay.set_overload(Some(LoadLimit::Cpu));
    let told = Reply::LoadLimit {
        message: LoadLimit::Cpu,
    };
    assert_eq!(world.ng(&another(true)), told);
    assert_eq!(world.fails(&another(false)), ErrorReason::ParallelSessionLimit);
    assert_eq!(world.relay.counters().calls_refused_for_load, 2);
    // Calls that are there are not concerned, also when no more are taken at all.
    world.relay.set_max_sessions(Some(0));
    world.sdp(&offer(
        &Phone::new("198.51.100.9:4000", 1).sdp(),
        "a",
        Some("b"),
        "",
    ));
    world.ok(&delete_now());
    world.assert_empty();
}

fn tiny() -> Config {
    Config {
        limits: Limits {
            calls: 2,
            name_octets: 20,
            parties_per_call: 3,
            aliases_per_party: 1,
            medias_per_party: 2,
            candidates_per_media: 1,
            sdp_octets: 6_000,
            dtls_associations: 1,
            ..Limits::default()
        },
        ..config()
    }
}

#[test]
fn every_limit_of_a_request_is_counted() {
    let mut world = World::with(tiny());
    let sdp = Phone::new("198.51.100.9:4000", 1).sdp();
    let long = "x".repeat(21);
    world.fails(&offer(&sdp, &long, None, ""));
    assert_eq!(world.relay.counters().limits.name_octets, 1);
    let wide = format!("{sdp}a=x:{}\r\n", "y".repeat(6_000));
    assert_eq!(
        world.fails(&offer(&wide, "a", None, "")),
        ErrorReason::UnparsableSdp
    );
    let many = format!("{sdp}m=audio 1 RTP/AVP 0\r\nm=audio 3 RTP/AVP 0\r\n");
    assert_eq!(
        world.fails(&offer(&many, "a", None, "")),
        ErrorReason::UnparsableSdp
    );
    assert_eq!(world.relay.counters().limits.sdp, 2);
    assert_eq!((world.list().len(), world.relay.counters().calls), (0, 0));

    let branch = |name: &str| {
        let Request::Offer(mut offer) = offer(&sdp, "a", None, "") else {
            unreachable!()
        };
        offer.via_branch = Some(name.into());
        Request::Offer(offer)
    };
    world.sdp(&branch("1"));
    world.sdp(&branch("2"));
    world.fails(&branch("3"));
    assert_eq!(world.relay.counters().limits.parties_per_call, 1);
    for tag in ["b", "c", "d", "e"] {
        let Request::Answer(mut answer) = answer(&sdp, "a", tag, "") else {
            unreachable!()
        };
        answer.via_branch = Some("1".into());
        world.sdp(&Request::Answer(answer));
    }
    assert_eq!(world.relay.counters().limits.aliases_per_party, 2);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn associations_are_bounded_for_the_whole_relay() {
    let mut world = World::with(tiny());
    let (mut browser, mut phone) = established(&mut world);
    let mut second = Browser::new("203.0.113.8:50000", 0xb000_0300);
    let call = |request| in_call("call-2", request);
    world.sdp(&call(offer(&second.offer(), "b", None, WEB_TO_PHONE)));
    second.read(&world.sdp(&call(answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB))));
    Browser::run(&mut world, &mut [&mut second], Duration::from_secs(3));
    assert!(!second.has_keys());
    assert_eq!(world.relay.gauges().dtls_associations, 1);
    assert!(world.relay.counters().limits.dtls_associations > 0);
    hear_each_other(&mut world, &mut browser, &mut phone);
    // Room again.
    world.ok(&delete_now());
    Browser::run(&mut world, &mut [&mut second], Duration::from_secs(10));
    assert!(second.has_keys());
    world.ok(&delete_call("call-2"));
    world.assert_empty();
}

#[test]
fn sdp_that_says_nothing_is_refused() {
    let mut world = World::new();
    for (sdp, reason) in [
        ("hello", ErrorReason::UnparsableSdp),
        (
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n",
            ErrorReason::IncompleteSdp,
        ),
        (
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n",
            ErrorReason::IncompleteSdp,
        ),
        (
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 a.name\r\nt=0 0\r\nm=audio 5 RTP/AVP 0\r\n",
            ErrorReason::IncompleteSdp,
        ),
    ] {
        assert_eq!(world.fails(&offer(sdp, "a", None, "")), reason, "{sdp}");
    }
    assert_eq!(world.relay.counters().sdp_unusable, 4);
    assert_eq!(world.list().len(), 0);
    world.assert_empty();
}

/// Attributes of STUN that we do not know, of the right kind and of the wrong one.
#[test]
fn a_check_may_carry_what_we_do_not_know() {
    let mut world = World::new();
    let (browser, _phone) = established(&mut world);
    let mut buffer = [0; 256];
    let mut writer = MessageWriter::new(
        &mut buffer,
        Class::Request,
        Method::BINDING,
        TransactionId([9; 12]),
    )
    .unwrap();
    writer.attribute(AttributeType(0x7fff), b"what").unwrap();
    let data = writer.finish().to_vec();
    let verdict = world.receive(browser.address, addr(&format!("{RELAY}:{SHARED}")), &data);
    assert!(
        matches!(verdict, Verdict::Drop(_) | Verdict::Reply),
        "{verdict:?}"
    );
    world.ok(&delete_now());
    world.assert_empty();
}

/// rtpengine's `--reject-invalid-sdp`.
#[test]
fn an_sdp_with_an_empty_line_is_refused_only_where_the_operator_wants_it() {
    let cut = Phone::new("198.51.100.9:4000", 1).sdp() + "\r\na=unread\r\n";
    let mut world = World::new();
    let told = world.sdp(&offer(&cut, "a", None, ""));
    assert!(!told.text.contains("unread"), "{}", told.text);
    world.ok(&delete_now());
    world.assert_empty();
    let mut world = World::with(viaduct_session::Config {
        reject_invalid_sdp: true,
        ..config()
    });
    let refused = world.ng(&offer(&cut, "a", None, ""));
    assert_eq!(refused, Reply::error(viaduct_ng::ErrorReason::UnparsableSdp));
    assert_eq!(world.relay.counters().sdp_unusable, 1);
    world.ok(&offer(&Phone::new("198.51.100.9:4000", 1).sdp(), "a", None, ""));
    world.ok(&delete_now());
    world.assert_empty();
}
