//! SRTP between two phones that have each other's keys: it goes on unopened.

use viaduct_forward::{
    CryptoDirection, CryptoId, DropReason, Extensions, FlowId, FlowRule, Listener, PacketBuf, Report, Resume,
    Route, TelephoneEvent, Tick,
};
use viaduct_rtp::srtp::{ReceiveContext, SendContext, SrtpKeyMaterial, SrtpKeyPair, SrtpLimits, SrtpProfile};

use crate::peers::*;

const FLOW: u64 = 1;
const RECEIVE: CryptoId = CryptoId(1);
const SEND: CryptoId = CryptoId(2);
const SSRC: u32 = 7;
const EVENTS: u8 = 101;

/// The other phone, which is heard on the port for video here.
const OTHER: &str = "198.51.100.20:7000";

const SUITES: [SrtpProfile; 2] = [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes256Gcm];

/// A relay between a phone that sends under a key and another that has the key. The sender, and what the receiver has.
fn relay(profile: SrtpProfile) -> (Relay, SrtpPeer) {
    let relay = Relay::new();
    let octets: Vec<u8> = (0..profile.key_len() + profile.salt_len())
        .map(|n| n as u8)
        .collect();
    let key = SrtpKeyMaterial::from_sdes(profile, &octets).unwrap();
    let relay_keys = SrtpKeyPair {
        send: key.clone().shared(),
        receive: key.clone(),
    };
    relay.crypto(RECEIVE.0, CryptoDirection::Receive, &relay_keys);
    relay.crypto(SEND.0, CryptoDirection::Send, &relay_keys);
    let phones = SrtpPeer {
        send: SendContext::new(&key, SrtpLimits::default()),
        receive: ReceiveContext::new(&key, SrtpLimits::default()),
        relay_keys,
    };
    (relay, phones)
}

fn passing() -> FlowRule {
    let route = Route {
        protect: Some(SEND),
        same_key: true,
        ..Route::to(out(VIDEO, OTHER))
    };
    FlowRule {
        unprotect: Some(RECEIVE),
        may_pass: true,
        confirm: true,
        ..FlowRule::new(FlowId(FLOW), key(AUDIO, PHONE), PHONE_LEG, vec![route])
    }
}

/// The same after its first packet, with something else about it.
fn changed(change: impl FnOnce(&mut Route)) -> FlowRule {
    let mut rule = passing();
    rule.confirm = false;
    change(&mut rule.routes[0]);
    rule
}

#[track_caller]
fn sent(relay: &mut Relay, packet: &[u8]) -> Vec<u8> {
    relay.forwards(PHONE, AUDIO, packet, out(VIDEO, OTHER))
}

fn is_confirmed(relay: &mut Relay) -> bool {
    let reports = relay.reports();
    matches!(reports[..], [Report::FlowConfirmed { .. }])
}

#[test]
fn packets_go_on_as_they_came_and_none_confirms_that_is_not_authentic() {
    for profile in SUITES {
        let (mut relay, mut phone) = self::relay(profile);
        relay.install(passing());
        // No more than RTP to the relay, with a last octet that would be too much padding.
        let mut forged = rtp(SSRC, 1);
        forged[0] |= 0x20;
        *forged.last_mut().unwrap() = 0xff;
        assert_eq!(sent(&mut relay, &forged), forged);
        assert!(!is_confirmed(&mut relay));
        assert_eq!(relay.worker.stats().snapshot().passed_unproven, 1);
        let packet = phone.protect_rtp(&rtp(SSRC, 2));
        assert_eq!(sent(&mut relay, &packet), packet);
        assert!(is_confirmed(&mut relay));
        for sequence in 3..10 {
            let packet = phone.protect_rtp(&rtp(SSRC, sequence));
            assert_eq!(sent(&mut relay, &packet), packet);
            assert_eq!(phone.unprotect_rtp(&packet), rtp(SSRC, sequence));
        }
        assert_eq!(sent(&mut relay, &forged), forged);
        assert_eq!(relay.reports(), []);
        let flow = relay.flow(FLOW);
        assert_eq!(
            (flow.rtp.packets, flow.errors, flow.routes[0].rtp.packets),
            (10, 0, 10)
        );
        assert_eq!(relay.worker.stats().snapshot().passed_unproven, 1, "nobody tries");
        relay.drops(STRANGER, AUDIO, &packet, DropReason::NoLeg);
    }
}

