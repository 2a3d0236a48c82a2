//! When messages are sent again and when transactions end: the table of RFC 3261 section 17.1.1.2, and what RFC 6026 adds
//! to it. Times are seconds since what is watched began.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_sim::{BROWSER_ANSWER, EndId, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{Limits, Message, Method, Transport};

/// As timers A and G go on over UDP, T2 aside.
const DOUBLING: [&str; 6] = ["0.5", "1.5", "3.5", "7.5", "15.5", "31.5"];

/// What is sent again over UDP with T2 as the longest interval.
const UP_TO_T2: [&str; 10] = [
    "0.5", "1.5", "3.5", "7.5", "11.5", "15.5", "19.5", "23.5", "27.5", "31.5",
];

/// Somebody who calls, and a registered phone, both over these transports.
fn over(caller: Transport, callee: Transport) -> (World, EndId, EndId) {
    let mut world = World::new();
    let (caller, phone) = (world.add("202", caller), world.add("201", callee));
    world.register(phone);
    (world, caller, phone)
}

/// Everything that an end receives in this time, and when: `0.5 INVITE`.
fn watch(world: &mut World, end: EndId, seconds: u32) -> Vec<String> {
    let mut seen = Vec::new();
    for tenth in 1..=10 * seconds {
        world.pass(0.1);
        while let Some(message) = world.try_take(end) {
            let what = match (message.method(), message.status()) {
                (Some(method), _) => method.as_str().to_owned(),
                (None, status) => status.unwrap().to_string(),
            };
            seen.push(format!("{} {what}", f64::from(tenth) / 10.0));
        }
    }
    seen
}

fn each(times: &[&str], what: &str) -> Vec<String> {
    times.iter().map(|time| format!("{time} {what}")).collect()
}

/// The message with its top Via as RFC 2543 knew it: a branch that is not unique.
fn as_of_1999(octets: &[u8]) -> Message {
    let text = std::str::from_utf8(octets).unwrap();
    let (front, behind) = text.split_once("branch=z9hG4bK").unwrap();
    let end = behind.find([';', '\r', ',']).unwrap();
    let text = format!("{front}branch=1{}", &behind[end..]);
    Message::parse_frame(text.into_bytes().into(), &Limits::default()).unwrap()
}

/// RFC 3261 section 17.1.1.2: A doubles without end, and B ends it after 64·T1.
#[test]
fn timers_a_and_b_an_unanswered_invite_over_udp_doubles_its_pauses_for_32_seconds() {
    let (mut world, caller, phone) = over(Transport::Ws, Transport::Udp);
    world.call(caller, "201", Some(PHONE_OFFER));
    world.expect(phone, "INVITE");
    assert_eq!(watch(&mut world, phone, 31), each(&DOUBLING[..5], "INVITE"));
    world.expect_nothing(caller);
    assert_eq!(watch(&mut world, caller, 2), ["1 408"]);
    assert_eq!(watch(&mut world, phone, 40), ["0.1 INVITE"], "that of 31.5");
    world.expect_clean();
}

/// RFC 3261 section 17.1.1.2: A is for unreliable transports only, B for all.
#[test]
fn timers_a_and_b_an_unanswered_invite_over_a_stream_is_sent_once_and_has_32_seconds() {
    for transport in [Transport::Tcp, Transport::Ws, Transport::Wss] {
        let (mut world, caller, phone) = over(Transport::Ws, transport);
        world.call(caller, "201", Some(PHONE_OFFER));
        world.expect(phone, "INVITE");
        assert_eq!(watch(&mut world, caller, 40), ["32 408"]);
        world.expect_nothing(phone);
        world.expect_clean();
    }
}

/// RFC 3261 sections 16.6 step 11, 16.7 step 2 and 16.8: more than three minutes, from the last 101 to 199 on.
#[test]
fn timer_c_a_phone_that_rings_is_cancelled_three_minutes_after_its_last_word() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut world, caller, phone) = over(Transport::Ws, transport);
        world.call(caller, "201", Some(PHONE_OFFER));
        let invite = world.expect(phone, "INVITE");
        world.respond(phone, &invite, 180, None);
        world.pass(100.0);
        world.respond(phone, &invite, 183, None);
        let seen = watch(&mut world, phone, 200);
        assert_eq!(seen[0], "181 CANCEL");
        world.clear(caller);
        // Neither CANCEL nor INVITE is answered (section 9.1): 64·T1 later it is over, and the caller hears so.
        assert_eq!(watch(&mut world, caller, 60), ["13 408"]);
        world.expect_clean();
    }
}

