use proptest::prelude::*;

use super::*;

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_sip_uri_comes_apart() {
    let uri = uri("SIPS:alice%20x:pw@Example.com:5061;transport=tcp;lr?Subject=a&Priority=urgent");
    assert_eq!(uri.scheme(), Scheme::Sips);
    assert_eq!(uri.user(), Some("alice%20x"));
    assert_eq!(uri.user_unescaped().unwrap().as_ref(), b"alice x");
    assert_eq!(uri.password(), Some("pw"));
    assert_eq!(uri.host().unwrap().as_str(), "Example.com");
    assert_eq!(uri.port(), Some(5061));
    assert_eq!(uri.transport(), Some(Transport::Tls));
    assert!(uri.is_loose_router());
    assert_eq!(uri.headers().get("priority").unwrap().value, Some("urgent"));
}

#[test]
fn the_user_may_hold_semicolons_and_question_marks() {
    let uri = uri("sip:user;par=u%40example.net?x/y@example.com;p");
    assert_eq!(uri.user(), Some("user;par=u%40example.net?x/y"));
    assert_eq!(uri.host().unwrap().as_str(), "example.com");
    assert!(uri.params().has("p"));
}

#[test]
fn parameter_names_may_be_escaped() {
    let uri = uri("sip:caller@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31");
    assert!(uri.is_loose_router());
    let param = uri.params().get("name").unwrap();
    assert_eq!(param.value_unescaped().unwrap().as_ref(), b"value%41");
}

#[test]
fn a_gruu_keeps_its_colons() {
    let uri = uri("sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert_eq!(
        uri.params().get("gr").unwrap().value,
        Some("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
    );
}

#[test]
fn tel_and_unknown_schemes_have_no_host() {
    let tel = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!(
        (tel.scheme(), tel.number(), tel.host()),
        (Scheme::Tel, Some("+1-201-555-0123"), None)
    );
    assert_eq!(tel.user(), None);
    let other = uri("soap.beep://192.0.2.103:3002");
    assert_eq!(
        (other.scheme(), other.after_scheme()),
        (Scheme::Other("soap.beep"), "//192.0.2.103:3002")
    );
}

#[test]
fn what_is_no_uri_is_refused_with_its_fault() {
    for (text, error) in [
        ("example.com", UriError::SchemeMissing),
        (":a", UriError::SchemeMissing),
        ("1sip:a", UriError::SchemeMissing),
        ("sip:", UriError::BadHost),
        ("sip:@example.com", UriError::UserMissing),
        ("sip:a@b@c", UriError::Junk),
        ("sip:2001:db8::10", UriError::BadPort),
        ("sip:a@[2001:db8::10", UriError::BadHost),
        ("sip:a@b:", UriError::BadPort),
        ("sip:a@b:0", UriError::BadPort),
        ("sip:a@b:65536", UriError::BadPort),
        ("sip:a b@c", UriError::BadCharacter),
        ("<sip:a@c>", UriError::BadCharacter),
        ("tel:;phone-context=+1", UriError::NumberMissing),
    ] {
        assert_eq!(Uri::parse(text).unwrap_err(), error, "{text}");
    }
    assert_eq!(
        Uri::from_octets(b"sip:\xff@b").unwrap_err(),
        UriError::BadCharacter
    );
}

/// The examples of RFC 3261 section 19.1.4.
#[test]
fn equivalence_follows_the_rfc_examples() {
    for (a, b) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ] {
        assert!(uri(a).is_equivalent(&uri(b)), "{a} {b}");
        assert!(uri(b).is_equivalent(&uri(a)), "{b} {a}");
    }
    for (a, b) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;newparam=5",
            "sip:carol@chicago.com;newparam=6",
        ),
        ("sip:carol@chicago.com", "sips:carol@chicago.com"),
        ("sip:carol@chicago.com", "sip:chicago.com"),
        ("sip:carol:a@chicago.com", "sip:carol@chicago.com"),
    ] {
        assert!(!uri(a).is_equivalent(&uri(b)), "{a} {b}");
        assert!(!uri(b).is_equivalent(&uri(a)), "{b} {a}");
    }
}

