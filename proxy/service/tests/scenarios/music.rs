//! What a caller of the music hears.

use viaduct_sdp::Direction;
use viaduct_service::{Codec, MUSIC_BASE_HZ, MUSIC_FIFTH_HZ, Service, StreamEvent};

use crate::leg::{Leg, assert_continuous, params, samples};
use crate::tone::amplitude;

#[test]
fn every_half_second_of_the_music_shows_its_keynote() {
    for codec in Codec::ALL {
        let mut agreed = params();
        agreed.codec = codec;
        let mut leg = Leg::with(Service::Music, agreed);
        leg.pass(20_000);
        let packets = leg.take_packets();
        assert_eq!(packets.len(), 1_001);
        assert_continuous(&packets);
        let heard = samples(&packets, codec);
        for (number, part) in heard.chunks_exact(4_000).enumerate().skip(1) {
            let (base, fifth) = (amplitude(part, MUSIC_BASE_HZ), amplitude(part, MUSIC_FIFTH_HZ));
            assert!(base > 1_500.0, "{codec:?} {number}: {base}");
            assert!(fifth > 500.0, "{codec:?} {number}: {fifth}");
            // No frequency of the tune, and no DTMF.
            assert!(amplitude(part, 1_477) < 400.0, "{number}");
        }
    }
}

#[test]
fn there_is_a_tune_over_the_keynote() {
    let mut leg = Leg::new(Service::Music);
    leg.pass(2_000);
    let heard = leg.heard();
    // The first phrase, a note every 2,000 samples: each is the loudest of its neighbours while it sounds.
    let phrase = [400, 500, 600, 800, 600, 500, 450];
    for (number, hertz) in phrase.into_iter().enumerate().skip(1) {
        let note = &heard[number * 2_000..number * 2_000 + 1_600];
        let before = phrase[number - 1];
        assert!(
            amplitude(note, hertz) > 1.5 * amplitude(note, before) || before == MUSIC_BASE_HZ,
            "{hertz} Hz after {before} Hz"
        );
        assert!(amplitude(note, hertz) > 3_000.0, "{hertz} Hz");
    }
}

#[test]
fn the_music_waits_during_a_hold() {
    let (mut held, mut other) = (Leg::new(Service::Music), Leg::new(Service::Music));
    held.pass(1_000);
    held.update(|params| params.direction = Direction::RecvOnly);
    held.pass(5_000);
    held.update(|params| params.direction = Direction::SendRecv);
    held.pass(1_000);
    other.pass(2_020);
    let (held, other) = (held.heard(), other.heard());
    assert_eq!(held.len(), other.len());
    assert_eq!(held, other);
}

#[test]
fn a_caller_that_only_listens_hears_music() {
    let mut agreed = params();
    agreed.direction = Direction::SendOnly;
    let mut leg = Leg::with(Service::Music, agreed);
    leg.pass(60_000);
    assert_eq!(leg.take_packets().len(), 3_001);
    assert_eq!(leg.take_events(), [] as [StreamEvent; 0]);
}

#[test]
fn nothing_is_sent_before_the_caller_names_an_address() {
    let mut agreed = params();
    (agreed.remote, agreed.remote_rtcp) = (None, None);
    agreed.direction = Direction::RecvOnly;
    let mut leg = Leg::with(Service::Music, agreed);
    leg.pass(10_000);
    assert!(leg.take_packets().is_empty() && leg.take_reports().is_empty());
    leg.update(|agreed| *agreed = params());
    leg.pass(1_000);
    let packets = leg.take_packets();
    assert!(packets[0].marker);
    assert_continuous(&packets);
}
