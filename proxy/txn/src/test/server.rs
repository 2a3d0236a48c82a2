//! Server transactions on a virtual clock.

use viaduct_sip::{ResponseBuilder, StatusCode, Transport, stateless_tag};

use super::{Bench, flow, message, request, response};
use crate::{Config, Flow, Limits, Received};

/// RFC 3261 17.2.1: timer G doubles to T2 until timer H.
#[test]
fn a_refused_invite_is_answered_again_until_nobody_acknowledges() {
    let mut bench = Bench::new();
    let server = bench.begin(Transport::Udp, &request("INVITE", "z9hG4bK1"));
    bench.respond(server, 486);
    assert_eq!(bench.did(), ["486"]);
    let told = bench.pass(40.0);
    assert_eq!(
        told[..6],
        ["0.5 486", "1.5 486", "3.5 486", "7.5 486", "11.5 486", "15.5 486"]
    );
    assert_eq!(told.last().unwrap(), "32 server ended without ACK");
    assert_eq!(bench.layer.counters().acks_missing, 1);
    assert!(bench.layer.is_empty());
}

/// RFC 3261 17.2.1: timer I absorbs repeats of the ACK, over UDP only.
#[test]
fn an_ack_of_a_refusal_is_absorbed_with_its_repeats() {
    for (transport, over) in [(Transport::Udp, vec!["5 server ended"]), (Transport::Wss, vec![])] {
        let mut bench = Bench::new();
        let server = bench.begin(transport, &request("INVITE", "z9hG4bK1"));
        bench.respond(server, 404);
        assert_eq!(
            bench.receive(transport, &request("ACK", "z9hG4bK1")),
            Received::Absorbed
        );
        let at_once = bench.did();
        assert_eq!(
            at_once.contains(&"server ended".to_owned()),
            transport.is_reliable()
        );
        if transport == Transport::Udp {
            assert_eq!(
                bench.receive(transport, &request("ACK", "z9hG4bK1")),
                Received::Absorbed
            );
        }
        assert_eq!(bench.pass(40.0), over);
        assert!(bench.layer.is_empty());
    }
}

/// RFC 3261 8.2.7: who keeps nothing answers each repeat anew, always with the same tag, and knows the ACK by it.
#[test]
fn a_forgotten_refusal_is_not_repeated_and_its_ack_is_absorbed() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    for _ in 0..2 {
        let server = bench.begin(Transport::Udp, &invite);
        let answer =
            ResponseBuilder::new(&invite, StatusCode::PROXY_AUTHENTICATION_REQUIRED).stateless_to_tag(0);
        bench.layer.respond_and_forget(server, answer.build().unwrap());
        assert_eq!(bench.did(), ["407", "server ended"]);
        assert!(bench.layer.is_empty());
        assert!(bench.pass(40.0).is_empty());
    }
    let tag = stateless_tag(&invite, 0);
    let ack = |tag: &str| {
        let ack = request("ACK", "z9hG4bK1");
        let text = String::from_utf8(ack.octets().to_vec()).unwrap();
        message(&text.replace(
            "To: <sip:bob@example.com>",
            &format!("To: <sip:bob@example.com>;tag={tag}"),
        ))
    };
    assert_eq!(bench.receive(Transport::Udp, &ack(&tag)), Received::Absorbed);
    assert_eq!(bench.receive(Transport::Udp, &ack("another")), Received::Ack);
}

/// RFC 3261 17.2.1: over a reliable transport a final answer is sent once, and timer H still runs.
#[test]
fn a_refusal_is_not_repeated_over_a_stream() {
    let mut bench = Bench::new();
    let server = bench.begin(Transport::Tcp, &request("INVITE", "z9hG4bK1"));
    bench.respond(server, 486);
    bench.did();
    assert_eq!(bench.pass(40.0), ["32 server ended without ACK"]);
}

/// RFC 3261 17.2.1: a repeat of the INVITE gets the last provisional answer again.
#[test]
fn a_repeated_invite_is_answered_with_the_last_provisional_answer() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let server = bench.begin(Transport::Udp, &invite);
    assert_eq!(bench.receive(Transport::Udp, &invite), Received::Absorbed);
    assert!(
        bench.did().is_empty(),
        "nothing was answered yet, so nothing is repeated"
    );
    bench.respond(server, 100);
    bench.respond(server, 180);
    assert_eq!(bench.receive(Transport::Udp, &invite), Received::Absorbed);
    assert_eq!(bench.did(), ["100", "180", "180"]);
    assert_eq!(bench.layer.counters().request_repeats, 2);
}

