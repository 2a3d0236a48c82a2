//! What a registrar accepts and what it answers (RFC 3261 section 10.3, RFC 3608, RFC 8760).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_routing::{ForeignDomains, UserChallenge};
use viaduct_sim::{EndId, PASSWORD, World};
use viaduct_sip::digest::{Algorithm, Answer, Challenge, Ha1};
use viaduct_sip::{HeaderName, Message, Method, Transport};

fn contacts(answer: &Message) -> Vec<String> {
    let values = answer.values(HeaderName::Contact);
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

/// RFC 3261 section 10.3 steps 2 and 8, section 20.17.
#[test]
fn the_answer_lists_every_contact_and_says_what_time_it_is() {
    let mut world = World::new();
    let (desk, soft) = (world.phone("201"), world.phone("201"));
    world.register(desk);
    let request = world.register_request_with(soft, ";q=0.3;expires=90");
    world.send_with_password(soft, request);
    let answer = world.expect(soft, "200");
    let listed = contacts(&answer);
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .any(|value| value.contains("expires=90") && value.contains("q=0.3")),
        "{listed:?}"
    );
    assert_eq!(
        answer.text(HeaderName::Date),
        Some("Fri, 15 Jan 2027 08:00:00 GMT")
    );
    assert!(!answer.has(HeaderName::ServiceRoute), "nobody asked for it");
    // A query changes nothing, whatever Expires says.
    let query = world.register_request_bare(desk).header(HeaderName::Expires, "0");
    world.send_with_password(desk, query);
    assert_eq!(contacts(&world.expect(desk, "200")).len(), 2);
}

/// RFC 3261 section 10.3 step 5: one user, however its address is written.
#[test]
fn an_address_of_record_is_the_same_in_every_spelling() {
    let mut world = World::new();
    let phone = world.phone("201");
    for to in [
        "<sip:%32%30%31@EXAMPLE.com:5060;user=phone>",
        "\"Desk\" <sip:201:secret@example.com>",
        "<sips:201@example.com>",
    ] {
        let request = world.register_request(phone).to(to);
        world.send_with_password(phone, request);
        assert_eq!(contacts(&world.expect(phone, "200")).len(), 1, "{to}");
    }
}

/// RFC 3261 section 10.3 step 2: the domain first, then what is required.
#[test]
fn what_a_registrar_does_not_know_is_named() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = world
        .register_request(phone)
        .header(HeaderName::Require, "path, x-magic")
        .build()
        .unwrap();
    world.send(phone, request);
    let answer = world.expect(phone, "420");
    assert_eq!(answer.text(HeaderName::Unsupported), Some("x-magic"));
    let request = world
        .register_request(phone)
        .to("<sip:201@elsewhere.example>")
        .header(HeaderName::Require, "x-magic")
        .build()
        .unwrap();
    world.send(phone, request);
    world.expect(phone, "403");
}

/// RFC 3261 section 10.2: third-party registration needs a right that nobody has here.
#[test]
fn nobody_registers_for_another() {
    let mut world = World::with(|_, users| {
        let user = users.iter_mut().find(|user| user.name == "201").unwrap();
        user.identities = vec!["600".to_owned()];
    });
    let phone = world.phone("201");
    let third = world.register_request(phone).from("<sip:202@example.com>;tag=x");
    world.send_with_password(phone, third);
    world.expect(phone, "403");
    let own = world.register_request(phone).from("<sip:600@example.com>;tag=x");
    world.send_with_password(phone, own);
    world.expect(phone, "200");
}

/// RFC 3261 section 10.3 step 7: 423 with Min-Expires, and nothing is changed.
#[test]
fn a_registration_that_is_too_brief_is_told_the_shortest() {
    let mut world = World::new();
    let phone = world.phone("201");
    let brief = world.register_request(phone).header(HeaderName::Expires, "20");
    world.send_with_password(phone, brief);
    let answer = world.expect(phone, "423");
    assert_eq!(answer.text(HeaderName::MinExpires), Some("60"));
    let query = world.register_request_bare(phone);
    world.send_with_password(phone, query);
    assert!(contacts(&world.expect(phone, "200")).is_empty());
}

/// RFC 3261 section 10.3 step 7: the order of one Call-ID is that of its CSeq.
#[test]
fn a_registration_that_was_overtaken_changes_nothing() {
    let mut world = World::new();
    let phone = world.phone("201");
    let request = |world: &mut World, cseq| {
        let request = world.register_request(phone).call_id("one").cseq(cseq);
        world.send_with_password(phone, request);
    };
    request(&mut world, 10);
    world.expect(phone, "200");
    request(&mut world, 5);
    world.expect(phone, "500");
    request(&mut world, 20);
    world.expect(phone, "200");
}

