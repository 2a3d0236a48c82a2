//! RTP, RTCP and SRTP of others.

use super::*;

/// RTP injection before learning: until the phone speaks one stranger may be taken for it, and with the phone's first packet
/// that is over (RFC 7362 section 4).
#[test]
fn rtp_injected_before_learning_is_heard_from_one_source_and_until_the_phone_speaks() {
    let mut town = Town::signalled();
    Browser::connect(&mut town.world, &mut [&mut town.victim.browser]);
    let to = town.victim.for_phone();
    let mut heard = 0;
    for n in 0..1_000 {
        let injected = rtp(0xbad, n as u16, 8);
        town.bombard(attacker(n), to, &injected);
        heard += town.victim.browser.received(&mut town.world).len();
    }
    assert_eq!(heard, 1, "the first, for want of anybody better");
    assert!(town.world.relay.counters().strangers > 0);
    let (_, packet) = town.victim.phone.send(&mut town.world);
    assert_eq!(town.victim.browser.received(&mut town.world), [packet]);
    town.victim.talk(&mut town.world);
    let before = town.gauges();
    for n in 0..1_000 {
        let (verdict, _) = town.bombard(attacker(n), to, &rtp(0xbad, n as u16, 8));
        assert!(matches!(verdict, Verdict::Drop(_)), "{verdict:?}");
    }
    assert_eq!(
        town.victim.browser.received(&mut town.world),
        Vec::<Vec<u8>>::new()
    );
    assert!(town.dropped(DropReason::UnknownSource) >= 999);
    town.ends_unharmed(before);
}

/// RTP injection after learning: not even the phone's SSRC and next sequence number help from another address.
#[test]
fn rtp_injected_after_learning_is_dropped() {
    let mut town = Town::running();
    let (before, to) = (town.gauges(), town.victim.for_phone());
    let next_door = SocketAddr::new(town.victim.phone.rtp.ip(), 4_444);
    for n in 0..5_000 {
        let from = if n % 2 == 0 { attacker(n) } else { next_door };
        let injected = rtp(town.victim.phone.ssrc, 102 + n as u16, 8);
        let (verdict, _) = town.bombard(from, to, &injected);
        assert_eq!(verdict, Verdict::Drop(DropReason::UnknownSource));
    }
    assert_eq!(
        town.victim.browser.received(&mut town.world),
        Vec::<Vec<u8>>::new()
    );
    assert_eq!(town.dropped(DropReason::UnknownSource), 5_000);
    town.ends_unharmed(before);
}

/// RTP bleed: who sends to a media port is not sent the call's media, neither after a while nor after a re-INVITE.
#[test]
fn rtp_bleed_gets_nobody_the_media_of_a_call() {
    let mut town = Town::running();
    let (before, to) = (town.gauges(), town.victim.for_phone());
    for round in 0..3_u64 {
        for n in 0..200 {
            let packets = [rtp(0xbad, n as u16, 8), vec![0x80; 12], receiver_report(0xbad)];
            for port in [to.port(), to.port() + 1] {
                for packet in &packets {
                    town.bombard(attacker(n), SocketAddr::new(to.ip(), port), packet);
                }
            }
            town.victim.talk(&mut town.world);
            assert_eq!(town.world.take(attacker(n)), []);
        }
        let Pair { browser, phone, .. } = &mut town.victim;
        let repeated = in_call("victim", offer(&browser.offer(), "b", Some("p"), WEB_TO_PHONE));
        town.world.sdp(&repeated);
        town.world.sdp(&in_call(
            "victim",
            answer(&phone.sdp(), "b", "p", PHONE_ANSWERS_WEB),
        ));
        town.world.wait_millis(1_500 * round);
    }
    // Ports of RTP are closed; those of RTCP wait for the phone's, which may come from another port of its host.
    let strangers = town.world.relay.counters().strangers;
    let limited = town.dropped(DropReason::LearningLimited);
    assert!(strangers > 0);
    assert_eq!(
        town.dropped(DropReason::UnknownSource) + strangers + limited,
        3 * 200 * 6
    );
    town.ends_unharmed(before);
}

