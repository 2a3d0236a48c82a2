//! How passwords are asked for and read (RFC 3261 section 22, RFC 7616, RFC 8760).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what is not there fails the test"
)]

use viaduct_sim::{EndId, PASSWORD, PHONE_ANSWER, PHONE_OFFER, World};
use viaduct_sip::digest::{Algorithm, Answer, Challenge, Ha1};
use viaduct_sip::{HeaderName, Message, Method};

/// The credentials of `user` for a request of this method to `uri`, answering what the proxy asked for. `strip` sees the
/// challenge before.
fn credentials(challenge: &Message, user: &str, method: Method<'_>, uri: &str, strip: &str) -> String {
    let value = challenge.text(HeaderName::ProxyAuthenticate).unwrap();
    let value = value.replace(strip, "");
    let challenge = Challenge::parse(value.as_bytes()).unwrap();
    let ha1 = Ha1::from_password(Algorithm::Md5, user, &challenge.realm, PASSWORD);
    let answer = Answer {
        username: user,
        ha1: &ha1,
        method,
        uri,
        cnonce: "0a4f",
        nc: 1,
        body: b"",
    };
    challenge.answer(&answer).unwrap()
}

/// Asks for a challenge.
fn challenge(world: &mut World, end: EndId, to: &str) -> Message {
    let message = world.request(end, Method::Message, to).build().unwrap();
    world.send(end, message);
    world.expect(end, "407")
}

/// RFC 3261 sections 8.2.7 and 22.1: a challenge to a stranger costs the proxy no memory, is sent once, and is no larger than
/// what it answers; so nobody is flooded in another's name.
#[test]
fn a_challenge_is_sent_once_and_nothing_is_kept() {
    let mut world = World::new();
    let phone = world.phone("201");
    for method in [Method::Invite, Method::Message, Method::Refer] {
        let request = world
            .request(phone, method, "202")
            .body("application/sdp", PHONE_OFFER);
        let request = request.build().unwrap();
        world.send(phone, request.clone());
        let answer = world.expect(phone, "407");
        assert!(answer.octets().len() < 3 * request.len() / 2, "{method:?}");
        assert_eq!(world.proxy().gauges(), viaduct_routing::Gauges::default());
        world.pass(40.0);
        world.expect_nothing(phone);
    }
}

/// RFC 3261 section 22.1: an ACK cannot be answered and a CANCEL cannot be sent again, so neither is asked for a password; and
/// who is in a dialog with our token has shown one.
#[test]
fn what_belongs_to_a_call_needs_no_password() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let invite = world.call(caller, "201", Some(PHONE_OFFER));
    let got = world.expect(phone, "INVITE");
    world.respond(phone, &got, 180, None);
    world.expect(caller, "180");
    world.cancel(caller, &invite);
    world.expect(caller, "200");
    world.expect(phone, "CANCEL");
    world.respond(phone, &got, 487, None);
    let refusal = world.expect(caller, "487");
    world.ack_refusal(caller, &invite, &refusal);
    world.clear(phone);
    world.register(caller);
    let (mut dialog, mut callee) = world.answered(caller, phone, PHONE_OFFER, PHONE_ANSWER);
    for method in [
        Method::Info,
        Method::Refer,
        Method::Message,
        Method::Other("FROBNICATE"),
    ] {
        world.send_in(&mut dialog, method, None);
        let got = world.expect(phone, method.as_str());
        world.respond(phone, &got, 200, None);
        world.expect(caller, "200");
        world.send_in(&mut callee, method, None);
        let got = world.expect(caller, method.as_str());
        world.respond(caller, &got, 200, None);
        world.expect(phone, "200");
    }
}

