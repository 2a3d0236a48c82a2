//! Every problem an answer can have, and what is none.

use super::*;

const OFFER: &str = "v=0\na=group:BUNDLE 0\nm=audio 9 RTP/AVP 111 0 101\na=mid:0\na=rtpmap:111 opus/48000/2\n\
    a=rtpmap:101 telephone-event/8000\na=sendonly\nm=video 0 RTP/AVP 31\nm=image 9 udptl t38\n";

fn problems(answer: &str) -> Vec<AnswerProblem> {
    let offer = Session::parse(OFFER.as_bytes()).unwrap();
    check_answer(&offer, &Session::parse(answer.as_bytes()).unwrap())
}

/// An answer whose first media has these lines and whose others are rejected.
fn audio(lines: &str) -> String {
    format!("v=0\n{lines}\nm=video 0 RTP/AVP 31\nm=image 0 udptl t38\n")
}

#[test]
fn fitting_answer_has_no_problem() {
    assert_eq!(problems(&audio("m=audio 9 RTP/AVP 0\na=mid:0\na=recvonly")), []);
    assert_eq!(problems(&audio("m=audio 9 RTP/AVP 0\na=inactive")), []);
}

#[test]
fn answer_may_number_a_codec_anew() {
    assert_eq!(
        problems(&audio(
            "m=audio 9 RTP/AVP 96\na=rtpmap:96 opus/48000/2\na=recvonly"
        )),
        []
    );
}

#[test]
fn missing_and_additional_media_are_counted() {
    let expected = AnswerProblem::MediaCount {
        offered: 3,
        answered: 1,
    };
    assert_eq!(expected.to_string(), "3 m= lines were offered, 1 answered");
    assert_eq!(problems("v=0\nm=audio 0 RTP/AVP 0\n"), [expected]);
    let more = format!("{}m=text 0 RTP/AVP 98\n", audio("m=audio 0 RTP/AVP 0"));
    assert_eq!(
        problems(&more),
        [AnswerProblem::MediaCount {
            offered: 3,
            answered: 4
        }]
    );
}

#[test]
fn other_kind_at_the_same_place_is_noticed_even_when_rejected() {
    let found = problems(&audio("m=text 0 RTP/AVP 0"));
    assert_eq!(
        found,
        [AnswerProblem::Kind {
            media: 0,
            offered: "audio".into(),
            answered: "text".into()
        }]
    );
}

#[test]
fn other_protocol_is_noticed() {
    let found = problems(&audio("m=audio 9 RTP/SAVP 0\na=recvonly"));
    let expected = AnswerProblem::Protocol {
        media: 0,
        offered: "RTP/AVP".into(),
        answered: "RTP/SAVP".into(),
    };
    assert_eq!(found, [expected]);
}

#[test]
fn media_rejected_in_the_offer_stays_rejected() {
    let answer = "v=0\nm=audio 0 RTP/AVP 0\nm=video 9 RTP/AVP 31\nm=image 0 udptl t38\n";
    assert_eq!(problems(answer), [AnswerProblem::AcceptedRejected { media: 1 }]);
}

#[test]
fn formats_must_have_been_offered() {
    let found = problems(&audio("m=audio 9 RTP/AVP 0 8\na=recvonly"));
    assert_eq!(
        found,
        [AnswerProblem::ExtraFormat {
            media: 0,
            format: "8".into()
        }]
    );
    assert_eq!(
        problems(&audio("m=audio 9 RTP/AVP\na=recvonly")),
        [AnswerProblem::NoFormat { media: 0 }]
    );
}

#[test]
fn mid_may_be_left_out_but_not_changed() {
    let found = problems(&audio("m=audio 9 RTP/AVP 0\na=recvonly\na=mid:x"));
    let expected = AnswerProblem::Mid {
        media: 0,
        offered: Some("0".into()),
        answered: Some("x".into()),
    };
    assert_eq!(found, [expected]);
}

#[test]
fn direction_must_fit_the_offer() {
    for wrong in ["sendrecv", "sendonly"] {
        let found = problems(&audio(&format!("m=audio 9 RTP/AVP 0\na={wrong}")));
        assert_eq!(found, [AnswerProblem::Direction { media: 0 }], "{wrong}");
    }
}

#[test]
fn rtcp_mux_must_have_been_offered() {
    let found = problems(&audio("m=audio 9 RTP/AVP 0\na=recvonly\na=rtcp-mux"));
    assert_eq!(found, [AnswerProblem::UnofferedRtcpMux { media: 0 }]);
}

#[test]
fn bundle_must_have_been_offered() {
    let found = problems(&audio("a=group:BUNDLE 0 1\nm=audio 9 RTP/AVP 0\na=recvonly"));
    assert_eq!(found, [AnswerProblem::UnofferedBundle { mid: "1".into() }]);
}
