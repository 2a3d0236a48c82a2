//! Whoever forges the source of a datagram makes us answer somebody else: what we say must not be much more than what we
//! were told, must be said once, and to nobody but the source (RFC 3261 section 26.1.5).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use std::collections::BTreeSet;

use viaduct_sim::{EndId, World};
use viaduct_sip::digest::Algorithm;
use viaduct_sip::{HeaderName, Message, Method};

/// Octets of an answer for each octet of the shortest request that we read, at most. A challenge is longer than a request
/// that says nothing but what it must.
const AMPLIFICATION_MAX: usize = 4;

/// The same for requests as phones write them, which have a Contact, a Max-Forwards and names of some length.
const ORDINARY_MAX: usize = 2;

/// Longer than anything is repeated (RFC 3261 section 17.2).
const LONG: f64 = 100.0;

const METHODS: [&str; 15] = [
    "OPTIONS",
    "REGISTER",
    "INVITE",
    "MESSAGE",
    "SUBSCRIBE",
    "PUBLISH",
    "NOTIFY",
    "REFER",
    "INFO",
    "UPDATE",
    "PRACK",
    "BYE",
    "CANCEL",
    "ACK",
    "UNKNOWN",
];

/// Us, somebody who is registered, somebody who is not, nobody, somebody elsewhere, a number, and what we do not understand.
const TARGETS: [&str; 7] = [
    "sip:example.com",
    "sip:202@example.com",
    "sip:209@example.com",
    "sip:x@example.com",
    "sip:a@b",
    "tel:1",
    "x:y",
];

/// Headers that lead to every other kind of answer: 483, 420, 400, 403, 481, 415 and more.
const ODDITIES: [&str; 14] = [
    "Max-Forwards:0\r\n",
    "Max-Forwards:x\r\n",
    "Require:x\r\n",
    "Proxy-Require:x\r\n",
    "Route:<sip:a;lr>\r\n",
    "t:<sip:a@b>;tag=1\r\n",
    "CSeq:2 INVITE\r\n",
    "l:9\r\n",
    "e:x\r\n",
    "c:x\r\n",
    "m:*\r\n",
    "v:x\r\n",
    "v:SIP/2.0/UDP 10.0.0.9;maddr=10.0.0.9\r\n",
    "Authorization:Digest\r\n",
];

/// As short as a request can be that we read (RFC 3261 section 7.3.3 for the names of headers).
fn shortest(method: &str, uri: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bK1\r\nf:<sip:a@b>;tag=1\r\nt:<sip:1@example.com>\r\ni:1\r\nCSeq:1 \
         {method}\r\n{more}\r\n"
    )
}

/// A proxy with a registered phone, and a stranger whose address anybody may have forged. Whatever goes to anybody else
/// shows with the bystander.
struct Scene {
    world: World,
    stranger: EndId,
    bystander: EndId,
}

impl Scene {
    fn of(mut world: World) -> Self {
        let (stranger, bystander) = (world.phone("nobody"), world.phone("202"));
        world.register(bystander);
        Self {
            world,
            stranger,
            bystander,
        }
    }

    /// Sends a datagram from the stranger. All that comes back may have at most so many octets for each of his, and nothing
    /// may go to anybody else.
    fn expect_no_more(&mut self, datagram: &[u8], factor: usize) -> Vec<Message> {
        self.world.send(self.stranger, datagram.to_vec());
        self.world.pass(LONG);
        let answers: Vec<Message> = std::iter::from_fn(|| self.world.try_take(self.stranger)).collect();
        let said: usize = answers.iter().map(|answer| answer.octets().len()).sum();
        assert!(
            said <= factor * datagram.len(),
            "{} octets are answered with {said}:\n{}\n{answers:?}",
            datagram.len(),
            String::from_utf8_lossy(datagram),
        );
        self.world.expect_nothing(self.bystander);
        answers
    }

    /// The same where nothing is kept: one answer may come at most.
    fn expect_one_at_most(&mut self, datagram: &[u8], factor: usize) -> Option<u16> {
        let answers = self.expect_no_more(datagram, factor);
        assert!(answers.len() <= 1, "{answers:?}");
        answers.first().map(|answer| answer.status().unwrap().get())
    }
}

#[test]
fn the_shortest_request_of_a_stranger_is_answered_once_and_in_few_octets() {
    let mut scene = Scene::of(World::new());
    let mut statuses = BTreeSet::new();
    for method in METHODS {
        let plain = TARGETS.map(|uri| shortest(method, uri, ""));
        let odd = ODDITIES.map(|oddity| shortest(method, TARGETS[1], oddity));
        let odd_to_us = ODDITIES.map(|oddity| shortest(method, TARGETS[0], oddity));
        for datagram in plain.iter().chain(&odd).chain(&odd_to_us) {
            statuses.extend(scene.expect_one_at_most(datagram.as_bytes(), AMPLIFICATION_MAX));
        }
    }
    for expected in [200, 400, 401, 403, 407, 416, 420, 481, 483] {
        assert!(statuses.contains(&expected), "no {expected} in {statuses:?}");
    }
    scene.world.expect_clean();
}

