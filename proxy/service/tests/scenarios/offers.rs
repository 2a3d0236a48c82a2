//! Offers and their answers on the wire (RFC 3264).

use viaduct_sdp::{Direction, Session, check_answer};
use viaduct_service::{Codec, MediaParams, ReceiveTypes, SendTypes};
use viaduct_sip::{HeaderName, StatusCode};

use crate::caller::{Bench, Caller, OFFER, offer};

/// The session part of an SDP.
const HEAD: &str = "v=0\r\no=- 7 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n";

/// The answer to an offer, and what was agreed. The answer fits the offer.
fn answer(offer: &str) -> (String, MediaParams) {
    let mut bench = Bench::new();
    let did = bench.receive(&Caller::new("echo", "c").invite(Some(offer)));
    assert_eq!(did[2], "200 INVITE", "{offer}");
    let (offer, answer) = (Session::parse(offer.as_bytes()).unwrap(), bench.last_sdp());
    assert_eq!(check_answer(&offer, &answer), []);
    let text = String::from_utf8(bench.last().body().to_vec()).unwrap();
    (text, bench.params.unwrap())
}

fn lines<'t>(sdp: &'t str, start: &str) -> Vec<&'t str> {
    sdp.lines().filter(|line| line.starts_with(start)).collect()
}

/// The refusal of an offer.
fn refusal(offer: &str) -> (StatusCode, Option<String>) {
    let mut bench = Bench::new();
    bench.receive(&Caller::new("echo", "c").invite(Some(offer)));
    let warning = bench.header(HeaderName::Warning).map(str::to_owned);
    (bench.last().status().unwrap(), warning)
}

#[test]
fn an_answer_in_full() {
    let (sdp, params) = answer(OFFER);
    let origin = lines(&sdp, "o=")[0];
    assert!(origin.ends_with(" 1 IN IP4 198.51.100.1"), "{origin}");
    assert_eq!(
        sdp.replace(origin, "o="),
        "v=0\r\no=\r\ns=-\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 101\r\nc=IN IP4 198.51.100.1\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=ptime:20\r\n"
    );
    assert_eq!(
        params,
        MediaParams {
            codec: Codec::Pcma,
            send: SendTypes {
                audio: 8,
                event: Some(101)
            },
            receive: ReceiveTypes {
                pcmu: None,
                pcma: Some(8),
                event: Some(101)
            },
            direction: Direction::SendRecv,
            remote: Some("192.0.2.7:4000".parse().unwrap()),
            remote_rtcp: Some("192.0.2.7:4001".parse().unwrap()),
            rtcp_mux: false,
        }
    );
}

#[test]
fn the_first_codec_of_ours_in_the_offers_order_is_taken_under_its_number() {
    for (formats, maps, expected) in [
        ("0 8", "", "0"),
        ("9 18 8 0", "", "8"),
        (
            "96 97 0",
            "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 pcma/8000/1\r\n",
            "97",
        ),
        // Stereo, another clock: other codecs.
        (
            "98 99 8",
            "a=rtpmap:98 PCMU/8000/2\r\na=rtpmap:99 PCMU/16000\r\n",
            "8",
        ),
        // A static number that was given another meaning.
        ("0 8", "a=rtpmap:0 L8/8000\r\n", "8"),
    ] {
        let (sdp, _) = answer(&format!("{HEAD}m=audio 4000 RTP/AVP {formats}\r\n{maps}"));
        assert_eq!(lines(&sdp, "m="), [format!("m=audio 6000 RTP/AVP {expected}")]);
    }
}

#[test]
fn telephone_event_is_taken_at_our_clock() {
    let (sdp, params) = answer(&format!(
        "{HEAD}m=audio 4000 RTP/AVP 111 0 110 126\r\na=rtpmap:111 opus/48000/2\r\n\
         a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n"
    ));
    assert_eq!(lines(&sdp, "m="), ["m=audio 6000 RTP/AVP 0 126"]);
    assert_eq!(params.send.event, Some(126));
}

#[test]
fn other_media_is_rejected_in_its_place() {
    let (sdp, params) = answer(&format!(
        "{HEAD}m=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=mid:v\r\nm=audio 4000 RTP/AVP 0\r\na=mid:a\r\n\
         m=audio 4004 RTP/AVP 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nm=image 5000 udptl t38\r\n"
    ));
    assert_eq!(
        lines(&sdp, "m="),
        [
            "m=video 0 RTP/AVP 96",
            "m=audio 6000 RTP/AVP 0",
            "m=audio 0 RTP/AVP 0",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
            "m=image 0 udptl t38",
        ]
    );
    assert_eq!(lines(&sdp, "a=mid"), ["a=mid:v", "a=mid:a"]);
    assert_eq!(params.remote, Some("192.0.2.7:4000".parse().unwrap()));
}

#[test]
fn directions_are_answered_from_the_other_side() {
    for (offered, answered) in [
        ("sendrecv", Direction::SendRecv),
        ("sendonly", Direction::RecvOnly),
        ("recvonly", Direction::SendOnly),
        ("inactive", Direction::Inactive),
    ] {
        let (sdp, params) = answer(&offer(offered));
        assert_eq!(params.direction, answered);
        assert!(sdp.contains(&format!("a={answered}\r\n")), "{sdp}");
    }
}

#[test]
fn an_address_of_zeros_is_a_hold() {
    let (sdp, params) = answer(&OFFER.replace("c=IN IP4 192.0.2.7", "c=IN IP4 0.0.0.0"));
    assert!(sdp.contains("a=recvonly\r\n"), "{sdp}");
    assert_eq!((params.remote, params.remote_rtcp), (None, None));
    assert_eq!(params.direction, Direction::RecvOnly);
}

