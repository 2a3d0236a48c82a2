//! A browser behind DTLS-SRTP and a phone in the clear hear each other.

use viaduct_forward::{Command, FlowId, FlowRule, Limits, Report, Route, Shared, SrtpProfile, Tick};

use crate::peers::*;

#[test]
fn both_hear_each_other_with_every_profile() {
    for profile in SrtpProfile::ALL {
        let mut relay = Relay::new();
        let mut browser = browser_calls_phone(&mut relay, profile);
        // Across the end of a sequence number cycle, so that the rollover counters move.
        for sequence in (65_400..=65_535).chain(0..200) {
            let protected = browser.protect_rtp(&rtp(BROWSER_SSRC, sequence));
            let to_phone = relay.forwards(BROWSER, SHARED, &protected, out(AUDIO, PHONE));
            assert_eq!(to_phone, rtp(BROWSER_SSRC, sequence));

            let to_browser = relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, sequence), out(SHARED, BROWSER));
            assert_eq!(to_browser.len(), 172 + profile.rtp_tag_len());
            assert_eq!(browser.unprotect_rtp(&to_browser), rtp(PHONE_SSRC, sequence));
            relay.wait(20);
        }
    }
}

#[test]
fn reports_cross_between_srtcp_and_a_separate_port() {
    for profile in SrtpProfile::ALL {
        let mut relay = Relay::new();
        let mut browser = browser_calls_phone(&mut relay, profile);
        for n in 0..5 {
            let report = sender_report(BROWSER_SSRC, n << 32, &[about(PHONE_SSRC)]);
            let protected = browser.protect_rtcp(&report);
            let to_phone = relay.forwards(BROWSER, SHARED, &protected, out(AUDIO_RTCP, PHONE_RTCP));
            assert_eq!(to_phone, report);

            let report = sender_report(PHONE_SSRC, n << 32, &[about(BROWSER_SSRC)]);
            let to_browser = relay.forwards(PHONE_RTCP, AUDIO_RTCP, &report, out(SHARED, BROWSER));
            assert_eq!(browser.unprotect_rtcp(&to_browser), report);
        }
    }
}

/// RTCP that a phone sends to the RTP port, and RTCP from the RTCP port, go out under one SRTCP index space.
#[test]
fn rtcp_from_both_ports_of_a_phone_shares_one_index_space() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::Aes128CmSha1_80);
    for n in 0..6 {
        let report = sender_report(PHONE_SSRC, n << 32, &[]);
        let (from, port) = if n % 2 == 0 {
            (PHONE, AUDIO)
        } else {
            (PHONE_RTCP, AUDIO_RTCP)
        };
        let sent = relay.forwards(from, port, &report, out(SHARED, BROWSER));
        // A repeated index would be refused as a replay.
        assert_eq!(browser.unprotect_rtcp(&sent), report);
    }
}

#[test]
fn the_first_good_packet_is_reported_once() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    assert_eq!(relay.reports(), []);
    for sequence in 0..3 {
        let protected = browser.protect_rtp(&rtp(BROWSER_SSRC, sequence));
        relay.forwards(BROWSER, SHARED, &protected, out(AUDIO, PHONE));
    }
    let confirmed = Report::FlowConfirmed {
        flow: FlowId(FROM_BROWSER),
        leg: BROWSER_LEG,
        at: relay.now,
    };
    assert_eq!(relay.reports(), [confirmed]);
    // Installed again, it is confirmed again.
    relay.command(Command::InstallFlow(from_browser()));
    let protected = browser.protect_rtp(&rtp(BROWSER_SSRC, 9));
    relay.forwards(BROWSER, SHARED, &protected, out(AUDIO, PHONE));
    assert_eq!(relay.reports(), [confirmed]);
}

#[test]
fn a_confirmation_waits_for_room_in_the_queue() {
    let limits = Limits {
        reports_queued: 1,
        ..Limits::default()
    };
    let mut relay = Relay::with(limits, Shared::default());
    for (flow, remote) in [(1, PHONE), (2, STRANGER)] {
        let routes = vec![Route::to(out(VIDEO, PHONE_VIDEO))];
        let rule = FlowRule::new(FlowId(flow), key(AUDIO, remote), PHONE_LEG, routes);
        relay.install(FlowRule {
            confirm: true,
            ..rule
        });
    }
    for from in [PHONE, STRANGER] {
        relay.forwards(from, AUDIO, &rtp(1, 1), out(VIDEO, PHONE_VIDEO));
    }
    let confirmed = |flow| Report::FlowConfirmed {
        flow: FlowId(flow),
        leg: PHONE_LEG,
        at: Tick::from_micros(1_000_000),
    };
    assert_eq!(relay.reports(), [confirmed(1)]);
    relay.forwards(STRANGER, AUDIO, &rtp(1, 2), out(VIDEO, PHONE_VIDEO));
    assert_eq!(relay.reports(), [confirmed(2)]);
    assert_eq!(relay.worker.stats().snapshot().reports_delayed, 1);
}

#[test]
fn a_dual_stack_sockets_view_of_an_ipv4_peer_is_the_same_peer() {
    let mut relay = Relay::new();
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    relay.forwards(
        "[::ffff:198.51.100.9]:4000",
        AUDIO,
        &rtp(1, 1),
        out(VIDEO, PHONE_VIDEO),
    );
}