fn answer_to(challenge: &[u8], user: &str, method: Method<'_>, uri: &str, nc: u32) -> String {
    let challenge = Challenge::parse(challenge).unwrap();
    let ha1 = Ha1::from_password(challenge.algorithm, user, &challenge.realm, PASSWORD);
    let answer = Answer {
        username: user,
        ha1: &ha1,
        method,
        uri,
        cnonce: "cnonce",
        nc,
        body: b"",
    };
    challenge.answer(&answer).unwrap()
}

/// Asks for a challenge with this algorithm.
fn challenge_of(world: &mut World, phone: EndId, algorithm: Algorithm) -> Vec<u8> {
    let request = world.register_request(phone).build().unwrap();
    world.send(phone, request);
    let answer = world.expect(phone, "401");
    let found = answer
        .headers(HeaderName::WwwAuthenticate)
        .find(|header| Challenge::parse(header.value()).unwrap().algorithm == algorithm);
    found.unwrap().value().to_vec()
}

/// RFC 8760 sections 2.2 to 2.4: each algorithm that is offered opens the door, the strongest comes first.
#[test]
fn every_algorithm_that_is_offered_is_accepted() {
    let all = [Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];
    let mut world = World::with(|_, users| {
        let user = users.iter_mut().find(|user| user.name == "201").unwrap();
        user.secrets = all
            .map(|algorithm| Ha1::from_password(algorithm, "201", "example.com", PASSWORD))
            .to_vec();
        user.challenge = Some(UserChallenge {
            websocket: all.to_vec(),
            other: all.to_vec(),
        });
    });
    let phone = world.phone("201");
    for algorithm in all {
        let challenge = challenge_of(&mut world, phone, algorithm);
        let credentials = answer_to(&challenge, "201", Method::Register, "sip:example.com", 1);
        let request = world
            .register_request(phone)
            .header(HeaderName::Authorization, credentials);
        world.send(phone, request.build().unwrap());
        world.expect(phone, "200");
    }
}

/// RFC 7616 section 3.4: counts of one nonce may overtake each other a little, and each is good once.
#[test]
fn nonce_counts_may_overtake_each_other_and_are_good_once() {
    let mut world = World::new();
    let phone = world.phone("201");
    let challenge = challenge_of(&mut world, phone, Algorithm::Md5);
    for (nc, status) in [
        (1, "200"),
        (3, "200"),
        (2, "200"),
        (2, "401"),
        (1_000, "200"),
        (3, "401"),
    ] {
        let credentials = answer_to(&challenge, "201", Method::Register, "sip:example.com", nc);
        let request = world
            .register_request(phone)
            .header(HeaderName::Authorization, credentials);
        world.send(phone, request.build().unwrap());
        let answer = world.expect(phone, status);
        if status == "401" {
            let again = answer.header(HeaderName::WwwAuthenticate).unwrap();
            assert!(Challenge::parse(again).unwrap().stale, "the password was right");
        }
    }
}

/// RFC 3261 section 22.3: of several credentials ours are used, and only ours are taken out.
#[test]
fn credentials_for_other_realms_stay_in_the_request() {
    let mut world = World::new();
    let (phone, callee) = (world.phone("201"), world.phone("202"));
    world.register(callee);
    let elsewhere = "Digest username=\"x\", realm=\"elsewhere.example\", nonce=\"n\", uri=\"sip:x\", \
                     response=\"0123456789abcdef0123456789abcdef\"";
    let message = world
        .request(phone, Method::Message, "202")
        .header(HeaderName::ProxyAuthorization, elsewhere)
        .body("text/plain", "hello");
    world.send_with_password(phone, message);
    let got = world.expect(callee, "MESSAGE");
    let left: Vec<_> = got.headers(HeaderName::ProxyAuthorization).collect();
    assert_eq!(left.len(), 1);
    assert!(String::from_utf8_lossy(left[0].value()).contains("elsewhere.example"));
}

/// RFC 3608 sections 6.3 and 6.1: the way is told, and requests that come by it are accepted.
#[test]
fn a_service_route_is_told_and_may_be_used() {
    let mut world = World::with(|config, _| config.service_route = true);
    let (phone, callee) = (world.browser("300"), world.phone("202"));
    world.register(callee);
    let request = world.register_request(phone);
    world.send_with_password(phone, request);
    let answer = world.expect(phone, "200");
    let route = answer.text(HeaderName::ServiceRoute).unwrap().to_owned();
    assert_eq!(route, "<sip:192.0.2.1:8080;transport=ws;lr>");
    let message = world
        .request(phone, Method::Message, "202")
        .route(&route)
        .body("text/plain", "hello");
    world.send_with_password(phone, message);
    let got = world.expect(callee, "MESSAGE");
    assert!(!got.has(HeaderName::Route), "ours is taken out");
}

