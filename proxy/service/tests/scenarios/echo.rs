//! What a caller of the echo hears.

use viaduct_sdp::Direction;
use viaduct_service::{
    BLOCK_SAMPLES, CHIME_HZ, CHIME_PAUSE_SAMPLES, CHIME_SAMPLES, CHIME_TONE_SAMPLES, Codec, Component,
    ECHO_DELAY_SAMPLES, Service, StreamEvent,
};

use crate::leg::{Leg, assert_continuous, params, samples};
use crate::tone::{amplitude, sine};

/// The packets of the chime.
const CHIME_BLOCKS: usize = CHIME_SAMPLES as usize / BLOCK_SAMPLES;

/// A leg whose chime is over, with the caller talking silence.
fn after_chime() -> Leg {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(CHIME_BLOCKS as u32 + 10, |_| 0);
    leg.take_packets();
    leg
}

fn is_silent(samples: &[i16]) -> bool {
    samples.iter().all(|sample| sample.abs() < 16)
}

#[test]
fn a_chime_of_three_tones_greets_a_caller_that_is_heard() {
    for codec in Codec::ALL {
        let mut agreed = params();
        agreed.codec = codec;
        let mut leg = Leg::with(Service::Echo, agreed);
        // Nothing of the caller yet: silence, but packets.
        leg.pass(200);
        assert!(is_silent(&leg.heard()));
        leg.talk(60, |_| 0);
        let heard = leg.heard();
        let start =
            heard.iter().position(|sample| sample.abs() > 100).unwrap() / BLOCK_SAMPLES * BLOCK_SAMPLES;
        let chime = &heard[start..start + CHIME_SAMPLES as usize];
        for (tone, hertz) in CHIME_HZ.into_iter().enumerate() {
            let begin = tone * (CHIME_TONE_SAMPLES + CHIME_PAUSE_SAMPLES) as usize;
            let tone = &chime[begin + 160..begin + CHIME_TONE_SAMPLES as usize - 160];
            for other in CHIME_HZ {
                let amplitude = amplitude(tone, other);
                if other == hertz {
                    assert!((7_800.0..8_600.0).contains(&amplitude), "{hertz} Hz: {amplitude}");
                } else {
                    assert!(amplitude < 300.0, "{other} Hz in {hertz} Hz: {amplitude}");
                }
            }
        }
        assert!(is_silent(&heard[start + CHIME_SAMPLES as usize..]));
        assert_eq!(leg.take_events(), [StreamEvent::Heard]);
    }
}

#[test]
fn a_caller_that_is_not_heard_gets_its_chime_after_a_second_and_silence_after_it() {
    let mut leg = Leg::new(Service::Echo);
    leg.pass(4_000);
    let packets = leg.take_packets();
    assert_continuous(&packets);
    let heard = samples(&packets, Codec::Pcmu);
    assert!(is_silent(&heard[..8_000]));
    assert!(amplitude(&heard[8_000..10_400], CHIME_HZ[0]) > 7_000.0);
    assert!(is_silent(&heard[16_000..]));
    assert_eq!(heard.len(), 32_160);
}

#[test]
fn the_callers_own_tone_comes_back_in_one_stream_with_the_chime() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(150, |at| sine(1_000, 9_000.0, at));
    let packets = leg.take_packets();
    assert!(packets[0].marker);
    assert_continuous(&packets);
    let heard = samples(&packets, Codec::Pcmu);
    let echo = &heard[(CHIME_BLOCKS + 5) * BLOCK_SAMPLES..];
    let amplitude_1000 = amplitude(echo, 1_000);
    assert!((8_700.0..9_300.0).contains(&amplitude_1000), "{amplitude_1000}");
    assert!(CHIME_HZ.iter().all(|hertz| amplitude(echo, *hertz) < 150.0));
    assert_eq!(leg.stream.stats().resyncs, 1);
}

#[test]
fn octets_come_back_as_they_were_after_the_usual_wait() {
    let mut leg = after_chime();
    let said: Vec<u8> = (0..160).map(|octet| octet as u8 ^ 0x5a).collect();
    leg.send(0, leg.timestamp, &said);
    leg.timestamp += 160;
    leg.pass(20);
    leg.talk(9, |_| 0);
    let packets = leg.take_packets();
    let returned = packets.iter().position(|packet| packet.payload == said).unwrap();
    // The wait, and the block in which it began.
    let expected = ECHO_DELAY_SAMPLES as usize / BLOCK_SAMPLES;
    assert!((expected - 1..=expected).contains(&returned), "{returned}");
}

