//! STUN messages and the ICE-lite responder.

use std::net::SocketAddr;

use viaduct_stun::lite::{self, GROWTH_MAX, LiteCredentials, Outcome, RESPONSE_MAX, Rejection};
use viaduct_stun::{
    AttributeType, Class, HEADER_LEN, IntegrityKey, Message, MessageWriter, Method, RawAttribute, is_stun,
};

const UFRAG: &str = "evtj";
const PEER_UFRAG: &str = "h6vY";
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// Reads octets as a message and has them answered by an ICE-lite agent.
///
/// Laws: attributes lie inside the message and print as they were read; no answer is longer than allowed, none is given
/// to an answer, and each can be read; nothing but the password lets a check in, and no changed bit goes unnoticed.
pub fn stun(data: &[u8]) {
    let credentials = LiteCredentials::new(UFRAG, PASSWORD, Some(PEER_UFRAG));
    answered(&credentials, data);
    let Ok(message) = Message::parse(data) else { return };
    assert!(is_stun(data) && message.as_bytes() == data);
    read_everything(&message);
    prints_as_it_was_read(&message);
    signed_by_a_peer(&credentials, &message);
}

/// Has a datagram answered: whether it was let in, or `None` if there is no answer.
fn answered(credentials: &LiteCredentials, datagram: &[u8]) -> Option<Result<(), Rejection>> {
    let mut buffer = [0; RESPONSE_MAX];
    let from: SocketAddr = "203.0.113.7:50000".parse().unwrap();
    let Outcome::Response { len, result } = lite::respond(credentials, datagram, from, &mut buffer) else {
        return None;
    };
    assert!(len <= RESPONSE_MAX && len <= datagram.len() + GROWTH_MAX);
    let (asked, answer) = (
        Message::parse(datagram).unwrap(),
        Message::parse(&buffer[..len]).unwrap(),
    );
    assert_eq!(answer.transaction_id(), asked.transaction_id());
    assert_eq!(answer.verify_fingerprint(), Ok(()));
    match result {
        Ok(_) => {
            let key = IntegrityKey::short_term(PASSWORD);
            // Nobody is let in but the peer.
            assert_eq!(
                (asked.username(), asked.verify_integrity(&key)),
                (Some("evtj:h6vY"), Ok(()))
            );
            assert_eq!(
                (answer.class(), answer.verify_integrity(&key)),
                (Class::Success, Ok(()))
            );
            assert_eq!(answer.xor_mapped_address(), Ok(from));
        }
        Err(rejection) => {
            assert_eq!(answer.class(), Class::Error);
            assert_eq!(answer.error_code().map(|error| error.code), Ok(rejection.code()));
        }
    }
    // Two agents must not answer each other for ever.
    let mut again = [0; RESPONSE_MAX];
    let echo = lite::respond(credentials, answer.as_bytes(), from, &mut again);
    assert!(matches!(echo, Outcome::Drop(_)));
    Some(result.map(drop))
}

fn read_everything(message: &Message<'_>) {
    let _ = (
        message.username(),
        message.software(),
        message.priority(),
        message.use_candidate(),
    );
    let _ = (
        message.ice_controlled(),
        message.ice_controlling(),
        message.xor_mapped_address(),
    );
    let _ = (
        message.error_code(),
        message.unknown_attributes(),
        message.verify_fingerprint(),
    );
    assert!(message.not_understood().all(AttributeType::is_required));
    let octets: usize = message
        .attributes()
        .map(|attribute| 4 + attribute.value.len())
        .sum();
    assert!(HEADER_LEN + octets <= message.as_bytes().len());
}

/// A message of the same attributes reads the same.
fn prints_as_it_was_read(message: &Message<'_>) {
    let attributes: Vec<RawAttribute<'_>> = message.attributes().collect();
    let mut buffer = vec![0; message.as_bytes().len()];
    let written = written(&mut buffer, message, message.class(), &attributes, |_| true);
    let again = Message::parse(written.finish()).unwrap();
    assert_eq!(
        (again.class(), again.method()),
        (message.class(), message.method())
    );
    assert_eq!(again.transaction_id(), message.transaction_id());
    assert!(
        again
            .attributes()
            .map(as_pair)
            .eq(attributes.into_iter().map(as_pair))
    );
}

fn as_pair(attribute: RawAttribute<'_>) -> (AttributeType, &[u8]) {
    (attribute.kind, attribute.value)
}

/// The same attributes in a request that has the peer's signature: what a browser might send.
fn signed_by_a_peer(credentials: &LiteCredentials, message: &Message<'_>) {
    let is_seal = |kind| {
        [
            AttributeType::MESSAGE_INTEGRITY,
            AttributeType::MESSAGE_INTEGRITY_SHA256,
            AttributeType::FINGERPRINT,
        ]
        .contains(&kind)
    };
    let attributes: Vec<RawAttribute<'_>> = message.attributes().collect();
    let mut buffer = vec![0; message.as_bytes().len() + 32];
    let mut written = written(&mut buffer, message, Class::Request, &attributes, |kind| {
        !is_seal(kind)
    });
    let sealed =
        written.integrity(&IntegrityKey::short_term(PASSWORD)).is_ok() && written.fingerprint().is_ok();
    if !sealed || message.method() != Method::BINDING {
        return;
    }
    let mut request = written.finish().to_vec();
    match answered(credentials, &request) {
        Some(Err(Rejection::WrongIntegrity)) => panic!("the signature holds"),
        Some(Ok(()) | Err(_)) => {}
        None => panic!("a signed request is answered"),
    }
    let bit = message
        .as_bytes()
        .iter()
        .map(|octet| usize::from(*octet))
        .sum::<usize>()
        % (8 * request.len());
    request[bit / 8] ^= 1 << (bit % 8);
    assert!(answered(credentials, &request).is_none(), "bit {bit} was changed");
}

fn written<'b>(
    buffer: &'b mut [u8],
    message: &Message<'_>,
    class: Class,
    attributes: &[RawAttribute<'_>],
    is_wanted: impl Fn(AttributeType) -> bool,
) -> MessageWriter<'b> {
    let mut writer = MessageWriter::new(buffer, class, message.method(), message.transaction_id()).unwrap();
    for attribute in attributes.iter().filter(|attribute| is_wanted(attribute.kind)) {
        writer.attribute(attribute.kind, attribute.value).unwrap();
    }
    writer
}
