//! Client transactions on a virtual clock.

use viaduct_sip::Transport;

use super::{Bench, request};
use crate::{Config, Limits};

/// RFC 3261 17.1.1.2: timer A doubles without cap, timer B ends it.
#[test]
fn an_unanswered_invite_is_sent_seven_times_and_times_out() {
    let mut bench = Bench::new();
    bench.send(Transport::Udp, &request("INVITE", "z9hG4bK1"));
    assert_eq!(bench.did(), ["INVITE"]);
    let told = bench.pass(40.0);
    assert_eq!(
        told,
        [
            "0.5 INVITE",
            "1.5 INVITE",
            "3.5 INVITE",
            "7.5 INVITE",
            "15.5 INVITE",
            "31.5 INVITE",
            "32 timeout",
            "32 client ended"
        ]
    );
    assert!(bench.layer.is_empty());
}

#[test]
fn an_unanswered_invite_over_a_stream_is_sent_once() {
    let mut bench = Bench::new();
    bench.send(Transport::Wss, &request("INVITE", "z9hG4bK1"));
    bench.did();
    assert_eq!(bench.pass(40.0), ["32 timeout", "32 client ended"]);
}

/// RFC 3261 17.1.1.2: a provisional answer stops A and B; the wait for the final one is the user's.
#[test]
fn a_ringing_invite_is_neither_repeated_nor_timed_out() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Udp, &invite);
    assert_eq!(bench.answer(&invite, 180), Some(client));
    bench.did();
    assert!(bench.pass(400.0).is_empty());
    assert_eq!(bench.answer(&invite, 183), Some(client));
}

/// RFC 3261 17.1.1.3: same branch, same Request-URI, same Route, To of the response.
#[test]
fn a_refusal_is_acknowledged_hop_by_hop_each_time_it_comes() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Udp, &invite);
    bench.did();
    assert_eq!(bench.answer(&invite, 486), Some(client));
    let Some(crate::Output::Send { octets, .. }) = bench.layer.poll_output() else {
        panic!("no ACK")
    };
    let ack = std::str::from_utf8(&octets).unwrap();
    assert!(ack.starts_with("ACK sip:bob@example.com SIP/2.0\r\n"), "{ack}");
    assert!(ack.contains("branch=z9hG4bK1"), "{ack}");
    assert!(ack.contains("Route: <sip:192.0.2.9;lr>\r\n"), "{ack}");
    assert!(ack.contains("To: <sip:bob@example.com>;tag=b\r\n"), "{ack}");
    assert!(ack.contains("CSeq: 1 ACK\r\n"), "{ack}");
    assert_eq!(bench.answer(&invite, 486), None, "a repeat is the layer's");
    assert_eq!(bench.did(), ["ACK"]);
    assert_eq!(bench.pass(40.0), ["32 client ended"]);
}

#[test]
fn a_refusal_over_a_stream_ends_the_transaction_at_once() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Tcp, &invite);
    assert_eq!(bench.answer(&invite, 404), Some(client));
    assert_eq!(bench.did(), ["INVITE", "ACK", "client ended"]);
    assert!(bench.layer.is_empty());
}

/// RFC 6026 8.4: every 2xx goes to the user for 64·T1.
#[test]
fn every_2xx_of_a_fork_goes_to_the_user() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Udp, &invite);
    assert_eq!(bench.answer(&invite, 200), Some(client));
    assert_eq!(bench.answer(&invite, 200), Some(client));
    assert_eq!(
        bench.answer(&invite, 180),
        None,
        "a provisional answer after the final one is late"
    );
    bench.did();
    assert_eq!(bench.pass(40.0), ["32 client ended"]);
    assert_eq!(bench.answer(&invite, 200), None);
    assert_eq!(bench.layer.counters().responses_stray, 1);
}

/// RFC 3261 17.1.2.2: timer E doubles to T2; RFC 4320 4.2: the end is silence, the user decides.
#[test]
fn an_unanswered_request_is_repeated_up_to_every_four_seconds() {
    let mut bench = Bench::new();
    bench.send(Transport::Udp, &request("MESSAGE", "z9hG4bK1"));
    bench.did();
    let told = bench.pass(40.0);
    assert_eq!(
        told[..5],
        [
            "0.5 MESSAGE",
            "1.5 MESSAGE",
            "3.5 MESSAGE",
            "7.5 MESSAGE",
            "11.5 MESSAGE"
        ]
    );
    assert_eq!(told[told.len() - 2..], ["32 timeout", "32 client ended"]);
}

