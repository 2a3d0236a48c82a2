//! Ports that wait for their endpoint, and ports that have it.

use viaduct_forward::{
    Command, CommandError, CryptoDirection, CryptoId, DropReason, MediaKind, PortMode, PortRule, SrtpProfile,
    ToControl, Verdict,
};

use crate::peers::*;

fn port(mode: PortMode) -> PortRule {
    PortRule {
        local: addr(AUDIO),
        leg: PHONE_LEG,
        mode,
        authenticate: None,
    }
}

fn unknown_source(kind: MediaKind) -> Verdict {
    Verdict::ToControl(ToControl::UnknownSource { leg: PHONE_LEG, kind })
}

#[test]
fn a_learning_port_shows_unknown_sources_to_control() {
    let mut relay = Relay::new();
    relay.command(Command::SetPort(port(PortMode::Learning)));
    let packet = rtp(1, 1);
    assert_eq!(
        relay.receive(PHONE, AUDIO, &packet),
        (unknown_source(MediaKind::Rtp), packet)
    );
    let report = receiver_report(1, &[]);
    assert_eq!(
        relay.receive(PHONE, AUDIO, &report).0,
        unknown_source(MediaKind::Rtcp)
    );
    // What is no media teaches nothing.
    let mut padded = rtp(1, 2);
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 0;
    relay.drops(PHONE, AUDIO, &padded, DropReason::MalformedRtp);
    relay.drops(PHONE, AUDIO, &report[..7], DropReason::Unclassified);
    relay.drops(
        PHONE,
        AUDIO,
        &[0x80, 200, 0, 9, 0, 0, 0, 1],
        DropReason::MalformedRtcp,
    );
}

/// Between peers that do everything with each other a check is as good as media.
#[test]
fn a_port_that_takes_anything_shows_control_whatever_comes() {
    let mut relay = Relay::new();
    relay.command(Command::SetPort(port(PortMode::LearningAny)));
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    for datagram in [&check[..], &[22, 254, 255, 0], &[0xff; 9]] {
        let (verdict, data) = relay.receive(PHONE, AUDIO, datagram);
        assert_eq!((verdict, &data[..]), (unknown_source(MediaKind::Rtp), datagram));
    }
    let routes = vec![viaduct_forward::Route::to(out(VIDEO, PHONE_VIDEO))];
    let rule =
        viaduct_forward::FlowRule::new(viaduct_forward::FlowId(1), key(AUDIO, PHONE), PHONE_LEG, routes);
    relay.install(viaduct_forward::FlowRule {
        accept: viaduct_forward::Accept::ANYTHING,
        ..rule
    });
    for datagram in [&check[..], &[22, 254, 255, 0], &[0xff; 9]] {
        assert_eq!(
            relay.forwards(PHONE, AUDIO, datagram, out(VIDEO, PHONE_VIDEO)),
            datagram
        );
    }
}

#[test]
fn a_settled_port_drops_them() {
    let mut relay = Relay::new();
    relay.command(Command::SetPort(port(PortMode::Learning)));
    relay.command(Command::SetPort(port(PortMode::Settled)));
    relay.drops(STRANGER, AUDIO, &rtp(1, 1), DropReason::UnknownSource);
    relay.install_plain(1, key(AUDIO, PHONE), out(VIDEO, PHONE_VIDEO));
    relay.forwards(PHONE, AUDIO, &rtp(1, 1), out(VIDEO, PHONE_VIDEO));
}

#[test]
fn a_port_without_leg_drops_everything_unknown() {
    let mut relay = Relay::new();
    relay.drops(PHONE, AUDIO, &rtp(1, 1), DropReason::NoLeg);
    relay.command(Command::SetPort(port(PortMode::Learning)));
    relay.command(Command::ClearPort { local: addr(AUDIO) });
    relay.drops(PHONE, AUDIO, &rtp(1, 1), DropReason::NoLeg);
    let unbound = addr("192.0.2.1:9");
    let rule = PortRule {
        local: unbound,
        ..port(PortMode::Learning)
    };
    assert_eq!(
        relay.refused(Command::SetPort(rule)),
        CommandError::UnknownSocket(unbound)
    );
}

#[test]
fn a_flood_of_unknown_sources_reaches_control_at_a_bounded_rate() {
    let mut relay = Relay::new();
    relay.command(Command::SetPort(port(PortMode::Learning)));
    let mut shown = 0;
    for second in 0..3 {
        for n in 0..1000_u16 {
            let from = format!("198.51.100.66:{}", 1024 + n);
            match relay.receive(&from, AUDIO, &rtp(n.into(), second)).0 {
                Verdict::ToControl(_) => shown += 1,
                verdict => assert_eq!(verdict, Verdict::Drop(DropReason::LearningLimited)),
            }
        }
        relay.wait(1000);
    }
    assert_eq!(shown, 3 * 50);
    assert_eq!(relay.dropped(DropReason::LearningLimited), 3 * 950);
}

/// A phone with SDES keys: only somebody who has them is shown to control.
#[test]
fn srtp_is_authenticated_before_anything_is_learnt() {
    let mut relay = Relay::new();
    let profile = SrtpProfile::Aes128CmSha1_80;
    let mut phone = SrtpPeer::new(profile, 3);
    relay.crypto(5, CryptoDirection::Receive, &phone.relay_keys);
    let rule = PortRule {
        authenticate: Some(CryptoId(5)),
        ..port(PortMode::Learning)
    };
    relay.command(Command::SetPort(rule));
    relay.drops(STRANGER, AUDIO, &rtp(1, 1), DropReason::NotAuthentic);
    let forged = SrtpPeer::new(profile, 4).protect_rtp(&rtp(1, 1));
    relay.drops(STRANGER, AUDIO, &forged, DropReason::NotAuthentic);
    let good = phone.protect_rtp(&rtp(1, 1));
    assert_eq!(
        relay.receive(PHONE, AUDIO, &good),
        (unknown_source(MediaKind::Rtp), rtp(1, 1))
    );
    // The same packet from elsewhere is a replay: the stranger is not learnt.
    relay.drops(STRANGER, AUDIO, &good, DropReason::Replayed);
    let report = phone.protect_rtcp(&receiver_report(1, &[]));
    assert_eq!(
        relay.receive(PHONE, AUDIO, &report).0,
        unknown_source(MediaKind::Rtcp)
    );
    let refused = PortRule {
        authenticate: Some(CryptoId(6)),
        ..port(PortMode::Learning)
    };
    assert_eq!(
        relay.refused(Command::SetPort(refused)),
        CommandError::UnknownCrypto(CryptoId(6))
    );
}
