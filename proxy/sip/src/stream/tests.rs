use proptest::prelude::*;

use super::*;
use crate::HeaderName;

fn request(call_id: &str, body: &str) -> String {
    format!(
        "MESSAGE sip:b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK{call_id}\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn drain(framer: &mut Framer) -> Result<Vec<Frame>, ParseError> {
    let mut frames = Vec::new();
    while let Some(frame) = framer.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

/// What a framer makes of `stream` cut at `cuts`: the frames, and the fault that ended them.
fn frames_of(stream: &[u8], cuts: &[usize], limits: Limits) -> (Vec<Frame>, Option<ParseError>) {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    let mut start = 0;
    for &cut in cuts.iter().chain(&[stream.len()]) {
        let end = cut.clamp(start, stream.len());
        framer.push(&stream[start..end]);
        start = end;
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn text(frame: &Frame) -> String {
    match frame {
        Frame::Message(message) => message.text(HeaderName::CallId).unwrap_or_default().to_owned(),
        Frame::Ping => "ping".to_owned(),
        Frame::Pong => "pong".to_owned(),
    }
}

fn small() -> Limits {
    Limits {
        head_octets_max: 400,
        stream_octets_max: 600,
        ..Limits::default()
    }
}

#[test]
fn one_push_may_hold_many_frames() {
    let stream = format!(
        "\r\n\r\n{}{}\r\n{}",
        request("one", "hi"),
        request("two", ""),
        request("three", "x")
    );
    let (frames, fault) = frames_of(stream.as_bytes(), &[], Limits::default());
    assert_eq!(fault, None);
    assert_eq!(
        frames.iter().map(text).collect::<Vec<_>>(),
        ["ping", "one", "two", "pong", "three"]
    );
}

#[test]
fn a_body_may_look_like_a_message_or_a_ping() {
    let body = format!("\r\n\r\n{}", request("inner", ""));
    let stream = request("outer", &body);
    let (frames, _) = frames_of(stream.as_bytes(), &[], Limits::default());
    let [Frame::Message(message)] = &frames[..] else {
        panic!("one message")
    };
    assert_eq!(message.body(), body.as_bytes());
}

#[test]
fn an_expected_pong_comes_at_once_and_another_crlf_waits() {
    let mut framer = Framer::new(Limits::default());
    framer.expect_pong();
    framer.push(b"\r\n");
    assert_eq!(drain(&mut framer).unwrap(), [Frame::Pong]);
    framer.push(b"\r\n");
    assert_eq!(drain(&mut framer).unwrap(), []);
    framer.push(b"\r");
    assert_eq!(drain(&mut framer).unwrap(), []);
    framer.push(b"\n");
    assert_eq!(drain(&mut framer).unwrap(), [Frame::Ping]);
}

#[test]
fn faults_are_fatal_typed_and_answerable() {
    for (stream, kind, is_answerable) in [
        (
            request("a", "").replace("Content-Length: 0\r\n", ""),
            ParseErrorKind::ContentLengthMissing,
            true,
        ),
        (
            request("a", "").replace("Length: 0", "Length: x"),
            ParseErrorKind::BadContentLength,
            true,
        ),
        (
            request("a", "").replace("Length: 0", "Length: 600"),
            ParseErrorKind::MessageTooLarge { limit: 600 },
            true,
        ),
        (
            request("a", "").replace("Length: 0", "Length: 18446744073709551615"),
            ParseErrorKind::MessageTooLarge { limit: 600 },
            true,
        ),
        (
            request("a", "").replace("CSeq", &format!("X-A: {}\r\nCSeq", "y".repeat(400))),
            ParseErrorKind::HeadTooLarge { limit: 400 },
            false,
        ),
        (
            request("a", "").replace("\r\n", "\n"),
            ParseErrorKind::LoneLineBreak,
            false,
        ),
        (
            format!("\n{}", request("a", "")),
            ParseErrorKind::LoneLineBreak,
            false,
        ),
        (
            format!("\r{}", request("a", "")),
            ParseErrorKind::LoneLineBreak,
            true,
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            ParseErrorKind::BadStartLine,
            false,
        ),
    ] {
        let (frames, fault) = frames_of(stream.as_bytes(), &[], small());
        let fault = fault.unwrap_or_else(|| panic!("{stream}"));
        assert_eq!((frames.len(), fault.kind), (0, kind), "{stream}");
        assert_eq!(fault.answer().is_some(), is_answerable, "{stream}");
    }
}

#[test]
fn the_declared_length_is_judged_before_the_body_comes() {
    let mut framer = Framer::new(small());
    framer.push(request("a", "").replace("Length: 0", "Length: 601").as_bytes());
    let error = framer.next_frame().unwrap_err();
    assert_eq!(error.kind, ParseErrorKind::MessageTooLarge { limit: 600 });
    assert_eq!(
        error.answer().unwrap().build().unwrap().get(..11),
        Some(&b"SIP/2.0 513"[..])
    );
}

#[test]
fn nothing_comes_after_a_fault() {
    let mut framer = Framer::new(small());
    framer.push(b"junk\n");
    assert!(framer.next_frame().is_err());
    framer.push(request("a", "").as_bytes());
    assert_eq!(drain(&mut framer), Ok(vec![]));
    assert_eq!(framer.buffered(), 0);
}

#[test]
fn an_endless_head_is_cut_at_its_limit() {
    let mut framer = Framer::new(small());
    let mut pushed = 0;
    framer.push(b"INVITE sip:a SIP/2.0\r\n");
    let error = loop {
        framer.push(b"X-A: y\r\n");
        pushed += 6;
        match framer.next_frame() {
            Ok(None) => assert!(framer.is_inside_message()),
            Ok(Some(frame)) => panic!("{frame:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ParseErrorKind::HeadTooLarge { limit: 400 });
    assert!(pushed < 400);
}

#[test]
fn an_idle_framer_holds_no_memory() {
    let mut framer = Framer::new(Limits::default());
    framer.push(request("a", &"x".repeat(100_000)).as_bytes());
    assert_eq!(drain(&mut framer).unwrap().len(), 1);
    assert_eq!(framer.buffered(), 0);
    assert!(framer.buffer.capacity() <= IDLE_OCTETS_MAX);
    assert!(!framer.is_inside_message());
}

#[test]
fn a_kept_message_does_not_keep_the_buffer() {
    let mut framer = Framer::new(Limits::default());
    let (small, large) = (request("a", ""), request("b", &"x".repeat(50_000)));
    framer.push(format!("{small}{large}").as_bytes());
    let Ok(Some(Frame::Message(message))) = framer.next_frame() else {
        panic!("a message")
    };
    assert_eq!(message.octets().len(), small.len());
    assert!(message.octets().is_unique());
}

fn stream_piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => ("[a-z]{1,8}", "[a-z\r\n]{0,40}").prop_map(|(call_id, body)| request(&call_id, &body)),
        2 => Just("\r\n".to_owned()),
        1 => Just("\r\n\r\n".to_owned()),
        1 => "[a-zA-Z \r\n:]{1,20}",
    ]
}

proptest! {
    #[test]
    fn every_segmentation_gives_the_same_frames(
        pieces in proptest::collection::vec(stream_piece(), 0..6),
        mut cuts in proptest::collection::vec(0usize..1500, 0..20),
    ) {
        let stream = pieces.concat();
        let whole = frames_of(stream.as_bytes(), &[], small());
        cuts.sort_unstable();
        prop_assert_eq!(&frames_of(stream.as_bytes(), &cuts, small()), &whole);
        let every: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&frames_of(stream.as_bytes(), &every, small()), &whole);
    }

    #[test]
    fn random_octets_never_panic_and_never_pile_up(
        stream in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), any::<u8>()], 0..2000),
        size in 1usize..64,
    ) {
        let mut framer = Framer::new(small());
        for chunk in stream.chunks(size) {
            framer.push(chunk);
            while let Ok(Some(_)) = framer.next_frame() {}
            prop_assert!(framer.buffered() <= 600 + size);
        }
    }
}