#[test]
fn numbers_compare_by_their_digits() {
    assert!(uri("tel:+1-201-555-0123").is_equivalent(&uri("TEL:+1(201)555.0123")));
    assert!(!uri("tel:+12015550123").is_equivalent(&uri("tel:12015550123")));
    assert!(!uri("tel:863-1234;phone-context=+1-914-555").is_equivalent(&uri("tel:863-1234")));
    assert!(uri("isbn:298").is_equivalent(&uri("ISBN:298")));
}

#[test]
fn a_uri_with_endless_parameters_equals_only_its_own_text() {
    let many = format!("sip:a@b{}", ";p=1".repeat(PARAMS));
    const PARAMS: usize = 65;
    assert!(uri(&many).is_equivalent(&uri(&many)));
    assert!(!uri(&many).is_equivalent(&uri("sip:a@b;p=1")));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "(sips?:|tel:)?\\PC{0,60}") {
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert!(uri.is_equivalent(&uri));
        }
    }

    #[test]
    fn composed_uris_come_apart_again(
        user in proptest::option::of("[a-zA-Z0-9;?/&=+$,._-]{1,12}"),
        host in "([a-z][a-z0-9-]{0,8}\\.){0,2}[a-z]{1,6}|\\[::[0-9a-f]{1,4}\\]",
        port in proptest::option::of(1u16..),
        params in "(;[a-z]{1,5}(=[a-z0-9:]{1,6})?){0,3}",
    ) {
        let mut text = String::from("sip:");
        if let Some(user) = &user {
            text.push_str(user);
            text.push('@');
        }
        text.push_str(&host);
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        text.push_str(&params);
        let uri = Uri::parse(&text).unwrap();
        prop_assert_eq!(uri.user(), user.as_deref());
        prop_assert_eq!(uri.host().unwrap().as_str(), host);
        prop_assert_eq!(uri.port(), port);
        prop_assert_eq!(uri.params().as_str(), params);
    }
}

/// RFC 3261 section 19.1.1, table 1: `method` and headers may not stand in a request line, everything else may.
#[test]
fn what_no_request_line_has_is_taken_out() {
    for (written, sent) in [
        ("sip:a@h", "sip:a@h"),
        ("sip:a@h?", "sip:a@h"),
        ("sip:a@h:5070?Route=%3Csip:x%3E&Subject=y", "sip:a@h:5070"),
        ("sip:a@h;method=INVITE", "sip:a@h"),
        (
            "sip:a:pw@h;lr;METHOD=BYE;maddr=1.2.3.4;ttl=1;x=;ob?a=b",
            "sip:a:pw@h;lr;maddr=1.2.3.4;ttl=1;x=;ob",
        ),
        ("sip:a@h;%6dethod=BYE;transport=ws", "sip:a@h;transport=ws"),
        // The user part may look like anything.
        ("sip:a?b;method=c@h", "sip:a?b;method=c@h"),
        (
            "sip:a?b;method=c@h;user=phone?d=e",
            "sip:a?b;method=c@h;user=phone",
        ),
        ("tel:+1;method=x?y", "tel:+1;method=x?y"),
    ] {
        assert_eq!(uri(written).for_request_line(), sent, "{written}");
    }
}

/// RFC 3261 section 16.4: who is addressed through us by `maddr` is somebody at the host itself.
#[test]
fn what_stands_behind_a_maddr_is_the_host() {
    for (written, meant) in [
        ("sip:a@h;maddr=192.0.2.1", "sip:a@h"),
        (
            "sip:a:b@h:5080;x=1;MADDR=192.0.2.1;transport=tcp;lr?c=d",
            "sip:a:b@h;x=1;lr",
        ),
        ("sips:a@[2001:db8::1]:5080;maddr=h", "sips:a@[2001:db8::1]"),
        ("sip:[2001:db8::1];maddr=h", "sip:[2001:db8::1]"),
        ("sip:h:5080", "sip:h"),
    ] {
        assert_eq!(uri(written).beyond_maddr(), meant, "{written}");
    }
}
