//! Which requests are answered how: calls, and everything that is none.

use viaduct_service::MediaOpenError;
use viaduct_sip::HeaderName;

use crate::caller::{Bench, Caller, MEDIA, OFFER};

#[test]
fn a_call_is_answered_at_once_and_ended_by_its_caller() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    let gauges = bench.agent.gauges();
    assert_eq!((gauges.calls_opening, gauges.calls_answered), (0, 1));
    let bye = caller.request("BYE", "", "");
    assert_eq!(bench.receive(&bye), ["200 BYE", "close", "ended Caller"]);
    assert_eq!(bench.pass(60.0), [""; 0]);
    let gauges = bench.agent.gauges();
    assert_eq!((gauges.calls_answered, gauges.server_transactions), (0, 0));
}

#[test]
fn the_answer_makes_a_dialog() {
    let mut bench = Bench::new();
    bench.call("music");
    assert_eq!(bench.header(HeaderName::Contact), Some("<sip:music@example.com>"));
    let routes: Vec<_> = bench.last().values(HeaderName::RecordRoute).collect();
    assert_eq!(
        routes,
        [
            b"<sip:inner@example.com;lr>".as_slice(),
            b"<sip:outer@example.com;lr>"
        ]
    );
    assert!(bench.last().has_token(HeaderName::Allow, "UPDATE"));
    assert!(bench.last().to().unwrap().unwrap().tag().is_some());
}

#[test]
fn a_name_that_is_no_service_is_not_found() {
    let mut bench = Bench::new();
    for service in ["Echo", "nobody", "echo%20", "echo.."] {
        let mut caller = Caller::new(service, service.trim_end_matches("%20"));
        assert_eq!(
            bench.receive(&caller.invite(Some(OFFER))),
            ["refused 404", "404 INVITE"]
        );
    }
    let mut caller = Caller::new("%65cho", "escaped");
    assert_eq!(bench.receive(&caller.invite(Some(OFFER)))[0], "started");
    let mut caller = Caller::new("echo", "tel");
    let tel = caller
        .invite(Some(OFFER))
        .replace("sip:echo@example.com SIP", "tel:100 SIP");
    assert_eq!(bench.receive(&tel), ["refused 416", "416 INVITE"]);
}

#[test]
fn options_tells_what_a_service_does() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "o");
    assert_eq!(bench.receive(&caller.request("OPTIONS", "", "")), ["200 OPTIONS"]);
    assert_eq!(bench.header(HeaderName::Accept), Some("application/sdp"));
    assert!(bench.last().has_token(HeaderName::Allow, "INVITE"));
    let mut caller = Caller::new("nobody", "n");
    assert_eq!(
        bench.receive(&caller.request("OPTIONS", "", "")),
        ["refused 404", "404 OPTIONS"]
    );
}

#[test]
fn what_a_service_does_not_do_is_not_allowed() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    let mut outside = Caller::new("echo", "outside");
    for method in [
        "MESSAGE",
        "REFER",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "REGISTER",
        "JUMP",
    ] {
        for caller in [&mut outside, &mut caller] {
            let answer = format!("405 {method}");
            assert_eq!(
                bench.receive(&caller.request(method, "", "")),
                ["refused 405", answer.as_str()]
            );
            assert!(bench.last().has_token(HeaderName::Allow, "BYE"));
        }
    }
}

#[test]
fn what_belongs_into_a_dialog_needs_one() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "outside");
    for method in ["BYE", "UPDATE", "INFO", "PRACK"] {
        let answer = format!("481 {method}");
        assert_eq!(
            bench.receive(&caller.request(method, "", "")),
            ["refused 481", answer.as_str()]
        );
    }
}

#[test]
fn an_extension_that_is_required_is_named_in_the_refusal() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "r");
    let headers = "Require: 100rel,\r\n timer\r\nRequire: x\r\n";
    assert_eq!(
        bench.receive(&caller.request("INVITE", headers, "")),
        ["refused 420", "420 INVITE"]
    );
    assert_eq!(bench.header(HeaderName::Unsupported), Some("100rel, timer, x"));
}

#[test]
fn a_call_without_contact_is_refused() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "c");
    let invite = caller.invite(Some(OFFER));
    let invite = invite.replace("Contact: <sip:201@192.0.2.7:5060>\r\n", "");
    assert_eq!(bench.receive(&invite), ["refused 400", "400 INVITE"]);
}

#[test]
fn a_repeated_invite_is_absorbed_and_a_merged_one_refused() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "twice");
    let invite = caller.invite(Some(OFFER));
    assert_eq!(bench.receive(&invite).len(), 4);
    assert_eq!(bench.receive(&invite), [""; 0]);
    let merged = invite.replace("branch=z9hG4bKtwice1", "branch=z9hG4bKother");
    assert_eq!(bench.receive(&merged), ["refused 482", "482 INVITE"]);
}

