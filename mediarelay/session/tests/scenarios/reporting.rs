//! RTCP of the relay's own (NG `generate-RTCP`).

use std::time::Duration;

use viaduct_forward::{DropReason, Verdict};
use viaduct_rtp::rtcp::{Compound, ReportBlock, RtcpPacket, RtcpWriter, SenderInfo};

use crate::between_likes::{phones, phones_hear_each_other};
use crate::browser::Browser;
use crate::browser_and_phone::{PHONE_ANSWERS_WEB, WEB_TO_PHONE, browser, phone};
use crate::phone::Phone;
use crate::world::*;

/// What one compound of ours says.
#[derive(Debug, Default, PartialEq)]
struct Told {
    senders: Vec<(u32, SenderInfo)>,
    /// Who reports without sending.
    receivers: Vec<u32>,
    blocks: Vec<ReportBlock>,
    names: Vec<(u32, String)>,
}

#[track_caller]
fn told(packet: &[u8]) -> Told {
    let compound = Compound::parse(packet).unwrap();
    let mut told = Told::default();
    for packet in compound.packets() {
        match packet {
            RtcpPacket::SenderReport(report) => told.senders.push((report.ssrc, report.info)),
            RtcpPacket::ReceiverReport(report) => told.receivers.push(report.ssrc),
            RtcpPacket::Sdes(sdes) => {
                let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
                let names = sdes
                    .chunks()
                    .map(|chunk| (chunk.ssrc, name(chunk.cname().unwrap())));
                told.names.extend(names);
            }
            other => panic!("{other:?}"),
        }
    }
    told.blocks = compound.report_blocks().collect();
    told
}

/// What a phone was told last, out of one report or more.
#[track_caller]
fn last_told(world: &mut World, phone: &Phone) -> Told {
    told(phone.received_reports(world).last().expect("a report"))
}

/// Both phones speak for a second.
fn speak(world: &mut World, caller: &mut Phone, callee: &mut Phone) {
    for _ in 0..50 {
        phones_hear_each_other(world, caller, callee);
        world.wait_millis(20);
    }
}

/// No report is later than that.
const LATEST: Duration = Duration::from_secs(7);

#[test]
fn each_party_is_told_what_it_hears_and_how_it_is_heard() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "generate-RTCP");
    speak(&mut world, &mut caller, &mut callee);
    // Lost on the way to the relay.
    caller.sequence += 10;
    speak(&mut world, &mut caller, &mut callee);
    world.wait(LATEST);
    let to_callee = last_told(&mut world, &callee);
    let [(ssrc, info)] = to_callee.senders[..] else {
        panic!("{to_callee:?}")
    };
    assert_eq!((ssrc, info.packets, info.octets), (caller.ssrc, 100, 17_200));
    assert_eq!(
        info.rtp_timestamp,
        u32::from(caller.sequence) * 160,
        "it has been silent since"
    );
    assert_eq!(to_callee.names[0].0, caller.ssrc);
    assert_eq!(to_callee.names[0].1.len(), 12);
    let [of_callee] = to_callee.blocks[..] else {
        panic!("{to_callee:?}")
    };
    assert_eq!((of_callee.ssrc, of_callee.cumulative_lost), (callee.ssrc, 0));
    assert_eq!(of_callee.highest_sequence, u32::from(callee.sequence));
    assert_eq!((of_callee.jitter, of_callee.last_sr), (0, 0));
    let to_caller = last_told(&mut world, &caller);
    let [of_caller] = to_caller.blocks[..] else {
        panic!("{to_caller:?}")
    };
    assert_eq!((of_caller.ssrc, of_caller.cumulative_lost), (caller.ssrc, 10));
    assert_eq!(of_caller.fraction_lost, (10 * 256 / 110) as u8);
    // What was lost before is told, and that nothing was lost since.
    speak(&mut world, &mut caller, &mut callee);
    world.wait(LATEST);
    let again = last_told(&mut world, &caller).blocks[0];
    assert_eq!((again.cumulative_lost, again.fraction_lost), (10, 0));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn reports_come_every_few_seconds_while_somebody_is_heard() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "generate-RTCP");
    world.wait(LATEST);
    assert!(callee.received_reports(&mut world).is_empty(), "nobody speaks");
    let mut seconds = Vec::new();
    for second in 0..100 {
        speak(&mut world, &mut caller, &mut callee);
        if !callee.received_reports(&mut world).is_empty() {
            seconds.push(second);
        }
    }
    assert!((15..35).contains(&seconds.len()), "{seconds:?}");
    let gaps: Vec<i32> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (1..=7).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "at random times");
    let sent = world.relay.counters().reports_sent;
    assert!(sent >= 2 * seconds.len() as u64, "{sent}");
    world.wait(Duration::from_secs(26));
    callee.received_reports(&mut world);
    world.wait(LATEST);
    assert!(callee.received_reports(&mut world).is_empty(), "all are silent");
    world.ok(&delete_now());
    world.assert_empty();
}

