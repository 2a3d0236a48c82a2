use proptest::prelude::*;
use stun_types::attribute::{AttributeStaticType, Username, XorMappedAddress};
use stun_types::message::{
    Message as Oracle, MessageIntegrityCredentials, MessageWriteExt, MessageWriteVec, ShortTermCredentials,
};
use stun_types::prelude::*;

use super::*;
use crate::{ErrorCode, Message};

const ID: TransactionId = TransactionId([3; 12]);

#[test]
fn a_buffer_that_is_too_small_is_named_and_the_message_stays_whole() {
    let mut buffer = [0xff; 36];
    let mut message = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    message.priority(7).unwrap();
    assert_eq!(
        message.username("longer:than this").unwrap_err(),
        WriteError::BufferTooSmall {
            needed: 48,
            available: 36
        }
    );
    let written = message.finish();
    assert_eq!(written.len(), 28);
    assert_eq!(Message::parse(written).unwrap().priority(), Some(7));
    let error = MessageWriter::new(&mut [0; 19], Class::Request, Method::BINDING, ID).unwrap_err();
    assert_eq!(
        error,
        WriteError::BufferTooSmall {
            needed: 20,
            available: 19
        }
    );
}

#[test]
fn a_value_beyond_sixteen_bits_is_refused() {
    let mut buffer = vec![0; 140_000];
    let mut message = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    let value = vec![0; 70_000];
    assert_eq!(
        message.attribute(AttributeType::SOFTWARE, &value).unwrap_err(),
        WriteError::TooLong { len: 70_000 }
    );
    message
        .attribute(AttributeType::SOFTWARE, &value[..40_000])
        .unwrap();
    let second = message.attribute(AttributeType::SOFTWARE, &value[..40_000]);
    assert_eq!(second.unwrap_err(), WriteError::TooLong { len: 40_000 });
}

#[test]
fn writes_an_error_response() {
    let mut buffer = [0; 128];
    let mut message = MessageWriter::new(&mut buffer, Class::Error, Method::BINDING, ID).unwrap();
    let kinds = [
        AttributeType(0x7001),
        AttributeType(0x7002),
        AttributeType(0x7003),
    ];
    message
        .error_code(420, "Unknown Attribute")
        .unwrap()
        .unknown_attributes(&kinds)
        .unwrap();
    let message = Message::parse(message.finish()).unwrap();
    assert_eq!(
        message.error_code(),
        Ok(ErrorCode {
            code: 420,
            reason: "Unknown Attribute"
        })
    );
    assert_eq!(message.unknown_attributes().collect::<Vec<_>>(), kinds);
}

proptest! {
    /// parse(write(x)) = x.
    #[test]
    fn what_is_written_is_read(
        id: [u8; 12],
        username in "[a-zA-Z0-9+/]{4,32}:[a-zA-Z0-9+/]{4,32}",
        software in "\\PC{0,40}",
        priority: u32,
        tie: u64,
        address: SocketAddr,
        password in "[a-zA-Z0-9+/]{22,100}",
    ) {
        let key = IntegrityKey::short_term(&password);
        let mut buffer = [0xaa; 640];
        let mut writer = MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, TransactionId(id)).unwrap();
        writer.username(&username).unwrap().software(&software).unwrap().priority(priority).unwrap();
        writer.ice_controlling(tie).unwrap().ice_controlled(!tie).unwrap().use_candidate().unwrap();
        writer.xor_mapped_address(address).unwrap().integrity(&key).unwrap().fingerprint().unwrap();
        let message = Message::parse(writer.finish()).unwrap();
        prop_assert_eq!(message.transaction_id(), TransactionId(id));
        prop_assert_eq!(message.username(), Some(username.as_str()));
        prop_assert_eq!(message.software(), Some(software.as_str()));
        prop_assert_eq!(message.priority(), Some(priority));
        prop_assert_eq!(message.ice_controlling(), Some(tie));
        prop_assert_eq!(message.ice_controlled(), Some(!tie));
        prop_assert!(message.use_candidate());
        let read = message.xor_mapped_address().unwrap();
        prop_assert_eq!((read.ip(), read.port()), (address.ip().to_canonical(), address.port()));
        prop_assert_eq!(message.verify_integrity(&key), Ok(()));
        prop_assert_eq!(message.verify_fingerprint(), Ok(()));
    }

    #[test]
    fn an_independent_reader_agrees(
        id: [u8; 12],
        username in "[a-zA-Z0-9+/]{4,32}:[a-zA-Z0-9+/]{4,32}",
        port: u16,
        v4: [u8; 4],
        v6: [u8; 16],
        use_v6: bool,
        password in "[a-zA-Z0-9+/]{22,60}",
    ) {
        let address: SocketAddr = if use_v6 { (v6, port).into() } else { (v4, port).into() };
        let mut buffer = [0; 256];
        let mut writer = MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, TransactionId(id)).unwrap();
        writer.username(&username).unwrap().xor_mapped_address(address).unwrap();
        writer.integrity(&IntegrityKey::short_term(&password)).unwrap().fingerprint().unwrap();
        let written = writer.finish();

        let oracle = Oracle::from_bytes(written).unwrap();
        let credentials: MessageIntegrityCredentials = ShortTermCredentials::new(password).into();
        prop_assert!(oracle.validate_integrity(&credentials).is_ok());
        let raw = oracle.raw_attribute(Username::TYPE).unwrap();
        let seen = Username::try_from(&raw).unwrap();
        prop_assert_eq!(seen.username(), username);
        let raw = oracle.raw_attribute(XorMappedAddress::TYPE).unwrap();
        let seen = XorMappedAddress::try_from(&raw).unwrap().addr(oracle.transaction_id());
        prop_assert_eq!((seen.ip().to_canonical(), seen.port()), (address.ip().to_canonical(), port));
    }

    #[test]
    fn an_independent_writer_is_understood(
        username in "[a-zA-Z0-9+/]{4,32}:[a-zA-Z0-9+/]{4,32}",
        password in "[a-zA-Z0-9+/]{22,60}",
    ) {
        let credentials: MessageIntegrityCredentials = ShortTermCredentials::new(password.clone()).into();
        let mut oracle = Oracle::builder_request(stun_types::message::BINDING, MessageWriteVec::new());
        oracle.add_attribute(&Username::new(&username).unwrap()).unwrap();
        oracle
            .add_message_integrity(&credentials, stun_types::message::IntegrityAlgorithm::Sha1)
            .unwrap();
        oracle.add_fingerprint().unwrap();
        let datagram = oracle.finish();
        let message = Message::parse(&datagram).unwrap();
        prop_assert_eq!(message.class(), Class::Request);
        prop_assert_eq!(message.username(), Some(username.as_str()));
        prop_assert_eq!(message.verify_integrity(&IntegrityKey::short_term(&password)), Ok(()));
        prop_assert_eq!(message.verify_fingerprint(), Ok(()));
    }
}
