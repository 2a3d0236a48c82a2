//! Recorders and monitors, and those who want to hear of digits.

use std::time::Duration;

use viaduct_forward::LISTENERS_MAX;
use viaduct_ng::{
    Delete, Dict, ErrorReason, OkReply, Options, Publish, Request, SubscribeAnswer, SubscribeRequest,
    Unsubscribe, Value, WordSet,
};
use viaduct_session::{Digit, What};

use crate::between_likes::phones;
use crate::browser::Browser;
use crate::browser_and_phone::{WEB_TO_PHONE, established, named};
use crate::phone::{Phone, rtp};
use crate::rewriting;
use crate::world::*;

fn subscribe(from: &[&str], to: Option<&str>, options: Options) -> Request {
    Request::SubscribeRequest(Box::new(SubscribeRequest {
        call_id: CALL.into(),
        from_tags: from.iter().map(|tag| (*tag).into()).collect(),
        to_tag: to.map(Into::into),
        options,
    }))
}

fn subscribe_answer(sdp: &str, to: &str) -> Request {
    Request::SubscribeAnswer(Box::new(SubscribeAnswer {
        sdp: sdp.into(),
        call_id: CALL.into(),
        to_tag: to.into(),
        options: Options::default(),
    }))
}

fn unsubscribe(to: &str) -> Request {
    Request::Unsubscribe(Unsubscribe {
        call_id: CALL.into(),
        to_tag: to.into(),
    })
}

fn text(ok: &OkReply, key: &str) -> String {
    ok.rest.get(key).and_then(Value::as_bytes).unwrap().to_string()
}

/// What a browser that only listens is offered.
const FOR_BROWSERS: &str =
    "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require SDES-off DTLS=passive generate-mid";

const NOTHING: Vec<Vec<u8>> = Vec::new();

/// A recorder with two ports of plain RTP, one for each m-line.
struct Recorder {
    ports: [Phone; 2],
}

impl Recorder {
    fn new() -> Self {
        Self {
            ports: [
                Phone::new("198.51.100.30:9000", 1),
                Phone::new("198.51.100.30:9002", 2),
            ],
        }
    }

    fn answer(&self, medias: usize) -> String {
        let media = |at: usize| {
            let port = self.ports[at].rtp.port();
            format!("m=audio {port} RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=recvonly\r\n")
        };
        let medias: String = (0..medias).map(media).collect();
        let ip = self.ports[0].rtp.ip();
        format!("v=0\r\no=rec 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n{medias}")
    }

    fn heard(&self, world: &mut World) -> [Vec<Vec<u8>>; 2] {
        [0, 1].map(|at: usize| self.ports[at].received(world))
    }
}

