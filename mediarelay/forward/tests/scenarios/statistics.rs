//! What control can read while packets flow.

use std::time::Duration;

use viaduct_forward::{
    Beside, BesideSource, ClockRate, DropReason, FlowId, FlowRule, Route, SrtpProfile, Tick,
};

use crate::peers::*;

#[test]
fn loss_and_jitter_are_measured_per_ssrc() {
    let mut relay = Relay::new();
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    for sequence in 0..200 {
        if sequence % 10 != 3 {
            relay.forwards(PHONE, AUDIO, &rtp(7, sequence), out(VIDEO, PHONE_VIDEO));
        }
        relay.wait(20);
    }
    let snapshot = relay.flow(1);
    assert_eq!((snapshot.rtp.packets, snapshot.rtp.octets), (180, 180 * 172));
    assert_eq!(snapshot.routes[0].rtp.packets, 180);
    let [stream] = snapshot.ssrcs[..] else {
        panic!("one stream")
    };
    assert_eq!((stream.ssrc, stream.payload_type, stream.packets), (7, 0, 180));
    assert_eq!((stream.reception.lost(), stream.reception.jitter), (20, 0));
    assert_eq!(stream.reception.clock_rate, 8000);
    assert_eq!(Some(stream.last_packet), snapshot.last_packet);
}

#[test]
fn octets_are_those_of_the_wire_on_each_side() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::Aes128CmSha1_80);
    let protected = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
    relay.forwards(BROWSER, SHARED, &protected, out(AUDIO, PHONE));
    let snapshot = relay.flow(FROM_BROWSER);
    assert_eq!((snapshot.rtp.octets, snapshot.routes[0].rtp.octets), (182, 172));
}

#[test]
fn a_dynamic_payload_type_has_the_clock_of_the_rule() {
    let mut relay = Relay::new();
    let routes = vec![Route::to(out(VIDEO, PHONE_VIDEO))];
    let rule = FlowRule::new(FlowId(1), key(AUDIO, PHONE), PHONE_LEG, routes);
    relay.install(FlowRule {
        clock_rates: vec![ClockRate {
            payload_type: 111,
            hertz: 48_000,
        }],
        ..rule
    });
    for sequence in 0..3 {
        relay.forwards(
            PHONE,
            AUDIO,
            &rtp_of_type(7, sequence, 111),
            out(VIDEO, PHONE_VIDEO),
        );
        relay.forwards(
            PHONE,
            AUDIO,
            &rtp_of_type(8, sequence, 112),
            out(VIDEO, PHONE_VIDEO),
        );
    }
    let rates: Vec<_> = relay
        .flow(1)
        .ssrcs
        .iter()
        .map(|s| s.reception.clock_rate)
        .collect();
    assert_eq!(rates, [48_000, 0]);
}

#[test]
fn a_new_rule_can_correct_a_clock() {
    let mut relay = Relay::new();
    let rule = |hertz| {
        let routes = vec![Route::to(out(VIDEO, PHONE_VIDEO))];
        let rule = FlowRule::new(FlowId(1), key(AUDIO, PHONE), PHONE_LEG, routes);
        FlowRule {
            clock_rates: vec![ClockRate {
                payload_type: 111,
                hertz,
            }],
            ..rule
        }
    };
    for (sequence, hertz) in [(1, 8_000), (2, 48_000)] {
        relay.install(rule(hertz));
        relay.forwards(
            PHONE,
            AUDIO,
            &rtp_of_type(7, sequence, 111),
            out(VIDEO, PHONE_VIDEO),
        );
        assert_eq!(relay.flow(1).ssrcs[0].reception.clock_rate, hertz);
    }
}

/// The middle 32 bits of a sender report's NTP time, as `peers::sender_report` writes it.
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// 80 ms to the browser and back, 30 ms to the phone and back; the reports cross the relay decrypted.
#[test]
fn round_trips_are_measured_on_both_sides() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    let first = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
    relay.forwards(BROWSER, SHARED, &first, out(AUDIO, PHONE));
    relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, 1), out(SHARED, BROWSER));

    let (browser_ntp, phone_ntp) = (0xe000_0001_2345_0000, 0xe000_0009_8765_0000);
    let report = browser.protect_rtcp(&sender_report(BROWSER_SSRC, browser_ntp, &[]));
    relay.forwards(BROWSER, SHARED, &report, out(AUDIO_RTCP, PHONE_RTCP));
    let report = sender_report(PHONE_SSRC, phone_ntp, &[]);
    relay.forwards(PHONE_RTCP, AUDIO_RTCP, &report, out(SHARED, BROWSER));

    // The phone answers two seconds after it got the report, the browser one second after.
    let answer = |ssrc: u32, ntp: u64, seconds: u32| viaduct_rtp::rtcp::ReportBlock {
        last_sr: middle(ntp),
        delay_since_last_sr: seconds << 16,
        ..about(ssrc)
    };
    relay.wait(1080);
    let report = browser.protect_rtcp(&sender_report(
        BROWSER_SSRC,
        1,
        &[answer(PHONE_SSRC, phone_ntp, 1)],
    ));
    relay.forwards(BROWSER, SHARED, &report, out(AUDIO_RTCP, PHONE_RTCP));
    relay.wait(950);
    let report = sender_report(PHONE_SSRC, 1, &[answer(BROWSER_SSRC, browser_ntp, 2)]);
    relay.forwards(PHONE_RTCP, AUDIO_RTCP, &report, out(SHARED, BROWSER));

    let trip = |flow| relay.flow(flow).ssrcs[0].round_trip;
    assert_eq!(
        trip(FROM_PHONE),
        Some(Duration::from_millis(80)),
        "to the browser, who hears the phone"
    );
    assert_eq!(
        trip(FROM_BROWSER),
        Some(Duration::from_millis(30)),
        "to the phone, who hears the browser"
    );
}