#[test]
fn a_caller_may_give_up_while_media_opens() {
    let mut bench = Bench::new();
    bench.opens_media = false;
    let mut caller = Caller::new("echo", "cancelled");
    let invite = caller.invite(Some(OFFER));
    assert_eq!(bench.receive(&invite), ["started", "open echo"]);
    assert_eq!(
        bench.receive(&caller.cancel(&invite)),
        [
            "200 CANCEL",
            "refused 487",
            "487 INVITE",
            "close",
            "ended Cancelled"
        ]
    );
    let tags: Vec<_> = bench
        .sent
        .iter()
        .map(|sent| sent.to().unwrap().unwrap().tag())
        .collect();
    assert!(tags[0].is_some() && tags[0] == tags[1]);
    // The shell was faster than the news.
    assert_eq!(bench.open_media(Ok(MEDIA)), [""; 0]);
    assert_eq!(bench.agent.gauges().calls_opening, 0);
    // The same Call-ID may be used for another try.
    assert_eq!(
        bench.receive(&caller.invite(Some(OFFER))),
        ["started", "open echo"]
    );
}

/// RFC 3261 section 9.2: 200 as long as the INVITE has a transaction.
#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "late");
    let invite = caller.invite(Some(OFFER));
    bench.receive(&invite);
    assert_eq!(bench.receive(&caller.cancel(&invite)), ["200 CANCEL"]);
    assert_eq!(bench.agent.gauges().calls_answered, 1);
}

#[test]
fn a_call_whose_media_cannot_be_opened_is_refused() {
    for (opened, failed) in [
        (Err(MediaOpenError::NoPort), "failed NoPort"),
        (Ok("0.0.0.0:6000"), "failed Unusable(0.0.0.0:6000)"),
        (Ok("[2001:db8::1]:6000"), "failed Unusable([2001:db8::1]:6000)"),
    ] {
        let mut bench = Bench::new();
        bench.opens_media = false;
        bench.receive(&Caller::new("echo", "m").invite(Some(OFFER)));
        assert_eq!(
            bench.open_media(opened),
            [
                failed,
                "refused 480",
                "480 INVITE",
                "close",
                "ended MediaUnavailable"
            ]
        );
        assert_eq!(bench.header(HeaderName::RetryAfter), Some("10"));
        assert_eq!(bench.agent.counters().0.media_unavailable, 1);
    }
}

#[test]
fn a_shell_that_does_not_answer_costs_the_call() {
    let mut bench = Bench::new();
    bench.opens_media = false;
    bench.receive(&Caller::new("echo", "m").invite(Some(OFFER)));
    assert_eq!(
        bench.pass(5.0),
        [
            "5 failed TimedOut",
            "5 refused 480",
            "5 480 INVITE",
            "5 close",
            "5 ended MediaUnavailable"
        ]
    );
    assert_eq!(bench.open_media(Ok(MEDIA)), [""; 0]);
}

#[test]
fn calls_beyond_the_limit_are_busy_until_one_ends() {
    let mut bench = Bench::with(|config| config.limits.sessions_max = 2);
    let mut first = bench.call("echo");
    bench.call("music");
    let mut third = Caller::new("echo", "third");
    assert_eq!(
        bench.receive(&third.invite(Some(OFFER))),
        ["refused 486", "486 INVITE"]
    );
    assert_eq!(bench.header(HeaderName::RetryAfter), Some("10"));
    assert_eq!(bench.agent.counters().0.calls_over_limit, 1);
    bench.receive(&first.request("BYE", "", ""));
    assert_eq!(bench.receive(&third.invite(Some(OFFER))).len(), 4);
}

#[test]
fn an_unacknowledged_answer_is_repeated_then_given_up_with_a_bye() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "lost");
    bench.receive(&caller.invite(Some(OFFER)));
    caller.answered(bench.last());
    let told = bench.pass(40.0);
    let (repeats, end): (Vec<_>, Vec<_>) = told.iter().partition(|word| word.ends_with("200 INVITE"));
    let times = [
        "0.5", "1.5", "3.5", "7.5", "11.5", "15.5", "19.5", "23.5", "27.5", "31.5",
    ];
    assert_eq!(
        repeats,
        times
            .map(|time| format!("{time} 200 INVITE"))
            .iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(end, ["32 close", "32 ended NotAcknowledged", "32 BYE"]);
    assert_eq!(bench.agent.counters().0.acks_missing, 1);
}

#[test]
fn an_ack_ends_the_repeats_and_only_the_right_one() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "ack");
    bench.receive(&caller.invite(Some(OFFER)));
    caller.answered(bench.last());
    let ack = caller.ack(None);
    for wrong in [
        ack.replace("CSeq: 1 ACK", "CSeq: 2 ACK"),
        ack.replace("tag=alice", "tag=mallory"),
        ack.replace("Call-ID: ack", "Call-ID: other"),
    ] {
        bench.receive(&wrong);
    }
    assert_eq!(bench.pass(0.5), ["0.5 200 INVITE"]);
    assert_eq!(bench.receive(&ack), [""; 0]);
    assert_eq!(bench.pass(60.0), [""; 0]);
    // The repeats had crossed it; so does the ACK of each.
    assert_eq!(bench.receive(&ack), [""; 0]);
    assert_eq!(bench.agent.counters().0.acks_stray, 4);
}
