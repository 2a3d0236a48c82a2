//! Re-offers, hold and address changes in the middle of a call.

use viaduct_forward::{
    BlockReason, Command, CommandError, CryptoCommand, CryptoId, DropReason, FlowId, FlowKey, FlowRule,
    Route, SrtpProfile, Verdict,
};

use crate::peers::*;

#[test]
fn a_new_rule_keeps_crypto_state_and_counters() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::Aes128CmSha1_80);
    let mut last = Vec::new();
    // Past the end of a cycle: a context begun anew would take the rollover counter for 0.
    for sequence in (65_500..=65_535).chain(0..10) {
        last = browser.protect_rtp(&rtp(BROWSER_SSRC, sequence));
        relay.forwards(BROWSER, SHARED, &last, out(AUDIO, PHONE));
        let sent = relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, sequence), out(SHARED, BROWSER));
        browser.unprotect_rtp(&sent);
    }
    relay.install(from_browser());
    relay.install(from_phone());
    relay.drops(BROWSER, SHARED, &last, DropReason::Replayed);
    for sequence in 10..20 {
        let protected = browser.protect_rtp(&rtp(BROWSER_SSRC, sequence));
        relay.forwards(BROWSER, SHARED, &protected, out(AUDIO, PHONE));
        let sent = relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, sequence), out(SHARED, BROWSER));
        assert_eq!(browser.unprotect_rtp(&sent), rtp(PHONE_SSRC, sequence));
    }
    let snapshot = relay.flow(FROM_BROWSER);
    assert_eq!(snapshot.rtp.packets, 56);
    assert_eq!(snapshot.ssrcs[0].reception.expected, 56);
    assert_eq!(snapshot.ssrcs[0].reception.lost(), 0);
}

/// The browser moves from Wi-Fi to mobile: another tuple, the same keys, both valid for a while.
#[test]
fn two_paths_of_a_leg_share_one_replay_window() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    const MOBILE: &str = "203.0.113.200:1024";
    relay.install(FlowRule {
        flow: FlowId(11),
        key: key(SHARED, MOBILE),
        ..from_browser()
    });
    let first = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
    relay.forwards(BROWSER, SHARED, &first, out(AUDIO, PHONE));
    relay.drops(MOBILE, SHARED, &first, DropReason::Replayed);
    let second = browser.protect_rtp(&rtp(BROWSER_SSRC, 2));
    relay.forwards(MOBILE, SHARED, &second, out(AUDIO, PHONE));
    relay.drops(BROWSER, SHARED, &second, DropReason::Replayed);
    // The way back moves with a rule of the phone's flow.
    let route = Route {
        protect: Some(CryptoId(BROWSER_SEND)),
        ..Route::to(out(SHARED, MOBILE))
    };
    relay.install(FlowRule {
        routes: vec![route],
        ..from_phone()
    });
    let sent = relay.forwards(PHONE, AUDIO, &rtp(PHONE_SSRC, 1), out(SHARED, MOBILE));
    assert_eq!(browser.unprotect_rtp(&sent), rtp(PHONE_SSRC, 1));
}

/// Two workers serve the two tuples of one leg: nothing is forwarded twice.
#[test]
fn two_workers_share_one_replay_window() {
    let mut first = Relay::new();
    let mut browser = browser_calls_phone(&mut first, SrtpProfile::Aes128CmSha1_80);
    let mut second = Relay::with(viaduct_forward::Limits::default(), first.shared.clone());
    second.install(FlowRule {
        flow: FlowId(11),
        ..from_browser()
    });
    let packet = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
    first.forwards(BROWSER, SHARED, &packet, out(AUDIO, PHONE));
    second.drops(BROWSER, SHARED, &packet, DropReason::Replayed);
}

