//! Flag strings that requests refer to by name.

use super::*;
use crate::Templates;

fn offer_with(keys: &str) -> (Options, Vec<String>) {
    let json = format!(r#"{{"command":"offer","sdp":"v=0","call-id":"c","from-tag":"f",{keys}"x":1}}"#);
    let value = crate::json::decode(json.as_bytes(), &Limits::default()).unwrap();
    let templates = [
        ("default", "ICE=remove generate-mid"),
        ("offer", "RTP/AVPF"),
        ("answer", "no-rtcp-attribute"),
        ("browser", "ICE=force rtcp-mux=[offer require]"),
        ("loop", "template=loop template=browser"),
    ];
    let templates = templates.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let received = Request::from_value_with(&value, &Arc::new(Templates::new(templates))).unwrap();
    let Request::Offer(offer) = received.request else {
        panic!("an offer")
    };
    let ignored = received.ignored.iter().map(ToString::to_string);
    (
        offer.options,
        ignored.filter(|text| text != "x is unknown").collect(),
    )
}

#[test]
fn what_holds_for_all_and_for_the_command_needs_no_word() {
    let (options, ignored) = offer_with("");
    assert_eq!(options.ice.mode, Some(IceMode::Remove));
    assert_eq!(options.transport_protocol, Some(TransportProtocol::RtpAvpf));
    assert!(options.has(Flag::GenerateMid) && !options.has(Flag::NoRtcpAttribute));
    assert_eq!(ignored, [""; 0]);
}

#[test]
fn a_template_that_is_named_beats_the_general_ones_and_the_request_beats_all() {
    let (options, _) = offer_with(r#""template":"browser","#);
    assert_eq!(options.ice.mode, Some(IceMode::Force));
    assert_eq!(options.rtcp_mux, [RtcpMux::Offer, RtcpMux::Require].into());
    for keys in [
        r#""ICE":"optional","template":"browser","#,
        r#""template":"browser","ICE":"optional","#,
        r#""rtpp-flags":"template=browser ICE=optional","#,
    ] {
        let (options, ignored) = offer_with(keys);
        assert_eq!(options.ice.mode, Some(IceMode::Optional), "{keys}");
        assert!(options.rtcp_mux.contains(RtcpMux::Require), "{keys}");
        assert_eq!(ignored, [""; 0]);
    }
}

#[test]
fn a_name_that_nobody_has_and_a_template_within_one_are_ignored() {
    let (options, ignored) = offer_with(r#""template":"nobody","#);
    assert_eq!(options.ice.mode, Some(IceMode::Remove));
    assert_eq!(
        ignored,
        ["template=nobody is unusable: expected the name of a template"]
    );
    let (options, ignored) = offer_with(r#""template":"loop","#);
    assert_eq!(options.ice.mode, Some(IceMode::Remove));
    assert_eq!(ignored.len(), 2, "{ignored:?}");
}
