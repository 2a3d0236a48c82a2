//! Clips that are played to parties (NG `play media`).

use std::time::Duration;

use viaduct_clip::Clip;
use viaduct_forward::{DropReason, Verdict};
use viaduct_ng::{Dict, ErrorReason, OtherCommand, OtherRequest, Request, Value};
use viaduct_rtp::RtpPacket;
use viaduct_rtp::g711::{a_law, mu_law};
use viaduct_rtp::rtcp::{Compound, RtcpPacket, RtcpWriter, SenderInfo};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::browser::Browser;
use crate::browser_and_phone::established;
use crate::connect::connect;
use crate::phone::Phone;
use crate::rewriting;
use crate::world::*;

/// So many samples, each unlike its neighbours.
fn clip(samples: usize) -> Clip {
    Clip::new((0..samples).map(|at| (at as i16).wrapping_mul(2_557)).collect())
}

fn request(command: OtherCommand, keys: &[(&str, Value)], flags: &[&str]) -> Request {
    let mut body = Dict::new();
    body.insert("call-id", Value::text(CALL));
    for (key, value) in keys {
        body.insert(*key, value.clone());
    }
    body.insert("flags", Value::texts(flags.iter().copied()));
    Request::Other(OtherRequest { command, body })
}

fn blob(clip: &Clip) -> (&'static str, Value) {
    ("blob", Value::Bytes(clip.to_wav().into()))
}

fn to(tag: &str) -> (&'static str, Value) {
    ("from-tag", Value::text(tag))
}

/// Plays a clip to a party. What the relay says of its length in milliseconds.
fn play(world: &mut World, tag: &str, clip: &Clip) -> Option<i64> {
    let request = request(OtherCommand::PlayMedia, &[to(tag), blob(clip)], &[]);
    world
        .ok(&request)
        .rest
        .get("duration")
        .and_then(Value::to_integer)
}

/// The payloads of packets that are one stream: one SSRC, each a packet of 20 ms after the one before, and the marker on
/// the first alone.
#[track_caller]
fn stream(packets: &[Vec<u8>], payload_type: u8) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut before: Option<(u32, u16, u32)> = None;
    for packet in packets {
        let packet = RtpPacket::parse(packet).unwrap();
        let header = packet.header();
        assert_eq!(header.payload_type(), payload_type);
        assert_eq!(header.marker(), before.is_none());
        let now = (header.ssrc(), header.sequence(), header.timestamp());
        if let Some((ssrc, sequence, timestamp)) = before {
            assert_eq!(now, (ssrc, sequence.wrapping_add(1), timestamp.wrapping_add(160)));
        }
        before = Some(now);
        assert_eq!(packet.payload().len(), 160);
        heard.extend(packet.payload());
    }
    heard
}

fn in_a_law(clip: &Clip) -> Vec<u8> {
    clip.samples()
        .iter()
        .map(|sample| a_law::encode(*sample))
        .collect()
}

fn in_mu_law(clip: &Clip) -> Vec<u8> {
    clip.samples()
        .iter()
        .map(|sample| mu_law::encode(*sample))
        .collect()
}