#[test]
fn rtcp_goes_where_the_offer_says() {
    let rtcp = |line: &str| {
        let (sdp, params) = answer(&format!("{OFFER}{line}"));
        (
            sdp.contains("a=rtcp-mux"),
            params.remote_rtcp.map(|to| to.to_string()),
        )
    };
    let to = |address: &str| Some(address.to_owned());
    assert_eq!(rtcp(""), (false, to("192.0.2.7:4001")));
    assert_eq!(rtcp("a=rtcp:5000\r\n"), (false, to("192.0.2.7:5000")));
    assert_eq!(
        rtcp("a=rtcp-mux\r\na=rtcp:5000\r\n"),
        (true, to("192.0.2.7:4000"))
    );
    // A third host did not ask for anything.
    assert_eq!(rtcp("a=rtcp:5000 IN IP4 203.0.113.9\r\n"), (false, None));
    assert_eq!(rtcp("a=rtcp:nonsense\r\n"), (false, None));
}

#[test]
fn ipv6_is_answered_in_kind() {
    let mut bench = Bench::new();
    bench.opens_media = false;
    let offer = OFFER.replace("IP4 192.0.2.7", "IP6 2001:db8::7");
    bench.receive(&Caller::new("echo", "six").invite(Some(&offer)));
    bench.open_media(Ok("[2001:db8::1]:6000"));
    let sdp = bench.last_sdp();
    let connection = sdp.media(0).unwrap().effective_connection().unwrap().unwrap();
    assert_eq!(connection.to_string(), "IN IP6 2001:db8::1");
}

#[test]
fn what_has_nothing_in_common_is_refused_with_the_reason() {
    let audio = |formats: &str| format!("{HEAD}m=audio 4000 RTP/AVP {formats}\r\n");
    for (offer, code) in [
        (audio("9 18"), "305"),
        (
            audio("101").replace("101\r\n", "101\r\na=rtpmap:101 telephone-event/8000\r\n"),
            "305",
        ),
        (HEAD.to_owned(), "304"),
        (audio("0").replace("4000", "0"), "304"),
        (
            format!("{HEAD}m=video 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/8000\r\n"),
            "304",
        ),
        (audio("0").replace("RTP/AVP", "RTP/SAVP"), "302"),
        (audio("0").replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"), "302"),
        (audio("0").replace("192.0.2.7", "phone.example.com"), "301"),
        (audio("0").replace("192.0.2.7", "224.2.1.1/127"), "301"),
        (audio("0").replace("192.0.2.7", "255.255.255.255"), "301"),
        (audio("0").replace("c=IN IP4 192.0.2.7\r\n", ""), "301"),
    ] {
        let (status, warning) = refusal(&offer);
        assert_eq!(status, StatusCode::NOT_ACCEPTABLE_HERE, "{offer}");
        let start = format!("{code} example.com \"");
        assert!(
            warning.as_ref().is_some_and(|text| text.starts_with(&start)),
            "{warning:?} for {offer}"
        );
    }
}

#[test]
fn bodies_that_are_no_sdp_are_refused() {
    let mut bench = Bench::new();
    let mut refused = |headers: &str, body: &str| {
        let mut caller = Caller::new("echo", &format!("b{}", bench.sent.len()));
        bench.receive(&caller.request("INVITE", headers, body));
        bench.last().status().unwrap().get()
    };
    let sdp = "Content-Type: application/sdp\r\n";
    assert_eq!(refused(sdp, "no sdp"), 400);
    assert_eq!(refused("Content-Type: text/plain\r\n", "hello"), 415);
    assert_eq!(refused(&format!("{sdp}Content-Encoding: gzip\r\n"), OFFER), 415);
    let huge = format!("{OFFER}{}", "a=x\r\n".repeat(20_000));
    assert_eq!(refused(sdp, &huge), 413);
    let crowded = format!("{HEAD}{}", "m=audio 4000 RTP/AVP 0\r\n".repeat(100));
    assert_eq!(refused(sdp, &crowded), 400);
}

#[test]
fn an_invite_without_offer_gets_ours() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("music", "late");
    bench.receive(&caller.invite(None));
    caller.answered(bench.last());
    let sdp = String::from_utf8(bench.last().body().to_vec()).unwrap();
    assert_eq!(lines(&sdp, "m="), ["m=audio 6000 RTP/AVP 0 8 101"]);
    assert!(sdp.contains("a=sendrecv\r\n"), "{sdp}");
    assert_eq!(bench.params.unwrap().remote, None);
    // The answer chooses, under numbers of its own.
    let answer = OFFER.replace("8 0 101", "8 96").replace("101", "96");
    assert_eq!(bench.receive(&caller.ack(Some(&answer))), ["update sendrecv"]);
    let params = bench.params.unwrap();
    assert_eq!((params.codec, params.send.event), (Codec::Pcma, Some(96)));
    assert_eq!(params.receive.event, Some(101));
    assert_eq!(params.remote, Some("192.0.2.7:4000".parse().unwrap()));
}

#[test]
fn an_ack_without_a_usable_answer_ends_the_call() {
    for answer in [
        None,
        Some("garbage".to_owned()),
        Some(OFFER.replace("4000", "0")),
        Some(OFFER.replace("8 0 101", "9")),
    ] {
        let mut bench = Bench::new();
        let mut caller = Caller::new("music", "late");
        bench.receive(&caller.invite(None));
        caller.answered(bench.last());
        assert_eq!(
            bench.receive(&caller.ack(answer.as_deref())),
            ["close", "ended BadAnswer", "BYE"]
        );
        let reason = bench.header(HeaderName::Reason).unwrap();
        assert!(reason.starts_with("SIP;cause=488;"), "{reason}");
    }
}