/// RFC 3261 section 17.1.1.2: over UDP each repeat of a refusal gets its ACK again, for 32 seconds.
#[test]
fn timer_d_a_repeated_refusal_is_acknowledged_again_for_32_seconds() {
    let (mut world, caller, phone) = over(Transport::Ws, Transport::Udp);
    world.call(caller, "201", Some(PHONE_OFFER));
    let invite = world.expect(phone, "INVITE");
    world.respond(phone, &invite, 486, None);
    let first = world.expect(phone, "ACK");
    world.expect(caller, "486");
    for pause in [0.5, 15.0, 16.4] {
        world.pass(pause);
        world.respond(phone, &invite, 486, None);
        assert_eq!(world.expect(phone, "ACK").octets(), first.octets());
    }
    world.pass(0.2);
    world.respond(phone, &invite, 486, None);
    world.expect_nothing(phone);
    world.expect_nothing(caller);
}

/// RFC 3261 section 17.1.1.2: over a stream D is 0.
#[test]
fn timer_d_a_refusal_over_a_stream_is_acknowledged_once() {
    let (mut world, caller, phone) = over(Transport::Ws, Transport::Tcp);
    world.call(caller, "201", Some(PHONE_OFFER));
    let invite = world.expect(phone, "INVITE");
    world.respond(phone, &invite, 486, None);
    world.expect(phone, "ACK");
    world.respond(phone, &invite, 486, None);
    world.expect_nothing(phone);
}

/// RFC 3261 section 17.1.2.2, RFC 4320 section 4.2: E doubles up to T2, and after F nobody says anything.
#[test]
fn timers_e_and_f_an_unanswered_request_is_repeated_up_to_every_four_seconds() {
    let (mut world, caller, phone) = over(Transport::Ws, Transport::Udp);
    let message = world.request(caller, Method::Message, "201");
    world.send_with_password(caller, message);
    world.expect(phone, "MESSAGE");
    assert_eq!(watch(&mut world, phone, 60), each(&UP_TO_T2, "MESSAGE"));
    world.expect_nothing(caller);
    world.expect_clean();
}

/// RFC 3261 section 17.1.2.2: after a provisional answer every T2; F runs on.
#[test]
fn timers_e_and_f_a_request_under_way_is_repeated_every_four_seconds() {
    let (mut world, caller, phone) = over(Transport::Ws, Transport::Udp);
    let message = world.request(caller, Method::Message, "201");
    world.send_with_password(caller, message);
    let got = world.expect(phone, "MESSAGE");
    world.pass(0.2);
    world.respond(phone, &got, 100, None);
    // The timer that runs still fires (figure 6), at 0.5 s.
    let times = ["0.3", "4.3", "8.3", "12.3", "16.3", "20.3", "24.3", "28.3"];
    assert_eq!(watch(&mut world, phone, 60), each(&times, "MESSAGE"));
    world.expect_nothing(caller);
    world.expect_clean();
}

/// RFC 3261 section 17.1.2.2: over a stream E never runs.
#[test]
fn timers_e_and_f_a_request_over_a_stream_is_sent_once() {
    let (mut world, caller, phone) = over(Transport::Udp, Transport::Tcp);
    let message = world.request(caller, Method::Message, "201");
    world.send_with_password(caller, message);
    world.expect(phone, "MESSAGE");
    assert_eq!(watch(&mut world, phone, 60), [""; 0]);
    world.expect_nothing(caller);
    world.expect_clean();
}

/// RFC 3261 section 17.2.1: a refusal is repeated up to every T2 until its ACK comes, at most for 64·T1.
#[test]
fn timers_g_and_h_a_refusal_is_repeated_until_its_ack() {
    let (mut world, caller, phone) = over(Transport::Udp, Transport::Ws);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 486, None);
    let refusal = world.expect(caller, "486");
    assert_eq!(watch(&mut world, caller, 5), each(&UP_TO_T2[..3], "486"));
    world.ack_refusal(caller, &invite, &refusal);
    assert_eq!(watch(&mut world, caller, 60), [""; 0]);
    world.expect_clean();
}

/// RFC 3261 section 17.2.1: H gives up.
#[test]
fn timers_g_and_h_a_refusal_that_nobody_acknowledges_is_given_up_after_32_seconds() {
    let (mut world, caller, phone) = over(Transport::Udp, Transport::Ws);
    world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    let before = world.proxy().counters().1.acks_missing;
    world.respond(phone, &got, 486, None);
    world.expect(caller, "486");
    assert_eq!(watch(&mut world, caller, 60), each(&UP_TO_T2, "486"));
    assert_eq!(world.proxy().counters().1.acks_missing, before + 1);
    world.expect_clean();
}

