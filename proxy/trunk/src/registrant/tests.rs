use viaduct_sip::digest::Credentials;

use super::*;
use crate::Account;
use crate::test::{base, parse};

/// Where the trunk is.
const AT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

fn registrant(now: Instant) -> Registrant {
    let mut trunk = Trunk::new("acme", "carrier.example");
    trunk.account = Some(Account::new("4930123", "secret"));
    trunk.register = Some(Duration::from_secs(600));
    Registrant::new(Arc::new(trunk), now, "ours-", [1; 32])
}

/// The request that goes out at the next time for one.
fn next(registrant: &mut Registrant) -> RegisterRequest {
    if let Some(at) = registrant.poll_timeout() {
        registrant.handle_timeout(at);
    }
    match registrant.poll_output() {
        Some(RegistrantOutput::Send(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn answer(status: u16, headers: &str) -> Message {
    parse(
        format!(
            "SIP/2.0 {status} Why\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 REGISTER\r\n{headers}Content-Length: 0\r\n\r\n"
        )
        .as_bytes(),
    )
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"carrier.example\", nonce=\"n\", qop=\"auth\"\r\n";

#[test]
fn a_challenge_is_answered_and_the_registration_refreshed_in_time() {
    let now = base();
    let mut registrant = registrant(now);
    let first = next(&mut registrant);
    assert_eq!((first.cseq, first.expires_s), (1, 600));
    assert!(first.call_id.starts_with("ours-"));
    registrant.handle_answer(now, &answer(100, ""), AT);
    registrant.handle_answer(now, &answer(401, CHALLENGE), AT);
    let second = next(&mut registrant);
    assert_eq!((second.cseq, &second.call_id), (2, &first.call_id));
    let [(HeaderName::Authorization, value)] = second.credentials.as_slice() else {
        panic!("{second:?}");
    };
    let credentials = Credentials::parse(value.as_bytes()).unwrap();
    assert_eq!(
        (&*credentials.username, &*credentials.uri),
        ("4930123", "sip:carrier.example")
    );
    let contacts =
        "Contact: <sip:other@h>;expires=9, <sip:acme@192.0.2.1:5060>;expires=100\r\nExpires: 50\r\n";
    registrant.handle_answer(now, &answer(200, contacts), AT);
    let until = now + Duration::from_secs(100);
    assert_eq!(
        registrant.poll_output(),
        Some(RegistrantOutput::Registered { until, at: AT })
    );
    assert_eq!(
        registrant.poll_timeout(),
        Some(now + Duration::from_secs(80)),
        "at 80 %"
    );
    assert_eq!(next(&mut registrant).cseq, 3);
}

#[test]
fn the_request_can_be_sent_as_it_is() {
    let mut registrant = registrant(base());
    let request = next(&mut registrant);
    let builder = request.builder(&registrant.trunk, "192.0.2.1:5060", "udp");
    let message = parse(&builder.via("SIP/2.0/UDP h;branch=z9hG4bK1").build().unwrap());
    assert_eq!(message.request_uri_text(), Some("sip:carrier.example"));
    assert_eq!(
        message.text(HeaderName::To),
        Some("<sip:4930123@carrier.example>")
    );
    let contact = message.text(HeaderName::Contact);
    assert_eq!(contact, Some("<sip:acme@192.0.2.1:5060;transport=udp>"));
    assert_eq!(message.expires(), Some(600));
}

/// RFC 3261 section 10.2.8.
#[test]
fn a_time_that_is_too_brief_is_raised_once() {
    let now = base();
    let mut registrant = registrant(now);
    next(&mut registrant);
    registrant.handle_answer(now, &answer(423, "Min-Expires: 900\r\n"), AT);
    assert_eq!(next(&mut registrant).expires_s, 900);
    registrant.handle_answer(now, &answer(401, CHALLENGE), AT);
    assert_eq!(next(&mut registrant).expires_s, 900, "also with credentials");
    registrant.handle_answer(now, &answer(423, "Min-Expires: 1000\r\n"), AT);
    assert!(matches!(
        registrant.poll_output(),
        Some(RegistrantOutput::Failed { .. })
    ));
    next(&mut registrant);
    registrant.handle_answer(now, &answer(423, "Min-Expires: 1\r\n"), AT);
    assert!(matches!(
        registrant.poll_output(),
        Some(RegistrantOutput::Failed { .. })
    ));
}

#[test]
fn failures_make_pauses_that_grow() {
    let now = base();
    let mut registrant = registrant(now);
    let mut at = now;
    for pause in [30, 60, 120, 240, 480, 960, 1_800, 1_800] {
        next(&mut registrant);
        registrant.handle_no_answer(at);
        let again = at + Duration::from_secs(pause);
        let reason = "no answer".to_owned();
        assert_eq!(
            registrant.poll_output(),
            Some(RegistrantOutput::Failed { reason, again })
        );
        at = again;
    }
    next(&mut registrant);
    registrant.handle_answer(at, &answer(503, "Retry-After: 7\r\n"), AT);
    let again = at + Duration::from_secs(7);
    let reason = "503 Why".to_owned();
    assert_eq!(
        registrant.poll_output(),
        Some(RegistrantOutput::Failed { reason, again })
    );
}

#[test]
fn a_refused_password_is_not_tried_again_soon() {
    let now = base();
    let mut registrant = registrant(now);
    next(&mut registrant);
    registrant.handle_answer(now, &answer(401, CHALLENGE), AT);
    next(&mut registrant);
    registrant.handle_answer(now, &answer(401, CHALLENGE), AT);
    let Some(RegistrantOutput::Failed { reason, again }) = registrant.poll_output() else {
        panic!("no failure");
    };
    assert!(
        reason.contains("credentials") && again == now + PAUSE_REFUSED,
        "{reason}"
    );
    registrant.handle_answer(now, &answer(200, ""), AT);
    assert_eq!(registrant.poll_output(), None, "an answer to nothing");
}

#[test]
fn a_trunk_that_grants_nothing_has_not_registered_us() {
    let now = base();
    let mut registrant = registrant(now);
    next(&mut registrant);
    registrant.handle_answer(now, &answer(200, "Expires: 0\r\n"), AT);
    assert!(matches!(
        registrant.poll_output(),
        Some(RegistrantOutput::Failed { .. })
    ));
}

/// A registrant that the trunk keeps for 100 s.
fn registered(now: Instant) -> Registrant {
    let mut registrant = registrant(now);
    next(&mut registrant);
    registrant.handle_answer(now, &answer(200, "Expires: 100\r\n"), AT);
    assert!(matches!(
        registrant.poll_output(),
        Some(RegistrantOutput::Registered { .. })
    ));
    registrant
}

/// RFC 3261 section 10.2.2.
#[test]
fn a_registration_is_ended_with_a_password_if_one_is_asked_for() {
    let now = base();
    let mut registrant = registered(now);
    registrant.end(now);
    let Some(RegistrantOutput::Send(last)) = registrant.poll_output() else {
        panic!("nothing is sent");
    };
    assert_eq!((last.cseq, last.expires_s), (2, 0));
    registrant.handle_answer(now, &answer(401, CHALLENGE), AT);
    let Some(RegistrantOutput::Send(proven)) = registrant.poll_output() else {
        panic!("nothing is proven");
    };
    assert_eq!((proven.expires_s, proven.credentials.len()), (0, 1));
    assert!(registrant.is_ending());
    registrant.handle_answer(now, &answer(200, ""), AT);
    assert_eq!(
        registrant.poll_output(),
        Some(RegistrantOutput::Ended { is_sure: true })
    );
    assert!(!registrant.is_ending());
    assert_eq!(registrant.poll_timeout(), None, "there is no other one");
}

#[test]
fn a_trunk_that_does_not_end_a_registration_is_not_waited_for() {
    let now = base();
    let mut silent = registered(now);
    silent.end(now);
    silent.poll_output();
    assert_eq!(silent.poll_timeout(), Some(now + Duration::from_secs(2)));
    silent.handle_timeout(now + Duration::from_secs(1));
    assert_eq!(silent.poll_output(), None);
    silent.handle_timeout(now + Duration::from_secs(2));
    assert_eq!(
        silent.poll_output(),
        Some(RegistrantOutput::Ended { is_sure: false })
    );
    let mut refusing = registered(now);
    refusing.end(now);
    refusing.poll_output();
    refusing.handle_answer(now, &answer(503, ""), AT);
    assert_eq!(
        refusing.poll_output(),
        Some(RegistrantOutput::Ended { is_sure: false })
    );
}

#[test]
fn a_registration_that_is_under_way_is_ended_when_it_is_there() {
    let now = base();
    let mut registrant = registrant(now);
    assert_eq!(next(&mut registrant).expires_s, 600);
    registrant.end(now);
    assert_eq!(registrant.poll_output(), None);
    registrant.handle_answer(now, &answer(200, "Expires: 600\r\n"), AT);
    assert_eq!(next(&mut registrant).expires_s, 0);
}

#[test]
fn what_is_not_registered_need_not_be_ended() {
    let now = base();
    let mut never = registrant(now);
    never.end(now);
    assert_eq!(
        never.poll_output(),
        Some(RegistrantOutput::Ended { is_sure: true })
    );
    // It ran out while the trunk did not answer any more.
    let mut lapsed = registered(now);
    next(&mut lapsed);
    let later = now + Duration::from_secs(101);
    lapsed.handle_no_answer(later);
    lapsed.poll_output();
    lapsed.end(later);
    assert_eq!(
        lapsed.poll_output(),
        Some(RegistrantOutput::Ended { is_sure: true })
    );
}

#[test]
fn a_registration_is_left_where_that_is_configured() {
    let now = base();
    let mut registrant = registered(now);
    Arc::make_mut(&mut registrant.trunk).unregister = None;
    registrant.end(now);
    assert_eq!(registrant.poll_output(), None);
    assert!(!registrant.is_ending());
    assert_eq!(registrant.poll_timeout(), None);
}
