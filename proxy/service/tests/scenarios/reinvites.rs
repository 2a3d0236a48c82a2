//! Sessions that change: hold and resume, new addresses and codecs, UPDATE (RFC 3261 section 14, RFC 3311).

use viaduct_sdp::Session;
use viaduct_service::{Codec, StreamEvent};
use viaduct_sip::HeaderName;

use crate::caller::{Bench, Caller, OFFER, offer};

/// Session id and version of the SDP that was sent last.
fn origin(bench: &Bench) -> (String, u64) {
    let origin = bench.last_sdp().origin().unwrap().unwrap();
    (origin.session_id, origin.version.parse().unwrap())
}

fn reinvite(bench: &mut Bench, caller: &mut Caller, sdp: Option<&str>) -> Vec<String> {
    let did = bench.receive(&caller.invite(sdp));
    let ack = caller.ack(None);
    assert_eq!(bench.receive(&ack), [""; 0]);
    did
}

#[test]
fn hold_and_resume() {
    let mut bench = Bench::new();
    let mut caller = bench.call("music");
    let (id, first) = origin(&bench);
    assert_eq!(
        reinvite(&mut bench, &mut caller, Some(&offer("sendonly"))),
        ["200 INVITE", "update recvonly"]
    );
    assert!(
        std::str::from_utf8(bench.last().body())
            .unwrap()
            .contains("a=recvonly\r\n")
    );
    assert_eq!(origin(&bench), (id.clone(), first + 1));
    assert_eq!(
        reinvite(&mut bench, &mut caller, Some(&offer("inactive"))),
        ["200 INVITE", "update inactive"]
    );
    assert_eq!(
        reinvite(&mut bench, &mut caller, Some(OFFER)),
        ["200 INVITE", "update sendrecv"]
    );
    assert_eq!(origin(&bench), (id, first + 3));
    assert_eq!(bench.pass(60.0), [""; 0]);
}

#[test]
fn the_same_offer_again_is_answered_the_same() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    let (before, body) = (origin(&bench), bench.last().body_bytes());
    assert_eq!(reinvite(&mut bench, &mut caller, Some(OFFER)), ["200 INVITE"]);
    assert_eq!(origin(&bench), before);
    assert_eq!(bench.last().body(), &body[..]);
}

#[test]
fn a_new_address_and_codec_are_followed_under_one_version_step_or_none() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    let version = origin(&bench).1;
    // Where the caller is, is nothing that our SDP tells.
    let moved = OFFER.replace("4000", "4400").replace("192.0.2.7", "192.0.2.8");
    assert_eq!(
        reinvite(&mut bench, &mut caller, Some(&moved)),
        ["200 INVITE", "update sendrecv"]
    );
    assert_eq!(
        bench.params.unwrap().remote,
        Some("192.0.2.8:4400".parse().unwrap())
    );
    assert_eq!(origin(&bench).1, version);
    let other_law = moved.replace("8 0 101", "0 101");
    reinvite(&mut bench, &mut caller, Some(&other_law));
    assert_eq!(bench.params.unwrap().codec, Codec::Pcmu);
    assert_eq!(origin(&bench).1, version + 1);
}

#[test]
fn an_offer_that_cannot_be_met_leaves_the_session_as_it_is() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    let (before, params) = (origin(&bench), bench.params);
    for sdp in [
        OFFER.replace("8 0 101", "9"),
        OFFER.replace("IP4 192.0.2.7", "IP6 2001:db8::7"),
    ] {
        assert_eq!(
            bench.receive(&caller.invite(Some(&sdp))),
            ["refused 488", "488 INVITE"]
        );
    }
    assert_eq!(
        bench.receive(&caller.invite(Some("garbage"))),
        ["refused 400", "400 INVITE"]
    );
    assert_eq!(bench.params, params);
    reinvite(&mut bench, &mut caller, Some(OFFER));
    assert_eq!(origin(&bench), before);
}

#[test]
fn audio_may_be_switched_off_and_on_and_video_added() {
    let mut bench = Bench::new();
    let mut caller = bench.call("music");
    let off = OFFER.replace("4000", "0");
    assert_eq!(
        reinvite(&mut bench, &mut caller, Some(&off)),
        ["200 INVITE", "update inactive"]
    );
    assert_eq!(bench.last_sdp().media(0).unwrap().port(), 0);
    assert_eq!(bench.params.unwrap().remote, None);
    let video = format!("{OFFER}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n");
    assert_eq!(
        reinvite(&mut bench, &mut caller, Some(&video)),
        ["200 INVITE", "update sendrecv"]
    );
    let ports = |sdp: Session| sdp.medias().map(|media| media.port()).collect::<Vec<_>>();
    assert_eq!(ports(bench.last_sdp()), [6000, 0]);
    // Our own offer keeps the rejected line in its place.
    bench.receive(&caller.invite(None));
    assert_eq!(ports(bench.last_sdp()), [6000, 0]);
}