/// RFC 6026 8.7: after a 2xx the transaction lives on, absorbs INVITE repeats and passes the user's 2xx repeats.
#[test]
fn an_accepted_invite_absorbs_repeats_and_lets_the_user_repeat_its_2xx() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "z9hG4bK1");
    let server = bench.begin(Transport::Udp, &invite);
    bench.respond(server, 200);
    assert_eq!(bench.did(), ["200"]);
    assert_eq!(bench.receive(Transport::Udp, &invite), Received::Absorbed);
    assert!(bench.did().is_empty());
    bench.respond(server, 200);
    assert_eq!(bench.did(), ["200"]);
    bench.respond(server, 486);
    assert!(bench.did().is_empty(), "a refusal after a 2xx is not sent");
    assert_eq!(bench.pass(40.0), ["32 server ended"]);
}

/// RFC 3261 17.1.1.3: the ACK of a 2xx is nobody's transaction, also when a client reuses the branch.
#[test]
fn an_ack_of_a_2xx_goes_to_the_user() {
    let mut bench = Bench::new();
    let server = bench.begin(Transport::Udp, &request("INVITE", "z9hG4bK1"));
    bench.respond(server, 200);
    assert_eq!(
        bench.receive(Transport::Udp, &request("ACK", "z9hG4bK2")),
        Received::Ack
    );
    assert_eq!(
        bench.receive(Transport::Udp, &request("ACK", "z9hG4bK1")),
        Received::Ack
    );
}

/// RFC 3261 17.2.2: timer J keeps the answer for repeats, over UDP only.
#[test]
fn a_repeated_request_gets_the_same_answer_for_the_life_of_its_transaction() {
    let mut bench = Bench::new();
    let options = request("OPTIONS", "z9hG4bK1");
    let server = bench.begin(Transport::Udp, &options);
    assert_eq!(bench.receive(Transport::Udp, &options), Received::Absorbed);
    assert!(bench.did().is_empty());
    bench.respond(server, 200);
    bench.receive(Transport::Udp, &options);
    bench.respond(server, 404);
    assert_eq!(bench.did(), ["200", "server ended", "200"]);
    bench.pass(31.9);
    assert_eq!(bench.receive(Transport::Udp, &options), Received::Absorbed);
    assert_eq!((bench.did(), bench.layer.len()), (vec!["200".to_owned()], (1, 0)));
    bench.pass(0.2);
    assert!(bench.layer.is_empty());
    assert!(matches!(
        bench.receive(Transport::Udp, &options),
        Received::New(_)
    ));

    let server = bench.begin(Transport::Tls, &request("OPTIONS", "z9hG4bK2"));
    bench.respond(server, 200);
    assert_eq!(bench.did(), ["200", "server ended"]);
}

/// RFC 3261 17.2.2: whoever can make an answer again needs not keep it.
#[test]
fn the_repeat_of_a_marked_request_is_its_users_to_answer_again() {
    let mut bench = Bench::new();
    let register = request("REGISTER", "z9hG4bK1");
    let server = bench.begin(Transport::Udp, &register);
    let answer = response(&register, 200).octets().clone();
    bench
        .layer
        .respond_and_mark(bench.now(), server, StatusCode::OK, answer.clone());
    assert_eq!(bench.did(), ["200", "server ended"]);
    assert_eq!(bench.receive(Transport::Udp, &register), Received::Marked);
    bench.layer.respond_again(
        flow(Transport::Udp),
        &register.essentials().unwrap(),
        answer.clone(),
    );
    assert_eq!(bench.did(), ["200"]);
    assert_eq!(bench.layer.counters().request_repeats, 1);
    bench.pass(32.1);
    assert!(bench.layer.is_empty());

    let server = bench.begin(Transport::Tcp, &register);
    bench
        .layer
        .respond_and_mark(bench.now(), server, StatusCode::OK, answer);
    assert!(bench.layer.is_empty(), "over a stream nothing is repeated");
}