/// SRTP with wrong keys, from the browser's own address (RFC 3711 section 3.3).
#[test]
fn srtp_with_wrong_keys_is_dropped_and_keeps_nothing_alive() {
    let mut town = Town::running();
    let before = town.gauges();
    let (from, ssrc) = (town.victim.browser.address, town.victim.browser.ssrc);
    // Ahead of what has been received: what is behind is dropped unread.
    for n in 1_000..3_000_u16 {
        // The keys of the call beside are as wrong as any.
        let forged = match n % 3 {
            0 => town.beside.browser.protect_rtp(&rtp(ssrc, n, 8)),
            1 => town.beside.browser.protect_rtcp(&receiver_report(ssrc)),
            _ => rtp(ssrc, n, 8),
        };
        let verdict = town.forge(from, Town::shared(), &forged);
        assert_eq!(verdict, Verdict::Drop(DropReason::NotAuthentic));
    }
    assert_eq!(town.victim.phone.received(&mut town.world), Vec::<Vec<u8>>::new());
    assert_eq!(town.dropped(DropReason::NotAuthentic), 2_000);
    town.ends_unharmed(before);
}

/// Replayed SRTP and SRTCP (RFC 3711 section 3.3.2), from where they came and from elsewhere.
#[test]
fn replayed_srtp_and_srtcp_are_dropped() {
    let mut town = Town::running();
    let before = town.gauges();
    let (from, ssrc) = (town.victim.browser.address, town.victim.browser.ssrc);
    let browser = &mut town.victim.browser;
    let mut recorded: Vec<_> = (600..800)
        .map(|n| browser.protect_rtp(&rtp(ssrc, n, 8)))
        .collect();
    recorded.extend((0..20).map(|_| browser.protect_rtcp(&receiver_report(ssrc))));
    for packet in &recorded {
        let verdict = town.world.receive(from, Town::shared(), packet);
        assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
    }
    town.victim.phone.received(&mut town.world);
    town.victim.phone.received_reports(&mut town.world);
    town.victim.browser.skip_to(800);
    for _ in 0..5 {
        for (n, packet) in recorded.iter().enumerate() {
            let verdict = town.forge(from, Town::shared(), packet);
            let refused = [DropReason::Replayed, DropReason::TooOld].map(Verdict::Drop);
            assert!(refused.contains(&verdict), "{verdict:?}");
            let (verdict, _) = town.bombard(attacker(n), Town::shared(), packet);
            assert_eq!(verdict, Verdict::Drop(DropReason::NoLeg));
            // The key of the call beside is another one.
            let verdict = town.forge(town.beside.browser.address, Town::shared(), packet);
            assert_eq!(verdict, Verdict::Drop(DropReason::NotAuthentic));
        }
    }
    let refused = town.dropped(DropReason::Replayed) + town.dropped(DropReason::TooOld);
    assert_eq!((refused, town.dropped(DropReason::NotAuthentic)), (1_100, 1_100));
    assert_eq!(town.victim.phone.received(&mut town.world), Vec::<Vec<u8>>::new());
    town.ends_unharmed(before);
}

/// SSRC floods: from the phone's own address, and before it has sent anything.
#[test]
fn an_ssrc_flood_is_bounded_and_ends_with_the_flood() {
    let mut town = Town::running();
    let (before, to) = (town.gauges(), town.victim.for_phone());
    for n in 0..5_000 {
        town.forge(town.victim.phone.rtp, to, &rtp(0x1000_0000 + n, 1, 8));
    }
    town.victim.browser.received(&mut town.world);
    // 32 have room towards the browser, one of them is the phone.
    assert_eq!(town.dropped(DropReason::SendSsrcLimit), 5_000 - 31);
    town.ends_unharmed(before);
}
