//! The key `rtpp-flags`.

use super::*;

#[test]
fn string_is_read_as_keys_and_flags() {
    let read = options(
        r#""rtpp-flags":"ICE=force replace-origin codec-strip-G722 sdp-attr=[audio=[add=[a b]]] RTP/SAVPF DTLS direction=x direction=y""#,
    );
    assert_eq!(read.ice.mode, Some(IceMode::Force));
    assert_eq!(read.replace, [Replace::Origin].into());
    assert_eq!(read.codec.strip, ["G722"]);
    assert_eq!(read.sdp_attr[0].add, ["a", "b"]);
    assert_eq!(read.transport_protocol, Some(TransportProtocol::UdpTlsRtpSavpf));
    assert_eq!(
        (read.from_interface.as_deref(), read.to_interface.as_deref()),
        (Some("x"), Some("y"))
    );
}

#[test]
fn ids_in_the_string_override_those_of_the_message() {
    let received = read(
        r#"{"command":"answer","sdp":"v","call-id":"c","from-tag":"f","to-tag":"t","rtpp_flags":"call-id=C from-tag=F to-tag=T"}"#,
    );
    let Request::Answer(answer) = received.unwrap().request else {
        panic!("an answer")
    };
    assert_eq!(
        (answer.call_id, answer.from_tag, answer.to_tag),
        ("C".into(), "F".into(), "T".into())
    );
    assert_eq!(answer.options.flags, [Flag::Directional, Flag::ToTag].into());
}

#[test]
fn strings_inside_strings_are_refused() {
    let bomb = "rtpp-flags=".repeat(20_000);
    let (options, ignored) = offer(&format!(r#""rtpp-flags":"{bomb}x ICE=force""#));
    assert_eq!((options.ice.mode, ignored.len()), (Some(IceMode::Force), 1));
}

#[test]
fn what_the_string_says_in_vain_is_named() {
    ignores(
        r#""x":1,"rtpp-flags":"foo bar=1 ICE=x record-call sdp-attr=[""#,
        &[
            "x is unknown",
            "rtpp-flags=foo is unknown",
            "rtpp-flags=bar=1 is unknown",
            "rtpp-flags=ICE=x is unusable: expected a known member",
            "rtpp-flags=record-call is not served",
            "rtpp-flags=sdp-attr=[ is malformed: unbalanced bracket",
        ],
    );
}
