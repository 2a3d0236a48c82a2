//! Trunks are registered with and asked whether they are there (RFC 3261 sections 10.2 and 11).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use std::sync::Arc;
use std::time::Duration;

use viaduct_routing::{Config, Event, Routes, Rule, Trunk, TrunkChange, Trunks, Users};
use viaduct_sim::{BROWSER_OFFER, EndId, PHONE_OFFER, World};
use viaduct_sip::digest::{Algorithm, Credentials, Ha1};
use viaduct_sip::{HeaderName, Message, Method, ResponseBuilder, StatusCode, Transport};
use viaduct_trunk::{Account, TrunkState, TrunkView};

const FIRST: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";

/// A world with trunks `a` and `b`, of which `a` is as `change` makes it.
fn world_with(change: impl Fn(&mut Trunk)) -> (World, [EndId; 2]) {
    let (world, ends, _) = configured(change);
    (world, ends)
}

/// The same, with its configuration.
fn configured(change: impl Fn(&mut Trunk)) -> (World, [EndId; 2], Config) {
    let mut known = Config::new("example.com");
    let mut world = World::with(|config, _| {
        let mut first = Trunk::new("a", "a.carrier.example");
        change(&mut first);
        config.trunks = Trunks::new(vec![first, Trunk::new("b", "b.carrier.example")], None);
        config.routes = Routes::new(vec![
            Rule {
                send_to: vec!["trunk:a".parse().unwrap(), "trunk:b".parse().unwrap()],
                ..Rule::new("+*", "trunk:a".parse().unwrap())
            },
            Rule::new("4930", "user:201".parse().unwrap()),
        ]);
        known = config.clone();
    });
    let ends = [("a", FIRST), ("b", SECOND)].map(|(name, address)| {
        world.names.add(
            &format!("{name}.carrier.example"),
            &[(Transport::Udp, address.parse().unwrap())],
        );
        world.server(name, Transport::Udp, address)
    });
    let now = world.now();
    world.proxy().look_after_trunks(now);
    world.pass(0.1);
    (world, ends, known)
}

fn view(world: &mut World) -> TrunkView {
    let now = world.now();
    world.proxy().trunks().get("a").unwrap().view(now)
}

fn changes(world: &mut World) -> Vec<TrunkChange> {
    let events = world.events().into_iter();
    let changes = events.filter_map(|event| match event {
        Event::Trunk { change, .. } => Some(change),
        _ => None,
    });
    changes.collect()
}

fn probed(trunk: &mut Trunk) {
    trunk.probe = Some(Duration::from_secs(30));
}

fn registering(trunk: &mut Trunk) {
    trunk.account = Some(Account::new("4930", "secret"));
    trunk.register = Some(Duration::from_secs(600));
}

/// RFC 3261 section 11: any answer says that somebody is there.
#[test]
fn a_trunk_that_answers_is_up_and_one_that_does_not_is_down_after_three() {
    let (mut world, [a, b]) = world_with(probed);
    let options = world.expect(a, "OPTIONS");
    assert_eq!(options.request_uri_text(), Some("sip:a.carrier.example"));
    world.respond(a, &options, 405, None);
    assert_eq!(view(&mut world).state, TrunkState::Up);
    assert_eq!(changes(&mut world), [TrunkChange::Up]);
    world.pass(4.0);
    for lost in 1..=3 {
        world.pass(26.0);
        world.expect(a, "OPTIONS");
        world.pass(4.1);
        world.clear(a);
        assert_eq!(view(&mut world).counters.probes_lost, lost);
        let expected = if lost == 3 {
            TrunkState::Down
        } else {
            TrunkState::Up
        };
        assert_eq!(view(&mut world).state, expected, "{lost}");
    }
    assert_eq!(changes(&mut world), [TrunkChange::Down]);
    let caller = world.browser("300");
    world.register(caller);
    world.call(caller, "+4930123", Some(BROWSER_OFFER));
    let invite = world.expect(b, "INVITE");
    world.respond(b, &invite, 486, None);
    world.pass(26.0);
    let options = world.expect(a, "OPTIONS");
    world.respond(a, &options, 200, None);
    assert_eq!(view(&mut world).state, TrunkState::Up, "one answer is enough");
}

fn challenge(world: &mut World, trunk: EndId, request: &Message) {
    let value = "Digest realm=\"carrier.example\", nonce=\"n\", qop=\"auth\"";
    let octets = ResponseBuilder::new(request, StatusCode::UNAUTHORIZED)
        .to_tag("c")
        .header(HeaderName::WwwAuthenticate, value)
        .build()
        .unwrap();
    world.send(trunk, octets);
}

fn accept(world: &mut World, trunk: EndId, request: &Message, expires: u32) {
    let octets = ResponseBuilder::new(request, StatusCode::OK)
        .to_tag("c")
        .header(HeaderName::Expires, expires.to_string())
        .build()
        .unwrap();
    world.send(trunk, octets);
}