/// Whoever has read a branch on its way learns nothing by using it for something else.
#[test]
fn another_request_with_the_branch_of_a_marked_one_is_not_answered() {
    let mut bench = Bench::new();
    let register = request("REGISTER", "z9hG4bK1");
    let server = bench.begin(Transport::Udp, &register);
    let answer = response(&register, 200).octets().clone();
    bench
        .layer
        .respond_and_mark(bench.now(), server, StatusCode::OK, answer);
    bench.did();
    let text = String::from_utf8(register.octets().to_vec()).unwrap();
    let other = message(&text.replace("To: <sip:bob@", "To: <sip:carol@"));
    assert_eq!(bench.receive(Transport::Udp, &other), Received::Absorbed);
    let elsewhere = Flow {
        remote: "192.0.2.200:5060".parse().unwrap(),
        ..flow(Transport::Udp)
    };
    let essentials = register.essentials().unwrap();
    let received = bench
        .layer
        .handle_request(bench.now(), elsewhere, &register, &essentials);
    assert_eq!((received, bench.did()), (Received::Absorbed, vec![]));
}

/// RFC 3261 9.2 and 17.2.3: a CANCEL shares the INVITE's branch, has a transaction of its own and finds the INVITE.
#[test]
fn a_cancel_finds_its_pending_invite_and_no_other() {
    let mut bench = Bench::new();
    let invite = bench.begin(Transport::Udp, &request("INVITE", "z9hG4bK1"));
    let Received::Cancel {
        server,
        invite: found,
    } = bench.receive(Transport::Udp, &request("CANCEL", "z9hG4bK1"))
    else {
        panic!("a CANCEL was not seen as one");
    };
    assert_eq!(found, Some(invite));
    bench.respond(server, 200);
    bench.respond(invite, 487);
    assert_eq!(bench.did(), ["200", "server ended", "487"]);
    assert_eq!(
        bench.receive(Transport::Udp, &request("CANCEL", "z9hG4bK1")),
        Received::Absorbed
    );
    let stranger = bench.receive(Transport::Udp, &request("CANCEL", "z9hG4bK9"));
    assert!(matches!(stranger, Received::Cancel { invite: None, .. }));
}

/// RFC 3261 section 9.2: it finds its INVITE for as long as that has a transaction.
#[test]
fn a_cancel_that_comes_after_the_final_answer_finds_its_invite() {
    let mut bench = Bench::new();
    let invite = bench.begin(Transport::Udp, &request("INVITE", "z9hG4bK1"));
    bench.respond(invite, 200);
    let cancel = bench.receive(Transport::Udp, &request("CANCEL", "z9hG4bK1"));
    let Received::Cancel {
        server,
        invite: found,
    } = cancel
    else {
        panic!("{cancel:?}");
    };
    assert_eq!(found, Some(invite));
    bench.respond(server, 200);
    bench.pass(32.0);
    let cancel = bench.receive(Transport::Udp, &request("CANCEL", "z9hG4bK1"));
    assert!(matches!(cancel, Received::Cancel { invite: None, .. }));
}

/// RFC 3261 17.2.3: the same branch from another sent-by is another transaction.
#[test]
fn transactions_of_two_clients_with_one_branch_stay_apart() {
    let mut bench = Bench::new();
    let first = request("OPTIONS", "z9hG4bK1");
    let text = std::str::from_utf8(first.octets())
        .unwrap()
        .replace("client.example", "other.example");
    bench.begin(Transport::Udp, &first);
    assert!(matches!(
        bench.receive(Transport::Udp, &super::message(&text)),
        Received::New(_)
    ));
}

/// RFC 3261 17.2.3, last rules: peers of RFC 2543 have no unique branch.
#[test]
fn requests_without_a_magic_cookie_are_matched_by_their_fields() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "1");
    let server = bench.begin(Transport::Udp, &invite);
    assert_eq!(bench.receive(Transport::Udp, &invite), Received::Absorbed);
    bench.respond(server, 486);
    assert_eq!(
        bench.receive(Transport::Udp, &request("ACK", "1")),
        Received::Absorbed
    );
    let other = std::str::from_utf8(invite.octets())
        .unwrap()
        .replace("Call-ID: c1", "Call-ID: c2");
    assert!(matches!(
        bench.receive(Transport::Udp, &super::message(&other)),
        Received::New(_)
    ));
}

