use proptest::prelude::*;

use super::*;
use crate::{ErrorCode, TransactionId};

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const ID: TransactionId = TransactionId([5; 12]);

fn credentials() -> LiteCredentials {
    LiteCredentials::new("evtj", PASSWORD, Some("h6vY"))
}

fn peer() -> SocketAddr {
    "192.0.2.1:32853".parse().unwrap()
}

/// A good request as a browser sends it, with a chance to add or leave out.
struct Request {
    username: Option<&'static str>,
    password: Option<&'static str>,
    extra: Vec<(u16, Vec<u8>)>,
    fingerprint: bool,
    method: Method,
    class: Class,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            username: Some("evtj:h6vY"),
            password: Some(PASSWORD),
            extra: vec![
                (0x0024, vec![0x6e, 0, 1, 255]),
                (0x802A, vec![0, 0, 0, 0, 0, 0, 0, 9]),
            ],
            fingerprint: true,
            method: Method::BINDING,
            class: Class::Request,
        }
    }
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let mut buffer = [0; 512];
        let mut message = MessageWriter::new(&mut buffer, self.class, self.method, ID).unwrap();
        if let Some(username) = self.username {
            message.username(username).unwrap();
        }
        for (kind, value) in &self.extra {
            message.attribute(AttributeType(*kind), value).unwrap();
        }
        if let Some(password) = self.password {
            message.integrity(&IntegrityKey::short_term(password)).unwrap();
        }
        if self.fingerprint {
            message.fingerprint().unwrap();
        }
        message.finish().to_vec()
    }
}

/// Answers the request, checks what every answer must fulfil, and gives the answer.
fn answer(request: &[u8]) -> (Result<Check<'_>, Rejection>, Vec<u8>) {
    let mut out = [0; RESPONSE_MAX];
    let Outcome::Response { len, result } = respond(&credentials(), request, peer(), &mut out) else {
        panic!("no answer");
    };
    assert!(len <= request.len() + GROWTH_MAX);
    let message = Message::parse(&out[..len]).unwrap();
    assert_eq!(message.transaction_id(), ID);
    assert_eq!(message.method(), Method::BINDING);
    assert_eq!(message.verify_fingerprint(), Ok(()));
    (result, out[..len].to_vec())
}

fn error_of(request: &Request) -> (Rejection, Vec<u8>) {
    let request = request.bytes();
    let (result, bytes) = answer(&request);
    let rejection = result.unwrap_err();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.class(), Class::Error);
    assert_eq!(
        message.error_code(),
        Ok(ErrorCode {
            code: rejection.code(),
            reason: rejection.reason()
        })
    );
    (rejection, bytes)
}

fn signed(bytes: &[u8]) -> bool {
    Message::parse(bytes)
        .unwrap()
        .verify_integrity(&IntegrityKey::short_term(PASSWORD))
        .is_ok()
}

fn dropped(request: &Request) -> DropReason {
    let bytes = request.bytes();
    let mut out = [0xee; RESPONSE_MAX];
    let outcome = respond(&credentials(), &bytes, peer(), &mut out);
    assert_eq!(
        out, [0xee; RESPONSE_MAX],
        "an unanswered request leaves the buffer alone"
    );
    match outcome {
        Outcome::Drop(reason) => reason,
        Outcome::Response { .. } => panic!("answered"),
    }
}

#[test]
fn a_good_check_succeeds_with_the_mapped_address() {
    let request = Request::default().bytes();
    let (result, bytes) = answer(&request);
    let expected = Check {
        remote_ufrag: "h6vY",
        priority: Some(0x6e00_01ff),
        use_candidate: false,
        peer_role: Some(PeerRole::Controlling(9)),
    };
    assert_eq!(result, Ok(expected));
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.class(), Class::Success);
    assert_eq!(message.xor_mapped_address(), Ok(peer()));
    assert!(signed(&bytes));
    assert!(bytes.len() < request.len());
}

#[test]
fn a_nomination_is_seen() {
    let mut request = Request::default();
    request.extra.push((0x0025, Vec::new()));
    assert!(answer(&request.bytes()).0.unwrap().use_candidate);
}

#[test]
fn a_consent_check_without_priority_or_role_is_answered() {
    let request = Request {
        extra: Vec::new(),
        ..Request::default()
    }
    .bytes();
    let check = answer(&request).0.unwrap();
    assert_eq!((check.priority, check.peer_role), (None, None));
}

#[test]
fn any_remote_fragment_will_do_until_it_is_known() {
    let early = LiteCredentials::new("evtj", PASSWORD, None);
    let request = Request {
        username: Some("evtj:whoever"),
        ..Request::default()
    }
    .bytes();
    let mut out = [0; RESPONSE_MAX];
    let outcome = respond(&early, &request, peer(), &mut out);
    assert!(
        matches!(outcome, Outcome::Response { result: Ok(check), .. } if check.remote_ufrag == "whoever")
    );
}

#[test]
fn missing_name_or_integrity_is_a_bad_request() {
    for request in [
        Request {
            username: None,
            ..Request::default()
        },
        Request {
            password: None,
            ..Request::default()
        },
        Request {
            username: None,
            password: None,
            extra: Vec::new(),
            ..Request::default()
        },
    ] {
        let (rejection, bytes) = error_of(&request);
        assert_eq!(rejection, Rejection::BadRequest);
        assert!(!Message::parse(&bytes).unwrap().has_integrity());
    }
}