/// RFC 3261 section 17.2.1: over a stream nothing is repeated.
#[test]
fn timers_g_and_h_a_refusal_over_a_stream_is_sent_once() {
    for transport in [Transport::Tcp, Transport::Ws] {
        let (mut world, caller, phone) = over(transport, Transport::Udp);
        world.call(caller, "201", Some(PHONE_OFFER));
        let got = world.expect(phone, "INVITE");
        world.respond(phone, &got, 486, None);
        world.expect(caller, "486");
        assert_eq!(watch(&mut world, caller, 60), [""; 0]);
        world.expect_clean();
    }
}

/// RFC 3261 section 17.2.1: for T4 repeats of an acknowledged INVITE and of its ACK mean nothing.
#[test]
fn timer_i_what_is_late_after_an_ack_is_absorbed_for_five_seconds() {
    let (mut world, caller, phone) = over(Transport::Udp, Transport::Ws);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 486, None);
    let refusal = world.expect(caller, "486");
    world.expect(phone, "ACK");
    world.ack_refusal(caller, &invite, &refusal);
    for pause in [0.1, 4.8] {
        world.pass(pause);
        world.send(caller, invite.octets().clone());
        world.ack_refusal(caller, &invite, &refusal);
        world.expect_nothing(caller);
    }
    world.pass(0.2);
    world.send(caller, invite.octets().clone());
    assert!(world.try_take(caller).is_some(), "it is another request by then");
}

/// RFC 3261 section 17.2.1: over a stream I is 0.
#[test]
fn timer_i_over_a_stream_the_ack_is_the_end() {
    let (mut world, caller, phone) = over(Transport::Tcp, Transport::Tcp);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 486, None);
    let refusal = world.expect(caller, "486");
    world.ack_refusal(caller, &invite, &refusal);
    assert_eq!(world.proxy().gauges().server_transactions, 0);
    assert_eq!(world.proxy().gauges().client_transactions, 0);
}

/// RFC 3261 section 17.2.2: a repeated request gets the same final answer for 64·T1, and nobody hears of it again.
#[test]
fn timer_j_a_repeated_request_gets_its_answer_again_for_32_seconds() {
    let (mut world, caller, phone) = over(Transport::Udp, Transport::Ws);
    let message = world.request(caller, Method::Message, "201");
    let sent = world.send_with_password(caller, message);
    let got = world.expect(phone, "MESSAGE");
    world.respond(phone, &got, 200, None);
    let answer = world.expect(caller, "200");
    for pause in [0.1, 16.0, 15.8] {
        world.pass(pause);
        world.send(caller, sent.octets().clone());
        assert_eq!(world.expect(caller, "200").octets(), answer.octets());
    }
    world.expect_nothing(phone);
    world.pass(0.2);
    world.send(caller, sent.octets().clone());
    let anew = world.take(caller);
    assert_ne!(anew.octets(), answer.octets(), "it is another request by then");
}

/// RFC 3261 section 17.2.2: over a stream J is 0.
#[test]
fn timer_j_over_a_stream_the_answer_is_the_end() {
    let (mut world, caller, phone) = over(Transport::Tcp, Transport::Tcp);
    let message = world.request(caller, Method::Message, "201");
    world.send_with_password(caller, message);
    let got = world.expect(phone, "MESSAGE");
    world.respond(phone, &got, 200, None);
    world.expect(caller, "200");
    let gauges = world.proxy().gauges();
    assert_eq!((gauges.server_transactions, gauges.client_transactions), (0, 0));
}

/// RFC 3261 section 17.1.2.2: for T4 repeats of a final answer are known and go nowhere; later ones are nobody's, and go
/// nowhere either (section 18.1.2).
#[test]
fn timer_k_repeats_of_a_final_answer_are_absorbed_for_five_seconds() {
    let (mut world, caller, phone) = over(Transport::Ws, Transport::Udp);
    let message = world.request(caller, Method::Message, "201");
    world.send_with_password(caller, message);
    let got = world.expect(phone, "MESSAGE");
    world.respond(phone, &got, 200, None);
    world.expect(caller, "200");
    let stray = |world: &mut World| world.proxy().counters().1.responses_stray;
    for (pause, expected) in [(0.1, 0), (4.8, 0), (0.2, 1)] {
        world.pass(pause);
        world.respond(phone, &got, 200, None);
        world.expect_nothing(caller);
        assert_eq!(stray(&mut world), expected);
    }
}

