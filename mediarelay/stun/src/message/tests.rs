use proptest::prelude::*;

use super::*;
use crate::MessageWriter;

/// RFC 5769, section 2.1.
pub(crate) const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09evtj:h6vY\x20\x20\x20\
    \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769, section 2.2.
const RESPONSE_V4: &[u8] =
    b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
    \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
    \x80\x28\x00\x04\xc0\x7d\x4c\x96";

/// RFC 5769, section 2.3.
const RESPONSE_V6: &[u8] =
    b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
    \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
    \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

const ID: TransactionId = TransactionId([
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
]);

#[test]
fn reads_the_sample_request() {
    let message = Message::parse(REQUEST).unwrap();
    assert_eq!(message.class(), Class::Request);
    assert_eq!(message.method(), Method::BINDING);
    assert_eq!(message.transaction_id(), ID);
    assert_eq!(message.software(), Some("STUN test client"));
    assert_eq!(message.username(), Some("evtj:h6vY"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.ice_controlled(), Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.ice_controlling(), None);
    assert!(!message.use_candidate());
    assert_eq!(
        message.verify_integrity(&IntegrityKey::short_term(PASSWORD)),
        Ok(())
    );
    assert_eq!(message.verify_fingerprint(), Ok(()));
    assert_eq!(message.not_understood().next(), None);
    assert_eq!(message.as_bytes(), REQUEST);
}

#[test]
fn reads_the_sample_responses() {
    for (datagram, address) in [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let message = Message::parse(datagram).unwrap();
        assert_eq!(message.class(), Class::Success);
        assert_eq!(message.xor_mapped_address(), Ok(address.parse().unwrap()));
        assert_eq!(message.software(), Some("test vector"));
        assert_eq!(
            message.verify_integrity(&IntegrityKey::short_term(PASSWORD)),
            Ok(())
        );
        assert_eq!(message.verify_fingerprint(), Ok(()));
    }
}

#[test]
fn a_changed_octet_breaks_the_integrity() {
    let key = IntegrityKey::short_term(PASSWORD);
    // The class bits, an attribute value, and the integrity itself. FINGERPRINT is not covered by the integrity.
    for at in [1, 30, 90] {
        let mut changed = REQUEST.to_vec();
        changed[at] ^= 0x10;
        let message = Message::parse(&changed).unwrap();
        assert_eq!(
            message.verify_integrity(&key),
            Err(IntegrityError::Mismatch),
            "octet {at}"
        );
        assert_eq!(
            message.verify_fingerprint(),
            Err(FingerprintError::Mismatch),
            "octet {at}"
        );
    }
    let other = IntegrityKey::short_term("VOkJxbRl1RmTxUk/WvJxBu");
    assert_eq!(
        Message::parse(REQUEST).unwrap().verify_integrity(&other),
        Err(IntegrityError::Mismatch)
    );
}

#[test]
fn names_what_is_wrong_with_the_frame() {
    assert_eq!(Message::parse(&REQUEST[..19]).unwrap_err(), ParseError::NotStun);
    assert_eq!(Message::parse(&[0x80; 40]).unwrap_err(), ParseError::NotStun);
    assert_eq!(
        Message::parse(&REQUEST[..104]).unwrap_err(),
        ParseError::LengthMismatch {
            header: 88,
            actual: 84
        }
    );
    let mut odd = REQUEST.to_vec();
    odd[3] = 0x57;
    assert_eq!(
        Message::parse(&odd).unwrap_err(),
        ParseError::LengthUnaligned { length: 87 }
    );
    let mut long_attribute = REQUEST.to_vec();
    long_attribute[22] = 1;
    assert_eq!(
        Message::parse(&long_attribute).unwrap_err(),
        ParseError::AttributeOverrun { offset: 20 }
    );
    let mut trailing = REQUEST.to_vec();
    trailing[3] += 4;
    trailing.extend([0x80, 0x22, 0, 0]);
    assert_eq!(
        Message::parse(&trailing).unwrap_err(),
        ParseError::FingerprintNotLast
    );
}

#[test]
fn integrity_and_fingerprint_have_fixed_lengths() {
    for kind in [AttributeType::MESSAGE_INTEGRITY, AttributeType::FINGERPRINT] {
        let mut buffer = [0; 64];
        let mut message = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
        message.attribute(kind, &[1, 2, 3]).unwrap();
        let message = message.finish();
        assert_eq!(
            Message::parse(message).unwrap_err(),
            ParseError::AttributeLength { kind, len: 3 }
        );
    }
}

#[test]
fn what_follows_the_integrity_does_not_count() {
    let key = IntegrityKey::short_term(PASSWORD);
    let mut buffer = [0; 128];
    let mut message = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    message.username("a:b").unwrap().integrity(&key).unwrap();
    message
        .use_candidate()
        .unwrap()
        .attribute(AttributeType(0x7777), &[])
        .unwrap()
        .fingerprint()
        .unwrap();
    let message = Message::parse(message.finish()).unwrap();
    assert_eq!(message.verify_integrity(&key), Ok(()));
    assert_eq!(message.verify_fingerprint(), Ok(()));
    assert!(!message.use_candidate());
    assert_eq!(message.not_understood().next(), None);
    assert_eq!(message.attributes().count(), 3);
}

#[test]
fn the_first_of_two_equal_attributes_counts() {
    let mut buffer = [0; 64];
    let mut message = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    message.priority(1).unwrap().priority(2).unwrap();
    assert_eq!(Message::parse(message.finish()).unwrap().priority(), Some(1));
}

#[test]
fn every_type_survives_the_round_trip() {
    for method in 0..0x1000 {
        for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
            let encoded = encode_type(class, Method::new(method));
            assert!(encoded < 0x4000);
            assert_eq!(decode_type(encoded), (class, Method::new(method)));
        }
    }
}

#[test]
fn the_classifier_wants_the_cookie() {
    assert!(is_stun(REQUEST));
    assert!(!is_stun(&REQUEST[..19]));
    let mut old = REQUEST.to_vec();
    old[4] = 0;
    assert!(!is_stun(&old));
}

proptest! {
    #[test]
    fn random_octets_never_panic(datagram in proptest::collection::vec(any::<u8>(), 0..256)) {
        exercise(&datagram);
    }

    #[test]
    fn mutated_messages_never_panic(
        mutations in proptest::collection::vec((0..REQUEST.len(), any::<u8>()), 1..6),
        cut in 0..=REQUEST.len(),
    ) {
        let mut datagram = REQUEST.to_vec();
        for (at, octet) in mutations {
            datagram[at] = octet;
        }
        datagram.truncate(cut);
        exercise(&datagram);
        // With a length that fits, the walk over the attributes is reached as well.
        if cut >= HEADER_LEN {
            let length = ((cut - HEADER_LEN) as u16).to_be_bytes();
            datagram[2..4].copy_from_slice(&length);
            exercise(&datagram);
        }
    }
}

/// Reads everything there is to read.
fn exercise(datagram: &[u8]) {
    let Ok(message) = Message::parse(datagram) else {
        return;
    };
    assert!(is_stun(datagram));
    let _ = (
        message.username(),
        message.software(),
        message.priority(),
        message.xor_mapped_address(),
    );
    let _ = (
        message.error_code(),
        message.unknown_attributes().count(),
        message.not_understood().count(),
    );
    let _ = message.verify_integrity(&IntegrityKey::short_term(PASSWORD));
    let _ = message.verify_fingerprint();
}