/// RFC 3261 section 10.3 step 1: what is registered elsewhere is none of ours, and nobody's way to elsewhere.
#[test]
fn a_registration_for_another_domain_is_refused() {
    for foreign_domains in [ForeignDomains::Deny, ForeignDomains::Allow] {
        let mut world = World::with(|config, _| config.foreign_domains = foreign_domains);
        let address = "203.0.113.1:5060";
        world
            .names
            .add("bank.example", &[(Transport::Udp, address.parse().unwrap())]);
        let (phone, bank) = (world.phone("201"), world.server("bank", Transport::Udp, address));
        let request = world.register_request(phone).build().unwrap();
        let text = String::from_utf8(request.to_vec()).unwrap();
        let elsewhere = text.replace("example.com", "bank.example");
        world.send(phone, elsewhere.into_bytes());
        world.expect(phone, "403");
        world.expect_nothing(bank);
    }
}

/// RFC 3261 section 10.3 steps 6 and 7: `*` stands alone and with `Expires: 0`, and one contact that cannot be accepted keeps
/// all others out.
#[test]
fn a_registration_is_carried_out_as_a_whole_or_not_at_all() {
    let mut world = World::new();
    let phone = world.phone("201");
    world.register(phone);
    let before = contacts(&registered(&mut world, phone));
    for (values, expires, status) in [
        (&["*"][..], "300", "400"),
        (&["*", "<sip:a@10.0.0.9>"], "0", "400"),
        (&["<sip:a@10.0.0.9>", "<sip:b@10.0.0.9>;expires=5"], "300", "423"),
        (&["<sip:a@10.0.0.9>", "<mailto:a@h.example>"], "300", "400"),
        (&["<sip:a@10.0.0.9>", "\"x <sip:b@h>"], "300", "400"),
    ] {
        let mut request = world
            .register_request_bare(phone)
            .header(HeaderName::Expires, expires);
        for value in values {
            request = request.header(HeaderName::Contact, *value);
        }
        world.send_with_password(phone, request);
        world.expect(phone, status);
        assert_eq!(contacts(&registered(&mut world, phone)), before, "{values:?}");
    }
    let all = world
        .register_request_bare(phone)
        .header(HeaderName::Contact, "*")
        .header(HeaderName::Expires, "0");
    world.send_with_password(phone, all);
    assert!(contacts(&world.expect(phone, "200")).is_empty());
}

/// RFC 3261 section 10.3 step 7: a time of its own, that of the request or the usual one; never longer than the longest, and
/// what is larger than a number can be is cut.
#[test]
fn a_contact_stands_as_long_as_it_asks_for_within_bounds() {
    for (param, header, granted) in [
        ("", None, 600),
        ("", Some("120"), 120),
        (";expires=90", Some("120"), 90),
        (";expires=99999999999", None, 3_600),
        ("", Some("7200"), 3_600),
    ] {
        let mut world = World::with(|config, _| config.registrar.expires_max_s = 3_600);
        let (phone, caller) = (world.phone("201"), world.phone("202"));
        let mut request = world.register_request_with(phone, param);
        if let Some(header) = header {
            request = request.header(HeaderName::Expires, header);
        }
        world.send_with_password(phone, request);
        let told = contacts(&world.expect(phone, "200"));
        assert!(told[0].contains(&format!(";expires={granted}")), "{told:?}");
        world.pass(f64::from(granted) - 0.1);
        let message = world.request(caller, Method::Message, "201");
        world.send_with_password(caller, message);
        world.expect(phone, "MESSAGE");
        world.pass(0.1);
        let message = world.request(caller, Method::Message, "201");
        world.send_with_password(caller, message);
        world.expect(caller, "480");
    }
}

/// RFC 3261 section 10.3: a bound on contacts, at which the one that was refreshed longest ago gives way.
#[test]
fn the_device_that_was_silent_longest_gives_way_to_one_too_many() {
    let mut world = World::with(|config, _| config.limits.contacts_per_aor_max = 2);
    let phones = [0; 3].map(|_| world.phone("201"));
    world.register(phones[0]);
    world.pass(1.0);
    world.register(phones[1]);
    world.pass(1.0);
    world.register(phones[0]);
    world.pass(1.0);
    world.register(phones[2]);
    let caller = world.phone("202");
    let message = world.request(caller, Method::Message, "201");
    world.send_with_password(caller, message);
    world.expect(phones[0], "MESSAGE");
    world.expect(phones[2], "MESSAGE");
    world.expect_nothing(phones[1]);
}

/// What stands for the user of this phone.
fn registered(world: &mut World, phone: EndId) -> Message {
    let query = world.register_request_bare(phone);
    world.send_with_password(phone, query);
    world.expect(phone, "200")
}