#[test]
fn a_clip_is_heard_by_whom_it_is_played_to_every_20_ms_while_the_call_goes_on() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let clip = clip(800);
    assert_eq!(play(&mut world, "a", &clip), Some(100));
    let mut packets = Vec::new();
    for turn in 0..5 {
        world.wait_millis(if turn == 0 { 0 } else { 20 });
        let datagrams = world.take(caller.rtp);
        let [datagram] = &datagrams[..] else {
            panic!("{datagrams:?}")
        };
        assert_eq!(Some(datagram.from), caller.relay, "from where its peer is heard");
        packets.push(datagram.data.clone());
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
    }
    assert_eq!(stream(&packets, 8), in_a_law(&clip));
    world.wait_millis(1_000);
    assert_eq!(caller.received(&mut world), Vec::<Vec<u8>>::new());
    let counters = world.relay.counters();
    assert_eq!((counters.clips_played, counters.played_packets), (1, 5));
    assert_eq!(world.relay.gauges().players, 0);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_browser_hears_a_clip_under_its_keys() {
    let mut world = World::new();
    let (mut browser, _) = established(&mut world);
    browser.received(&mut world);
    let clip = clip(480);
    assert_eq!(play(&mut world, "b", &clip), Some(60));
    Browser::run(&mut world, &mut [&mut browser], Duration::from_millis(100));
    let packets = browser.received(&mut world);
    assert_eq!(stream(&packets, 0), in_mu_law(&clip), "what it likes better");
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn the_law_is_one_that_both_sides_know() {
    let mut world = World::new();
    let (mut caller, mut callee) = rewriting::phones();
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    let only_mu = callee
        .sdp()
        .replace(" 8 0 101", " 0 101")
        .replace("a=rtpmap:8 PCMA/8000\r\n", "");
    caller.read(&world.sdp(&answer(&only_mu, "a", "b", "")));
    let clip = clip(160);
    for (tag, phone) in [("a", &caller), ("b", &callee)] {
        play(&mut world, tag, &clip);
        world.wait_millis(20);
        let heard = stream(&phone.received(&mut world), 0);
        assert_eq!(heard, in_mu_law(&clip), "{tag}");
    }
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_clip_goes_on_in_the_law_that_the_parties_change_to_and_ends_with_g_711() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let clip = clip(8_000);
    play(&mut world, "a", &clip);
    world.wait_millis(30);
    let mut heard = caller.received(&mut world);
    stream(&heard, 8);
    let only_mu = |sdp: String| {
        sdp.replace(" 8 0 101", " 0 101")
            .replace("a=rtpmap:8 PCMA/8000\r\n", "")
    };
    world.sdp(&offer(&only_mu(caller.sdp()), "a", Some("b"), ""));
    world.sdp(&answer(&only_mu(callee.sdp()), "a", "b", ""));
    world.wait_millis(40);
    heard.extend(caller.received(&mut world));
    let types: Vec<u8> = heard.iter().map(|packet| packet[1] & 0x7f).collect();
    assert_eq!(types, [8, 8, 0, 0]);
    assert_eq!(
        heard[2][12..],
        in_mu_law(&clip)[320..480],
        "it goes on where it was"
    );
    let g729 = |sdp: String| {
        sdp.replace(" 8 0 101", " 18")
            .replace("a=rtpmap:8 PCMA", "a=rtpmap:18 G729")
    };
    world.sdp(&offer(&g729(caller.sdp()), "a", Some("b"), ""));
    world.sdp(&answer(&g729(callee.sdp()), "a", "b", ""));
    caller.received(&mut world);
    world.wait_millis(1_000);
    assert_eq!(caller.received(&mut world), Vec::<Vec<u8>>::new());
    assert_eq!(world.relay.gauges().players, 0);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn who_waits_for_an_answer_can_hear_a_clip() {
    let mut world = World::new();
    let mut caller = Phone::new("198.51.100.9:4000", 1);
    world.sdp(&offer(&caller.sdp(), "a", None, ""));
    let clip = clip(160);
    assert_eq!(play(&mut world, "a", &clip), Some(20));
    world.wait_millis(20);
    assert_eq!(stream(&caller.received(&mut world), 8), in_a_law(&clip));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_clip_is_repeated_as_often_or_as_long_as_is_asked_for() {
    let seconds = |tenths: i64| Value::Integer(tenths * 100);
    for (keys, packets) in [
        (vec![("repeat-times", Value::Integer(3))], 9),
        (vec![("repeat-times", Value::text("2"))], 6),
        (vec![("repeat-duration", seconds(5))], 25),
        (
            vec![
                ("repeat-times", Value::Integer(2)),
                ("repeat-duration", seconds(10)),
            ],
            6,
        ),
        (
            vec![
                ("repeat-times", Value::Integer(1_000)),
                ("repeat-duration", seconds(2)),
            ],
            10,
        ),
        (vec![("start-pos", Value::Integer(160))], 2),
        (vec![("start-pos", Value::Integer(161))], 2),
        (vec![("start-pos", Value::Integer(4_000))], 0),
    ] {
        let mut world = World::new();
        let (caller, _) = phones(&mut world, "");
        let mut all = vec![to("a"), blob(&clip(480))];
        all.extend(keys.clone());
        world.ok(&request(OtherCommand::PlayMedia, &all, &[]));
        world.wait_millis(10_000);
        let heard = caller.received(&mut world);
        assert_eq!(heard.len(), packets, "{keys:?}");
        stream(&heard, 8);
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// The end of a clip is not cut, and where it is repeated there is no pause.
#[test]
fn frames_are_filled_with_silence_at_the_end_and_with_the_beginning_between() {
    let mut world = World::new();
    let (caller, _) = phones(&mut world, "");
    let clip = clip(200);
    let keys = [to("a"), blob(&clip), ("repeat-times", Value::Integer(2))];
    world.ok(&request(OtherCommand::PlayMedia, &keys, &[]));
    world.wait_millis(200);
    let heard = stream(&caller.received(&mut world), 8);
    let once = in_a_law(&clip);
    let expected = [&once[..], &once[..], &[a_law::SILENCE; 80][..]].concat();
    assert_eq!(heard, expected);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_clip_that_is_stopped_can_go_on_where_it_was() {
    let mut world = World::new();
    let (caller, _) = phones(&mut world, "");
    let clip = clip(1_600);
    play(&mut world, "a", &clip);
    world.wait_millis(70);
    let mut heard = stream(&caller.received(&mut world), 8);
    let stop = request(OtherCommand::StopMedia, &[to("a")], &[]);
    let position = world.ok(&stop).rest.get("last-frame-pos").cloned().unwrap();
    assert_eq!(position, Value::Integer(640));
    world.wait_millis(1_000);
    assert_eq!(caller.received(&mut world), Vec::<Vec<u8>>::new());
    // A second time there is nothing to stop.
    assert_eq!(world.ok(&stop).rest.get("last-frame-pos"), None);
    let keys = [to("a"), blob(&clip), ("start-pos", position)];
    world.ok(&request(OtherCommand::PlayMedia, &keys, &[]));
    world.wait_millis(1_000);
    heard.extend(stream(&caller.received(&mut world), 8));
    assert_eq!(heard, in_a_law(&clip));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn nobody_else_is_heard_while_a_clip_is_played_alone() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let keys = [to("a"), blob(&clip(160))];
    world.ok(&request(OtherCommand::PlayMedia, &keys, &["block-egress"]));
    assert_eq!(callee.send(&mut world).0, Verdict::Drop(DropReason::BlockedMedia));
    let (_, packet) = caller.send(&mut world);
    assert_eq!(
        callee.received(&mut world),
        [packet],
        "the other way nothing is blocked"
    );
    world.wait_millis(100);
    caller.received(&mut world);
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn all_hear_a_clip_that_is_for_all_and_a_later_one_takes_the_place_of_the_first() {
    let mut world = World::new();
    let (caller, callee) = phones(&mut world, "");
    let (long, short) = (clip(8_000), Clip::new(vec![1_000; 160]));
    world.ok(&request(OtherCommand::PlayMedia, &[blob(&long)], &["all"]));
    world.wait_millis(30);
    assert_eq!(stream(&caller.received(&mut world), 8), in_a_law(&long)[..320]);
    assert_eq!(stream(&callee.received(&mut world), 8), in_a_law(&long)[..320]);
    assert_eq!(world.relay.gauges().players, 2);
    play(&mut world, "a", &short);
    world.wait_millis(5);
    assert_eq!(stream(&caller.received(&mut world), 8), in_a_law(&short));
    world.wait_millis(5);
    assert_eq!(callee.received(&mut world).len(), 1, "hears the long one");
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn who_is_on_hold_and_sends_only_hears_nothing() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let held = caller.sdp_with("RTP/AVP", &["a=sendonly"]);
    world.sdp(&offer(&held, "a", Some("b"), ""));
    let answered = callee.sdp_with("RTP/AVP", &["a=recvonly"]);
    world.sdp(&answer(&answered, "a", "b", ""));
    play(&mut world, "a", &clip(160));
    play(&mut world, "b", &clip(160));
    world.wait_millis(100);
    assert_eq!(caller.received(&mut world), Vec::<Vec<u8>>::new());
    assert_eq!(callee.received(&mut world).len(), 1);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A machine that was suspended plays on from where it was, not everything at once.
#[test]
fn what_is_late_is_not_caught_up_with() {
    let mut world = World::new();
    let (caller, _) = phones(&mut world, "");
    play(&mut world, "a", &clip(8_000));
    world.now += Duration::from_secs(30);
    world.relay.handle_timeout(world.now);
    world.carry_out();
    let sent = caller.received(&mut world).len();
    assert!(sent <= 2, "{sent} packets at once");
    world.wait_millis(2_000);
    assert_eq!(sent + caller.received(&mut world).len(), 50);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn what_cannot_be_played_is_refused_and_says_why() {
    let mut few = config();
    few.limits.players = 1;
    few.limits.clip_octets = 32_000;
    let mut world = World::with(few);
    let (mut caller, _) = phones(&mut world, "");
    let good = blob(&clip(160));
    let other = |reason: &str| ErrorReason::Other(reason.into());
    for (keys, reason) in [
        (vec![good.clone()], other("No participant party specified")),
        (vec![to("x"), good.clone()], ErrorReason::NoSuchFromTag),
        (
            vec![to("a")],
            other("Failed to start media playback: No media file specified"),
        ),
        (
            vec![to("a"), ("blob", Value::text("MThd"))],
            other(
                "Failed to start media playback: not a WAV file that can be played: \
                 Ill-formed WAVE file: no RIFF tag found",
            ),
        ),
        (
            vec![to("a"), blob(&clip(16_001))],
            other("Too much media is being played"),
        ),
        (
            vec![("all", Value::text("all")), good.clone()],
            other("Too many media players"),
        ),
    ] {
        let asked = request(OtherCommand::PlayMedia, &keys, &[]);
        assert_eq!(world.fails(&asked), reason, "{keys:?}");
    }
    let limits = world.relay.counters().limits;
    assert_eq!((limits.players, limits.clip_octets), (1, 1));
    let g729 = caller
        .sdp()
        .replace(" 8 0 101", " 18")
        .replace("a=rtpmap:8", "a=rtpmap:18");
    world.sdp(&offer(&g729, "a", Some("b"), ""));
    let asked = request(OtherCommand::PlayMedia, &[to("a"), good], &[]);
    assert_eq!(
        world.fails(&asked),
        other("Failed to start media playback: the party takes neither PCMU nor PCMA")
    );
    world.ok(&delete_now());
    world.assert_empty();
}

/// One clip is there once, however many hear it.
#[test]
fn a_clip_counts_once_however_many_hear_it() {
    let mut one = config();
    one.limits.clip_octets = 16_000;
    let mut world = World::with(one);
    let _phones = phones(&mut world, "");
    let clip = clip(8_000);
    for tag in ["a", "b"] {
        assert_eq!(play(&mut world, tag, &clip), Some(1_000));
    }
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn what_is_played_ends_with_the_party_and_nothing_of_it_is_kept_for_a_restart() {
    let mut world = World::new();
    let (caller, _) = phones(&mut world, "");
    let kept = world.store.clone();
    play(&mut world, "a", &clip(80_000));
    world.carry_out();
    assert_eq!(world.store, kept);
    let (mut world, results) = world.restart(Duration::from_secs(1));
    assert_eq!(results, [Ok(())]);
    world.wait_millis(1_000);
    assert_eq!(caller.received(&mut world), Vec::<Vec<u8>>::new());
    play(&mut world, "a", &clip(80_000));
    world.ok(&delete_now());
    world.assert_empty();
}

/// Who is called from another call goes on hearing what is played to it, until it is stopped under its new name.
#[test]
fn a_clip_goes_on_when_two_calls_become_one() {
    let mut world = World::new();
    let (_a, _b) = phones(&mut world, "");
    let mut c = Phone::new("198.51.100.10:4000", 3);
    let mut d = Phone::new("203.0.113.45:7000", 4);
    d.read(&world.sdp(&in_call("call-2", offer(&c.sdp(), "c", None, ""))));
    c.read(&world.sdp(&in_call("call-2", answer(&d.sdp(), "c", "d", ""))));
    let clip = clip(8_000);
    let Request::Other(mut play) = request(OtherCommand::PlayMedia, &[to("d"), blob(&clip)], &[]) else {
        unreachable!()
    };
    play.body.insert("call-id", Value::text("call-2"));
    world.ok(&Request::Other(play));
    world.wait_millis(30);
    world.ok(&connect(CALL, "a", Some("call-2"), "d"));
    world.wait_millis(30);
    assert_eq!(stream(&d.received(&mut world), 8), in_a_law(&clip)[..4 * 160]);
    assert_eq!(world.relay.gauges().players, 1);
    world.ok(&request(OtherCommand::StopMedia, &[to("d")], &[]));
    world.wait_millis(100);
    assert_eq!(d.received(&mut world), Vec::<Vec<u8>>::new());
    world.ok(&delete_now());
    world.assert_empty();
}

/// The number and timestamp of a packet, and what it says.
fn numbers(packet: &[u8]) -> (u32, u16, u32, Vec<u8>) {
    let packet = RtpPacket::parse(packet).unwrap();
    let header = packet.header();
    let payload = packet.payload().to_vec();
    (header.ssrc(), header.sequence(), header.timestamp(), payload)
}

/// Two phones; the callee's SDP names its source.
fn phones_with_a_source(world: &mut World) -> (Phone, Phone) {
    let (mut caller, mut callee) = rewriting::phones();
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    let line = format!("a=ssrc:{} cname:x", callee.ssrc);
    let answered = callee.sdp_with("RTP/AVP", &["a=sendrecv", &line]);
    let told = world.sdp(&answer(&answered, "a", "b", ""));
    assert!(told.has(&line), "{}", told.text);
    caller.read(&told);
    (caller, callee)
}

/// A browser that was told of a source hears no other.
#[test]
fn who_was_told_of_a_source_hears_a_clip_in_its_name_and_the_source_goes_on_behind_it() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones_with_a_source(&mut world);
    for _ in 0..5 {
        phones_hear_each_other(&mut world, &mut caller, &mut callee);
        world.wait_millis(20);
    }
    let last = numbers(&crate::phone::rtp(callee.ssrc, callee.sequence, 8));
    let clip = clip(480);
    for turn in 0..2 {
        play(&mut world, "a", &clip);
        let mut packets = Vec::new();
        for _ in 0..3 {
            packets.extend(caller.received(&mut world));
            let verdict = callee.send(&mut world).0;
            assert_eq!(verdict, Verdict::Drop(DropReason::BlockedMedia));
            world.wait_millis(20);
        }
        assert_eq!(stream(&packets, 8), in_a_law(&clip));
        let (ssrc, sequence, timestamp, _) = numbers(&packets[0]);
        assert_eq!(ssrc, callee.ssrc);
        if turn == 0 {
            // Those that were on their way may have passed.
            assert_eq!(sequence, last.1 + 10);
            assert_eq!(timestamp.wrapping_sub(last.2), 20 * 8 + 10 * 160);
        }
        let (_, sequence, timestamp, _) = numbers(&packets[2]);
        for count in 1..4 {
            let (_, said) = callee.send(&mut world);
            let heard = caller.received(&mut world);
            let [heard] = &heard[..] else { panic!("{heard:?}") };
            let said = numbers(&said).3;
            let expected = (
                callee.ssrc,
                sequence.wrapping_add(count),
                timestamp.wrapping_add(u32::from(count) * 160),
                said,
            );
            assert_eq!(numbers(heard), expected, "{turn} {count}");
            world.wait_millis(20);
        }
    }
    // Its own reports are about the same clock.
    let mut buffer = [0; 64];
    let mut writer = RtcpWriter::new(&mut buffer);
    let info = SenderInfo {
        rtp_timestamp: u32::from(callee.sequence) * 160,
        ..SenderInfo::default()
    };
    writer.sender_report(callee.ssrc, &info, &[]).unwrap();
    let relay = std::net::SocketAddr::new(callee.relay.unwrap().ip(), callee.relay.unwrap().port() + 1);
    let (_, _, before, _) = {
        callee.send(&mut world);
        numbers(&caller.received(&mut world)[0])
    };
    world.receive(callee.rtcp(), relay, writer.finish());
    let reports = caller.received_reports(&mut world);
    let told = Compound::parse(&reports[0]).unwrap().packets().next();
    let Some(RtcpPacket::SenderReport(told)) = told else {
        panic!("{told:?}")
    };
    assert_eq!(told.info.rtp_timestamp.wrapping_add(160), before);
    world.ok(&delete_now());
    world.assert_empty();
}

/// Its phone's NAT gives it another address: a flow of its own, and the same stream to whoever hears it.
#[test]
fn a_source_goes_on_behind_a_clip_from_another_address_too() {
    let mut world = World::new();
    let (mut caller, mut callee) = rewriting::phones();
    let flags = "media-handover";
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, flags)));
    let line = format!("a=ssrc:{} cname:x", callee.ssrc);
    let answered = callee.sdp_with("RTP/AVP", &["a=sendrecv", &line]);
    caller.read(&world.sdp(&answer(&answered, "a", "b", flags)));
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    play(&mut world, "a", &clip(480));
    world.wait_millis(100);
    let mut last = numbers(caller.received(&mut world).last().unwrap());
    for turn in 0..100 {
        if turn == 50 {
            callee.rtp = addr("203.0.113.44:7000");
        }
        callee.send(&mut world);
        for packet in caller.received(&mut world) {
            let next = numbers(&packet);
            let ahead = next.1.wrapping_sub(last.1);
            // What finds no flow at first is lost.
            assert!((1..10).contains(&ahead), "{turn}: {ahead}");
            assert_eq!(next.0, callee.ssrc);
            if ahead > 1 {
                assert_eq!(turn / 10, 5, "{turn}");
            }
            last = next;
        }
        world.wait_millis(20);
    }
    assert_eq!(
        numbers(&crate::phone::rtp(callee.ssrc, callee.sequence, 8)).3,
        last.3,
        "it is heard"
    );
    world.ok(&delete_now());
    world.assert_empty();
}

/// Who waits for an answer is told of a source with it.
#[test]
fn a_clip_goes_on_in_the_name_of_a_source_that_the_answer_tells_of() {
    let mut world = World::new();
    let (mut caller, mut callee) = rewriting::phones();
    callee.read(&world.sdp(&offer(&caller.sdp(), "a", None, "")));
    let clip = clip(1_600);
    play(&mut world, "a", &clip);
    world.wait_millis(50);
    let before = caller.received(&mut world);
    assert_ne!(numbers(&before[0]).0, callee.ssrc);
    let line = format!("a=ssrc:{} cname:x", callee.ssrc);
    let answered = callee.sdp_with("RTP/AVP", &["a=sendrecv", &line]);
    caller.read(&world.sdp(&answer(&answered, "a", "b", "")));
    world.wait_millis(200);
    let behind = caller.received(&mut world);
    assert!(behind.iter().all(|packet| numbers(packet).0 == callee.ssrc));
    let heard: Vec<u8> = before
        .iter()
        .chain(&behind)
        .flat_map(|packet| numbers(packet).3)
        .collect();
    assert_eq!(heard, in_a_law(&clip), "nothing of it is lost");
    let last = numbers(behind.last().unwrap());
    callee.send(&mut world);
    let next = numbers(&caller.received(&mut world)[0]);
    assert_eq!((next.0, next.1), (callee.ssrc, last.1.wrapping_add(1)));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_source_that_says_nothing_before_a_clip_goes_on_behind_it_as_well() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones_with_a_source(&mut world);
    callee.sequence = 65_000;
    let clip = clip(1_600);
    play(&mut world, "a", &clip);
    world.wait_millis(50);
    let stop = request(OtherCommand::StopMedia, &[to("a")], &[]);
    world.ok(&stop);
    let packets = caller.received(&mut world);
    let (ssrc, sequence, timestamp, _) = numbers(packets.last().unwrap());
    assert_eq!((packets.len(), ssrc), (3, callee.ssrc));
    assert!(sequence < 33_000, "far from where numbers wrap");
    // Nothing is heard for a second, and then another clip, and then the callee after another second.
    world.wait_millis(1_000);
    play(&mut world, "a", &clip);
    world.wait_millis(10);
    world.ok(&stop);
    let again = numbers(&caller.received(&mut world)[0]);
    assert_eq!((again.0, again.1), (callee.ssrc, sequence + 1));
    assert_eq!(again.2.wrapping_sub(timestamp), 160 + (1_000 - 10) * 8);
    world.wait_millis(1_000);
    callee.send(&mut world);
    let behind = numbers(&caller.received(&mut world)[0]);
    assert_eq!((behind.0, behind.1), (callee.ssrc, again.1 + 1));
    let later = behind.2.wrapping_sub(again.2);
    assert_eq!(later, 160 + (1_000 - 10) * 8);
    // A re-offer changes nothing about it.
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    let line = format!("a=ssrc:{} cname:x", callee.ssrc);
    world.sdp(&answer(&callee.sdp_with("RTP/AVP", &[&line]), "a", "b", ""));
    callee.send(&mut world);
    let next = numbers(&caller.received(&mut world)[0]);
    assert_eq!((next.1, next.2), (behind.1 + 1, behind.2.wrapping_add(160)));
    world.ok(&delete_now());
    world.assert_empty();
}