/// RFC 7616 section 3.4, RFC 3261 section 25.1: order, blanks, quotes and case are the client's, as long as it is the right
/// answer.
#[test]
fn credentials_are_read_however_they_are_written() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let spellings: [fn(String) -> String; 6] = [
        |text| text,
        |text| text.replacen("Digest ", "DIGEST   ", 1),
        |text| text.replace(", ", " ,\r\n\t "),
        |text| {
            text.replace("qop=auth", "qop=\"auth\"")
                .replace("algorithm=MD5", "algorithm=\"md5\"")
        },
        |text| {
            let (front, hex) = text.split_once("response=\"").unwrap();
            let (hex, rest) = hex.split_once('"').unwrap();
            format!("{front}response=\"{}\"{rest}", hex.to_uppercase())
        },
        |text| {
            let mut params: Vec<&str> = text.strip_prefix("Digest ").unwrap().split(", ").collect();
            params.reverse();
            format!("Digest {}", params.join(","))
        },
    ];
    for (place, spelling) in spellings.into_iter().enumerate() {
        let asked = challenge(&mut world, caller, "201");
        let written = spelling(credentials(
            &asked,
            "202",
            Method::Message,
            "sip:201@example.com",
            "\0",
        ));
        let message = world.request(caller, Method::Message, "201").build().unwrap();
        let text = String::from_utf8(message.to_vec()).unwrap();
        let line = format!("\r\nProxy-Authorization: {written}\r\nCall-ID");
        world.send(caller, text.replacen("\r\nCall-ID", &line, 1).into_bytes());
        let got = world
            .try_take(phone)
            .unwrap_or_else(|| panic!("spelling {place}: {written}"));
        assert!(!got.has(HeaderName::ProxyAuthorization), "they were for us");
        world.respond(phone, &got, 200, None);
        world.expect(caller, "200");
    }
}

/// RFC 2069, RFC 7616 section 3.4: without `qop` nothing protects from replay, so it takes a configuration that says so.
#[test]
fn credentials_without_qop_are_taken_where_that_is_configured() {
    for allowed in [false, true] {
        let mut world = World::with(|config, _| config.auth.allow_without_qop = allowed);
        let (caller, phone) = (world.phone("202"), world.phone("201"));
        world.register(phone);
        let asked = challenge(&mut world, caller, "201");
        let written = credentials(
            &asked,
            "202",
            Method::Message,
            "sip:201@example.com",
            ", qop=\"auth\"",
        );
        assert!(!written.contains("qop"), "{written}");
        let message = world.request(caller, Method::Message, "201");
        let message = message.header(HeaderName::ProxyAuthorization, written).build();
        world.send(caller, message.unwrap());
        if allowed {
            world.expect(phone, "MESSAGE");
        } else {
            world.expect(caller, "407");
            world.expect_nothing(phone);
        }
    }
}

/// RFC 7616 section 3.4.1 and RFC 3261 section 22.4: credentials are for one request line.
#[test]
fn credentials_for_another_request_are_worth_nothing() {
    for (method, uri) in [
        (Method::Invite, "sip:201@example.com"),
        (Method::Message, "sip:203@example.com"),
    ] {
        let mut world = World::new();
        let (caller, phone) = (world.phone("202"), world.phone("201"));
        world.register(phone);
        let asked = challenge(&mut world, caller, "201");
        let written = credentials(&asked, "202", method, uri, "\0");
        let message = world.request(caller, Method::Message, "201");
        let message = message.header(HeaderName::ProxyAuthorization, written).build();
        world.send(caller, message.unwrap());
        world.expect(caller, "407");
        world.expect_nothing(phone);
    }
}

/// RFC 8224 sections 4 and 5, RFC 8225: signatures are between those who made and those who check them: several, long, and
/// with what they sign.
#[test]
fn signatures_pass_with_what_they_sign() {
    let mut world = World::new();
    let (caller, phone) = (world.phone("202"), world.phone("201"));
    world.register(phone);
    let identity = |letter: &str| {
        format!(
            "{}.{}.x;info=<https://cert.example/c.pem>;alg=ES256;ppt=shaken",
            letter.repeat(1_500),
            letter.repeat(1_500)
        )
    };
    let date = "Sat, 13 Nov 2010 23:29:00 GMT";
    let request = world
        .request(caller, Method::Invite, "201")
        .header(HeaderName::Identity, identity("a"))
        .header(HeaderName::Identity, identity("b"))
        .header(HeaderName::Date, date);
    let sent = world.send_with_password(caller, request);
    let got = world.expect(phone, "INVITE");
    let identities: Vec<_> = got
        .headers(HeaderName::Identity)
        .map(|line| line.value().to_vec())
        .collect();
    assert_eq!(
        identities,
        [identity("a").into_bytes(), identity("b").into_bytes()]
    );
    for name in [HeaderName::From, HeaderName::To, HeaderName::Date] {
        assert_eq!(got.header(name), sent.header(name), "{name:?}");
    }
}