#[test]
fn a_recorder_hears_both_sides_and_nobody_hears_it() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let recorder = Recorder::new();
    let offered = world.ok(&subscribe(&["a", "b"], None, options("siprec")));
    let sdp = Sdp::of(offered.sdp.as_ref().unwrap());
    assert_eq!(sdp.values("label"), ["0", "1"], "{}", sdp.text);
    assert_eq!(sdp.text.matches("a=sendonly").count(), 2, "{}", sdp.text);
    assert_eq!(sdp.text.matches("m=audio").count(), 2, "{}", sdp.text);
    assert_eq!(sdp.address(0).ip().to_string(), RELAY);
    let tag = text(&offered, "to-tag");
    assert_eq!(offered.rest.get("from-tags"), Some(&Value::texts(["a", "b"])));
    world.ok(&subscribe_answer(&recorder.answer(2), &tag));
    for _ in 0..3 {
        let (_, from_caller) = caller.send(&mut world);
        let (_, from_callee) = callee.send(&mut world);
        let (from_caller, from_callee) = (vec![from_caller], vec![from_callee]);
        assert_eq!(callee.received(&mut world), from_caller);
        assert_eq!(caller.received(&mut world), from_callee);
        assert_eq!(recorder.heard(&mut world), [from_caller, from_callee]);
    }
    let (_, report) = caller.send_report(&mut world);
    for reports in [
        callee.received_reports(&mut world),
        recorder.ports[0].received_reports(&mut world),
    ] {
        assert_eq!(reports, [&report[..]]);
    }
    // What a recorder sends goes nowhere.
    world.receive(recorder.ports[0].rtp, sdp.address(0), &rtp(9, 1, 8));
    assert_eq!(world.network, []);

    world.ok(&unsubscribe(&tag));
    let (_, packet) = caller.send(&mut world);
    assert_eq!(callee.received(&mut world), [packet]);
    assert_eq!(recorder.heard(&mut world), [NOTHING; 2]);
    assert_eq!(world.fails(&unsubscribe(&tag)), ErrorReason::ToTagNotFound);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_listener_is_offered_the_feedback_that_both_sides_take() {
    const OFFERED: &[&str] = &["a=rtcp-fb:8 nack", "a=rtcp-fb:8 ccm fir", "a=rtcp-fb:0 nack"];
    for (taken, left) in [
        (&["a=rtcp-fb:8 nack"][..], &["8 nack"][..]),
        (&[], &[]),
        // For all codecs at once.
        (&["a=rtcp-fb:* nack"], &["8 nack", "8 ccm fir", "0 nack"]),
    ] {
        let mut world = World::new();
        let (mut caller, mut callee) = rewriting::phones();
        callee.read(&world.sdp(&offer(&caller.sdp_with("RTP/AVPF", OFFERED), "a", None, "")));
        caller.read(&world.sdp(&answer(&callee.sdp_with("RTP/AVPF", taken), "a", "b", "")));
        let offered = world.ok(&subscribe(&["a"], None, options("")));
        let sdp = Sdp::of(offered.sdp.as_ref().unwrap());
        assert_eq!(sdp.values("rtcp-fb"), left, "{taken:?}");
        world.ok(&delete_now());
        world.assert_empty();
    }
}

/// OpenSIPS's SIPREC module tells the recorder by these which m-line is whose.
#[test]
fn siprec_is_told_whose_each_label_is() {
    let mut world = World::new();
    phones(&mut world, "");
    let offered = world.ok(&subscribe(&["a", "b"], Some("rec"), options("siprec")));
    let media = |label: &str, tag: &str| {
        let mut dict = Dict::new();
        dict.insert("index", Value::Integer(1));
        dict.insert("type", Value::text("audio"));
        dict.insert("label", Value::text(label));
        dict.insert("mode", Value::text("sendrecv"));
        let alone = dict.clone();
        dict.remove("label");
        dict.insert("tag", Value::text(tag));
        (alone, dict)
    };
    let ((a, a_tagged), (b, b_tagged)) = (media("0", "a"), media("1", "b"));
    let tag = |tag: &str, media: Dict| {
        let mut dict = Dict::new();
        dict.insert("tag", Value::text(tag));
        dict.insert("medias", Value::List(vec![Value::Dict(media)]));
        Value::Dict(dict)
    };
    assert_eq!(
        offered.rest.get("tag-medias"),
        Some(&Value::List(vec![tag("a", a), tag("b", b)]))
    );
    let mut labels = Dict::new();
    labels.insert("0", Value::Dict(a_tagged));
    labels.insert("1", Value::Dict(b_tagged));
    assert_eq!(offered.rest.get("media-labels"), Some(&Value::Dict(labels)));
    assert_eq!(text(&offered, "to-tag"), "rec");
}