/// RFC 3261 section 10.2.4: a registration is refreshed before it ends.
#[test]
fn a_trunk_is_registered_with_and_the_registration_kept() {
    let (mut world, [a, _]) = world_with(registering);
    let first = world.expect(a, "REGISTER");
    assert_eq!(first.request_uri_text(), Some("sip:a.carrier.example"));
    assert_eq!(first.text(HeaderName::To), Some("<sip:4930@a.carrier.example>"));
    let contact = first.text(HeaderName::Contact).unwrap();
    assert_eq!(contact, "<sip:a@192.0.2.1:5060;transport=udp>");
    challenge(&mut world, a, &first);
    let second = world.expect(a, "REGISTER");
    let found = Credentials::find(&second, HeaderName::Authorization, "carrier.example");
    let ha1 = Ha1::from_password(Algorithm::Md5, "4930", "carrier.example", "secret");
    assert!(
        found
            .unwrap()
            .unwrap()
            .credentials
            .prove(&ha1, Method::Register, b"")
    );
    assert_eq!(second.call_id(), first.call_id());
    accept(&mut world, a, &second, 100);
    assert_eq!(view(&mut world).registered_s, Some(100));
    assert_eq!(changes(&mut world), [TrunkChange::Registered]);
    world.pass(79.0);
    world.expect_nothing(a);
    world.pass(2.0);
    let refresh = world.expect(a, "REGISTER");
    accept(&mut world, a, &refresh, 100);
    assert_eq!(changes(&mut world), [], "nothing has changed");
}

/// A call for the Contact that we registered, from where it was taken, needs no password.
#[test]
fn a_registered_trunk_calls_in() {
    let (mut world, [a, _]) = world_with(registering);
    let register = world.expect(a, "REGISTER");
    accept(&mut world, a, &register, 600);
    let phone = world.phone("201");
    world.register(phone);
    let invite = world
        .request_to(a, Method::Invite, "sip:a@192.0.2.1:5060;transport=udp")
        .to("<sip:4930@a.carrier.example>")
        .body("application/sdp", PHONE_OFFER)
        .build()
        .unwrap();
    world.send(a, invite);
    world.expect(a, "100");
    world.expect(phone, "INVITE");
}

#[test]
fn a_registration_that_fails_is_tried_again_later() {
    let (mut world, [a, _]) = world_with(registering);
    let register = world.expect(a, "REGISTER");
    world.respond(a, &register, 403, None);
    let refused = "403 Forbidden".to_owned();
    assert_eq!(
        changes(&mut world),
        [TrunkChange::NotRegistered {
            reason: refused.clone()
        }]
    );
    assert_eq!(view(&mut world).registration_error, Some(refused));
    world.pass(29.0);
    world.expect_nothing(a);
    world.pass(2.0);
    let again = world.expect(a, "REGISTER");
    accept(&mut world, a, &again, 600);
    assert_eq!(changes(&mut world), [TrunkChange::Registered]);
    let view = view(&mut world);
    assert_eq!(
        (view.registered_s, view.counters.registrations_failed),
        (Some(600), 1)
    );
}

#[test]
fn a_trunk_without_an_address_is_down_and_not_registered() {
    let (mut world, [a, _]) = world_with(|trunk| {
        probed(trunk);
        registering(trunk);
        trunk.host = "nowhere.example".to_owned();
    });
    world.pass(100.0);
    world.expect_nothing(a);
    let view = view(&mut world);
    assert_eq!(view.state, TrunkState::Down);
    assert_eq!(view.registration_error.as_deref(), Some("no answer"));
}

/// RFC 3261 section 10.2.2: a proxy that stops ends what the trunk keeps, and does not wait for one that is silent.
#[test]
fn a_registration_is_ended_at_a_stop() {
    for is_silent in [false, true] {
        let (mut world, [a, _]) = world_with(|trunk| {
            registering(trunk);
            probed(trunk);
        });
        let first = world.expect(a, "OPTIONS");
        world.respond(a, &first, 200, None);
        let register = world.expect(a, "REGISTER");
        accept(&mut world, a, &register, 600);
        assert!(!world.proxy().is_leaving_trunks());
        let now = world.now();
        world.proxy().leave_trunks(now);
        world.settle();
        let last = world.expect(a, "REGISTER");
        assert_eq!(last.text(HeaderName::Expires), Some("0"));
        assert_eq!(last.text(HeaderName::Contact), register.text(HeaderName::Contact));
        assert!(world.proxy().is_leaving_trunks());
        if is_silent {
            world.pass(2.1);
        } else {
            world.respond(a, &last, 200, None);
        }
        assert!(!world.proxy().is_leaving_trunks());
        assert_eq!(view(&mut world).registered_s, None);
        // Repeats of the last one (RFC 3261 section 17.1.2.2), and nothing else.
        world.pass(60.0);
        while let Some(repeat) = world.try_take(a) {
            assert_eq!(repeat.octets(), last.octets());
        }
    }
}

