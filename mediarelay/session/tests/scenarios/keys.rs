//! Keys that are pressed in the name of a party (NG `play DTMF`), and parties that are silenced (NG `silence media`).

use std::time::Duration;

use viaduct_forward::{DropReason, Verdict};
use viaduct_ng::{Dict, ErrorReason, OtherCommand, OtherRequest, Request, Value};
use viaduct_rtp::RtpPacket;
use viaduct_rtp::g711::a_law;
use viaduct_rtp::telephone_event::TelephoneEvent;

use crate::between_likes::{phones, phones_hear_each_other};
use crate::phone::Phone;
use crate::rewriting;
use crate::world::*;

/// A command about the caller.
fn about_caller(command: OtherCommand, keys: &[(&str, &str)]) -> Request {
    let mut body = Dict::new();
    for (key, value) in [("call-id", CALL), ("from-tag", "a")].iter().chain(keys) {
        body.insert(*key, Value::text(*value));
    }
    body.insert("flags", Value::texts(["directional"]));
    Request::Other(OtherRequest { command, body })
}

fn press(world: &mut World, keys: &[(&str, &str)]) {
    world.ok(&about_caller(OtherCommand::PlayDtmf, keys));
    world.wait_millis(0);
}

/// The caller speaks for so many packets, and time passes. What the callee hears.
fn speak(world: &mut World, caller: &mut Phone, callee: &Phone, packets: usize) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    for _ in 0..packets {
        caller.send(world);
        heard.extend(callee.received(world));
        world.wait_millis(20);
    }
    heard
}

/// What a packet says: its payload type and marker, its timestamp, and the event if it is one.
fn said(packet: &[u8]) -> (u8, bool, u32, Option<TelephoneEvent>) {
    let packet = RtpPacket::parse(packet).unwrap();
    let header = packet.header();
    let event = TelephoneEvent::parse(packet.payload()).filter(|_| header.payload_type() == 101);
    (header.payload_type(), header.marker(), header.timestamp(), event)
}

fn sequences(packets: &[Vec<u8>]) -> Vec<u16> {
    let sequence = |packet: &Vec<u8>| RtpPacket::parse(packet).unwrap().header().sequence();
    packets.iter().map(sequence).collect()
}

