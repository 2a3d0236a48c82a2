//! Peers that lie, shout and babble, and calls beside theirs that notice nothing.

use proptest::prelude::*;
use viaduct_rtp::RtpFields;
use viaduct_service::{Component, Service};
use viaduct_sip::{Limits, Message};

use crate::caller::{Bench, Caller, OFFER, offer};
use crate::leg::{CALLER_SSRC, Leg, assert_continuous};

/// The call is as it was: it can be held, and nothing else has happened to it.
fn assert_alive(bench: &mut Bench, caller: &mut Caller) {
    let update = caller.with_sdp("UPDATE", &offer("sendonly"));
    assert_eq!(bench.receive(&update), ["200 UPDATE", "update recvonly"]);
    let update = caller.with_sdp("UPDATE", OFFER);
    assert_eq!(bench.receive(&update), ["200 UPDATE", "update sendrecv"]);
}

#[test]
fn requests_with_wrong_tags_or_call_ids_reach_no_call() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    for forge in [
        (|caller: &mut Caller| caller.from_tag = "mallory".to_owned()) as fn(&mut Caller),
        |caller| caller.to_tag = Some("guess".to_owned()),
        |caller| caller.call_id = "other".to_owned(),
    ] {
        let mut forged = caller.clone();
        forge(&mut forged);
        caller.branches += 10;
        for method in ["BYE", "INVITE", "UPDATE", "INFO"] {
            let did = bench.receive(&forged.with_sdp(method, OFFER));
            assert_eq!(did[0], "refused 481", "{method}");
        }
    }
    assert_alive(&mut bench, &mut caller);
    assert_eq!(bench.agent.counters().0.dialogs_unknown, 12);
}

#[test]
fn a_cseq_that_does_not_rise_is_out_of_order() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    caller.request("UPDATE", "", "");
    let update = caller.request("UPDATE", "", "");
    // A gap is fine.
    assert_eq!(bench.receive(&update), ["200 UPDATE"]);
    for cseq in [1, 2, 3] {
        let bye = caller.request_with_cseq("BYE", cseq, "", "");
        assert_eq!(bench.receive(&bye), ["refused 500", "500 BYE"], "{cseq}");
    }
    assert_alive(&mut bench, &mut caller);
    assert_eq!(bench.agent.counters().0.out_of_order, 3);
}

#[test]
fn garbage_of_one_call_is_nothing_to_another() {
    let mut bench = Bench::new();
    let mut good = bench.call("music");
    let mut bad = bench.call("echo");
    let sdp = "Content-Type: application/sdp\r\n";
    for body in [
        "garbage".to_owned(),
        "v=0\r\nm=audio".to_owned(),
        "v=0\r\nm=audio 99999999 RTP/AVP 0\r\n".to_owned(),
        format!("{OFFER}{}", "m=audio 1 RTP/AVP 0\r\n".repeat(1_000)),
        "x".repeat(200_000),
    ] {
        for method in ["INVITE", "UPDATE"] {
            let did = bench.receive(&bad.request(method, sdp, &body));
            assert!(did[0].starts_with("refused 4"), "{did:?}");
        }
    }
    assert_alive(&mut bench, &mut bad);
    assert_alive(&mut bench, &mut good);
    let counters = bench.agent.counters().0;
    assert_eq!((counters.bad_sdp, counters.bodies_over_limit), (8, 2));
}

#[test]
fn a_flood_of_calls_leaves_nothing_behind() {
    let mut bench = Bench::with(|config| config.limits.sessions_max = 10);
    for number in 0..200 {
        let mut caller = Caller::new("echo", &format!("flood{number}-"));
        bench.receive(&caller.invite(Some(OFFER)));
    }
    let gauges = bench.agent.gauges();
    assert_eq!(gauges.calls_answered, 10);
    assert_eq!(bench.agent.counters().0.calls_over_limit, 190);
    // Nobody acknowledges, nobody answers the BYEs.
    bench.pass(32.0);
    assert_eq!(bench.agent.gauges().calls_answered, 0);
    assert_eq!(bench.agent.gauges().dialogs_ending, 10);
    bench.pass(33.0);
    assert_eq!(bench.agent.gauges(), Default::default());
    assert_eq!(bench.agent.poll_timeout(), None);
}

#[test]
fn answers_that_nobody_waits_for_are_dropped() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    let bye = "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/LOCAL example.com;branch=z9hG4bKx\r\nFrom: <sip:a>;tag=1\r\n\
         To: <sip:b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n";
    let answer = Caller::answer(&crate::caller::message(bye), "200 OK");
    assert_eq!(bench.receive(&answer), [""; 0]);
    assert_eq!(bench.receive("SIP/2.0 200 OK\r\n\r\n"), [""; 0]);
    assert_eq!(bench.agent.counters().0.dropped, 2);
    assert_alive(&mut bench, &mut caller);
}

#[test]
fn requests_that_cannot_be_recognised_are_answered_without_state() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "odd");
    let invite = caller.invite(Some(OFFER));
    let odd = invite.replace("CSeq: 1 INVITE", "CSeq: 1 BYE");
    bench
        .agent
        .handle_message(bench.now, &crate::caller::message(&odd));
    assert_eq!(bench.did(), ["400 BYE"]);
    let ack = odd.replace("INVITE", "ACK");
    assert_eq!(bench.receive(&ack), [""; 0]);
    // A tag without a value would stay in the dialog.
    let empty = invite.replace("To: <sip:100@example.com>", "To: <sip:100@example.com>;tag=");
    assert_eq!(bench.receive(&empty), ["refused 400", "400 INVITE"]);
    assert_eq!(bench.agent.gauges().calls_answered, 0);
}

