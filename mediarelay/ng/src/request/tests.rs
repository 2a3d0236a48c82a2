//! Every command, key and flag by name: what a message says and what is made of it.

mod commands;
mod folding;
mod options;
mod rtpp_flags;
mod templates;

use super::*;
use crate::limits::Limits;
use crate::options::{
    AddressFamily, AliasKey, Bundle, DtlsRequest, EndpointLearning, FingerprintHash, Ice, IceLite, IceMode,
    MediaEcho, MediaType, Osrtp, Replace, RtcpMux, SdesWord, SdpSection, SipMessageType, Tos,
    TransportProtocol,
};

/// Reads a JSON object as a request.
fn read(json: &str) -> Result<Received, RequestError> {
    let value = crate::json::decode(json.as_bytes(), &Limits::default()).unwrap();
    Request::from_value(&value)
}

/// The options and the ignored parts of an offer with these further keys.
fn offer(keys: &str) -> (Options, Vec<String>) {
    let comma = if keys.is_empty() { "" } else { "," };
    let json = format!(r#"{{"command":"offer","sdp":"v=0","call-id":"c","from-tag":"f"{comma}{keys}}}"#);
    let received = read(&json).unwrap();
    let Request::Offer(offer) = received.request else {
        panic!("an offer")
    };
    (
        offer.options,
        received.ignored.iter().map(ToString::to_string).collect(),
    )
}

/// The options of an offer in which nothing is ignored.
#[track_caller]
fn options(keys: &str) -> Options {
    let (options, ignored) = offer(keys);
    assert_eq!(ignored, [""; 0], "{keys}");
    options
}

/// The options of an offer with these flags, none of which is ignored.
#[track_caller]
fn flags(flags: &[&str]) -> Options {
    let flags: Vec<String> = flags.iter().map(|flag| format!("{flag:?}")).collect();
    options(&format!(r#""flags":[{}]"#, flags.join(",")))
}

#[track_caller]
fn ignores(keys: &str, expected: &[&str]) {
    assert_eq!(offer(keys).1, expected, "{keys}");
}

#[test]
fn messages_as_the_modules_build_them_are_read_without_loss() {
    let limits = Limits::default();
    let opensips = include_bytes!("../../tests/data/opensips-offer.ng");
    let packet = crate::packet::Packet::split(opensips, &limits).unwrap();
    let received = packet.request(&limits).unwrap();
    let Request::Offer(offer) = &received.request else {
        panic!("an offer")
    };
    assert_eq!(
        offer.options.transport_protocol,
        Some(TransportProtocol::UdpTlsRtpSavpf)
    );
    assert_eq!(offer.options.received_from, Some("198.51.100.7".parse().unwrap()));
    assert_eq!(offer.options.flags, [Flag::TrustAddress].into());
    assert!(offer.options.sdes.is_off());
    assert_eq!(received.ignored, []);
    let kamailio = include_bytes!("../../tests/data/kamailio-answer.ng");
    let packet = crate::packet::Packet::split(kamailio, &limits).unwrap();
    let received = packet.request(&limits).unwrap();
    let Request::Answer(answer) = &received.request else {
        panic!("an answer")
    };
    assert!(answer.options.supports_load_limit);
    assert_eq!(
        (answer.options.sip_message_type, answer.options.sip_code),
        (Some(SipMessageType::Response), Some(200))
    );
    assert_eq!(answer.options.rtcp_mux, [RtcpMux::Demux].into());
    assert_eq!(received.ignored, []);
}