#[test]
fn a_key_takes_the_place_of_speech_and_nothing_else_changes() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    press(
        &mut world,
        &[("code", "5"), ("duration", "100"), ("volume", "-12")],
    );
    let heard = speak(&mut world, &mut caller, &callee, 10);
    let first = caller.sequence - 9;
    assert_eq!(sequences(&heard), (first..=caller.sequence).collect::<Vec<_>>());
    let began = u32::from(first) * 160;
    for (at, packet) in heard.iter().enumerate() {
        let (payload_type, marker, timestamp, event) = said(packet);
        if at >= 7 {
            assert_eq!(
                *packet,
                crate::phone::rtp(caller.ssrc, first + at as u16, 8),
                "speech again"
            );
            continue;
        }
        assert_eq!((payload_type, marker, timestamp), (101, at == 0, began), "{at}");
        let expected = TelephoneEvent {
            event: 5,
            end: at >= 4,
            volume: 12,
            duration: (160 * (at as u16 + 1)).min(800),
        };
        assert_eq!(event, Some(expected), "{at}");
        assert_eq!(packet.len(), 16);
    }
    let counters = world.relay.counters();
    assert_eq!((counters.keys_pressed, counters.keys_unpressed), (1, 0));
    assert_eq!(world.relay.gauges().players, 0);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn keys_are_pressed_one_after_the_other_with_pauses() {
    let mut world = World::new();
    let (mut caller, callee) = phones(&mut world, "");
    for (code, pause) in [("1", "100"), ("#", "300"), ("11", "100"), ("d", "100")] {
        press(
            &mut world,
            &[("code", code), ("duration", "100"), ("pause", pause)],
        );
    }
    assert_eq!(world.relay.gauges().players, 4);
    let heard = speak(&mut world, &mut caller, &callee, 80);
    assert_eq!(heard.len(), 80);
    // Runs of speech and of events, with their lengths.
    let mut runs: Vec<(Option<u8>, usize)> = Vec::new();
    for packet in &heard {
        let event = said(packet).3.map(|event| event.event);
        match runs.last_mut() {
            Some((last, count)) if *last == event => *count += 1,
            _ => runs.push((event, 1)),
        }
    }
    let keys: Vec<u8> = runs.iter().filter_map(|(event, _)| *event).collect();
    assert_eq!(keys, [1, 11, 11, 15], "{runs:?}");
    let pauses: Vec<usize> = runs[1..]
        .iter()
        .filter(|(event, _)| event.is_none())
        .map(|of| of.1)
        .collect();
    // 100 ms are five packets, and the rule that begins the next key comes between two.
    assert!(
        (4..=6).contains(&pauses[0]) && (14..=16).contains(&pauses[1]),
        "{runs:?}"
    );
    assert!((4..=6).contains(&pauses[2]), "{runs:?}");
    assert!(
        runs.iter().all(|(event, count)| event.is_none() || *count == 7),
        "{runs:?}"
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn who_knows_no_events_hears_the_two_tones_of_a_key() {
    let mut world = World::new();
    let (mut caller, mut callee) = rewriting::phones();
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    let without = callee
        .sdp()
        .replace(" 8 0 101", " 8")
        .replace("a=rtpmap:101 telephone-event/8000\r\n", "");
    let without = without
        .replace("a=fmtp:101 0-15\r\n", "")
        .replace("a=rtpmap:0 PCMU/8000\r\n", "");
    caller.read(&world.sdp(&answer(&without, "a", "b", "")));
    press(&mut world, &[("digit", "5"), ("duration", "200")]);
    let heard = speak(&mut world, &mut caller, &callee, 15);
    let samples: Vec<f32> = heard[..10]
        .iter()
        .flat_map(|packet| RtpPacket::parse(packet).unwrap().payload().to_vec())
        .map(|octet| f32::from(a_law::decode(octet)))
        .collect();
    assert_eq!(samples.len(), 1_600);
    let loudness = |hertz: f32| {
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (at, sample) in samples.iter().enumerate() {
            let angle = std::f32::consts::TAU * hertz * at as f32 / 8_000.0;
            sine += sample * angle.sin();
            cosine += sample * angle.cos();
        }
        2.0 * sine.hypot(cosine) / samples.len() as f32
    };
    for (hertz, is_heard) in [
        (697.0, false),
        (770.0, true),
        (852.0, false),
        (1_209.0, false),
        (1_336.0, true),
        (1_477.0, false),
    ] {
        let loudness = loudness(hertz);
        // 8 dB below half of what can be told.
        assert_eq!(
            (5_500.0..7_500.0).contains(&loudness),
            is_heard,
            "{hertz} Hz: {loudness}"
        );
        assert!(is_heard || loudness < 300.0, "{hertz} Hz: {loudness}");
    }
    assert_eq!(
        heard[11],
        crate::phone::rtp(caller.ssrc, caller.sequence - 3, 8),
        "speech again"
    );
    assert_eq!(world.relay.counters().keys_pressed, 1);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_party_that_says_nothing_presses_no_key_and_the_next_is_not_lost() {
    let mut world = World::new();
    let (mut caller, callee) = phones(&mut world, "");
    press(&mut world, &[("code", "1")]);
    press(&mut world, &[("code", "2")]);
    world.wait(Duration::from_millis(2_300));
    assert_eq!(world.relay.counters().keys_unpressed, 1);
    let heard = speak(&mut world, &mut caller, &callee, 30);
    let events: Vec<u8> = heard
        .iter()
        .filter_map(|packet| Some(said(packet).3?.event))
        .collect();
    assert!(
        !events.is_empty() && events.iter().all(|event| *event == 2),
        "{events:?}"
    );
    assert_eq!(world.relay.gauges().players, 0);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn keys_that_cannot_be_pressed_are_refused_and_say_why() {
    let mut world = World::new();
    let mut caller = Phone::new("198.51.100.9:4000", 1);
    world.sdp(&offer(&caller.sdp(), "a", None, ""));
    let other = |reason: &str| ErrorReason::Other(reason.into());
    let fails =
        |world: &mut World, keys: &[(&str, &str)]| world.fails(&about_caller(OtherCommand::PlayDtmf, keys));
    assert_eq!(
        fails(&mut world, &[("code", "1")]),
        other("Nobody hears the party")
    );
    world.ok(&delete_now());
    let (_caller, _callee) = phones(&mut world, "");
    assert_eq!(fails(&mut world, &[]), other("No DTMF code specified"));
    for code in ["16", "-1", "x", "", "12a"] {
        let reason = fails(&mut world, &[("code", code)]);
        assert_eq!(reason, other("Out of range DTMF code specified"), "{code}");
    }
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn who_is_silenced_is_heard_as_silence_until_that_ends() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&about_caller(OtherCommand::SilenceMedia, &[]));
    let heard = speak(&mut world, &mut caller, &callee, 3);
    assert_eq!(
        sequences(&heard),
        [caller.sequence - 2, caller.sequence - 1, caller.sequence]
    );
    for packet in &heard {
        let packet = RtpPacket::parse(packet).unwrap();
        assert_eq!(packet.header().payload_type(), 8);
        assert_eq!(packet.payload(), [a_law::SILENCE; 160]);
    }
    let relay = caller.relay.unwrap();
    let digit = crate::phone::rtp(caller.ssrc, caller.sequence + 1, 101);
    world.receive(caller.rtp, relay, &digit);
    assert_eq!(callee.received(&mut world), [digit], "digits go on");
    let unknown = crate::phone::rtp(caller.ssrc, caller.sequence + 2, 97);
    let verdict = world.receive(caller.rtp, relay, &unknown);
    assert_eq!(
        verdict,
        Verdict::Drop(DropReason::BlockedMedia),
        "what cannot be silent is not heard"
    );
    let (_, packet) = callee.send(&mut world);
    assert_eq!(caller.received(&mut world), [packet], "the other is heard");
    world.ok(&about_caller(OtherCommand::UnsilenceMedia, &[]));
    caller.sequence += 2;
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn who_is_silenced_stays_so_over_a_restart() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&about_caller(OtherCommand::SilenceMedia, &[]));
    let (mut world, results) = world.restart(Duration::from_secs(1));
    assert_eq!(results, [Ok(())]);
    let heard = speak(&mut world, &mut caller, &callee, 1);
    assert_eq!(heard[0][12..], [a_law::SILENCE; 160]);
    world.ok(&delete_now());
    world.assert_empty();
}