#[test]
fn a_challenge_with_every_algorithm_is_not_much_more_than_what_phones_send() {
    let world = World::with(|config, _| {
        config.auth.other = vec![Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];
    });
    let mut scene = Scene::of(world);
    for method in [Method::Options, Method::Register, Method::Invite, Method::Message] {
        let request = scene.world.request(scene.stranger, method, "202");
        let request = request
            .header(HeaderName::UserAgent, "Example Phone 1.0")
            .header(HeaderName::Contact, "<sip:nobody@10.0.0.1:5001>")
            .body("text/plain", "Are you there?")
            .build()
            .unwrap();
        let status = scene.expect_one_at_most(&request, ORDINARY_MAX);
        assert!(matches!(status, Some(401 | 407)), "{status:?}");
    }
    scene.world.expect_clean();
}

/// A nonce shows where somebody was when he asked for it, not where he is.
#[test]
fn a_wrong_password_with_a_nonce_that_somebody_else_got_is_refused_once() {
    for world in [World::new(), World::with_source(|_| ())] {
        let mut scene = Scene::of(world);
        let guesser = scene.world.phone("nobody");
        for method in ["INVITE", "REGISTER", "MESSAGE"] {
            scene
                .world
                .send(guesser, shortest(method, "sip:202@example.com", ""));
            let challenge = scene.world.try_take(guesser);
            let text = challenge.map(|message| String::from_utf8(message.octets().to_vec()).unwrap());
            let nonce = text.as_deref().and_then(|text| text.split('"').nth(3)).unwrap();
            let name = if method == "REGISTER" { "" } else { "Proxy-" };
            for user in ["201", "nobody"] {
                let credentials = format!(
                    "{name}Authorization:Digest username=\"{user}\",realm=\"example.com\",nonce=\"{nonce}\",uri=\"sip:x\",\
                     response=\"00000000000000000000000000000000\",algorithm=MD5,qop=auth,nc=00000001,cnonce=\"x\"\r\n"
                );
                let forged = shortest(method, "sip:202@example.com", &credentials);
                let answers = scene.expect_no_more(forged.as_bytes(), ORDINARY_MAX);
                let statuses: Vec<u16> = answers.iter().map(|one| one.status().unwrap().get()).collect();
                // An INVITE that waits for the source of users is in a transaction, which says so once (RFC 3261 section
                // 17.2.1); the refusal is not repeated.
                assert!(
                    matches!(*statuses, [401 | 403 | 407] | [100, 403 | 407]),
                    "{method}: {statuses:?}"
                );
            }
        }
        scene.world.expect_clean();
    }
}

/// What is no request is answered if it can be, and never passed on.
#[test]
fn what_is_no_request_is_answered_once_or_not_at_all() {
    let mut scene = Scene::of(World::new());
    let request = shortest("INVITE", "sip:202@example.com", "");
    let answer = request.replacen("INVITE sip:202@example.com SIP/2.0", "SIP/2.0 200 OK", 1);
    let through_us = answer.replacen(
        "v:",
        "v:SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nv:SIP/2.0/UDP 10.0.0.2:5002;branch=z9hG4bKy\r\nv:",
        1,
    );
    let silence = [
        "x",
        "\0",
        "\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "INVITE\r\n\r\n",
        &answer,
        &through_us,
        &request.replace("\r\nv:", "\r\nx:"),
    ];
    for datagram in silence {
        let said = scene.expect_one_at_most(datagram.as_bytes(), AMPLIFICATION_MAX);
        assert_eq!(said, None, "{datagram}");
    }
    let vias = |count| "v:SIP/2.0/UDP a;branch=z9hG4bK1\r\n".repeat(count);
    let faults = [
        request.replace("SIP/2.0\r\n", "SIP/3.0\r\n"),
        request.replace("CSeq:1 INVITE", "CSeq:x"),
        request.replace("\r\nv:", &format!("\r\n{}v:", vias(99))),
        request.replace("\r\nv:", &format!("\r\n{}v:", vias(101))),
        request.replace("i:1\r\n", &format!("i:1\r\n{}", "x:y\r\n".repeat(1_000))),
        request.replace("i:1", &format!("i:{}", "1".repeat(20_000))),
        request.replace("i:1\r\n", "i:1\r\nno header\r\n"),
        // Cut off anywhere.
        request[..request.len() - 10].to_owned(),
        request[..60].to_owned(),
    ];
    for datagram in faults {
        scene.expect_one_at_most(datagram.as_bytes(), AMPLIFICATION_MAX);
    }
    scene.world.expect_clean();
}

/// Nothing says that somebody is here to programs that look for phones and passwords.
#[test]
fn scanners_that_say_who_they_are_get_no_answer() {
    let mut scene = Scene::of(World::new());
    for method in METHODS {
        let scan = shortest(
            method,
            "sip:202@example.com",
            "User-Agent: x/Friendly-Scanner 1.0\r\n",
        );
        assert_eq!(scene.expect_one_at_most(scan.as_bytes(), AMPLIFICATION_MAX), None);
    }
    let (counters, _) = scene.world.proxy().counters();
    assert_eq!(counters.requests_of_scanners, METHODS.len() as u64);
    for other in ["User-Agent: friendly\r\n", "User-Agent:\r\n", ""] {
        let asked = shortest("OPTIONS", "sip:example.com", other);
        let status = scene.expect_one_at_most(asked.as_bytes(), AMPLIFICATION_MAX);
        assert_eq!(status, Some(200), "{other}");
    }
    scene.world.expect_clean();
}
