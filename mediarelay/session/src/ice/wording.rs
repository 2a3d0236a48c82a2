//! STUN messages as rtpengine words them, for those who look for that in them: SOFTWARE first, then the rest in its order.

use viaduct_stun::{AttributeType, Class, IntegrityKey, Message, MessageWriter};

/// A name that rules for rtpengine's messages know.
const SOFTWARE: &str = "rtpengine (viaduct)";

/// Octets that SOFTWARE takes at most, and then some.
const ROOM: usize = 64;

/// Type preference of peer-reflexive candidates (RFC 8445 section 5.1.2.2).
const TYPE_PEER_REFLEXIVE: u32 = 110;

const ORDER: [AttributeType; 8] = [
    AttributeType::USERNAME,
    AttributeType::ICE_CONTROLLED,
    AttributeType::ICE_CONTROLLING,
    AttributeType::PRIORITY,
    AttributeType::USE_CANDIDATE,
    AttributeType::XOR_MAPPED_ADDRESS,
    AttributeType::ERROR_CODE,
    AttributeType::UNKNOWN_ATTRIBUTES,
];

/// What messages are authenticated with.
#[derive(Clone, Copy)]
pub(super) struct Passwords<'p> {
    /// Of answers that we give.
    pub(super) ours: &'p str,
    /// Of checks that we send; `None` while it is not known.
    pub(super) theirs: Option<&'p str>,
}

/// A message of ours in other words. `None` for what is no STUN, or has no key.
pub(super) fn worded(message: &[u8], passwords: Passwords<'_>) -> Option<Vec<u8>> {
    let read = Message::parse(message).ok()?;
    let password = match read.class() {
        Class::Request => passwords.theirs?,
        Class::Success | Class::Error => passwords.ours,
        Class::Indication => return None,
    };
    let mut buffer = vec![0; message.len() + ROOM];
    let mut writer =
        MessageWriter::new(&mut buffer, read.class(), read.method(), read.transaction_id()).ok()?;
    writer.software(SOFTWARE).ok()?;
    for kind in ORDER {
        match read.attribute(kind) {
            Some(_) if kind == AttributeType::PRIORITY => {
                writer.priority(as_peer_reflexive(read.priority()?)).ok()?;
            }
            Some(value) => {
                writer.attribute(kind, value).ok()?;
            }
            None => {}
        }
    }
    if read.has_integrity() {
        writer.integrity(&IntegrityKey::short_term(password)).ok()?;
    }
    writer.fingerprint().ok()?;
    let len = writer.finish().len();
    buffer.truncate(len);
    Some(buffer)
}

/// The priority that the peer is to give a candidate that it learns from our check (RFC 8445 section 7.1.1).
fn as_peer_reflexive(priority: u32) -> u32 {
    TYPE_PEER_REFLEXIVE << 24 | priority & 0x00ff_ffff
}

#[cfg(test)]
mod tests {
    use viaduct_stun::{Method, TransactionId};

    use super::*;

    #[test]
    fn a_check_says_the_same_with_software_first() {
        let mut buffer = [0; 256];
        let mut writer = MessageWriter::new(
            &mut buffer,
            Class::Request,
            Method::BINDING,
            TransactionId([7; 12]),
        )
        .unwrap();
        writer.priority(0x7eff_ffff).unwrap().use_candidate().unwrap();
        writer
            .ice_controlling(9)
            .unwrap()
            .username("theirs:ours")
            .unwrap();
        let key = IntegrityKey::short_term("their password");
        writer.integrity(&key).unwrap().fingerprint().unwrap();
        let message = writer.finish().to_vec();
        let passwords = Passwords {
            ours: "our password",
            theirs: Some("their password"),
        };
        let worded = worded(&message, passwords).unwrap();
        let read = Message::parse(&worded).unwrap();
        let kinds: Vec<AttributeType> = read.attributes().map(|attribute| attribute.kind).collect();
        assert_eq!(
            kinds[..5],
            [
                AttributeType::SOFTWARE,
                AttributeType::USERNAME,
                AttributeType::ICE_CONTROLLING,
                AttributeType::PRIORITY,
                AttributeType::USE_CANDIDATE
            ]
        );
        assert_eq!(read.transaction_id(), TransactionId([7; 12]));
        assert_eq!(read.priority(), Some(0x6eff_ffff));
        assert_eq!(read.username(), Some("theirs:ours"));
        read.verify_integrity(&key).unwrap();
        read.verify_fingerprint().unwrap();
        assert_eq!(super::worded(b"no STUN", passwords), None);
    }
}