#[test]
fn reports_are_opened_and_checked() {
    let (mut relay, mut phone) = relay(SUITES[0]);
    relay.install(passing());
    let report = receiver_report(SSRC, &[about(1), about(2)]);
    relay.drops(PHONE, AUDIO, &report, DropReason::NotAuthentic);
    let protected = phone.protect_rtcp(&report);
    let passed = sent(&mut relay, &protected);
    assert_eq!(phone.unprotect_rtcp(&passed), report);
    relay.drops(PHONE, AUDIO, &protected, DropReason::Replayed);
}

#[test]
fn digits_are_told_that_were_in_authentic_packets() {
    let (mut relay, mut phone) = relay(SUITES[0]);
    let told = FlowRule {
        events: vec![EVENTS],
        ..changed(|_| ())
    };
    relay.install(told);
    let digit = |sequence: u16, digit: u8| {
        let mut packet = rtp_of_type(SSRC, sequence, EVENTS);
        packet.truncate(12);
        packet.extend([digit, 0x80 | 10, 0, 160]);
        packet
    };
    let packet = phone.protect_rtp(&digit(1, 5));
    assert_eq!(sent(&mut relay, &packet), packet);
    let [Report::EventEnded { event, .. }] = relay.reports()[..] else {
        panic!("one digit");
    };
    assert!(matches!(event, TelephoneEvent { event: 5, .. }));
    let forged = digit(2, 6);
    assert_eq!(sent(&mut relay, &forged), forged);
    assert_eq!(relay.reports(), []);
    assert_eq!(relay.worker.stats().snapshot().passed_unproven, 1);
}

/// RFC 3711 section 3.3.1: the rollover counter is in no packet, and the relay has not counted.
#[test]
fn after_rollovers_a_listener_hears_all_and_the_receiver_notices_nothing() {
    for profile in SUITES {
        let (mut relay, mut phone) = self::relay(profile);
        relay.install(passing());
        let receiver = |phone: &mut SrtpPeer, packet: &[u8], plain: &[u8]| {
            assert_eq!(phone.unprotect_rtp(packet), plain, "{profile:?}");
        };
        for _ in 0..4 {
            for sequence in (0..=u16::MAX).step_by(1 << 14) {
                let packet = phone.protect_rtp(&rtp(SSRC, sequence));
                assert_eq!(sent(&mut relay, &packet), packet);
                receiver(&mut phone, &packet, &rtp(SSRC, sequence));
            }
        }
        let listener = Listener {
            rtp_out: Some(out(VIDEO, STRANGER)),
            rtcp_out: None,
            protect: None,
            mid: None,
        };
        relay.install(changed(|route| route.listeners = vec![listener]));
        let mut copy = PacketBuf::new();
        for sequence in 5..8 {
            let packet = phone.protect_rtp(&rtp(SSRC, sequence));
            assert_eq!(sent(&mut relay, &packet), packet, "opened and closed again");
            receiver(&mut phone, &packet, &rtp(SSRC, sequence));
            assert!(relay.worker.poll_copy(&mut copy).is_some());
            assert_eq!(copy.data(), rtp(SSRC, sequence));
        }
        relay.drops(PHONE, AUDIO, &rtp(SSRC, 9), DropReason::NotAuthentic);
        relay.install(changed(|_| ()));
        let packet = phone.protect_rtp(&rtp(SSRC, 9));
        assert_eq!(sent(&mut relay, &packet), packet);
        assert!(relay.worker.poll_copy(&mut copy).is_none());
    }
}

#[test]
fn what_is_to_be_checked_or_changed_does_not_pass() {
    let forged = rtp(SSRC, 1);
    let rules = [
        changed(|route| route.same_key = false),
        changed(|route| route.extensions = Some(Extensions::Without(1))),
        changed(|route| route.select.ssrcs = vec![SSRC]),
        changed(|route| route.silence = Some(Vec::new())),
        changed(|route| {
            route.resume = Some(Resume {
                id: 1,
                ssrc: SSRC,
                sequence: 2,
                timestamp: 3,
                at: Tick::ZERO,
                known: None,
            });
        }),
        FlowRule {
            may_pass: false,
            ..passing()
        },
    ];
    for rule in rules {
        let (mut relay, _) = relay(SUITES[0]);
        assert!(!rule.passes());
        relay.install(rule);
        relay.drops(PHONE, AUDIO, &forged, DropReason::NotAuthentic);
    }
}