/// However many requests come, calls that exist can be changed, given up and ended.
#[test]
fn the_last_eighth_of_the_room_is_for_calls_that_exist() {
    let limits = Limits {
        server_transactions_max: 8,
        ..Limits::default()
    };
    let mut bench = Bench::with(Config {
        limits,
        ..Config::default()
    });
    for branch in 1..=7 {
        bench.begin(Transport::Udp, &request("OPTIONS", &format!("z9hG4bK{branch}")));
    }
    let another = bench.receive(Transport::Udp, &request("OPTIONS", "z9hG4bK8"));
    assert_eq!((another, bench.did()), (Received::Absorbed, vec!["503".into()]));
    let bye = request("BYE", "z9hG4bK9");
    let bye = std::str::from_utf8(bye.octets())
        .unwrap()
        .replace("bob@example.com>\r\n", "bob@example.com>;tag=b\r\n");
    bench.begin(Transport::Udp, &super::message(&bye));
    let cancel = bench.receive(Transport::Udp, &request("CANCEL", "z9hG4bK10"));
    assert_eq!(
        (cancel, bench.did()),
        (Received::Absorbed, vec!["503".into()]),
        "a bound all the same"
    );
}

#[test]
fn requests_beyond_the_limit_are_refused_without_state() {
    let limits = Limits {
        server_transactions_max: 1,
        ..Limits::default()
    };
    let mut bench = Bench::with(Config {
        limits,
        ..Config::default()
    });
    bench.begin(Transport::Udp, &request("OPTIONS", "z9hG4bK1"));
    assert_eq!(
        bench.receive(Transport::Udp, &request("OPTIONS", "z9hG4bK2")),
        Received::Absorbed
    );
    let refusals: Vec<_> = (0..2)
        .map(|_| {
            let sent = bench.layer.poll_output();
            bench.receive(Transport::Udp, &request("OPTIONS", "z9hG4bK2"));
            sent
        })
        .collect();
    assert!(refusals[0].is_some());
    assert_eq!(
        refusals[0], refusals[1],
        "8.2.7: a repeat gets the same answer, tag and all"
    );
    assert_eq!(bench.did(), ["503"]);
    assert_eq!(
        (bench.layer.len(), bench.layer.counters().requests_refused),
        ((1, 0), 3)
    );
}

/// RFC 4320 4.2: nobody is told that a request other than INVITE timed out.
#[test]
fn a_request_left_unanswered_is_absorbed_without_a_word() {
    let mut bench = Bench::new();
    let server = bench.begin(Transport::Udp, &request("MESSAGE", "z9hG4bK1"));
    bench.layer.leave_unanswered(bench.now(), server);
    assert_eq!(bench.did(), ["server ended"]);
    let repeat = bench.receive(Transport::Udp, &request("MESSAGE", "z9hG4bK1"));
    assert_eq!((repeat, bench.did()), (Received::Absorbed, vec![]));
    bench.pass(32.1);
    assert!(bench.layer.is_empty());
    bench.begin(Transport::Udp, &request("MESSAGE", "z9hG4bK1"));
}

/// Timer J: many that were answered are forgotten together, so that a thread with nothing else to do sleeps; a request
/// that comes meanwhile finds only those that are not over.
#[test]
fn what_was_answered_is_forgotten_in_time_without_waking_for_each() {
    let mut bench = Bench::new();
    for number in 0..40 {
        let server = bench.begin(Transport::Udp, &request("MESSAGE", &format!("z9hG4bK{number}")));
        bench.layer.leave_unanswered(bench.now(), server);
        bench.pass(0.002);
    }
    let first = bench.layer.poll_timeout().unwrap();
    bench.pass(31.92 + 0.04);
    assert_eq!(bench.layer.len().0, 40, "nobody was woken");
    bench.begin(Transport::Udp, &request("MESSAGE", "z9hG4bK0"));
    assert_eq!(bench.layer.len().0, 20, "those of the first 40 ms are over");
    bench.layer.handle_timeout(first);
    assert_eq!(bench.layer.len().0, 1, "one wake-up forgets all");
}

#[test]
fn a_request_left_unanswered_over_a_stream_is_forgotten() {
    let mut bench = Bench::new();
    let server = bench.begin(Transport::Tcp, &request("MESSAGE", "z9hG4bK1"));
    bench.layer.leave_unanswered(bench.now(), server);
    assert_eq!(bench.did(), ["server ended"]);
    assert!(bench.layer.is_empty());
}
