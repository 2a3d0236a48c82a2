//! How keys, numbers, lists and unknown parts are read.

use super::*;

#[test]
fn keys_fold_case_hyphens_spaces_and_underscores() {
    for key in [
        "transport-protocol",
        "transport protocol",
        "transport_protocol",
        "Transport-Protocol",
    ] {
        let read = options(&format!(r#""{key}":"RTP/AVP""#));
        assert_eq!(read.transport_protocol, Some(TransportProtocol::RtpAvp), "{key}");
    }
    for key in ["ICE", "ice", "Ice"] {
        assert_eq!(
            options(&format!(r#""{key}":"force""#)).ice.mode,
            Some(IceMode::Force),
            "{key}"
        );
    }
    let json = r#"{"command":"offer","SDP":"v","call ID":"c","from_tag":"f","TO-TAG":"t"}"#;
    assert_eq!(read(json).unwrap().request.call_id(), Some(&"c".into()));
}

#[test]
fn numbers_may_be_strings_and_strings_numbers() {
    assert_eq!(options(r#""TOS":"184""#).tos, Some(Tos::Set(184)));
    assert_eq!(options(r#""TOS":184"#).tos, Some(Tos::Set(184)));
    assert_eq!(options(r#""label":5"#).label, Some("5".into()));
}

#[test]
fn one_string_with_commas_is_a_list() {
    let read = options(r#""ICE":"force,trickle""#);
    assert_eq!((read.ice.mode, read.ice.trickle), (Some(IceMode::Force), true));
    assert_eq!(
        options(r#""replace":"origin,username""#).replace,
        [Replace::Origin, Replace::Username].into()
    );
    assert_eq!(
        options(r#""flags":"trust-address,,reset""#).flags,
        [Flag::TrustAddress, Flag::Reset].into()
    );
}

#[test]
fn list_where_a_string_is_expected_is_ignored() {
    ignores(r#""DTLS":["off"]"#, &["DTLS is unusable: expected a string"]);
    ignores(r#""label":{}"#, &["label is unusable: expected a string"]);
}

#[test]
fn unknown_keys_and_flags_are_ignored_and_named() {
    ignores(
        r#""repacketize":20,"session-connection":"x","flags":["no-such-flag"]"#,
        &[
            "repacketize is unknown",
            "session-connection is unknown",
            "flags=no-such-flag is unknown",
        ],
    );
}

#[test]
fn known_keys_and_flags_without_a_field_are_told_apart() {
    ignores(
        r#""xmlrpc-callback":"192.0.2.1","audio player":"off","DTMF-security":"tone","recording-dir":"/x",
           "flags":["record-call","static-codecs","block egress"]"#,
        &[
            "xmlrpc-callback is not served",
            "audio player is not served",
            "DTMF-security is not served",
            "recording-dir is not served",
            "flags=record-call is not served",
            "flags=static-codecs is not served",
            "flags=block egress is not served",
        ],
    );
}

#[test]
fn number_of_named_parts_is_bounded() {
    let flags: Vec<String> = (0..1_000).map(|number| format!("\"x{number}\"")).collect();
    let (_, ignored) = offer(&format!(r#""flags":[{}]"#, flags.join(",")));
    assert_eq!(ignored.len(), Received::IGNORED_MAX);
}

#[test]
fn unusable_members_say_what_was_expected() {
    ignores(
        r#""DTLS":"maybe""#,
        &["DTLS=maybe is unusable: expected one of off, passive, active"],
    );
    ignores(
        r#""replace":["origin","x"]"#,
        &["replace=x is unusable: expected a known member"],
    );
    ignores(r#""replace":{}"#, &["replace is unusable: expected a list"]);
    ignores(r#""replace":[[]]"#, &["replace is unusable: expected a string"]);
    ignores(
        r#""ptime":-1"#,
        &["ptime is unusable: expected a number in range"],
    );
    ignores(
        r#""sip-code":"x""#,
        &["sip-code is unusable: expected a number in range"],
    );
    ignores(
        r#""media-address":"x""#,
        &["media-address=x is unusable: expected an IP address"],
    );
    ignores(
        r#""codec":["strip"]"#,
        &["codec is unusable: expected a dictionary"],
    );
    ignores(
        r#""codec":{"strop":["x"]}"#,
        &["codec=x is unusable: expected a known member"],
    );
    ignores(
        r#""extmap":{"x":["y"]}"#,
        &["extmap=y is unusable: expected a known member"],
    );
}

#[test]
fn two_dashes_are_an_equals_sign_and_two_dots_a_space() {
    let read = options(
        r#""codec":{"set":["opus/48000/2///x--1..y"]},"sdp-attr":{"audio":{"add":["fmtp:1..a--b"]}}"#,
    );
    assert_eq!(read.codec.set, ["opus/48000/2///x=1 y"]);
    assert_eq!(read.sdp_attr[0].add, ["fmtp:1 a=b"]);
    assert_eq!(flags(&["codec-strip-x--y"]).codec.strip, ["x=y"]);
}
