//! REGISTER over every transport: who may, what it does, and how it is shown.

use serde_json::Value;
use viaduct_sip::digest::{Algorithm, Challenge};
use viaduct_sip::{HeaderName, Message, Method, Transport};

use crate::support::gateway::{Gateway, Setup};
use crate::support::own_address;
use crate::support::phone::{Phone, contact_of, expect_status};

/// The transports that phones use.
const TRANSPORTS: [Transport; 5] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
];

fn is_browsers(transport: Transport) -> bool {
    matches!(transport, Transport::Ws | Transport::Wss)
}

/// The algorithms of the challenges in an answer, in their order.
fn algorithms(answer: &Message) -> Vec<Algorithm> {
    let challenges = answer.headers(HeaderName::WwwAuthenticate);
    challenges
        .map(|header| {
            let challenge = Challenge::parse(header.value()).unwrap();
            assert!(
                challenge.auth && !challenge.auth_int && !challenge.session,
                "{challenge}"
            );
            assert_eq!(challenge.realm, "viaduct.test");
            challenge.algorithm
        })
        .collect()
}

/// The contacts in an answer to REGISTER, with the seconds they have left.
fn contacts(answer: &Message) -> Vec<(String, u32)> {
    let contacts = answer.addrs(HeaderName::Contact).map(Result::unwrap);
    contacts
        .map(|contact| {
            (
                contact.uri().unwrap().as_str().to_owned(),
                contact.expires().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_password_is_asked_for_in_the_way_that_the_transport_needs() {
    let gateway = Gateway::start();
    for transport in TRANSPORTS {
        let mut phone = Phone::over(transport, &gateway, "201");
        let draft = phone.registration();
        let sent = phone.send(&draft);
        let challenge = phone.final_answer(&sent);
        expect_status(&challenge, 401);
        // Browsers read the last and know MD5 only; many phones read the first and know MD5 only.
        let expected: &[Algorithm] = if is_browsers(transport) {
            &[Algorithm::Sha256, Algorithm::Md5]
        } else {
            &[Algorithm::Md5]
        };
        assert_eq!(algorithms(&challenge), expected, "{transport}");
        for &algorithm in expected {
            phone.algorithm = algorithm;
            let answer = phone.register();
            assert_eq!(contacts(&answer), [(phone.contact.clone(), 600)], "{transport}");
            assert!(answer.has(HeaderName::Date));
        }
        phone.register_for(0);
    }
    gateway.finish();
}

#[test]
fn registrations_are_shown_with_how_they_came() {
    let gateway = Gateway::start();
    let users = ["201", "202", "203", "300", "301"];
    let mut phones: Vec<Phone> = TRANSPORTS
        .into_iter()
        .zip(users)
        .map(|(transport, user)| Phone::over(transport, &gateway, user))
        .collect();
    for phone in &mut phones {
        phone.register();
        let shown = gateway.registrations(phone.user);
        let [shown] = &shown[..] else { panic!("{shown:?}") };
        let flags: &[&str] = if is_browsers(phone.transport) {
            &["DST_WS"]
        } else {
            &[]
        };
        assert_eq!(shown["contact"], *phone.contact);
        assert_eq!(shown["transport"], phone.transport.to_string());
        assert_eq!(shown["address"], phone.wire.local().to_string());
        assert_eq!(shown["flags"], Value::from(flags), "{shown}");
        assert_eq!(shown["user_agent"], "test phone");
        let expires = shown["expires_s"].as_u64().unwrap();
        assert!((500..=600).contains(&expires), "{shown}");
    }
    assert_eq!(gateway.ask("status")["registrations"], 5);
    let table = gateway.command(&["registrations"]).out;
    for phone in &phones {
        let line = table
            .lines()
            .find(|line| line.contains(&format!("{}@", phone.user)))
            .unwrap();
        assert!(line.contains(&phone.transport.to_string()), "{line}");
        assert_eq!(line.contains("DST_WS"), is_browsers(phone.transport), "{line}");
    }
    drop(phones);
    gateway.expect_clean();
    // Who was reached over a connection is gone with it; who is reached by datagrams stays.
    let left = gateway.ask("registrations");
    let left: Vec<&Value> = left.as_array().unwrap().iter().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["transport"], "UDP");
    gateway.finish();
}

#[test]
fn a_wrong_password_is_asked_for_again_and_another_users_address_is_refused() {
    let gateway = Gateway::start();
    for transport in TRANSPORTS {
        let mut phone = Phone::over(transport, &gateway, "201");
        phone.password = "guess";
        let contact = format!("<{}>", phone.contact);
        let draft = phone.registration().header(HeaderName::Contact, &contact);
        let answer = phone.ask(draft);
        expect_status(&answer, 401);
        let challenge = answer.header(HeaderName::WwwAuthenticate).unwrap();
        assert!(
            !Challenge::parse(challenge).unwrap().stale,
            "the password is wrong, not the nonce"
        );
        // Nobody learns which users there are.
        let mut stranger = Phone::over(transport, &gateway, "999");
        let draft = stranger.registration();
        expect_status(&stranger.ask(draft), 401);
        // The password is right, and the address is somebody else's.
        let mut thief = Phone::over(transport, &gateway, "202");
        let contact = format!("<{}>", thief.contact);
        let draft = thief
            .registration()
            .to("201")
            .header(HeaderName::Contact, &contact);
        expect_status(&thief.ask(draft), 403);
        assert_eq!(gateway.registrations("201"), [] as [Value; 0]);
    }
    gateway.finish();
}

#[test]
fn who_guesses_passwords_has_to_wait() {
    let gateway = Gateway::with_limits("register_attempts: 3/1m, register_pause: 1m");
    let mut phone = Phone::tcp(&gateway, "201");
    phone.password = "guess";
    for _ in 0..3 {
        let draft = phone.registration();
        expect_status(&phone.ask(draft), 401);
    }
    // Not even the right one is looked at.
    phone.password = crate::support::program::PASSWORD;
    let draft = phone.registration();
    let answer = phone.ask(draft);
    expect_status(&answer, 503);
    assert!(answer.has(HeaderName::RetryAfter));
    gateway.expect_figure("viaduct_auth_failures_total", 3);
    gateway.expect_figure("viaduct_auth_paused_total", 1);
    // Somebody else, and the same user from elsewhere, are not held up.
    Phone::tcp(&gateway, "202").register();
    Phone::between(Transport::Tcp, &gateway, own_address(), "201").register();
    drop(phone);
    gateway.finish();
}

#[test]
fn a_proof_is_worth_something_once() {
    let gateway = Gateway::start();
    let mut phone = Phone::tcp(&gateway, "201");
    let draft = phone.registration();
    let sent = phone.send(&draft);
    let challenge = phone.final_answer(&sent);
    let proven = phone.prove(draft, &challenge);
    let sent = phone.send(&proven);
    expect_status(&phone.final_answer(&sent), 200);
    // The same again, as whoever overheard it would send it.
    let sent = phone.send(&proven);
    let answer = phone.final_answer(&sent);
    expect_status(&answer, 401);
    let challenge = answer.header(HeaderName::WwwAuthenticate).unwrap();
    assert!(Challenge::parse(challenge).unwrap().stale);
    drop(phone);
    gateway.finish();
}

#[test]
fn contacts_come_are_refreshed_and_go() {
    let gateway = Gateway::start();
    for transport in TRANSPORTS {
        let mut phone = Phone::over(transport, &gateway, "201");
        let other = phone.contact.replacen("sip:", "sip:other-", 1);
        let both = format!("<{}>;expires=60;q=0.5, <{other}>;expires=120", phone.contact);
        let register = |phone: &mut Phone, headers: &[(HeaderName, &str)]| {
            let draft = phone.registration();
            let draft = headers
                .iter()
                .fold(draft, |draft, (name, value)| draft.header(*name, value));
            phone.ask(draft)
        };
        let sorted = |answer: &Message| {
            let mut contacts = contacts(answer);
            contacts.sort_by_key(|(_, seconds)| *seconds);
            contacts
        };
        // Two at once.
        let answer = register(&mut phone, &[(HeaderName::Contact, &both)]);
        expect_status(&answer, 200);
        let (first, second) = (phone.contact.clone(), other.clone());
        assert_eq!(
            sorted(&answer),
            [(first.clone(), 60), (second.clone(), 120)],
            "{transport}"
        );
        assert_eq!(gateway.registrations("201").len(), 2);
        // One is refreshed; Expires counts for who says nothing himself.
        let one = format!("<{first}>");
        let refresh = [(HeaderName::Contact, &*one), (HeaderName::Expires, "300")];
        let answer = register(&mut phone, &refresh);
        assert_eq!(sorted(&answer).last(), Some(&(first.clone(), 300)));
        assert_eq!(contacts(&answer).len(), 2);
        // Who asks is told.
        assert_eq!(contacts(&register(&mut phone, &[])).len(), 2);
        // Too short is too short; nothing changes.
        let brief = [(HeaderName::Contact, &*one), (HeaderName::Expires, "9")];
        let answer = register(&mut phone, &brief);
        expect_status(&answer, 423);
        assert_eq!(answer.text(HeaderName::MinExpires), Some("10"));
        // Too long is cut.
        let long = [(HeaderName::Contact, &*one), (HeaderName::Expires, "999999")];
        assert_eq!(
            sorted(&register(&mut phone, &long)).last(),
            Some(&(first.clone(), 3_600))
        );
        // One goes by itself, all go together; the star goes with nothing else.
        let gone = format!("<{second}>;expires=0");
        let answer = register(&mut phone, &[(HeaderName::Contact, &gone)]);
        assert_eq!(contacts(&answer), [(first.clone(), 3_600)]);
        expect_status(&register(&mut phone, &[(HeaderName::Contact, "*")]), 400);
        let all = [(HeaderName::Contact, "*"), (HeaderName::Expires, "0")];
        let answer = register(&mut phone, &all);
        expect_status(&answer, 200);
        assert_eq!(contacts(&answer), []);
        assert_eq!(gateway.registrations("201"), [] as [Value; 0]);
    }
    gateway.finish();
}

#[test]
fn a_user_has_the_devices_and_transports_that_are_allowed() {
    let gateway = Setup {
        user_204: "devices: 2, transports: [tcp, ws], challenge: { ws: [SHA-256], other: [SHA-256] }",
        ..Setup::default()
    }
    .start();
    let mut forbidden = Phone::udp(&gateway, "204");
    forbidden.algorithm = Algorithm::Sha256;
    let draft = forbidden.registration();
    expect_status(&forbidden.ask(draft), 403);
    let mut phones: Vec<Phone> = (0..3).map(|_| Phone::tcp(&gateway, "204")).collect();
    for phone in &mut phones {
        phone.algorithm = Algorithm::Sha256;
        phone.register();
    }
    // The newest are those that matter.
    let shown = gateway.registrations("204");
    let has = |phone: &Phone| shown.iter().any(|one| one["contact"] == *phone.contact);
    assert_eq!(shown.len(), 2);
    assert!(
        !has(&phones[0]) && has(&phones[1]) && has(&phones[2]),
        "{shown:?}"
    );
    drop(phones);
    gateway.finish();
}

/// RFC 7118 section 5.2: the name in a browser's Contact leads nowhere, its connection does.
#[test]
fn a_browser_is_reached_over_its_connection_by_the_contact_it_gave() {
    let gateway = Gateway::start();
    for transport in [Transport::Ws, Transport::Wss] {
        let (mut browser, mut caller) = (
            Phone::over(transport, &gateway, "300"),
            Phone::udp(&gateway, "201"),
        );
        browser.register();
        assert!(browser.contact.contains(".invalid;transport=ws"));
        let offer = crate::support::media::Media::at(caller.wire.local().ip()).sdp();
        let sent = caller.begin(caller.invitation("300", &offer));
        let invite = browser.request(Method::Invite);
        assert_eq!(invite.request_uri_text(), Some(&*browser.contact));
        assert_eq!(contact_of(&invite), caller.contact);
        // What the phone has offered, as a browser reads it.
        let sdp = str::from_utf8(invite.body()).unwrap();
        for needed in [
            "UDP/TLS/RTP/SAVPF",
            "a=fingerprint:sha-256 ",
            "a=ice-ufrag:",
            "a=rtcp-mux",
        ] {
            assert!(sdp.contains(needed), "no {needed} in\n{sdp}");
        }
        browser.respond(&invite, 486);
        expect_status(&caller.final_answer(&sent), 486);
        browser.request(Method::Ack);
    }
    gateway.finish();
}