#[test]
fn a_recorder_of_a_browser_gets_plain_rtp() {
    let mut world = World::new();
    let (mut browser, mut phone) = established(&mut world);
    let recorder = Recorder::new();
    let offered = world.ok(&subscribe(&[], Some("rec"), options("all")));
    let sdp = Sdp::of(offered.sdp.as_ref().unwrap());
    for absent in ["fingerprint", "ice-ufrag", "candidate", "setup", "crypto"] {
        assert!(!sdp.has_attribute(absent), "{}", sdp.text);
    }
    world.ok(&subscribe_answer(&recorder.answer(2), "rec"));
    let (_, from_browser) = browser.send(&mut world);
    assert_eq!(phone.received(&mut world), [&from_browser[..]]);
    let (_, from_phone) = phone.send(&mut world);
    assert_eq!(recorder.heard(&mut world), [vec![from_browser], vec![from_phone]]);
    browser.received(&mut world);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_monitor_may_be_a_browser() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    let mut monitor = Browser::new("203.0.113.99:50000", 0xb000_0009);
    let offered = world.ok(&subscribe(&["a"], Some("web"), options(FOR_BROWSERS)));
    assert_eq!(text(&offered, "from-tag"), "a");
    let sdp = Sdp::of(offered.sdp.as_ref().unwrap());
    assert!(
        sdp.has_attribute("fingerprint") && sdp.has_attribute("ice-ufrag"),
        "{}",
        sdp.text
    );
    let answer = monitor.answer(&sdp).replace("a=sendrecv", "a=recvonly");
    world.ok(&subscribe_answer(&answer, "web"));
    Browser::connect(&mut world, &mut [&mut monitor]);
    let (_, packet) = caller.send(&mut world);
    assert_eq!(callee.received(&mut world), [&packet[..]]);
    assert_eq!(monitor.received(&mut world), [packet]);
    callee.send(&mut world);
    assert_eq!(monitor.received(&mut world), NOTHING);
    caller.received(&mut world);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn who_asks_for_nobody_or_too_often_is_refused_and_nothing_changes() {
    let mut world = World::new();
    let (mut caller, callee) = phones(&mut world, "");
    let before = world.relay.gauges();
    let none = Options::default;
    for (request, reason) in [
        (subscribe(&["z"], None, none()), ErrorReason::NoSuchFromTag),
        (subscribe(&[], None, none()), ErrorReason::NoFromTag),
        (subscribe(&["a"], Some("b"), none()), ErrorReason::InvalidDialogue),
        (
            subscribe_answer(&Recorder::new().answer(1), "b"),
            ErrorReason::InvalidDialogue,
        ),
        (
            subscribe_answer(&Recorder::new().answer(1), "z"),
            ErrorReason::ToTagNotFound,
        ),
        (subscribe_answer("nonsense", "z"), ErrorReason::UnparsableSdp),
        (unsubscribe("a"), ErrorReason::InvalidDialogue),
    ] {
        assert_eq!(world.fails(&request), reason, "{request:?}");
    }
    assert_eq!(world.relay.gauges(), before);
    for number in 0..LISTENERS_MAX {
        let tag = format!("rec-{number}");
        world.ok(&subscribe(&["a"], Some(&tag), none()));
    }
    assert!(matches!(
        world.fails(&subscribe(&["a"], Some("one more"), none())),
        ErrorReason::Other(_)
    ));
    assert_eq!(world.relay.counters().limits.listeners, 1);
    // Who listens already may ask again.
    world.ok(&subscribe(&["a"], Some("rec-0"), none()));
    let (_, packet) = caller.send(&mut world);
    assert_eq!(callee.received(&mut world), [packet]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn listeners_do_not_keep_a_call() {
    let mut world = World::new();
    phones(&mut world, "");
    world.ok(&subscribe(&["a"], Some("rec"), Options::default()));
    world.ok(&subscribe_answer(&Recorder::new().answer(1), "rec"));
    let shown: Vec<String> = world
        .query()
        .tags
        .0
        .iter()
        .map(|(tag, _)| tag.to_string())
        .collect();
    assert_eq!(shown, ["a", "b", "rec"]);
    world.ok(&Request::Delete(Delete {
        call_id: CALL.into(),
        from_tag: Some("a".into()),
        to_tag: None,
        via_branch: None,
        delete_delay: Some(Duration::ZERO),
        flags: WordSet::new(),
    }));
    assert_eq!(world.list(), [] as [&str; 0]);
    world.assert_empty();
}

#[test]
fn a_recorder_goes_on_after_a_restart() {
    let mut world = World::new();
    let (mut caller, mut callee) = phones(&mut world, "");
    for phone in [&mut caller, &mut callee] {
        phone.send(&mut world);
    }
    let recorder = Recorder::new();
    let tag = text(
        &world.ok(&subscribe(&["a", "b"], None, options("siprec"))),
        "to-tag",
    );
    world.ok(&subscribe_answer(&recorder.answer(2), &tag));
    let (mut world, results) = world.restart(Duration::from_secs(2));
    assert_eq!(results, [Ok(())]);
    world.network.clear();
    let (_, packet) = caller.send(&mut world);
    assert_eq!(recorder.heard(&mut world), [vec![packet.clone()], NOTHING]);
    assert_eq!(callee.received(&mut world), [packet]);
    world.ok(&unsubscribe(&tag));
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn digits_are_told_to_whoever_wants_to_hear_of_them() {
    let mut world = World::new();
    let (mut caller, callee) = phones(&mut world, "");
    let digit = |phone: &Phone, sequence: u16, end: u8| {
        let mut packet = rtp(phone.ssrc, sequence, 101);
        packet.truncate(12);
        packet[4..8].copy_from_slice(&[0, 0, 0, 9]);
        packet.extend([11, end | 10, 5, 0]);
        packet
    };
    let dial = |world: &mut World, phone: &Phone| {
        for (sequence, end) in [(700, 0), (701, 0x80), (702, 0x80)] {
            world.receive(phone.rtp, phone.relay.unwrap(), &digit(phone, sequence, end));
        }
        let events = world.take_events();
        let digits = events.into_iter().filter_map(|what| match what {
            What::Digit(digit) => Some(*digit),
            _ => None,
        });
        digits.collect::<Vec<Digit>>()
    };
    assert_eq!(dial(&mut world, &caller), [], "nobody has asked");
    let wants = Options {
        dtmf_log_dest: Some(addr("127.0.0.1:2333")),
        ..Options::default()
    };
    let Request::Offer(mut again) = offer(&caller.sdp(), "a", Some("b"), "") else {
        unreachable!("an offer")
    };
    again.options = wants;
    world.ok(&Request::Offer(again));
    let told = Digit {
        to: Some(addr("127.0.0.1:2333")),
        source_tag: "b".into(),
        tags: vec!["a".into(), "b".into()],
        source: callee.rtp.ip(),
        event: 11,
        duration: Duration::from_millis(160),
        volume: 10,
    };
    assert_eq!(dial(&mut world, &callee), [told]);
    world.ok(&delete_now());
    world.assert_empty();
    // Where everybody is told, nobody has to ask.
    let mut world = World::with(viaduct_session::Config {
        tell_digits: true,
        ..config()
    });
    let (caller, _) = phones(&mut world, "");
    let told = dial(&mut world, &caller);
    assert_eq!(
        told.iter()
            .map(|digit| (digit.to, digit.event))
            .collect::<Vec<_>>(),
        [(None, 11)]
    );
    world.ok(&delete_now());
    world.assert_empty();
}

/// What is stood for keeps its own call apart from a listener's: nothing of it is shown to the parties.
#[test]
fn the_parties_of_a_call_are_told_nothing_of_a_listener() {
    let mut world = World::new();
    let mut browser = Browser::new("203.0.113.7:50000", 1);
    let to_phone = world.sdp(&offer(&browser.offer(), "a", None, WEB_TO_PHONE));
    world.ok(&subscribe(&["a"], Some("rec"), options("siprec")));
    let again = world.sdp(&offer(&browser.offer(), "a", None, WEB_TO_PHONE));
    assert_eq!(to_phone.address(0), again.address(0));
    assert!(!again.has_attribute("label"));
    world.ok(&delete_now());
    world.assert_empty();
}

fn publish(sdp: &str, call_id: Option<&str>, from: Option<&str>) -> Request {
    Request::Publish(Box::new(Publish {
        sdp: sdp.into(),
        call_id: call_id.map(Into::into),
        from_tag: from.map(Into::into),
        options: Options::default(),
    }))
}

#[test]
fn a_publisher_talks_to_those_who_subscribe() {
    let mut world = World::new();
    let mut publisher = Phone::new("198.51.100.9:4000", 7);
    let recorder = Recorder::new();
    let published = world.ok(&publish(&publisher.sdp(), Some(CALL), None));
    let sdp = Sdp::of(published.sdp.as_ref().unwrap());
    assert!(
        sdp.has("a=recvonly") && sdp.text.contains(" RTP/AVP 8 101\r\n"),
        "{}",
        sdp.text
    );
    assert_eq!(sdp.address(0).ip().to_string(), RELAY);
    assert!(sdp.text.contains("IN IP4 192.0.2.1\r\ns="), "{}", sdp.text);
    publisher.read(&sdp);
    let tag = text(&published, "from-tag");
    assert_eq!(text(&published, "call-id"), CALL);
    let (verdict, _) = publisher.send(&mut world);
    assert!(
        matches!(verdict, viaduct_forward::Verdict::Drop(_)),
        "nobody listens: {verdict:?}"
    );
    let heard = |what: &What| matches!(what, What::PublisherHeard { media } if media.index == 1);
    assert!(world.take_events().iter().any(heard));
    let offered = world.ok(&subscribe(&[&tag], Some("rec"), Options::default()));
    let to_recorder = Sdp::of(offered.sdp.as_ref().unwrap());
    assert!(
        to_recorder.has("a=sendonly") && to_recorder.text.contains(" RTP/AVP 8 101\r\n"),
        "{}",
        to_recorder.text
    );
    world.ok(&subscribe_answer(&recorder.answer(1), "rec"));
    let (_, packet) = publisher.send(&mut world);
    assert_eq!(recorder.heard(&mut world), [vec![packet], NOTHING]);
    // It changes its mind, and keeps its port.
    let again = world.sdp(&publish(&publisher.sdp(), Some(CALL), Some(&tag)));
    assert_eq!(again.address(0), sdp.address(0));
    // While it says that it sends nothing, nothing of it is passed on.
    for (direction, comes) in [("a=inactive", false), ("a=sendonly", true)] {
        let offer = publisher.sdp_with("RTP/AVP", &[direction]);
        world.ok(&publish(&offer, Some(CALL), Some(&tag)));
        let (_, packet) = publisher.send(&mut world);
        let expected = if comes { vec![packet] } else { NOTHING };
        assert_eq!(recorder.heard(&mut world), [expected, NOTHING]);
    }
    let shown: Vec<String> = world
        .query()
        .tags
        .0
        .iter()
        .map(|(tag, _)| tag.to_string())
        .collect();
    assert_eq!(shown, [tag, "rec".to_owned()]);
    let (mut world, results) = world.restart(Duration::from_secs(2));
    assert_eq!(results, [Ok(())]);
    let (_, packet) = publisher.send(&mut world);
    assert_eq!(recorder.heard(&mut world), [vec![packet], NOTHING]);
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn a_publishers_first_codec_is_taken_with_what_goes_with_it() {
    let mut world = World::new();
    let offer = "v=0\r\no=- 1 1 IN IP4 198.51.100.9\r\ns=-\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 111 8 \
                 110 101 63\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:110 \
                 telephone-event/48000\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 \
                 111/111\r\na=sendonly\r\n";
    let published = world.ok(&publish(offer, Some(CALL), Some("talker")));
    let to_listener = world.ok(&subscribe(&["talker"], Some("rec"), Options::default()));
    for told in [&published, &to_listener] {
        let sdp = Sdp::of(told.sdp.as_ref().unwrap());
        assert!(
            sdp.text.contains(" RTP/AVP 111 110 63\r\n") && sdp.has("a=fmtp:111 useinbandfec=1; minptime=10"),
            "{}",
            sdp.text
        );
    }
}

#[test]
fn a_browser_may_publish_and_needs_no_names() {
    let mut world = World::new();
    let mut browser = Browser::new("203.0.113.7:50000", 0xb000_0001);
    let published = world.ok(&publish(&browser.offer(), None, None));
    let sdp = Sdp::of(published.sdp.as_ref().unwrap());
    assert!(
        sdp.has_attribute("fingerprint") && sdp.has("a=rtcp-mux"),
        "{}",
        sdp.text
    );
    browser.read(&sdp);
    Browser::connect(&mut world, &mut [&mut browser]);
    let (call, tag) = (text(&published, "call-id"), text(&published, "from-tag"));
    assert_ne!(call, tag);
    assert_eq!(world.list(), [call.as_str()]);
    let Request::Delete(mut delete) = delete_now() else {
        unreachable!("a deletion")
    };
    delete.call_id = call.as_str().into();
    world.ok(&Request::Delete(delete));
    world.assert_empty();
}

/// Each numbers m-lines for itself. A browser drops what is named as none of its own (RFC 8843 section 9.2).
#[test]
fn a_listener_reads_its_own_name_of_a_publishers_m_line() {
    let mut world = World::new();
    let mut publisher = Browser::new("203.0.113.7:50000", 0xb000_0001);
    let mut monitor = Browser::new("203.0.113.99:50000", 0xb000_0009);
    let published = world.ok(&publish(&publisher.offer(), Some(CALL), Some("talker")));
    publisher.read(&Sdp::of(published.sdp.as_ref().unwrap()));
    let offered = world.ok(&subscribe(&["talker"], Some("web"), options(FOR_BROWSERS)));
    let sdp = Sdp::of(offered.sdp.as_ref().unwrap());
    let mid = sdp.session.media(0).unwrap().mid();
    assert_eq!(mid.as_deref(), Some("1"));
    assert!(
        sdp.has("a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid"),
        "{}",
        sdp.text
    );
    let answer = monitor.answer(&sdp).replace("a=sendrecv", "a=recvonly");
    world.ok(&subscribe_answer(&answer, "web"));
    Browser::connect(&mut world, &mut [&mut publisher, &mut monitor]);
    let packet = |sequence| rtp(publisher.ssrc, sequence, 8);
    let (first, second) = (packet(1), packet(2));
    for (said, packet) in [(named(first.clone(), "0"), first), (second.clone(), second)] {
        let protected = publisher.protect_rtp(&said);
        world.receive(publisher.address, publisher.relay.unwrap(), &protected);
        assert_eq!(monitor.received(&mut world), [named(packet, "1")]);
    }
    world.ok(&delete_now());
    world.assert_empty();
}

#[test]
fn nobody_publishes_in_the_name_of_somebody_else() {
    let mut world = World::new();
    let (mut caller, callee) = phones(&mut world, "");
    let mut other = Phone::new("198.51.100.50:4000", 9);
    for tag in ["a", "b"] {
        let refused = world.fails(&publish(&other.sdp(), Some(CALL), Some(tag)));
        assert_eq!(refused, ErrorReason::InvalidDialogue);
    }
    assert_eq!(
        world.fails(&publish("nonsense", None, None)),
        ErrorReason::UnparsableSdp
    );
    let (_, packet) = caller.send(&mut world);
    assert_eq!(callee.received(&mut world), [packet]);
    world.ok(&delete_now());
    world.assert_empty();
}
