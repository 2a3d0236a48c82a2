//! Users whom somebody else keeps: a database or a service is asked when they register, call and are called.

use std::sync::Arc;

use viaduct_routing::{Config, Directory, DirectoryLimits, Gauges, Network, User, Users};
use viaduct_sim::{EndId, PHONE_OFFER, World};
use viaduct_sip::{HeaderName, Message, Method, StatusCode};

/// What an end gets for a REGISTER with its password, which is `secret`.
fn register(world: &mut World, end: EndId) -> u16 {
    let request = world.register_request(end);
    world.send_with_password(end, request);
    status(&world.take(end))
}

fn status(message: &Message) -> u16 {
    message.status().map_or(0, StatusCode::get)
}

#[test]
fn a_user_of_the_source_registers_calls_and_is_called_and_is_asked_for_once() {
    let mut world = World::with_source(|_| ());
    let (caller, callee) = (world.phone("201"), world.phone("202"));
    world.register(caller);
    world.register(callee);
    world.call(caller, "202", Some(PHONE_OFFER));
    world.expect(callee, "INVITE");
    assert_eq!(world.source.asked, ["201", "202"]);
    world.pass(301.0);
    world.clear(caller);
    let request = world.request(caller, Method::Message, "202");
    world.send_with_password(caller, request);
    world.clear(callee);
    // Their answers were too old for another request.
    assert_eq!(world.source.asked[2..], ["201", "202"]);
}

#[test]
fn nobody_is_asked_for_without_a_nonce_of_ours() {
    let mut world = World::with_source(|_| ());
    let phone = world.phone("201");
    let request = world.register_request(phone).build().unwrap();
    world.send(phone, request);
    world.expect(phone, "401");
    let forged = "Digest username=\"201\", realm=\"example.com\", nonce=\"bm9uY2Vub25jZQ\", uri=\"sip:example.com\", \
                  response=\"00000000000000000000000000000000\", cnonce=\"c\", nc=00000001, qop=auth, algorithm=MD5";
    for _ in 0..30 {
        let request = world.register_request(phone);
        let octets = request.header(HeaderName::Authorization, forged).build().unwrap();
        world.send(phone, octets);
        world.expect(phone, "401");
    }
    assert!(world.source.asked.is_empty());
    // Whoever forged that address has not had its owner shut out.
    world.register(phone);
}

#[test]
fn an_unknown_user_and_a_wrong_password_get_the_same_answers_and_the_same_questions() {
    let mut world = World::with_source(|_| ());
    world.source.change_password("202", "another");
    for user in ["202", "999"] {
        world.source.asked.clear();
        let phone = world.phone(user);
        assert_eq!(register(&mut world, phone), 401);
        assert_eq!(register(&mut world, phone), 401);
        world.pass(9.0);
        assert_eq!(register(&mut world, phone), 401);
        assert_eq!(
            world.source.asked,
            [user],
            "what is young enough to refuse is not asked for"
        );
        world.pass(2.0);
        assert_eq!(register(&mut world, phone), 401);
        assert_eq!(world.source.asked, [user, user]);
    }
}

#[test]
fn a_changed_password_opens_as_soon_as_it_is_used() {
    let mut world = World::with_source(|_| ());
    let phone = world.phone("201");
    world.source.change_password("201", "another");
    assert_eq!(register(&mut world, phone), 401);
    world.source.change_password("201", "secret");
    world.pass(10.0);
    assert_eq!(register(&mut world, phone), 200);
    assert_eq!(world.source.asked.len(), 2);
}

#[test]
fn requests_that_wait_hold_nobody_up_and_are_answered_in_their_time() {
    let mut world = World::with_source(|_| ());
    world.source.is_slow = true;
    let (caller, callee) = (world.phone("201"), world.phone("202"));
    let request = world.register_request(callee);
    world.send_with_password(callee, request);
    world.dial(caller, "202", Some(PHONE_OFFER));
    world.expect(caller, "100");
    world.expect_nothing(callee);
    assert_eq!(world.proxy().gauges().lookups_waiting, 2);
    world.let_source_answer();
    world.expect(callee, "200");
    // Its caller is known, and whom it is for is, too.
    world.expect(callee, "INVITE");
}