#[test]
fn disorder_repeats_and_loss_do_not_reach_the_returned_stream() {
    let mut leg = after_chime();
    let numbered: Vec<Vec<u8>> = (1..=12_u8)
        .map(|number| {
            let timestamp = leg.timestamp;
            leg.timestamp = leg.timestamp.wrapping_add(160);
            leg.packet(0, timestamp, &[number; 160])
        })
        .collect();
    // The third is lost, the fifth and sixth change places, the eighth comes twice.
    for number in [1, 2, 4, 6, 5, 7, 8, 8, 9, 10, 11, 12] {
        leg.receive(Component::Rtp, &numbered[number - 1]);
        leg.pass(if number == 8 { 10 } else { 20 });
    }
    leg.pass(200);
    let packets = leg.take_packets();
    assert_continuous(&packets);
    let silence = Codec::Pcmu.silence();
    let numbers: Vec<u8> = packets
        .iter()
        .map(|packet| packet.payload[0])
        .skip_while(|number| *number == silence)
        .take(12)
        .collect();
    assert_eq!(numbers, [1, 2, silence, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let stats = leg.stream.stats();
    assert_eq!((stats.drops.duplicate, stats.received.unwrap().lost()), (1, 1));
}

#[test]
fn jitter_is_smoothed() {
    let mut leg = after_chime();
    for block in 0..50 {
        let payload = leg.block(|at| sine(1_000, 9_000.0, at));
        leg.send(0, leg.timestamp, &payload);
        leg.timestamp = leg.timestamp.wrapping_add(160);
        // Evenly on average, up to 20 ms early or late.
        leg.pass([5, 35, 20, 0, 40][block % 5]);
    }
    let packets = leg.take_packets();
    assert_continuous(&packets);
    let heard = samples(&packets, Codec::Pcmu);
    let echo = &heard[8 * BLOCK_SAMPLES..heard.len() - 2 * BLOCK_SAMPLES];
    for block in echo.chunks_exact(BLOCK_SAMPLES) {
        assert!(amplitude(block, 1_000) > 8_500.0);
    }
}

#[test]
fn any_packet_time_comes_back_in_ours() {
    for samples_in_packet in [80_u32, 240, 480] {
        let mut leg = after_chime();
        let said: Vec<u8> = (0..9_600)
            .map(|at| Codec::Pcmu.encode(sine(1_000, 9_000.0, at)))
            .collect();
        for payload in said.chunks(samples_in_packet as usize) {
            leg.pass(u64::from(samples_in_packet) / 8);
            leg.send(0, leg.timestamp, payload);
            leg.timestamp = leg.timestamp.wrapping_add(samples_in_packet);
        }
        let packets = leg.take_packets();
        assert_continuous(&packets);
        // A longer packet time than before comes later than expected, which is noticed after three packets.
        let heard = samples(&packets, Codec::Pcmu);
        assert!(
            amplitude(&heard[4_000..9_000], 1_000) > 8_800.0,
            "{samples_in_packet}"
        );
    }
}

#[test]
fn a_caller_that_pauses_hears_silence_and_is_echoed_again() {
    let mut leg = after_chime();
    leg.talk(25, |at| sine(1_000, 9_000.0, at));
    leg.pass(1_000);
    leg.timestamp = leg.timestamp.wrapping_add(8_000);
    leg.talk(25, |at| sine(1_000, 9_000.0, at));
    let packets = leg.take_packets();
    assert_continuous(&packets);
    let heard = samples(&packets, Codec::Pcmu);
    assert!(is_silent(&heard[40 * BLOCK_SAMPLES..70 * BLOCK_SAMPLES]));
    assert!(amplitude(&heard[82 * BLOCK_SAMPLES..98 * BLOCK_SAMPLES], 1_000) > 8_500.0);
}

#[test]
fn a_sender_that_begins_anew_is_followed() {
    let mut leg = after_chime();
    leg.talk(20, |at| sine(1_000, 9_000.0, at));
    leg.take_packets();
    // The same SSRC with other numbers: a phone that was given another call.
    leg.sequence = leg.sequence.wrapping_add(20_000);
    leg.timestamp = leg.timestamp.wrapping_add(0x7000_0000);
    leg.talk(30, |at| sine(500, 9_000.0, at));
    let packets = leg.take_packets();
    assert_continuous(&packets);
    let heard = samples(&packets, Codec::Pcmu);
    assert!(amplitude(&heard[10 * BLOCK_SAMPLES..], 500) > 8_500.0);
    assert_eq!(leg.stream.stats().received.unwrap().restarts, 1);
}

#[test]
fn on_hold_nothing_is_sent_and_after_it_the_stream_goes_on() {
    let mut leg = after_chime();
    leg.talk(10, |at| sine(1_000, 9_000.0, at));
    let before = leg.take_packets().pop().unwrap();
    leg.update(|params| params.direction = Direction::RecvOnly);
    leg.talk(100, |at| sine(1_000, 9_000.0, at));
    assert!(leg.take_packets().is_empty());
    leg.update(|params| params.direction = Direction::SendRecv);
    leg.talk(20, |at| sine(1_000, 9_000.0, at));
    let packets = leg.take_packets();
    let first = &packets[0];
    assert!(first.marker);
    assert_eq!(first.sequence, before.sequence.wrapping_add(1));
    // Two seconds passed, and the timestamps say so.
    let passed = first.timestamp.wrapping_sub(before.timestamp);
    let time = (first.at - before.at).as_millis() as u32 * 8;
    assert!(passed.abs_diff(time) <= 160, "{passed} for {time}");
    assert_continuous(&packets);
    assert!(amplitude(&samples(&packets[5..], Codec::Pcmu), 1_000) > 8_500.0);
}

#[test]
fn inactive_sends_and_hears_nothing() {
    let mut leg = after_chime();
    leg.update(|params| params.direction = Direction::Inactive);
    leg.talk(10, |_| 5_000);
    assert!(leg.take_packets().is_empty());
    assert_eq!(leg.stream.stats().drops.unexpected, 10);
}

#[test]
fn another_codec_and_address_are_taken_over_within_the_stream() {
    let mut leg = after_chime();
    leg.update(|params| {
        params.codec = Codec::Pcma;
        params.send.audio = 8;
        params.receive.pcma = Some(8);
        params.remote = Some("192.0.2.8:5000".parse().unwrap());
    });
    // The caller goes on with the old law for a while.
    leg.talk(20, |at| sine(1_000, 9_000.0, at));
    let packets = leg.take_packets();
    assert_continuous(&packets);
    assert!(packets.iter().all(|packet| packet.payload_type == 8));
    assert!(
        packets
            .iter()
            .all(|packet| packet.to == "192.0.2.8:5000".parse().unwrap())
    );
    assert!(amplitude(&samples(&packets[5..], Codec::Pcma), 1_000) > 8_500.0);
}

#[test]
fn a_shell_that_comes_late_catches_up_a_little_and_skips_a_lot() {
    let mut leg = after_chime();
    let late = |leg: &mut Leg, millis| {
        leg.now += std::time::Duration::from_millis(millis);
        leg.pass(0);
        leg.take_packets()
    };
    let few = late(&mut leg, 80);
    assert_eq!(few.len(), 4);
    assert!(few.iter().all(|packet| !packet.marker));
    let many = late(&mut leg, 10_000);
    assert_eq!(many.len(), 1);
    assert!(many[0].marker);
    assert!(many[0].timestamp.wrapping_sub(few[3].timestamp) >= 79_000);
    assert_eq!(many[0].sequence, few[3].sequence.wrapping_add(1));
}

#[test]
fn silence_is_told_once_and_again_after_speech() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(1, |_| 0);
    leg.pass(29_900);
    assert_eq!(leg.take_events(), [StreamEvent::Heard]);
    leg.pass(100_000);
    assert_eq!(leg.take_events(), [StreamEvent::Silent]);
    leg.talk(1, |_| 0);
    leg.pass(31_000);
    assert_eq!(leg.take_events(), [StreamEvent::Silent]);
}

#[test]
fn on_hold_silence_is_nothing_to_tell() {
    let mut leg = Leg::new(Service::Music);
    leg.talk(1, |_| 0);
    leg.take_events();
    for direction in [Direction::RecvOnly, Direction::SendOnly, Direction::Inactive] {
        leg.update(|params| params.direction = direction);
        leg.pass(100_000);
    }
    // Counted from the end of the hold.
    leg.update(|params| params.direction = Direction::SendRecv);
    leg.pass(29_000);
    assert_eq!(leg.take_events(), []);
    leg.pass(2_000);
    assert_eq!(leg.take_events(), [StreamEvent::Silent]);
}