/// Lets the proxy go on with these trunks.
fn reload(world: &mut World, mut config: Config, trunks: Vec<Trunk>) {
    let (now, before) = (world.now(), world.proxy().trunks().clone());
    config.trunks = Trunks::new(trunks, Some(&before));
    let users = Users::default();
    world.proxy().reconfigure(Arc::new(config), Arc::new(users));
    world.proxy().look_after_trunks(now);
    world.settle();
}

fn trunk_a(change: impl Fn(&mut Trunk)) -> Trunk {
    let mut trunk = Trunk::new("a", "a.carrier.example");
    registering(&mut trunk);
    change(&mut trunk);
    trunk
}

fn registered() -> (World, EndId, Message, Config) {
    let (mut world, [a, _], config) = configured(registering);
    let register = world.expect(a, "REGISTER");
    accept(&mut world, a, &register, 600);
    assert_eq!(changes(&mut world), [TrunkChange::Registered]);
    (world, a, register, config)
}

/// RFC 3261 section 10.2.2: a carrier keeps nothing of a trunk that the configuration does not have any more.
#[test]
fn a_trunk_that_a_reload_takes_away_is_unregistered() {
    let (mut world, a, register, config) = registered();
    reload(&mut world, config, Vec::new());
    let last = world.expect(a, "REGISTER");
    assert_eq!(last.text(HeaderName::Expires), Some("0"));
    assert_eq!(last.text(HeaderName::Contact), register.text(HeaderName::Contact));
    assert_eq!(last.call_id(), register.call_id());
    challenge(&mut world, a, &last);
    let proven = world.expect(a, "REGISTER");
    assert!(proven.has(HeaderName::Authorization));
    accept(&mut world, a, &proven, 0);
    assert!(!world.proxy().is_leaving_trunks());
    let reason = "the configuration has changed".to_owned();
    assert_eq!(changes(&mut world), [TrunkChange::NotRegistered { reason }]);
    world.pass(1_000.0);
    world.expect_nothing(a);
}

#[test]
fn a_registration_that_a_reload_takes_away_is_ended_and_the_trunk_stays() {
    let (mut world, a, _, config) = registered();
    reload(&mut world, config, vec![trunk_a(|trunk| trunk.register = None)]);
    let last = world.expect(a, "REGISTER");
    assert_eq!(last.text(HeaderName::Expires), Some("0"));
    world.respond(a, &last, 200, None);
    let view = view(&mut world);
    assert_eq!((view.registered_s, view.registration_error), (None, None));
    world.pass(1_000.0);
    world.expect_nothing(a);
}

/// The Contact is the same for both, so that the end of the one would be the end of the other.
#[test]
fn another_registration_with_a_trunk_begins_when_the_one_before_has_ended() {
    for is_silent in [false, true] {
        let (mut world, a, register, config) = registered();
        let other = trunk_a(|trunk| trunk.account = Some(Account::new("4931", "secret")));
        reload(&mut world, config, vec![other]);
        let last = world.expect(a, "REGISTER");
        assert_eq!(last.text(HeaderName::Expires), Some("0"));
        assert_eq!(last.text(HeaderName::To), register.text(HeaderName::To));
        world.expect_nothing(a);
        if is_silent {
            world.pass(2.1);
        } else {
            world.respond(a, &last, 200, None);
            world.pass(0.01);
        }
        let next = std::iter::from_fn(|| world.try_take(a)).find(|next| next.octets() != last.octets());
        let next = next.unwrap();
        assert_eq!(next.text(HeaderName::To), Some("<sip:4931@a.carrier.example>"));
        accept(&mut world, a, &next, 600);
        assert_eq!(view(&mut world).registered_s, Some(600));
    }
}

/// What is registered stays what it is when only something else of the trunk changes, or how it is asked for.
#[test]
fn a_registration_that_a_reload_leaves_alone_is_not_ended() {
    let (mut world, a, register, config) = registered();
    reload(&mut world, config.clone(), vec![trunk_a(|_| ())]);
    world.pass(1.0);
    world.expect_nothing(a);
    reload(
        &mut world,
        config,
        vec![trunk_a(|trunk| trunk.calls_max = Some(3))],
    );
    world.pass(0.01);
    let again = world.expect(a, "REGISTER");
    assert_eq!(again.text(HeaderName::Expires), Some("600"));
    assert_eq!(
        again.text(HeaderName::Contact),
        register.text(HeaderName::Contact)
    );
    accept(&mut world, a, &again, 600);
    assert_eq!(view(&mut world).registered_s, Some(600));
    world.expect_nothing(a);
}

#[test]
fn a_registration_that_is_to_run_out_is_left_at_a_reload() {
    let (mut world, [a, _], config) = configured(|trunk| {
        registering(trunk);
        trunk.unregister = None;
    });
    let register = world.expect(a, "REGISTER");
    accept(&mut world, a, &register, 600);
    reload(&mut world, config, Vec::new());
    world.pass(1_000.0);
    world.expect_nothing(a);
}