#[test]
fn drops_are_counted_per_worker_and_per_flow() {
    let mut relay = Relay::new();
    browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    relay.drops(BROWSER, SHARED, &rtp(1, 1), DropReason::NotAuthentic);
    relay.drops(STRANGER, SHARED, &rtp(1, 1), DropReason::NoLeg);
    relay.drops(BROWSER, SHARED, &[0x10; 20], DropReason::Zrtp);
    let worker = relay.worker.stats().snapshot();
    assert_eq!(
        (
            worker.dropped(DropReason::NotAuthentic),
            worker.dropped(DropReason::NoLeg)
        ),
        (1, 1)
    );
    let flow = relay.flow(FROM_BROWSER);
    assert_eq!(flow.drops, [(DropReason::Zrtp, 1), (DropReason::NotAuthentic, 1)]);
    assert_eq!((flow.errors, flow.last_packet), (2, None::<Tick>));
}

#[test]
fn an_idle_ssrc_makes_room_for_another() {
    let mut relay = Relay::new();
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    for ssrc in 1..=8 {
        relay.forwards(PHONE, AUDIO, &rtp(ssrc, 1), out(VIDEO, PHONE_VIDEO));
    }
    relay.wait(10_000);
    relay.forwards(PHONE, AUDIO, &rtp(1, 2), out(VIDEO, PHONE_VIDEO));
    relay.forwards(PHONE, AUDIO, &rtp(9, 1), out(VIDEO, PHONE_VIDEO));
    let mut ssrcs: Vec<_> = relay.flow(1).ssrcs.iter().map(|s| (s.ssrc, s.packets)).collect();
    ssrcs.sort_unstable();
    assert_eq!(
        ssrcs,
        [(1, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (9, 1)]
    );
    assert_eq!(relay.flow(1).untracked, 0);
}

#[test]
fn what_the_kernel_forwards_is_counted_and_no_loss_where_a_worker_goes_on() {
    let mut relay = Relay::new();
    let to = out(VIDEO, PHONE_VIDEO);
    let rule = FlowRule::new(FlowId(1), key(AUDIO, PHONE), PHONE_LEG, vec![Route::to(to)]);
    relay.install(rule.clone());
    relay.forwards(PHONE, AUDIO, &rtp(7, 0), to);
    relay.wait(20);
    relay.install(FlowRule {
        beside: true,
        ..rule.clone()
    });
    // 98 go beside the worker, and one comes up in the middle.
    relay.forwards(PHONE, AUDIO, &rtp(7, 50), to);
    relay.wait(1_980);
    let beside = Beside {
        is_active: true,
        rtp: viaduct_forward::Counters {
            packets: 98,
            octets: 98 * 172,
            errors: 0,
        },
        last_packet: Some(Tick::ZERO.after(Duration::from_secs(3_600))),
        source: Some(BesideSource {
            ssrc: 7,
            payload_type: 0,
            expected: 98,
            highest_sequence: 99,
            last_timestamp: 99 * 160,
        }),
    };
    let stats = relay.shared.stats.flow(FlowId(1)).unwrap();
    stats.set_beside(beside);
    assert_eq!(stats.beside(), Some(beside));
    assert_eq!(stats.last_packet(), beside.last_packet);
    relay.install(rule);
    relay.forwards(PHONE, AUDIO, &rtp(7, 100), to);
    relay.wait(40);
    relay.forwards(PHONE, AUDIO, &rtp(7, 102), to);
    let snapshot = relay.flow(1);
    assert_eq!((snapshot.rtp.packets, snapshot.rtp.octets), (102, 102 * 172));
    assert_eq!(snapshot.routes[0].rtp, snapshot.rtp);
    let [stream] = snapshot.ssrcs[..] else {
        panic!("one stream")
    };
    assert_eq!((stream.packets, stream.reception.expected), (102, 103));
    assert_eq!((stream.reception.lost(), stream.reception.jitter), (1, 0));
}
