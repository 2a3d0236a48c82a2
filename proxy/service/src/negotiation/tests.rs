use proptest::prelude::*;
use viaduct_sdp::{Direction, check_answer};

use super::*;
use crate::MediaAddress;

const HEAD: &str = "v=0\r\no=- 7 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n";

fn local() -> Local {
    let address = MediaAddress::pair("198.51.100.1:6000".parse().unwrap()).unwrap();
    Local::new(address, u64::MAX)
}

fn session(text: &[u8]) -> Session {
    Session::parse(text).unwrap()
}

fn version(sdp: &[u8]) -> u64 {
    let origin = session(sdp).origin().unwrap().unwrap();
    assert!(origin.session_id.parse::<i64>().is_ok(), "{origin}");
    origin.version.parse().unwrap()
}

#[test]
fn the_version_rises_with_every_difference_and_only_then() {
    let mut local = local();
    let pending = Pending::first();
    let mut say = |direction| version(&local.describe(&pending.layout, &pending.params, direction));
    let (send_recv, inactive) = (Direction::SendRecv, Direction::Inactive);
    let versions = [send_recv, send_recv, inactive, inactive, send_recv].map(&mut say);
    assert_eq!(versions, [1, 1, 2, 2, 3]);
}

#[test]
fn an_rtcp_port_that_is_not_the_next_is_named() {
    let address = MediaAddress {
        rtp: "198.51.100.1:6000".parse().unwrap(),
        rtcp: "198.51.100.1:7000".parse().unwrap(),
    };
    let pending = Pending::first();
    let sdp = Local::new(address, 1).describe(&pending.layout, &pending.params, Direction::SendRecv);
    let rtcp = session(&sdp).media(0).unwrap().rtcp().unwrap().unwrap();
    assert_eq!((rtcp.port, rtcp.address), (7_000, None));
}

#[test]
fn numbers_in_use_are_not_given_another_meaning() {
    // PCMU under the number that we would take for telephone-event, telephone-event under PCMA's.
    let offer = format!(
        "{HEAD}m=audio 4000 RTP/AVP 101 8\r\na=rtpmap:101 PCMU/8000\r\na=rtpmap:8 telephone-event/8000\r\n"
    );
    let plan = Plan::of_first(&session(offer.as_bytes())).unwrap();
    let receive = Pending::next(&plan.layout, &plan.params).params.receive;
    assert_eq!(
        (receive.pcmu, receive.event, receive.pcma),
        (Some(101), Some(8), None)
    );
    let offer = format!("{HEAD}m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 PCMU/8000\r\n");
    let plan = Plan::of_first(&session(offer.as_bytes())).unwrap();
    let receive = Pending::next(&plan.layout, &plan.params).params.receive;
    assert_eq!((receive.pcma, receive.event), (Some(8), Some(96)));
}

#[test]
fn our_place_is_kept_when_more_audio_is_offered() {
    let first = format!("{HEAD}m=video 1 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 0\r\n");
    let plan = Plan::of_first(&session(first.as_bytes())).unwrap();
    assert_eq!(plan.layout.audio, 1);
    let next = format!("{HEAD}m=audio 4002 RTP/AVP 0\r\nm=audio 4000 RTP/AVP 0\r\n");
    let next = Plan::of_next(&session(next.as_bytes()), &plan.layout, &plan.params, Family::V4).unwrap();
    assert_eq!(next.layout.audio, 1);
    // Unless it cannot be used any more.
    let next = format!("{HEAD}m=audio 4002 RTP/AVP 0\r\nm=audio 0 RTP/AVP 0\r\n");
    let next = Plan::of_next(&session(next.as_bytes()), &plan.layout, &plan.params, Family::V4).unwrap();
    assert_eq!((next.layout.audio, next.layout.is_on), (0, true));
}

/// One m-line with its attributes, mostly sensible.
fn media() -> impl Strategy<Value = String> {
    let kind = prop_oneof![4 => Just("audio"), 1 => Just("video"), 1 => Just("image")];
    let port = prop_oneof![4 => 1..=65_535_u32, 1 => Just(0)];
    let protocol =
        prop_oneof![4 => Just("RTP/AVP"), 1 => Just("RTP/AVPF"), 1 => Just("RTP/SAVP"), 1 => Just("udptl")];
    let format = prop_oneof![Just(0_u8), Just(8), Just(101), 0..=127_u8];
    let attribute = prop_oneof![
        Just("a=rtcp-mux".to_owned()),
        Just("a=rtcp:9".to_owned()),
        Just("a=mid:x".to_owned()),
        Just("c=IN IP4 0.0.0.0".to_owned()),
        Just("c=IN IP6 2001:db8::7".to_owned()),
        prop_oneof![
            Just("sendrecv"),
            Just("sendonly"),
            Just("recvonly"),
            Just("inactive")
        ]
        .prop_map(|direction| format!("a={direction}")),
        (
            0..=127_u8,
            prop_oneof![Just("PCMU"), Just("PCMA"), Just("telephone-event"), Just("opus")]
        )
            .prop_map(|(number, name)| format!("a=rtpmap:{number} {name}/8000")),
        "[ -~]{0,20}".prop_map(|text| format!("a={text}")),
    ];
    let formats = proptest::collection::vec(format, 1..6);
    let attributes = proptest::collection::vec(attribute, 0..6);
    (kind, port, protocol, formats, attributes).prop_map(|(kind, port, protocol, formats, attributes)| {
        let formats: Vec<String> = formats.iter().map(u8::to_string).collect();
        let lines: String = attributes.iter().map(|line| format!("{line}\r\n")).collect();
        format!("m={kind} {port} {protocol} {}\r\n{lines}", formats.join(" "))
    })
}

fn document() -> impl Strategy<Value = String> {
    proptest::collection::vec(media(), 1..4).prop_map(|medias| format!("{HEAD}{}", medias.concat()))
}

proptest! {
    #[test]
    fn every_answer_fits_its_offer_through_a_whole_call(offers in proptest::collection::vec(document(), 1..6)) {
        let mut local = local();
        let mut agreed: Option<Plan> = None;
        let mut said = 0;
        for offer in &offers {
            let offer = session(offer.as_bytes());
            let plan = match &agreed {
                None => Plan::of_first(&offer),
                Some(plan) => Plan::of_next(&offer, &plan.layout, &plan.params, plan.family),
            };
            let Ok(plan) = plan else { continue };
            let answer = local.describe(&plan.layout, &plan.params, plan.params.direction);
            prop_assert_eq!(check_answer(&offer, &session(&answer)), []);
            let version = version(&answer);
            prop_assert!(version == said || version == said + 1);
            said = version;
            let params = &plan.params;
            prop_assert!(params.remote.is_some() || !params.direction.sends());
            agreed = Some(plan);
        }
        // Our own offer has the same m-lines, and whoever answers it with itself is understood.
        if let Some(plan) = agreed {
            let pending = Pending::next(&plan.layout, &plan.params);
            let ours = local.describe(&pending.layout, &pending.params, Direction::SendRecv);
            let ours = session(&ours);
            prop_assert_eq!(ours.medias().len(), plan.layout.sections.len());
            let answered = pending.answered(&ours, Family::V4);
            prop_assert_eq!(answered.map(|plan| plan.params.codec), Ok(plan.params.codec));
        }
    }

    #[test]
    fn no_document_panics(text in "[ -~\r\n]{0,200}") {
        if let Ok(offer) = Session::parse(format!("v=0\r\n{text}").as_bytes()) {
            let _ = Plan::of_first(&offer);
            let _ = Pending::first().answered(&offer, Family::V4);
        }
    }
}