/// RFC 6026 sections 8.4 and 8.7: for 64·T1 each 2xx is forwarded and repeats of the INVITE are absorbed, whatever the
/// transport; later ones find nothing.
#[test]
fn timers_l_and_m_a_2xx_is_forwarded_for_32_seconds() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut world, caller, phone) = over(transport, transport);
        let invite = world.call(caller, "201", Some(PHONE_OFFER));
        let got = world.expect(phone, "INVITE");
        world.respond(phone, &got, 200, Some(PHONE_ANSWER));
        let first = world.expect(caller, "200");
        for pause in [0.5, 16.0, 15.4] {
            world.pass(pause);
            world.respond(phone, &got, 200, Some(PHONE_ANSWER));
            assert_eq!(world.expect(caller, "200").octets(), first.octets());
            world.send(caller, invite.octets().clone());
            world.expect_nothing(caller);
            world.expect_nothing(phone);
        }
        world.pass(0.2);
        world.respond(phone, &got, 200, Some(PHONE_ANSWER));
        world.expect_nothing(caller);
        let gauges = world.proxy().gauges();
        assert_eq!((gauges.server_transactions, gauges.client_transactions), (0, 0));
        assert_eq!(gauges.calls, 1, "the call goes on without any transaction");
    }
}

/// RFC 3261 section 17.2.1: 100 at once to INVITE. RFC 4320 section 4.1: none to anything else.
#[test]
fn a_hundred_is_for_invites_only() {
    let (mut world, caller, phone) = over(Transport::Udp, Transport::Udp);
    world.call(caller, "201", Some(PHONE_OFFER));
    world.expect(phone, "INVITE");
    for method in [Method::Message, Method::Options, Method::Subscribe] {
        let request = world.request(caller, method, "201");
        world.send_with_password(caller, request);
        let got = world.expect(phone, method.as_str());
        world.respond(phone, &got, 100, None);
        assert_eq!(watch(&mut world, caller, 10), [""; 0], "{method:?}");
        world.clear(phone);
    }
}

/// RFC 4320 section 4.2: whoever still says 408 to a request other than INVITE is heard, and not passed on. Repeats find
/// that nobody will answer.
#[test]
fn a_408_to_a_request_other_than_invite_goes_no_further() {
    let (mut world, caller, phone) = over(Transport::Udp, Transport::Udp);
    let message = world.request(caller, Method::Message, "201");
    let sent = world.send_with_password(caller, message);
    let got = world.expect(phone, "MESSAGE");
    world.respond(phone, &got, 408, None);
    world.pass(0.5);
    world.send(caller, sent.octets().clone());
    world.expect_nothing(caller);
    world.expect_nothing(phone);
    world.expect_clean();
}

/// RFC 3261 section 17.2.3, the rules for peers of RFC 2543: repeats, ACK and CANCEL are known by their fields.
#[test]
fn a_branch_of_rfc_2543_is_known_by_what_else_the_request_says() {
    let mut world = World::with(|config, _| {
        config.auth.trust_from = vec![viaduct_routing::Network {
            address: [10, 0, 0, 0].into(),
            prefix: 8,
        }];
    });
    let (caller, phone) = (world.phone("202"), world.browser("201"));
    let register = world.register_request(phone).build().unwrap();
    world.send(phone, register);
    world.expect(phone, "200");
    let request = world.request(caller, Method::Invite, "201");
    let invite = as_of_1999(&request.body("application/sdp", PHONE_OFFER).build().unwrap());
    world.send(caller, invite.octets().clone());
    world.expect(caller, "100");
    let got = world.expect(phone, "INVITE");
    // The repeat is one, although the branch says nothing.
    world.send(caller, invite.octets().clone());
    world.expect(caller, "100");
    world.expect_nothing(phone);
    world.respond(phone, &got, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    let cancel = world.expect(phone, "CANCEL");
    world.respond(phone, &cancel, 200, None);
    world.respond(phone, &got, 487, None);
    world.expect(phone, "ACK");
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &invite, &refusal);
    assert_eq!(watch(&mut world, caller, 40), [""; 0], "the ACK was known");
    // Another call with the same branch is another call.
    let request = world.request(caller, Method::Invite, "201");
    let other = as_of_1999(&request.body("application/sdp", PHONE_OFFER).build().unwrap());
    world.send(caller, other.octets().clone());
    world.expect(caller, "100");
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 200, Some(BROWSER_ANSWER));
    let ok = world.expect(caller, "200");
    let mut dialog = viaduct_sim::Dialog::of_caller(caller, &ok);
    for method in [Method::Ack, Method::Bye] {
        dialog.cseq += u32::from(method == Method::Bye);
        let request = world.in_dialog(&dialog, method, None);
        world.send(caller, as_of_1999(request.octets()).octets().clone());
        let got = world.expect(phone, method.as_str());
        if method == Method::Bye {
            world.respond(phone, &got, 200, None);
            world.expect(caller, "200");
        }
    }
    world.expect_clean();
}
