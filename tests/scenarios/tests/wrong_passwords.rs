//! Whoever guesses passwords waits longer and longer; nobody else does.

use viaduct_routing::{Event, Failed, Network, User};
use viaduct_sim::{EndId, World};
use viaduct_sip::{HeaderName, Message, StatusCode};

/// A world in which 202 has another password than the one that its phones use.
fn world() -> World {
    World::with(|_, users| {
        users.retain(|user| user.name != "202");
        users.push(User::with_password("202", "example.com", "another"));
    })
}

fn register(world: &mut World, end: EndId) -> Message {
    let request = world.register_request(end);
    world.send_with_password(end, request);
    world.take(end)
}

fn status(message: &Message) -> u16 {
    message.status().map_or(0, StatusCode::get)
}

#[test]
fn the_tenth_wrong_password_costs_a_second_and_each_further_one_twice_as_much() {
    let mut world = world();
    let phone = world.phone("202");
    let mut told = Vec::new();
    for times in 1..=12u32 {
        assert_eq!(status(&register(&mut world, phone)), 401);
        let pause = times.checked_sub(10).map(|beyond| 1 << beyond);
        told.extend(world.events().into_iter().filter_map(|event| match event {
            Event::AuthFailed { consequence, .. } => consequence,
            _ => None,
        }));
        let last = told
            .last()
            .copied()
            .map(|Failed { times, pause }| (times, pause.map(|pause| pause.as_secs())));
        assert_eq!(last, Some((times, pause)));
        if let Some(seconds) = pause {
            let refused = register(&mut world, phone);
            assert_eq!(status(&refused), 503);
            assert_eq!(refused.text(HeaderName::RetryAfter), Some(&*seconds.to_string()));
            world.pass(seconds as f64);
        }
    }
    assert_eq!(told.len(), 12, "what is not looked at is no wrong password");
    assert_eq!(world.proxy().counters().0.passwords_paused, 3);
}

#[test]
fn the_right_password_works_after_the_pause_and_everybody_elses_meanwhile() {
    let mut world = world();
    let (phone, other) = (world.phone("202"), world.phone("201"));
    for _ in 0..10 {
        register(&mut world, phone);
    }
    assert_eq!(status(&register(&mut world, phone)), 503);
    assert_eq!(status(&register(&mut world, other)), 200);
    world.pass(1.0);
    let config = viaduct_routing::Config::new("example.com");
    let users = [User::with_password("202", "example.com", "secret")]
        .into_iter()
        .collect();
    world
        .proxy()
        .reconfigure(std::sync::Arc::new(config), std::sync::Arc::new(users));
    assert_eq!(status(&register(&mut world, phone)), 200);
}

#[test]
fn a_trusted_network_never_waits() {
    let mut world = World::with(|config, users| {
        config.auth.trust_from = vec![Network {
            address: [10, 0, 0, 0].into(),
            prefix: 8,
        }];
        users.retain(|user| user.name != "202");
    });
    let phone = world.phone("202");
    for _ in 0..40 {
        assert_eq!(status(&register(&mut world, phone)), 401);
    }
    assert_eq!(world.proxy().counters().0.passwords_paused, 0);
}