#[test]
fn a_wrong_name_is_unauthenticated() {
    for username in ["evtj:h6vX", "evti:h6vY", "evtj", "", "h6vY:evtj"] {
        let (rejection, bytes) = error_of(&Request {
            username: Some(username),
            ..Request::default()
        });
        assert_eq!(rejection, Rejection::UnknownUsername, "{username}");
        assert!(!Message::parse(&bytes).unwrap().has_integrity());
    }
}

#[test]
fn a_wrong_password_is_unauthenticated_and_tells_nothing() {
    let mut request = Request {
        password: Some("another password altogether"),
        ..Request::default()
    };
    // Neither the role nor unknown attributes may show before the integrity holds.
    request.extra = vec![(0x8029, vec![0; 8]), (0x7777, Vec::new())];
    let (rejection, bytes) = error_of(&request);
    assert_eq!(rejection, Rejection::WrongIntegrity);
    assert!(!Message::parse(&bytes).unwrap().has_integrity());
}

#[test]
fn an_unknown_required_attribute_is_listed() {
    let mut request = Request::default();
    request
        .extra
        .extend([(0x7777, vec![1]), (0xC057, vec![0; 4]), (0x0003, vec![0; 4])]);
    let (rejection, bytes) = error_of(&request);
    assert_eq!(rejection, Rejection::UnknownAttribute);
    let listed: Vec<_> = Message::parse(&bytes).unwrap().unknown_attributes().collect();
    assert_eq!(listed, [AttributeType(0x7777), AttributeType(0x0003)]);
    assert!(signed(&bytes));
}

#[test]
fn the_list_of_unknown_attributes_is_bounded() {
    let extra = (0..40).map(|n| (0x7000 + n, Vec::new())).collect();
    let (_, bytes) = error_of(&Request {
        extra,
        ..Request::default()
    });
    assert_eq!(
        Message::parse(&bytes).unwrap().unknown_attributes().count(),
        UNKNOWN_LISTED_MAX
    );
}

#[test]
fn a_controlled_peer_is_told_to_change_roles() {
    let request = Request {
        extra: vec![(0x8029, vec![0xff; 8])],
        ..Request::default()
    };
    let (rejection, bytes) = error_of(&request);
    assert_eq!(rejection, Rejection::RoleConflict);
    assert!(signed(&bytes));
}

#[test]
fn what_is_no_ice_check_goes_unanswered() {
    assert_eq!(
        dropped(&Request {
            fingerprint: false,
            ..Request::default()
        }),
        DropReason::Fingerprint(FingerprintError::Absent)
    );
    assert_eq!(
        dropped(&Request {
            method: Method::new(3),
            ..Request::default()
        }),
        DropReason::NotBinding
    );
    for class in [Class::Indication, Class::Success, Class::Error] {
        assert_eq!(
            dropped(&Request {
                class,
                ..Request::default()
            }),
            DropReason::NotRequest(class)
        );
    }
    let mut wrong = Request::default().bytes();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    assert_eq!(
        BindingRequest::read(&wrong).unwrap_err(),
        DropReason::Fingerprint(FingerprintError::Mismatch)
    );
    assert_eq!(
        BindingRequest::read(&wrong[..7]).unwrap_err(),
        DropReason::Malformed(ParseError::NotStun)
    );
}

#[test]
fn the_asked_fragment_is_known_before_authentication() {
    let request = Request {
        password: Some("whatever"),
        ..Request::default()
    }
    .bytes();
    assert_eq!(
        BindingRequest::read(&request).unwrap().local_ufrag(),
        Some("evtj")
    );
    let request = Request {
        username: Some("no colon"),
        ..Request::default()
    }
    .bytes();
    assert_eq!(BindingRequest::read(&request).unwrap().local_ufrag(), None);
}

proptest! {
    /// The bound holds for the smallest requests of every kind, with the longest address and the shortest names.
    #[test]
    fn no_answer_outgrows_its_request(
        local in "[a-z]{0,4}",
        named in proptest::option::of("[a-z]{0,4}:[a-z]{0,2}"),
        ours: bool,
        signed: bool,
        right_password: bool,
        unknown in 0_u16..20,
        controlled: bool,
        v6: bool,
    ) {
        let credentials = LiteCredentials::new(&local, PASSWORD, None);
        let mut buffer = [0; 512];
        let mut message = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
        if ours {
            message.username(&format!("{local}:")).unwrap();
        } else if let Some(name) = &named {
            message.username(name).unwrap();
        }
        for kind in 0..unknown {
            message.attribute(AttributeType(0x7000 + kind), &[]).unwrap();
        }
        if controlled {
            message.ice_controlled(1).unwrap();
        }
        if signed {
            let password = if right_password { PASSWORD } else { "wrong" };
            message.integrity(&IntegrityKey::short_term(password)).unwrap();
        }
        message.fingerprint().unwrap();
        let request = message.finish();
        let from = if v6 { "[2001:db8::1]:9".parse().unwrap() } else { peer() };
        let mut out = [0; RESPONSE_MAX];
        match respond(&credentials, request, from, &mut out) {
            Outcome::Response { len, .. } => prop_assert!(len <= request.len() + GROWTH_MAX),
            Outcome::Drop(reason) => prop_assert!(false, "dropped: {}", reason),
        }
    }

    #[test]
    fn mutated_requests_never_panic(
        mutations in proptest::collection::vec((0_usize..100, any::<u8>()), 0..5),
    ) {
        let mut request = Request::default().bytes();
        for (at, octet) in mutations {
            let at = at % request.len();
            request[at] = octet;
        }
        let mut out = [0; RESPONSE_MAX];
        let _ = respond(&credentials(), &request, peer(), &mut out);
    }
}
