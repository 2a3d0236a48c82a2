//! A program of the operator's decides about calls before the routes do: docs/hook.md.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use std::cell::RefCell;
use std::sync::Arc;

use viaduct_routing::{
    Config, Counters, Event, HookConfig, Network, OnNoDecision, Routes, Rule, Trunk, Trunks, User, Users,
};
use viaduct_sim::{Dialog, EndId, PASSWORD, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, StatusCode, Transport};
use viaduct_trunk::{From, Pattern};

const CARRIER: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";

/// Two trunks `a` and `b`; `+…` goes to `a`, and what `a` calls to 202.
fn configure(config: &mut Config) {
    let trunks = ["a", "b"].map(|name| {
        let mut trunk = Trunk::new(name, &format!("{name}.carrier.example"));
        trunk.caller_id = Some("+4930999".to_owned());
        trunk.numbers.push(Pattern::new("+4930*"));
        if name == "a" {
            trunk.trust_from.push(Network {
                address: CARRIER.split(':').next().unwrap().parse().unwrap(),
                prefix: 32,
            });
        }
        trunk
    });
    config.trunks = Trunks::new(trunks.into(), None);
    config.numbers.country = Some("49".to_owned());
    config.routes = Routes::new(vec![
        Rule {
            from: From::Trunk("a".to_owned()),
            ..Rule::new("+4930*", "user:202".parse().unwrap())
        },
        Rule::new("+*", "trunk:a".parse().unwrap()),
    ]);
    config.hook = Some(HookConfig {
        methods: vec!["INVITE".to_owned(), "MESSAGE".to_owned()],
        headers: vec!["X-Queue".to_owned(), "X-None".to_owned()],
        on_failure: OnNoDecision::Continue,
    });
}

struct Ends {
    caller: EndId,
    callee: EndId,
    other: EndId,
    a: EndId,
    b: EndId,
}

/// A world whose hook says `answer`; the phones 201 (the caller), 202 and 203 are registered.
fn world_with(answer: &str, change: impl Fn(&mut Config)) -> (World, Ends) {
    let mut world = World::with(|config, _| {
        configure(config);
        change(config);
    });
    let [a, b] = [("a", CARRIER), ("b", SECOND)].map(|(name, address)| {
        let found = (Transport::Udp, address.parse().unwrap());
        world.names.add(&format!("{name}.carrier.example"), &[found]);
        world.server(name, Transport::Udp, address)
    });
    let [caller, callee, other] = ["201", "202", "203"].map(|user| {
        let phone = world.phone(user);
        world.register(phone);
        phone
    });
    world.hook.answer = answer.to_owned();
    let ends = Ends {
        caller,
        callee,
        other,
        a,
        b,
    };
    (world, ends)
}

fn counters(world: &mut World) -> Counters {
    world.proxy().counters().0
}

/// The first line of an answer, without the code.
fn reason(answer: &Message) -> String {
    let text = String::from_utf8_lossy(answer.octets()).into_owned();
    let line = text.lines().next().unwrap_or_default();
    line.splitn(3, ' ').last().unwrap_or_default().to_owned()
}

fn uri(invite: &Message) -> &str {
    invite.request_uri_text().unwrap()
}