#[test]
fn strangers_are_not_heard_once_the_caller_is() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(80, |_| 0);
    leg.take_packets();
    let shout = [7; 160];
    for number in 0..20_u16 {
        let fields = RtpFields {
            marker: false,
            payload_type: 0,
            sequence: leg.sequence.wrapping_add(number),
            timestamp: leg.timestamp,
            ssrc: CALLER_SSRC,
        };
        let packet = [&fields.encode()[..], &shout].concat();
        leg.receive_from(Component::Rtp, "203.0.113.66:6666", &packet);
    }
    leg.talk(20, |_| 0);
    let packets = leg.take_packets();
    assert_continuous(&packets);
    assert!(packets.iter().all(|packet| packet.payload[0] != 7));
    assert_eq!(leg.stream.stats().drops.foreign, 20);
}

#[test]
fn datagrams_that_are_no_media_are_counted_by_reason() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(5, |_| 0);
    let ours = leg.take_packets()[0].ssrc;
    let rtp = |ssrc, payload_type, length| {
        let fields = RtpFields {
            marker: false,
            payload_type,
            sequence: 1,
            timestamp: 0,
            ssrc,
        };
        [fields.encode().to_vec(), vec![0; length]].concat()
    };
    for octets in [
        Vec::new(),
        vec![0x80],
        b"hello world".to_vec(),
        vec![0; 1_500],
        vec![0x8f; 13],
        vec![0x80, 200, 0xff, 0xff, 0, 0, 0, 0],
        rtp(ours, 0, 160),
        rtp(CALLER_SSRC, 96, 160),
        rtp(CALLER_SSRC, 0, 0),
        rtp(CALLER_SSRC, 0, 1_601),
        rtp(CALLER_SSRC, 101, 3),
        rtp(0x0bad, 0, 160),
    ] {
        leg.receive(Component::Rtp, &octets);
    }
    leg.receive(Component::Rtcp, &[0x80, 200, 0xff, 0xff, 0, 0, 0, 0]);
    leg.receive(Component::Rtcp, &rtp(CALLER_SSRC, 0, 160));
    let drops = leg.stream.stats().drops;
    assert_eq!((drops.malformed, drops.looped, drops.unknown_type), (6, 1, 1));
    assert_eq!((drops.bad_payload, drops.stray, drops.unexpected), (3, 1, 2));
    assert_eq!(leg.stream.stats().received.unwrap().received, 5);
}

#[test]
fn a_second_source_needs_two_packets_in_a_row() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(80, |_| 0);
    for number in 0..3_u16 {
        let fields = RtpFields {
            marker: false,
            payload_type: 0,
            sequence: 500 + number,
            timestamp: 9_000 + 160 * u32::from(number),
            ssrc: 0x0dd,
        };
        leg.receive(Component::Rtp, &[&fields.encode()[..], &[9; 160]].concat());
    }
    assert_eq!(leg.stream.stats().drops.stray, 1);
    assert_eq!(leg.stream.stats().received.unwrap().received, 2);
    leg.pass(200);
    assert!(leg.take_packets().iter().any(|packet| packet.payload[0] == 9));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever messages come, an untouched call lives on.
    #[test]
    fn mutated_messages_hurt_nobody(
        steps in proptest::collection::vec((0_usize..6, any::<u16>(), any::<u8>(), any::<bool>()), 1..30)
    ) {
        let mut bench = Bench::with(|config| config.limits.sessions_max = 5);
        let mut good = bench.call("music");
        let mut bad = bench.call("echo");
        for (kind, at, octet, is_outside) in steps {
            let mut outside = Caller::new("echo", &format!("m{at}-"));
            let from = if is_outside { &mut outside } else { &mut bad };
            let text = match kind {
                0 => from.invite(Some(OFFER)),
                1 => from.invite(None),
                2 => from.ack(Some(OFFER)),
                3 => from.with_sdp("UPDATE", OFFER),
                4 => from.request("INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=5"),
                _ => from.request("OPTIONS", "", ""),
            };
            let mut octets = text.into_bytes();
            let at = usize::from(at) % octets.len();
            octets[at] = octet;
            if let Ok(message) = Message::parse_frame(octets.into(), &Limits::default()) {
                bench.agent.handle_message(bench.now, &message);
                bench.did();
            }
            bench.pass(0.3);
        }
        assert_alive(&mut bench, &mut good);
        let gauges = bench.agent.gauges();
        prop_assert!(gauges.calls_answered + gauges.calls_opening <= 5);
    }

    /// Whatever datagrams come, the stream goes on.
    #[test]
    fn random_datagrams_hurt_nobody(
        datagrams in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..300), 0_u8..6, any::<bool>(), 0_u64..50),
            0..60,
        )
    ) {
        let mut leg = Leg::new(Service::Echo);
        for (mut octets, kind, is_rtcp, wait) in datagrams {
            if let [first, second, ..] = &mut octets[..] {
                *first = if kind > 0 { 0x80 | *first & 0x3f } else { *first };
                *second = match kind {
                    1 | 2 => 0,
                    3 => 101,
                    4 => 200 + *second % 8,
                    _ => *second,
                };
            }
            let on = if is_rtcp { Component::Rtcp } else { Component::Rtp };
            leg.receive(on, &octets);
            leg.pass(wait);
        }
        leg.pass(2_000);
        let packets = leg.take_packets();
        for pair in packets.windows(2) {
            prop_assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        }
        prop_assert!(packets.len() >= 100);
    }
}