#[test]
fn a_flow_moves_to_another_address() {
    let mut relay = Relay::new();
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    relay.forwards(PHONE, AUDIO, &rtp(1, 1), out(VIDEO, PHONE_VIDEO));
    relay.install_plain(1, key(AUDIO, STRANGER), out(VIDEO, PHONE_VIDEO));
    relay.forwards(STRANGER, AUDIO, &rtp(1, 2), out(VIDEO, PHONE_VIDEO));
    relay.drops(PHONE, AUDIO, &rtp(1, 3), DropReason::NoLeg);
    assert_eq!(relay.flow(1).rtp.packets, 2);
    // The address that was left is free for another flow.
    relay.install_plain(2, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
}

#[test]
fn two_flows_cannot_have_the_same_addresses() {
    let mut relay = Relay::new();
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    relay.install_plain(2, key(AUDIO, STRANGER), out(VIDEO, PHONE_VIDEO));
    let routes = vec![Route::to(out(VIDEO, PHONE_VIDEO))];
    let clash = FlowRule::new(FlowId(2), key(AUDIO, PHONE), PHONE_LEG, routes);
    let in_use = CommandError::KeyInUse {
        key: key(AUDIO, PHONE),
        by: FlowId(1),
    };
    assert_eq!(relay.refused(Command::InstallFlow(clash)), in_use);
    // Neither has changed.
    relay.forwards(PHONE, AUDIO, &rtp(1, 1), out(VIDEO, PHONE_VIDEO));
    relay.forwards(STRANGER, AUDIO, &rtp(2, 1), out(VIDEO, PHONE_VIDEO));
}

#[test]
fn hold_blocks_media_and_lets_reports_through() {
    let mut relay = Relay::new();
    let rule = |block| {
        let route = Route {
            block,
            ..Route::to(out(VIDEO, PHONE_VIDEO))
        };
        FlowRule::new(FlowId(1), key(AUDIO, PHONE), PHONE_LEG, vec![route])
    };
    for (block, reason) in [
        (BlockReason::Direction, DropReason::BlockedDirection),
        (BlockReason::Media, DropReason::BlockedMedia),
        (BlockReason::Dtmf, DropReason::BlockedDtmf),
        (BlockReason::Traffic, DropReason::BlockedTraffic),
    ] {
        relay.install(rule(Some(block)));
        relay.drops(PHONE, AUDIO, &rtp(1, 1), reason);
        relay.forwards(PHONE, AUDIO, &receiver_report(1, &[]), out(VIDEO, PHONE_VIDEO));
    }
    relay.install(rule(None));
    relay.forwards(PHONE, AUDIO, &rtp(1, 2), out(VIDEO, PHONE_VIDEO));
}

#[test]
fn a_removed_context_lives_on_in_the_rules_that_have_it() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes256Gcm);
    let id = CryptoId(BROWSER_RECEIVE);
    relay.shared.crypto.apply(&CryptoCommand::Remove { id }).unwrap();
    let packet = browser.protect_rtp(&rtp(BROWSER_SSRC, 1));
    relay.forwards(BROWSER, SHARED, &packet, out(AUDIO, PHONE));
    let refused = relay.refused(Command::InstallFlow(from_browser()));
    assert_eq!(refused, CommandError::UnknownCrypto(id));
    // The refused rule has changed nothing.
    let packet = browser.protect_rtp(&rtp(BROWSER_SSRC, 2));
    relay.forwards(BROWSER, SHARED, &packet, out(AUDIO, PHONE));
}

#[test]
fn a_gone_socket_takes_its_flows_and_stops_what_goes_to_it() {
    let mut relay = Relay::new();
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    relay.install_plain(2, key(VIDEO, PHONE_VIDEO), out(AUDIO, PHONE));
    relay.install_plain(3, key(VIDEO, STRANGER), out(AUDIO, PHONE));
    let socket = relay.socket(VIDEO);
    relay.command(Command::UnbindSocket { socket });
    relay.drops(PHONE, AUDIO, &rtp(1, 1), DropReason::OutputUnbound);
    relay.drops(PHONE_VIDEO, VIDEO, &rtp(1, 1), DropReason::UnknownSocket);
    assert_eq!(relay.worker.stats().snapshot().flows, 1);
    assert_eq!(
        relay.refused(Command::RemoveFlow { flow: FlowId(2) }),
        CommandError::UnknownFlow(FlowId(2))
    );
    assert_eq!(
        relay.refused(Command::UnbindSocket { socket }),
        CommandError::UnknownSocketNumber(socket)
    );
}

#[test]
fn fax_over_udptl_passes_whatever_it_looks_like() {
    let mut relay = Relay::new();
    let routes = vec![Route::to(out(VIDEO, PHONE_VIDEO))];
    let rule = FlowRule::new(FlowId(1), key(AUDIO, PHONE), PHONE_LEG, routes);
    relay.install(FlowRule {
        accept: viaduct_forward::Accept::RAW,
        ..rule
    });
    // Sequence numbers whose first octet is that of STUN, DTLS, ZRTP, TURN, RTP and nothing.
    for first in [0x00, 0x16, 0x11, 0x40, 0x80, 0xff] {
        let udptl = [first, 0x01, 0x06, 0x01, 0x00, 0x00];
        assert_eq!(
            relay.forwards(PHONE, AUDIO, &udptl, out(VIDEO, PHONE_VIDEO)),
            udptl
        );
    }
    assert_eq!(relay.flow(1).raw.packets, 6);
}

#[test]
fn removed_flows_are_gone_at_once_and_their_place_is_used_again() {
    let mut relay = Relay::new();
    for round in 0..50 {
        relay.install_plain(round, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
        let verdict = relay.receive(PHONE, AUDIO, &rtp(1, round as u16)).0;
        assert!(matches!(verdict, Verdict::Forward { .. }));
        relay.command(Command::RemoveFlow { flow: FlowId(round) });
        relay.drops(PHONE, AUDIO, &rtp(1, round as u16), DropReason::NoLeg);
        assert_eq!(
            relay.shared.stats.forget_flow(FlowId(round)).unwrap().rtp.packets,
            1
        );
    }
    let other: FlowKey = key(AUDIO, STRANGER);
    relay.install_plain(99, other, out(VIDEO, PHONE_VIDEO));
    relay.forwards(STRANGER, AUDIO, &rtp(1, 1), out(VIDEO, PHONE_VIDEO));
}