/// Its timestamp is that of now as long as it speaks.
#[test]
fn the_clock_of_a_source_goes_on_between_packets() {
    let mut world = World::new();
    let (mut caller, callee) = phones(&mut world, "generate-RTCP");
    let mut reports = Vec::new();
    while reports.is_empty() {
        caller.send(&mut world);
        // The packet, and then a report at some moment before the next one.
        let before = world.now;
        world.wait_millis(20);
        reports = callee.received_reports(&mut world);
        assert!(world.now - before == Duration::from_millis(20));
    }
    let report = told(&reports[0]);
    let passed = report.senders[0]
        .1
        .rtp_timestamp
        .wrapping_sub(u32::from(caller.sequence) * 160);
    assert!(passed <= 160, "{passed}");
    assert!(passed > 0, "at the very moment of a packet");
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn who_is_not_spoken_to_hears_of_us_how_it_is_heard() {
    let mut world = World::new();
    let (mut caller, callee) = phones(&mut world, "generate-RTCP");
    for _ in 0..50 {
        caller.send(&mut world);
        world.wait_millis(20);
    }
    world.wait(LATEST);
    let to_caller = last_told(&mut world, &caller);
    let [own] = to_caller.receivers[..] else {
        panic!("{to_caller:?}")
    };
    assert!(![caller.ssrc, callee.ssrc].contains(&own));
    assert!(to_caller.senders.is_empty());
    assert_eq!(to_caller.names[0].0, own);
    assert_eq!(to_caller.blocks[0].ssrc, caller.ssrc);
    let to_callee = last_told(&mut world, &callee);
    assert_eq!(to_callee.senders[0].0, caller.ssrc);
    assert!(to_callee.blocks.is_empty());
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn what_parties_report_stays_here_and_feedback_goes_on() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "RTP/AVPF generate-RTCP");
    phones_hear_each_other(&mut world, &mut caller, &mut callee);
    let (verdict, report) = caller.send_report(&mut world);
    assert_eq!(verdict, Verdict::Drop(DropReason::ReportsReplaced));
    assert!(callee.received_reports(&mut world).is_empty());
    let loss = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let relay = std::net::SocketAddr::new(caller.relay.unwrap().ip(), caller.relay.unwrap().port() + 1);
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer
        .sender_report(caller.ssrc, &SenderInfo::default(), &[ReportBlock::default()])
        .unwrap()
        .sdes(&[(caller.ssrc, "somebody")])
        .unwrap();
    let whole = [writer.finish(), &loss].concat();
    world.receive(caller.rtcp(), relay, &whole);
    assert_eq!(
        callee.received_reports(&mut world),
        [[&report[..], &loss].concat()],
        "behind a report without blocks, as a compound must begin with one"
    );
    world.receive(caller.rtcp(), relay, &loss);
    assert_eq!(callee.received_reports(&mut world), [loss]);
    let errors = world.query().tags.get(b"a").unwrap().medias[0].streams[1]
        .stats
        .errors;
    assert_eq!(errors, 0, "no fault of the caller's");
    world.ok(&delete_now());
    world.assert_empty();
}