#[test]
fn a_reinvite_without_offer_gets_ours_under_the_numbers_in_use() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "renumbered");
    let numbered = OFFER
        .replace("8 0 101", "97 101")
        .replace("a=rtpmap:101", "a=rtpmap:97 PCMA/8000\r\na=rtpmap:101");
    bench.receive(&caller.invite(Some(&numbered)));
    caller.answered(bench.last());
    bench.receive(&caller.ack(None));
    bench.receive(&caller.invite(None));
    let sdp = bench.last_sdp();
    let formats: Vec<_> = sdp.media(0).unwrap().formats().collect();
    assert_eq!(formats, ["97", "0", "101"]);
    assert_eq!(bench.receive(&caller.ack(Some(&numbered))), [""; 0]);
    assert_eq!(bench.params.unwrap().codec, Codec::Pcma);
    assert_eq!(bench.params.unwrap().send.audio, 97);
}

#[test]
fn offers_do_not_cross() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "crossing");
    bench.receive(&caller.invite(None));
    caller.answered(bench.last());
    let ack = caller.ack(Some(OFFER));
    assert_eq!(
        bench.receive(&caller.with_sdp("UPDATE", OFFER)),
        ["refused 491", "491 UPDATE"]
    );
    assert_eq!(
        bench.receive(&caller.with_sdp("INVITE", OFFER)),
        ["refused 491", "491 INVITE"]
    );
    // A sign of life is no offer.
    assert_eq!(bench.receive(&caller.request("UPDATE", "", "")), ["200 UPDATE"]);
    assert_eq!(bench.receive(&ack), ["update sendrecv"]);
    assert_eq!(
        bench.receive(&caller.with_sdp("UPDATE", &offer("sendonly"))),
        ["200 UPDATE", "update recvonly"]
    );
}

#[test]
fn a_reinvite_shows_that_the_answer_before_it_arrived() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "quick");
    bench.receive(&caller.invite(Some(OFFER)));
    caller.answered(bench.last());
    let late_ack = caller.ack(None);
    bench.receive(&caller.invite(Some(&offer("sendonly"))));
    assert_eq!(bench.pass(0.6), ["0.5 200 INVITE"]);
    let cseq = bench.last().cseq().unwrap().unwrap().number;
    assert_eq!(cseq, 2);
    bench.receive(&late_ack);
    bench.receive(&caller.ack(None));
    assert_eq!(bench.pass(60.0), [""; 0]);
}

#[test]
fn a_reinvite_that_is_never_acknowledged_ends_the_call() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    bench.receive(&caller.invite(Some(OFFER)));
    let told = bench.pass(40.0);
    assert_eq!(
        told[told.len() - 3..],
        ["32 close", "32 ended NotAcknowledged", "32 BYE"]
    );
}

#[test]
fn update_holds_without_an_ack_and_without_body_refreshes_only() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    assert_eq!(
        bench.receive(&caller.with_sdp("UPDATE", &offer("sendonly"))),
        ["200 UPDATE", "update recvonly"]
    );
    assert_eq!(bench.pass(40.0), [""; 0]);
    caller.contact = "<sip:201@192.0.2.99>".to_owned();
    assert_eq!(bench.receive(&caller.request("UPDATE", "", "")), ["200 UPDATE"]);
    assert_eq!(bench.last().body(), b"");
    assert_eq!(bench.header(HeaderName::Contact), Some("<sip:echo@example.com>"));
    // Our requests go to the new Contact.
    bench.stream_tells(StreamEvent::Silent);
    assert_eq!(bench.last().request_uri_text(), Some("sip:201@192.0.2.99"));
}

#[test]
fn a_refused_reinvite_does_not_move_the_target() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    caller.contact = "<sip:201@192.0.2.99>".to_owned();
    bench.receive(&caller.invite(Some(&OFFER.replace("8 0 101", "9"))));
    bench.stream_tells(StreamEvent::Silent);
    assert_eq!(bench.last().request_uri_text(), Some("sip:201@192.0.2.7:5060"));
}
