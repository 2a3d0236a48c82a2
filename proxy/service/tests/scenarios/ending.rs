//! How calls end that their callers do not end.

use std::time::Duration;

use viaduct_service::StreamEvent;
use viaduct_sip::{HeaderName, Method};

use crate::caller::{Bench, Caller, OFFER};

const ENDED: [&str; 3] = ["close", "ended Silent", "BYE"];

#[test]
fn a_call_that_takes_too_long_is_ended_along_its_route() {
    let mut bench = Bench::with(|config| config.times.session_max = Duration::from_secs(60));
    bench.call("echo");
    assert_eq!(bench.pass(61.0), ["60 close", "60 ended TooLong", "60 BYE"]);
    let bye = bench.last();
    assert_eq!(bye.method(), Some(Method::Bye));
    assert_eq!(bye.request_uri_text(), Some("sip:201@192.0.2.7:5060"));
    let routes: Vec<_> = bye.values(HeaderName::Route).collect();
    assert_eq!(
        routes,
        [
            b"<sip:inner@example.com;lr>".as_slice(),
            b"<sip:outer@example.com;lr>"
        ]
    );
    assert_eq!(
        bye.text(HeaderName::Reason),
        Some("SIP;cause=480;text=\"Call too long\"")
    );
    let (from, to) = (bye.from().unwrap().unwrap(), bye.to().unwrap().unwrap());
    assert_eq!(
        (from.uri_octets(), to.tag()),
        (b"sip:100@example.com".as_slice(), Some("alice"))
    );
    assert!(
        bye.text(HeaderName::Via)
            .unwrap()
            .starts_with("SIP/2.0/LOCAL example.com;branch=z9hG4bK")
    );
    assert_eq!(bench.agent.counters().0.calls_too_long, 1);
}

#[test]
fn a_caller_that_sends_no_media_is_let_go() {
    let mut bench = Bench::new();
    bench.call("echo");
    assert_eq!(bench.stream_tells(StreamEvent::Heard), [""; 0]);
    assert_eq!(bench.stream_tells(StreamEvent::Silent), ENDED);
    assert_eq!(
        bench.header(HeaderName::Reason),
        Some("SIP;cause=408;text=\"No media\"")
    );
    // What a stream still tells of a call that is over.
    assert_eq!(bench.stream_tells(StreamEvent::Silent), [""; 0]);
    assert_eq!(bench.stream_tells(StreamEvent::Digit('1')), [""; 0]);
}

#[test]
fn an_operator_may_end_a_call() {
    let mut bench = Bench::new();
    bench.call("music");
    assert_eq!(bench.hang_up(), ["close", "ended Operator", "BYE"]);
    let stream = bench.opened[0];
    assert!(!bench.agent.hang_up(bench.now, stream));
    bench.opens_media = false;
    bench.receive(&Caller::new("echo", "opening").invite(Some(OFFER)));
    assert_eq!(
        bench.hang_up(),
        ["refused 480", "480 INVITE", "close", "ended Operator"]
    );
}

#[test]
fn a_bye_of_ours_waits_for_the_ack() {
    let mut bench = Bench::new();
    let mut caller = Caller::new("echo", "early");
    bench.receive(&caller.invite(Some(OFFER)));
    caller.answered(bench.last());
    assert_eq!(bench.stream_tells(StreamEvent::Silent), [""; 0]);
    assert_eq!(bench.receive(&caller.ack(None)), ENDED);
    // The same, and the ACK never comes.
    let mut caller = Caller::new("echo", "never");
    bench.receive(&caller.invite(Some(OFFER)));
    caller.answered(bench.last());
    bench.stream_tells(StreamEvent::Silent);
    let told = bench.pass(33.0);
    assert_eq!(
        told[told.len() - 4..],
        ["31.5 200 INVITE", "32 close", "32 ended Silent", "32 BYE"]
    );
}

#[test]
fn a_call_too_long_before_its_ack_is_ended_once() {
    let mut bench = Bench::with(|config| config.times.session_max = Duration::from_secs(1));
    let mut caller = Caller::new("echo", "slow");
    bench.receive(&caller.invite(Some(OFFER)));
    caller.answered(bench.last());
    assert_eq!(bench.pass(3.0), ["0.5 200 INVITE", "1.5 200 INVITE"]);
    assert_eq!(
        bench.receive(&caller.ack(None)),
        ["close", "ended TooLong", "BYE"]
    );
}

#[test]
fn byes_that_cross_are_both_answered() {
    let mut bench = Bench::new();
    let mut caller = bench.call("echo");
    bench.stream_tells(StreamEvent::Silent);
    let ours = bench.last().clone();
    assert_eq!(bench.receive(&caller.request("BYE", "", "")), ["200 BYE"]);
    // Anything else has no dialog any more.
    assert_eq!(
        bench.receive(&caller.request("INFO", "", "")),
        ["refused 481", "481 INFO"]
    );
    assert_eq!(bench.agent.gauges().dialogs_ending, 1);
    assert_eq!(bench.receive(&Caller::answer(&ours, "200 OK")), [""; 0]);
    assert_eq!(bench.agent.gauges().dialogs_ending, 0);
    assert_eq!(
        bench.receive(&caller.request("BYE", "", "")),
        ["refused 481", "481 BYE"]
    );
}

#[test]
fn a_bye_that_nobody_answers_is_forgotten() {
    let mut bench = Bench::new();
    bench.call("echo");
    bench.stream_tells(StreamEvent::Silent);
    bench.pass(33.0);
    let gauges = bench.agent.gauges();
    assert_eq!((gauges.dialogs_ending, gauges.client_transactions), (0, 0));
    assert_eq!(bench.agent.counters().0.byes_failed, 1);
}

#[test]
fn a_bye_answered_with_481_is_over_as_well() {
    let mut bench = Bench::new();
    bench.call("echo");
    bench.stream_tells(StreamEvent::Silent);
    let answer = Caller::answer(bench.last(), "481 Gone");
    assert_eq!(bench.receive(&answer), [""; 0]);
    assert_eq!(bench.agent.gauges().dialogs_ending, 0);
    assert_eq!(bench.agent.counters().0.dropped, 0);
}