#[test]
fn a_hook_is_told_who_calls_whom_and_how_and_changes_nothing_if_it_does_not_want_to() {
    let (mut world, ends) = world_with(r#"{"action":"continue"}"#, |_| ());
    let request = world
        .request(ends.caller, Method::Invite, "202")
        .header("X-Queue", "7")
        .body("application/sdp", PHONE_OFFER);
    let sent = world.send_with_password(ends.caller, request);
    world.expect(ends.caller, "100");
    world.expect(ends.callee, "INVITE");
    let asked = &world.hook.asked[0];
    assert_eq!((asked.method.as_str(), asked.number.as_str()), ("INVITE", "202"));
    assert_eq!(
        (asked.from_user.as_deref(), &asked.from_trunk),
        (Some("201"), &None)
    );
    assert_eq!(asked.from_uri, "sip:201@example.com");
    assert_eq!(Some(asked.call_id.as_str()), sent.call_id());
    assert_eq!(asked.transport, "UDP");
    assert_eq!(asked.headers.len(), 1, "what is not there is not told");
    assert_eq!(asked.headers["X-Queue"], ["7"]);
    let ip = asked.source;
    assert_eq!(world.flow(ends.caller).remote.ip(), ip);
    assert_eq!(
        world.hook.asked.len(),
        1,
        "once, the challenge before it not counted"
    );
    assert_eq!(counters(&mut world).decisions, 1);
}

/// RFC 3261 section 12.2: what belongs to a call goes where the call is.
#[test]
fn inside_a_dialog_and_for_registrations_nobody_is_asked() {
    let (mut world, ends) = world_with(r#"{"action":"continue"}"#, |_| ());
    let (mut caller, _) = world.answered(ends.caller, ends.callee, PHONE_OFFER, PHONE_ANSWER);
    world.hook.answer = r#"{"action":"reject","status":603}"#.to_owned();
    world.send_in(&mut caller, Method::Invite, Some(PHONE_OFFER));
    world.expect(ends.caller, "100");
    let again = world.expect(ends.callee, "INVITE");
    world.respond(ends.callee, &again, 200, Some(PHONE_ANSWER));
    world.expect(ends.caller, "200");
    world.send_in(&mut caller, Method::Ack, None);
    world.expect(ends.callee, "ACK");
    world.send_in(&mut caller, Method::Bye, None);
    let bye = world.expect(ends.callee, "BYE");
    world.respond(ends.callee, &bye, 200, None);
    world.expect(ends.caller, "200");
    world.register(ends.caller);
    let request = world.request(ends.caller, Method::Options, "202");
    world.send_with_password(ends.caller, request);
    world.expect(ends.callee, "OPTIONS");
    assert_eq!(world.hook.asked.len(), 1, "nor about methods that are not listed");
}

#[test]
fn a_changed_number_reaches_the_routes_and_the_trunk_with_the_callers_other_name() {
    let answer =
        r#"{"action":"continue","number":"030123456","from_number":"030777","from_name":"Example \"Ltd\""}"#;
    let (mut world, ends) = world_with(answer, |_| ());
    world.call(ends.caller, "202", Some(PHONE_OFFER));
    let invite = world.expect(ends.a, "INVITE");
    assert_eq!(uri(&invite), "sip:+4930123456@a.carrier.example");
    let shown = "\"Example \\\"Ltd\\\"\" <sip:+4930777@a.carrier.example>";
    let from = invite.text(HeaderName::From).unwrap();
    assert!(from.starts_with(&format!("{shown};tag=")), "{from}");
    assert_eq!(invite.text(HeaderName::PAssertedIdentity), Some(shown));
    world.expect_nothing(ends.callee);
    world.respond(ends.a, &invite, 200, Some(PHONE_ANSWER));
    let ok = world.expect(ends.caller, "200");
    let from = ok.text(HeaderName::From).unwrap();
    assert!(from.contains("sip:201@example.com"), "{from}");
    let mut dialog = Dialog::of_caller(ends.caller, &ok);
    world.send_in(&mut dialog, Method::Ack, None);
    world.expect(ends.a, "ACK");
    world.send_in(&mut dialog, Method::Bye, None);
    let bye = world.expect(ends.a, "BYE");
    world.respond(ends.a, &bye, 200, None);
    world.expect(ends.caller, "200");
    world.expect_clean();
}

#[test]
fn a_changed_number_that_no_rule_takes_is_a_user() {
    let (mut world, ends) = world_with(r#"{"action":"continue","number":"203"}"#, |_| ());
    world.call(ends.caller, "+4930123", Some(PHONE_OFFER));
    world.expect(ends.other, "INVITE");
    world.hook.answer = r#"{"action":"continue","number":"999"}"#.to_owned();
    let request = world.request(ends.callee, Method::Message, "201");
    world.send_with_password(ends.callee, request);
    world.expect(ends.callee, "404");
    world.expect_nothing(ends.caller);
}

#[test]
fn targets_of_the_hook_take_the_place_of_those_of_the_routes() {
    let answer = r#"{"action":"route","send_to":["trunk:b","trunk:a","trunk:unheard-of"],"on_fail":[486],
        "number":"+4930555"}"#;
    let (mut world, ends) = world_with(answer, |_| ());
    world.call(ends.caller, "202", Some(PHONE_OFFER));
    let (first, next) = match world.try_take(ends.a) {
        Some(invite) => ((ends.a, invite), ends.b),
        None => ((ends.b, world.expect(ends.b, "INVITE")), ends.a),
    };
    assert!(uri(&first.1).starts_with("sip:+4930555@"));
    world.respond(first.0, &first.1, 486, None);
    world.expect(first.0, "ACK");
    let invite = world.expect(next, "INVITE");
    world.respond(next, &invite, 503, None);
    world.expect(next, "ACK");
    // RFC 3261 section 16.7 step 6: 503 is not passed on.
    world.expect(ends.caller, "486");
    world.expect_nothing(ends.callee);
    assert_eq!(world.hook.asked.len(), 1, "the next trunk is no other question");
}

#[test]
fn phones_ring_as_the_hook_says_and_each_once() {
    let answer = r#"{"action":"route","send_to":["user:203","user:202","user:203"],"ring":"one_by_one"}"#;
    let (mut world, ends) = world_with(answer, |_| ());
    world.call(ends.caller, "+4930123", Some(PHONE_OFFER));
    let invite = world.expect(ends.other, "INVITE");
    world.expect_nothing(ends.callee);
    world.respond(ends.other, &invite, 486, None);
    world.expect(ends.other, "ACK");
    let invite = world.expect(ends.callee, "INVITE");
    world.respond(ends.callee, &invite, 486, None);
    world.expect(ends.callee, "ACK");
    world.expect(ends.caller, "486");
    world.expect_nothing(ends.other);
    world.expect_nothing(ends.a);
}

#[test]
fn a_refusal_of_the_hook_reaches_the_caller_in_its_words() {
    let answer = r#"{"action":"reject","status":403,"reason":"No calls abroad at night"}"#;
    let (mut world, ends) = world_with(answer, |_| ());
    world.call(ends.caller, "202", Some(PHONE_OFFER));
    let refusal = world.expect(ends.caller, "403");
    assert_eq!(reason(&refusal), "No calls abroad at night");
    world.expect_nothing(ends.callee);
    let counters = counters(&mut world);
    assert_eq!((counters.decisions, counters.rejected_by_hook), (1, 1));
    let told = world.events();
    assert!(told.iter().any(
        |event| matches!(event, Event::Refused { status: 403, reason, .. } if reason == "No calls abroad at night")
    ));
    world.hook.answer = r#"{"action":"reject","status":486}"#.to_owned();
    let request = world.request(ends.other, Method::Message, "202");
    world.send_with_password(ends.other, request);
    let refusal = world.expect(ends.other, "486");
    assert_eq!(reason(&refusal), "Busy Here");
}

#[test]
fn without_a_decision_the_routes_decide_or_nobody() {
    let nonsense = r#"{"action":"reject","status":200}"#;
    let (mut world, ends) = world_with(nonsense, |_| ());
    world.call(ends.caller, "202", Some(PHONE_OFFER));
    world.expect(ends.callee, "INVITE");
    assert_eq!(counters(&mut world).decisions_failed, 1);

    let (mut world, ends) = world_with(nonsense, |config| {
        config.hook.as_mut().unwrap().on_failure = OnNoDecision::Reject;
    });
    world.call(ends.caller, "202", Some(PHONE_OFFER));
    let refusal = world.expect(ends.caller, "503");
    assert!(refusal.has(HeaderName::RetryAfter));
    world.expect_nothing(ends.callee);
    assert_eq!(counters(&mut world).decisions_failed, 1);
}

#[test]
fn an_emergency_waits_for_no_hook() {
    let (mut world, ends) = world_with(r#"{"action":"reject","status":403}"#, |config| {
        config.numbers.emergency = vec!["112".to_owned()];
        config.routes = Routes::new(vec![Rule::new("112", "trunk:a".parse().unwrap())]);
    });
    world.hook.is_slow = true;
    world.call(ends.caller, "112", Some(PHONE_OFFER));
    world.expect(ends.a, "INVITE");
    assert!(world.hook.asked.is_empty());
}

/// RFC 3261 section 9.2.
#[test]
fn a_caller_may_give_up_while_the_hook_thinks() {
    let (mut world, ends) = world_with(r#"{"action":"continue"}"#, |_| ());
    world.hook.is_slow = true;
    let invite = world.dial(ends.caller, "202", Some(PHONE_OFFER));
    world.expect(ends.caller, "100");
    assert_eq!(world.proxy().gauges().decisions_waiting, 1);
    world.cancel(ends.caller, &invite);
    let mut got = [world.take(ends.caller), world.take(ends.caller)]
        .map(|message| message.status().map_or(0, StatusCode::get));
    got.sort_unstable();
    assert_eq!(got, [200, 487]);
    assert_eq!(world.proxy().gauges().decisions_waiting, 0);
    world.let_hook_answer();
    world.expect_nothing(ends.callee);
}

#[test]
fn while_the_hook_thinks_others_are_served_and_a_bounded_number_waits() {
    let (mut world, ends) = world_with(r#"{"action":"continue"}"#, |config| {
        config.limits.requests_waiting_max = 1;
    });
    world.hook.is_slow = true;
    world.dial(ends.caller, "202", Some(PHONE_OFFER));
    world.expect(ends.caller, "100");
    world.dial(ends.other, "202", Some(PHONE_OFFER));
    let refusal = world.expect(ends.other, "503");
    assert!(refusal.has(HeaderName::RetryAfter));
    assert_eq!(counters(&mut world).waiting_over_limit, 1);
    let request = world.request(ends.other, Method::Options, "202");
    world.send_with_password(ends.other, request);
    world.expect(ends.callee, "OPTIONS");
    world.let_hook_answer();
    world.expect(ends.callee, "INVITE");
}

/// Toll fraud: whatever a hook says, a call that came in does not go out.
#[test]
fn a_hook_cannot_send_a_trunks_call_to_a_trunk() {
    for (answer, rings) in [
        (r#"{"action":"route","send_to":["trunk:b"]}"#, false),
        (r#"{"action":"route","send_to":["trunk:b","user:203"]}"#, true),
        (r#"{"action":"continue","number":"+1900123"}"#, false),
    ] {
        let (mut world, ends) = world_with(answer, |_| ());
        let invite = world
            .request_to(ends.a, Method::Invite, "sip:030123@example.com")
            .from("\"Ann\" <sip:+4917012345@carrier.example>;tag=outside")
            .body("application/sdp", PHONE_OFFER)
            .build()
            .unwrap();
        world.send(ends.a, invite);
        world.expect(ends.a, "100");
        let asked = &world.hook.asked[0];
        assert_eq!(
            (asked.from_trunk.as_deref(), &asked.from_user),
            (Some("a"), &None)
        );
        assert_eq!(
            (asked.number.as_str(), asked.from_name.as_str()),
            ("030123", "Ann")
        );
        if rings {
            world.expect(ends.other, "INVITE");
        } else {
            world.expect(ends.a, "404");
        }
        world.expect_nothing(ends.b);
        world.expect_nothing(ends.callee);
    }
}

/// What waits is decided about by the configuration that there is when the answer comes.
#[test]
fn a_reload_that_takes_the_hook_away_lets_waiting_calls_go_on() {
    let wanted = RefCell::new(None);
    let (mut world, ends) = world_with("nonsense", |config| {
        config.hook = None;
        wanted.replace(Some(config.clone()));
        configure(config);
        config.hook.as_mut().unwrap().on_failure = OnNoDecision::Reject;
    });
    world.hook.is_slow = true;
    world.dial(ends.caller, "202", Some(PHONE_OFFER));
    world.expect(ends.caller, "100");
    let users: Users = ["201", "202"]
        .map(|name| User::with_password(name, "example.com", PASSWORD))
        .into_iter()
        .collect();
    let config = wanted.take().unwrap();
    world.proxy().reconfigure(Arc::new(config), Arc::new(users));
    world.let_hook_answer();
    world.expect(ends.callee, "INVITE");
}