/// RFC 3261 section 9.2.
#[test]
fn a_caller_may_give_up_while_users_are_looked_up() {
    let mut world = World::with_source(|_| ());
    world.source.is_slow = true;
    let caller = world.phone("201");
    let invite = world.dial(caller, "202", Some(PHONE_OFFER));
    world.expect(caller, "100");
    world.cancel(caller, &invite);
    let mut got = [status(&world.take(caller)), status(&world.take(caller))];
    got.sort_unstable();
    assert_eq!(got, [200, 487]);
    world.let_source_answer();
    world.expect_nothing(caller);
}

#[test]
fn a_source_that_fails_lets_known_users_in_and_asks_others_to_come_back() {
    let mut world = World::with_source(|_| ());
    let (known, other) = (world.phone("201"), world.phone("202"));
    world.register(known);
    world.source.is_broken = true;
    world.pass(310.0);
    assert_eq!(register(&mut world, known), 200);
    let request = world.register_request(other);
    world.send_with_password(other, request);
    let refused = world.expect(other, "503");
    assert!(refused.header(HeaderName::RetryAfter).is_some());
    // It is not asked again at once, and nobody is taken for a stranger meanwhile.
    for _ in 0..20 {
        assert_eq!(register(&mut world, other), 503);
    }
    assert_eq!(world.source.asked, ["201", "201", "202"]);
    assert_eq!(world.proxy().counters().0.auth_failures, 0);
    // Beyond an hour the old answer is worth nothing.
    world.pass(3_900.0);
    assert_eq!(register(&mut world, known), 503);
    world.source.is_broken = false;
    world.pass(1.0);
    assert_eq!(register(&mut world, known), 200);
}

#[test]
fn a_number_that_is_nobodys_gets_404_and_a_user_who_is_not_there_480() {
    let mut world = World::with_source(|_| ());
    let caller = world.phone("201");
    for (number, expected) in [("202", 480), ("999", 404)] {
        let request = world.request(caller, Method::Message, number);
        world.send_with_password(caller, request);
        assert_eq!(status(&world.take(caller)), expected, "{number}");
    }
}

#[test]
fn a_trusted_network_needs_no_password_but_a_user() {
    let mut world = World::with_source(|config| {
        config.auth.trust_from = vec![Network {
            address: [10, 0, 0, 0].into(),
            prefix: 8,
        }];
    });
    for (user, expected) in [("201", 200), ("999", 401)] {
        let phone = world.phone(user);
        let request = world.register_request(phone).build().unwrap();
        world.send(phone, request);
        assert_eq!(status(&world.take(phone)), expected, "{user}");
    }
    assert_eq!(world.source.asked, ["201", "999"]);
}

#[test]
fn users_of_the_configuration_are_never_asked_for() {
    let mut world = World::with_source(|_| ());
    let listed: Users = [User::with_password("alice", "example.com", "secret")]
        .into_iter()
        .collect();
    let directory = Arc::new(Directory::new(DirectoryLimits::default()));
    let config = Arc::new(Config::new("example.com"));
    world
        .proxy()
        .reconfigure(config, Arc::new(listed.with_directory(directory)));
    let phone = world.phone("alice");
    world.register(phone);
    assert!(world.source.asked.is_empty());
}

#[test]
fn waiting_requests_have_a_bound() {
    let mut world = World::with_source(|config| config.limits.requests_waiting_max = 1);
    world.source.is_slow = true;
    let (first, second) = (world.phone("201"), world.phone("202"));
    let request = world.register_request(first);
    world.send_with_password(first, request);
    world.expect_nothing(first);
    assert_eq!(register(&mut world, second), 503);
    assert_eq!(world.proxy().counters().0.waiting_over_limit, 1);
    world.let_source_answer();
    world.expect(first, "200");
    world.pass(40.0);
    assert_eq!(world.proxy().gauges(), Gauges::default());
}