/// RFC 3261 17.1.2.2: after a provisional answer the request is repeated every T2.
#[test]
fn a_provisional_answer_slows_the_repeats_of_a_request() {
    let mut bench = Bench::new();
    let options = request("OPTIONS", "z9hG4bK1");
    let client = bench.send(Transport::Udp, &options);
    assert_eq!(bench.answer(&options, 100), Some(client));
    bench.did();
    assert_eq!(bench.pass(9.0), ["0.5 OPTIONS", "4.5 OPTIONS", "8.5 OPTIONS"]);
    assert_eq!(bench.answer(&options, 200), Some(client));
    assert_eq!(bench.answer(&options, 200), None);
    assert_eq!(bench.pass(9.0), ["14 client ended"]);
}

/// RFC 3261 9.1: no CANCEL before a provisional answer.
#[test]
fn a_cancel_waits_for_the_first_provisional_answer() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Wss, &invite);
    bench.cancel(client);
    bench.cancel(client);
    assert_eq!(bench.did(), ["INVITE"]);
    assert_eq!(bench.answer(&invite, 100), Some(client));
    let Some(crate::Output::Send { octets, .. }) = bench.layer.poll_output() else {
        panic!("no CANCEL")
    };
    let cancel = std::str::from_utf8(&octets).unwrap();
    assert!(
        cancel.starts_with("CANCEL sip:bob@example.com SIP/2.0\r\n"),
        "{cancel}"
    );
    assert!(
        cancel.contains("branch=z9hG4bK1") && cancel.contains("CSeq: 1 CANCEL\r\n"),
        "{cancel}"
    );
    assert!(cancel.contains("Reason: SIP;cause=200\r\n"), "{cancel}");
    assert!(cancel.contains("Route: <sip:192.0.2.9;lr>\r\n"), "{cancel}");
    bench.cancel(client);
    assert!(bench.did().is_empty(), "one CANCEL is enough");
}

#[test]
fn the_answer_to_a_cancel_is_not_the_answer_to_its_invite() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Udp, &invite);
    bench.answer(&invite, 180);
    bench.cancel(client);
    assert_eq!(bench.did(), ["INVITE", "CANCEL"]);
    assert_eq!(bench.answer(&request("CANCEL", "z9hG4bK1"), 200), None);
    assert_eq!(bench.answer(&invite, 487), Some(client));
    assert_eq!(bench.did(), ["ACK"]);
    bench.pass(40.0);
    assert!(bench.layer.is_empty());
}

/// RFC 3261 9.1: an INVITE whose CANCEL changes nothing is given up after 64·T1.
#[test]
fn a_cancelled_invite_that_nobody_ends_times_out() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Tcp, &invite);
    bench.answer(&invite, 180);
    bench.cancel(client);
    bench.did();
    assert_eq!(bench.pass(40.0), ["32 timeout", "32 client ended"]);
}

#[test]
fn a_cancel_that_crosses_a_2xx_changes_nothing() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Udp, &invite);
    bench.answer(&invite, 200);
    bench.cancel(client);
    assert_eq!(bench.did(), ["INVITE"]);
}

/// RFC 3261 17.1.3: the method of CSeq must be that of the request.
#[test]
fn an_answer_to_another_method_is_stray() {
    let mut bench = Bench::new();
    bench.send(Transport::Udp, &request("OPTIONS", "z9hG4bK1"));
    assert_eq!(bench.answer(&request("INVITE", "z9hG4bK1"), 200), None);
    assert_eq!(bench.layer.counters().responses_stray, 1);
}

#[test]
fn requests_beyond_the_limit_or_with_a_used_branch_are_not_sent() {
    let limits = Limits {
        client_transactions_max: 2,
        ..Limits::default()
    };
    let mut bench = Bench::with(Config {
        limits,
        ..Config::default()
    });
    bench.send(Transport::Udp, &request("OPTIONS", "z9hG4bK1"));
    assert_eq!(
        bench.try_send(Transport::Udp, &request("MESSAGE", "z9hG4bK1")),
        None
    );
    bench.send(Transport::Udp, &request("OPTIONS", "z9hG4bK2"));
    assert_eq!(
        bench.try_send(Transport::Udp, &request("OPTIONS", "z9hG4bK3")),
        None
    );
    assert_eq!(
        (bench.layer.len(), bench.layer.counters().clients_refused),
        ((0, 2), 2)
    );
}

#[test]
fn an_abandoned_request_is_over_at_once() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let client = bench.send(Transport::Tcp, &invite);
    bench.layer.abandon(client);
    assert_eq!(bench.did(), ["INVITE", "client ended"]);
    assert_eq!(bench.answer(&invite, 200), None);
    assert!(bench.pass(40.0).is_empty());
}
