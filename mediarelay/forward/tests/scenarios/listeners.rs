//! Somebody who only listens: a recorder.

use viaduct_forward::{
    BlockReason, Command, CommandError, CryptoDirection, CryptoId, DropReason, FlowId, FlowRule,
    LISTENERS_MAX, Limits, Listener, MidSelector, Out, PacketBuf, Report, Route, Shared, TelephoneEvent,
};
use viaduct_rtp::srtp::SrtpProfile;

use crate::peers::*;

const RECORDER: &str = "198.51.100.30:9000";
const RECORDER_RTCP: &str = "198.51.100.30:9001";
const FLOW: u64 = 1;

fn listener() -> Listener {
    Listener {
        rtp_out: Some(out(VIDEO, RECORDER)),
        rtcp_out: Some(out(VIDEO, RECORDER_RTCP)),
        protect: None,
        mid: None,
    }
}

fn heard(route: Route) -> FlowRule {
    let route = Route {
        listeners: vec![listener()],
        ..route
    };
    FlowRule::new(FlowId(FLOW), key(AUDIO, PHONE), PHONE_LEG, vec![route])
}

fn copies(relay: &mut Relay) -> Vec<(Out, Vec<u8>)> {
    let mut buffer = PacketBuf::new();
    std::iter::from_fn(|| {
        let (out, _) = relay.worker.poll_copy(&mut buffer)?;
        Some((out, buffer.data().to_vec()))
    })
    .collect()
}

#[test]
fn a_listener_hears_what_goes_by_a_route() {
    let mut relay = Relay::new();
    let to = out(VIDEO, "198.51.100.20:7000");
    relay.install(heard(Route::to(to)));
    assert_eq!(relay.forwards(PHONE, AUDIO, &rtp(5, 1), to), rtp(5, 1));
    let report = sender_report(5, 1, &[]);
    assert_eq!(relay.forwards(PHONE, AUDIO, &report, to), report);
    let heard = [
        (out(VIDEO, RECORDER), rtp(5, 1)),
        (out(VIDEO, RECORDER_RTCP), report),
    ];
    assert_eq!(copies(&mut relay), heard);
    assert_eq!(relay.worker.stats().snapshot().copies, 2);
}

/// Held and unanswered parties are heard; muted ones are not, and nobody hears digits that are kept secret.
#[test]
fn what_becomes_of_a_packet_otherwise_counts_only_where_it_is_muted() {
    let to = out(VIDEO, "198.51.100.20:7000");
    for (block, is_heard) in [
        (BlockReason::Direction, true),
        (BlockReason::Media, false),
        (BlockReason::Dtmf, false),
        (BlockReason::Traffic, false),
    ] {
        let mut relay = Relay::new();
        relay.install(heard(Route {
            block: Some(block),
            ..Route::to(to)
        }));
        relay.drops(PHONE, AUDIO, &rtp(5, 1), block.into());
        assert_eq!(copies(&mut relay).len(), usize::from(is_heard), "{block:?}");
    }
    let mut relay = Relay::new();
    relay.install(heard(Route {
        rtp_out: None,
        ..Route::to(to)
    }));
    relay.drops(PHONE, AUDIO, &rtp(5, 1), DropReason::NoOutput);
    assert_eq!(copies(&mut relay).len(), 1);
}

#[test]
fn a_listener_with_srtp_has_keys_of_its_own() {
    let mut relay = Relay::new();
    let mut browser = browser_calls_phone(&mut relay, SrtpProfile::AeadAes128Gcm);
    let mut recorder = SrtpPeer::new(SrtpProfile::Aes128CmSha1_80, 9);
    relay.crypto(7, CryptoDirection::Send, &recorder.relay_keys);
    let mut rule = from_browser();
    rule.routes[0].listeners = vec![Listener {
        protect: Some(CryptoId(7)),
        ..listener()
    }];
    relay.install(rule);
    let packet = rtp(BROWSER_SSRC, 1);
    let sent = relay.forwards(BROWSER, SHARED, &browser.protect_rtp(&packet), out(AUDIO, PHONE));
    assert_eq!(sent, packet);
    let [(to, copy)] = &copies(&mut relay)[..] else {
        panic!("one copy");
    };
    assert_eq!(*to, out(VIDEO, RECORDER));
    assert_ne!(copy[..], packet);
    assert_eq!(recorder.unprotect_rtp(copy), packet);
}

#[test]
fn a_listener_reads_its_own_name_of_the_m_line() {
    const NAMES: u8 = 4;
    let mut relay = Relay::new();
    let to = out(VIDEO, "198.51.100.20:7000");
    let mut rule = heard(Route::to(to));
    rule.routes[0].listeners[0].mid = Some(MidSelector {
        extension_id: NAMES,
        mid: "voice".to_owned(),
    });
    relay.install(rule);
    for said in [rtp_with_mid(5, 1, 0, NAMES, "0"), rtp_of_type(5, 1, 0)] {
        // Who takes part gets what was said.
        assert_eq!(relay.forwards(PHONE, AUDIO, &said, to), said);
        let told = rtp_with_mid(5, 1, 0, NAMES, "voice");
        assert_eq!(copies(&mut relay), [(out(VIDEO, RECORDER), told)]);
    }
}

#[test]
fn copies_that_nobody_fetches_are_bounded() {
    let limits = Limits {
        copies_queued: 2,
        ..Limits::default()
    };
    let mut relay = Relay::with(limits, Shared::default());
    relay.install(heard(Route::to(out(VIDEO, "198.51.100.20:7000"))));
    for sequence in 1..=5 {
        relay.receive(PHONE, AUDIO, &rtp(5, sequence));
    }
    assert_eq!(relay.worker.stats().snapshot().copies_lost, 3);
    assert_eq!(copies(&mut relay).len(), 2);
    relay.receive(PHONE, AUDIO, &rtp(5, 6));
    assert_eq!(copies(&mut relay).len(), 1);
}

#[test]
fn a_route_has_so_many_listeners_at_most() {
    let mut relay = Relay::new();
    let mut rule = heard(Route::to(out(VIDEO, "198.51.100.20:7000")));
    rule.routes[0].listeners = vec![listener(); LISTENERS_MAX + 1];
    let refused = relay.refused(Command::InstallFlow(rule));
    assert_eq!(refused, CommandError::Limit("listeners"));
}

#[test]
fn control_hears_of_events_that_it_asked_for() {
    let mut relay = Relay::new();
    let rule = heard(Route::to(out(VIDEO, "198.51.100.20:7000")));
    relay.install(FlowRule {
        events: vec![101],
        clock_rates: vec![viaduct_forward::ClockRate {
            payload_type: 101,
            hertz: 8000,
        }],
        ..rule
    });
    let digit = |payload_type, end: u8, duration: u8| {
        let mut packet = rtp_of_type(5, 1, payload_type);
        packet.truncate(12);
        packet.extend([7, end | 10, 0, duration]);
        packet
    };
    for packet in [
        digit(101, 0, 80),
        digit(101, 0x80, 160),
        digit(101, 0x80, 160),
        digit(102, 0x80, 160),
    ] {
        relay.receive(PHONE, AUDIO, &packet);
    }
    let event = TelephoneEvent {
        event: 7,
        volume: 10,
        duration: 160,
        clock_rate: 8000,
    };
    let (flow, leg, at) = (FlowId(FLOW), PHONE_LEG, relay.now);
    assert_eq!(relay.reports(), [Report::EventEnded { flow, leg, event, at }]);
}