/// The peer's own report is answered, and ours are: both give round trips.
#[test]
fn reports_are_answered() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "generate-RTCP");
    speak(&mut world, &mut caller, &mut callee);
    let relay = caller.relay.unwrap();
    let relay = std::net::SocketAddr::new(relay.ip(), relay.port() + 1);
    let info = SenderInfo {
        ntp: 0x1234_5678_9abc_def0,
        ..SenderInfo::default()
    };
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.sender_report(caller.ssrc, &info, &[]).unwrap();
    world.receive(caller.rtcp(), relay, writer.finish());
    let at = world.now;
    let mut reports = Vec::new();
    while reports.is_empty() {
        world.wait_millis(10);
        reports = caller.received_reports(&mut world);
    }
    let delay = (world.now - at).as_secs_f64();
    let report = told(&reports[0]);
    assert_eq!(report.blocks[0].last_sr, 0x5678_9abc);
    let answered = f64::from(report.blocks[0].delay_since_last_sr) / 65_536.0;
    assert!(
        (delay - 0.011..=delay).contains(&answered),
        "{answered} of {delay}"
    );
    // Half a second later the caller answers ours, 100 ms of which it was on the way.
    let middle = report.senders[0].1.ntp_middle();
    world.wait_millis(500);
    let block = ReportBlock {
        ssrc: callee.ssrc,
        ..ReportBlock::default()
    }
    .with_last_sr(middle, Duration::from_millis(400));
    let mut buffer = [0; 256];
    let mut writer = RtcpWriter::new(&mut buffer);
    writer.receiver_report(caller.ssrc, &[block]).unwrap();
    world.receive(caller.rtcp(), relay, writer.finish());
    speak(&mut world, &mut caller, &mut callee);
    world.wait(LATEST);
    let report = world.query();
    let score = report
        .ssrc
        .get(callee.ssrc.to_string().as_bytes())
        .unwrap()
        .highest_mos
        .as_ref()
        .unwrap();
    let trip = report
        .ssrc
        .get(callee.ssrc.to_string().as_bytes())
        .unwrap()
        .average_mos
        .as_ref()
        .unwrap()
        .round_trip_time_leg;
    assert!((33_000..=111_000).contains(&trip), "{trip}");
    assert!(score.mos >= 43, "{score:?}");
    // Nobody has answered what the other was told: it is scored by what was heard of it.
    assert!(
        report
            .ssrc
            .get(caller.ssrc.to_string().as_bytes())
            .unwrap()
            .average_mos
            .is_some()
    );
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_browser_is_told_under_its_keys() {
    let mut world = World::new();
    let (mut browser, mut phone) = (browser(), phone());
    let flags = |flags: &str| format!("{flags} generate-RTCP");
    phone.read(&world.sdp(&offer(&browser.offer(), "b", None, &flags(WEB_TO_PHONE))));
    browser.read(&world.sdp(&answer(&phone.sdp(), "b", "p", &flags(PHONE_ANSWERS_WEB))));
    Browser::connect(&mut world, &mut [&mut browser]);
    for _ in 0..50 {
        crate::browser_and_phone::hear_each_other(&mut world, &mut browser, &mut phone);
        world.wait_millis(20);
    }
    world.wait(LATEST);
    let packets = browser.received(&mut world);
    let report = told(packets.last().expect("a report"));
    assert_eq!(
        (report.senders[0].0, report.senders[0].1.packets),
        (phone.ssrc, 50)
    );
    assert_eq!(report.blocks[0].ssrc, browser.ssrc);
    let report = last_told(&mut world, &phone);
    assert_eq!(report.senders[0].0, browser.ssrc);
    let (verdict, _) = browser.send_report(&mut world);
    assert_eq!(verdict, Verdict::Drop(DropReason::ReportsReplaced));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn an_offer_without_the_flag_ends_it_and_an_answer_may_begin_it() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "generate-RTCP");
    speak(&mut world, &mut caller, &mut callee);
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    world.sdp(&answer(&callee.sdp(), "a", "b", ""));
    speak(&mut world, &mut caller, &mut callee);
    world.wait(LATEST);
    assert!(callee.received_reports(&mut world).is_empty());
    let (_, report) = caller.send_report(&mut world);
    assert_eq!(callee.received_reports(&mut world), [report]);
    world.sdp(&offer(&caller.sdp(), "a", Some("b"), ""));
    world.sdp(&answer(&callee.sdp(), "a", "b", "generate-RTCP"));
    speak(&mut world, &mut caller, &mut callee);
    world.wait(LATEST);
    assert_eq!(last_told(&mut world, &callee).senders[0].0, caller.ssrc);
    world.ok(&delete_now());
    world.assert_empty();
}

/// A held party is sent nothing, and so is told of nothing that was.
#[test]
fn who_is_held_is_told_of_no_sender() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "generate-RTCP");
    speak(&mut world, &mut caller, &mut callee);
    let held = caller.sdp_with("RTP/AVP", &["a=sendonly"]);
    world.sdp(&offer(&held, "a", Some("b"), "generate-RTCP"));
    world.sdp(&answer(
        &callee.sdp_with("RTP/AVP", &["a=recvonly"]),
        "a",
        "b",
        "",
    ));
    for _ in 0..50 {
        caller.send(&mut world);
        callee.send(&mut world);
        world.wait_millis(20);
    }
    caller.received_reports(&mut world);
    world.wait(LATEST);
    let to_caller = last_told(&mut world, &caller);
    assert!(to_caller.senders.is_empty(), "{to_caller:?}");
    assert_eq!(to_caller.blocks[0].ssrc, caller.ssrc);
    assert_eq!(last_told(&mut world, &callee).senders[0].0, caller.ssrc);
    world.ok(&delete_now());
    world.assert_empty();
}
