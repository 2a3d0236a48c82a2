//! Keys that callers press, in INFO and in RTP, and what comes back of them.

use std::time::Duration;

use viaduct_rtp::telephone_event::TelephoneEvent;
use viaduct_service::{Component, Service, StreamEvent};

use crate::caller::Bench;
use crate::leg::{Leg, Packet, params};

#[test]
fn keys_in_info_are_told() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    let mut info = |kind: &str, body: &str| {
        let headers = format!("Content-Type: {kind}\r\n");
        bench.receive(&caller.request("INFO", &headers, body))
    };
    assert_eq!(
        info("application/dtmf-relay", "Signal=#\r\nDuration=160\r\n"),
        ["200 INFO", "digit # Info"]
    );
    assert_eq!(info("application/dtmf", "5"), ["200 INFO", "digit 5 Info"]);
    assert_eq!(info("application/media_control+xml", "<x/>"), ["200 INFO"]);
    assert_eq!(info("application/dtmf-relay", "Signal=\u{fffd}"), ["200 INFO"]);
    assert_eq!(
        bench.receive(&caller.request("INFO", "Info-Package: x\r\n", "")),
        ["refused 469", "469 INFO"]
    );
    let huge = "x".repeat(70_000);
    assert_eq!(
        bench.receive(&caller.request("INFO", "Content-Type: text/plain\r\n", &huge)),
        ["refused 413", "413 INFO"]
    );
}

#[test]
fn keys_that_a_stream_heard_are_told() {
    let mut bench = Bench::new();
    bench.call("echo");
    assert_eq!(bench.stream_tells(StreamEvent::Digit('7')), ["digit 7 Rtp"]);
    assert_eq!(bench.agent.counters().0.digits, 1);
}

/// Presses a key for so many packets, then three ends.
fn press(leg: &mut Leg, key: u8, packets: u16) {
    let timestamp = leg.timestamp;
    for packet in 1..=packets + 3 {
        let event = TelephoneEvent {
            event: key,
            end: packet > packets,
            volume: 8,
            duration: packet.min(packets) * 160,
        };
        leg.send(101, timestamp, &event.encode());
        leg.pass(20);
        leg.timestamp = leg.timestamp.wrapping_add(160);
    }
}

fn events(packets: &[Packet]) -> Vec<(u8, bool, u16)> {
    packets
        .iter()
        .filter(|packet| packet.payload_type == 101)
        .map(|packet| {
            let event = TelephoneEvent::parse(&packet.payload).unwrap();
            (event.event, event.end, event.duration)
        })
        .collect()
}

#[test]
fn keys_are_told_once_and_come_back_whole() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(80, |_| 0);
    leg.take_packets();
    leg.take_events();
    press(&mut leg, 5, 4);
    leg.talk(10, |_| 0);
    press(&mut leg, 11, 3);
    leg.talk(10, |_| 0);
    assert_eq!(
        leg.take_events(),
        [StreamEvent::Digit('5'), StreamEvent::Digit('#')]
    );
    let packets = leg.take_packets();
    let (five, hash) = ((5, true, 640), (11, true, 480));
    assert_eq!(
        events(&packets),
        [
            (5, false, 160),
            (5, false, 320),
            (5, false, 480),
            (5, false, 640),
            five,
            five,
            five,
            (11, false, 160),
            (11, false, 320),
            (11, false, 480),
            hash,
            hash,
            hash
        ]
    );
    // One sequence for both, one timestamp for an event, and each kind resumes with a marker.
    assert!(
        packets
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1))
    );
    for pair in packets.windows(2) {
        assert_eq!(
            pair[1].marker,
            pair[0].payload_type != pair[1].payload_type,
            "{pair:?}"
        );
        if pair.iter().all(|packet| packet.payload_type == 101) {
            assert_eq!(pair[0].timestamp, pair[1].timestamp);
        }
    }
    assert_eq!(leg.stream.stats().digits, 2);
}

#[test]
fn a_key_whose_packets_are_repeated_lost_and_mixed_up_is_one_key() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(80, |_| 0);
    leg.take_events();
    let timestamp = leg.timestamp;
    let mut packets: Vec<_> = (1..=6_u16)
        .map(|packet| {
            let event = TelephoneEvent {
                event: 1,
                end: packet > 4,
                volume: 8,
                duration: packet.min(4) * 160,
            };
            leg.packet(101, timestamp, &event.encode())
        })
        .collect();
    packets.swap(1, 3);
    packets.remove(2);
    packets.push(packets[0].clone());
    for packet in &packets {
        leg.receive(Component::Rtp, packet);
        leg.pass(20);
    }
    leg.timestamp += 6 * 160;
    leg.talk(30, |_| 0);
    assert_eq!(leg.take_events(), [StreamEvent::Digit('1')]);
    let sent = events(&leg.take_packets());
    assert_eq!(sent.iter().filter(|(_, end, _)| *end).count(), 3);
}

#[test]
fn the_music_hears_keys_and_does_not_repeat_them() {
    let mut leg = Leg::new(Service::Music);
    press(&mut leg, 9, 4);
    assert_eq!(leg.take_events(), [StreamEvent::Heard, StreamEvent::Digit('9')]);
    assert_eq!(events(&leg.take_packets()), []);
}

#[test]
fn keys_do_not_go_back_to_a_caller_that_did_not_ask_for_them() {
    let mut agreed = params();
    agreed.send.event = None;
    let mut leg = Leg::with(Service::Echo, agreed);
    leg.talk(80, |_| 0);
    press(&mut leg, 5, 4);
    leg.talk(20, |_| 0);
    assert!(leg.take_events().contains(&StreamEvent::Digit('5')));
    assert!(leg.take_packets().iter().all(|packet| packet.payload_type == 0));
}

#[test]
fn events_that_are_no_keys_are_nothing() {
    let mut leg = Leg::new(Service::Echo);
    leg.talk(80, |_| 0);
    leg.take_events();
    press(&mut leg, 16, 4);
    leg.pass(Duration::from_secs(1).as_millis() as u64);
    assert_eq!(leg.take_events(), []);
    assert_eq!(events(&leg.take_packets()), []);
}
