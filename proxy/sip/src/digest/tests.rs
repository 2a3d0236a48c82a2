use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{HeaderName, Limits, Message, Method};

const NOW: Duration = Duration::from_secs(1_800_000_000);

/// RFC 7616 section 3.9.1: both answers to one challenge.
#[test]
fn responses_match_the_rfc_examples() {
    for (algorithm, response) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Algorithm::Sha256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ] {
        let ha1 = Ha1::from_password(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
        let value = format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
             algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        );
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        assert!(credentials.prove(&ha1, Method::Other("GET"), b""), "{algorithm}");
        assert!(!credentials.prove(&ha1, Method::Other("PUT"), b""), "{algorithm}");
    }
}

/// Computed with OpenSSL: each algorithm with `auth`, in its session form, and with `auth-int`.
#[test]
fn every_algorithm_and_form_matches_another_implementation() {
    for (algorithm, auth, session, auth_int) in [
        (
            Algorithm::Md5,
            "df69084d96f02fdb081957145c40494a",
            "d668211a4f7104774e46e54e4309b635",
            "2127ef90dd7de7f5c1a037f5e151b67f",
        ),
        (
            Algorithm::Sha256,
            "9d222b5fc8c19c34b9572e7ba778e4c09c4952682f25867cc436c0518f9134bc",
            "4549487d5468775a6d0b73e26a0474a539aa4840e7c26e7758d90a1704119b4b",
            "f5f011c2cc2791738bd2ce858f6e1556d1d2b29a72508cb2ecdd6e4b8fe7bbb2",
        ),
        (
            Algorithm::Sha512_256,
            "77e1dcc8222a1b22f1d3e79783e45fd13841077bb35c24ad3fd691397876888a",
            "0b4dd06b3b916845c630c83da6c5571622006598d637548ba4183a71f2ad1587",
            "c8c1b82ac65d99916de03407dfa62d1899f126938fea04e576d7889b91d23088",
        ),
    ] {
        let ha1 = Ha1::from_password(algorithm, "alice", "example.com", "secret");
        for (suffix, qop, response) in [
            ("", "auth", auth),
            ("-sess", "auth", session),
            ("", "auth-int", auth_int),
        ] {
            let value = format!(
                "Digest username=\"alice\", realm=\"example.com\", uri=\"sip:bob@example.com\", nonce=n1, \
                 algorithm={algorithm}{suffix}, nc=0000002a, cnonce=\"c1\", qop={qop}, response=\"{response}\""
            );
            let credentials = Credentials::parse(value.as_bytes()).unwrap();
            assert!(credentials.prove(&ha1, Method::Invite, b"v=0\r\n"), "{value}");
        }
    }
}

/// RFC 2617 section 3.5, in the form of RFC 2069 as well (computed with another implementation).
#[test]
fn old_clients_without_qop_are_understood() {
    let ha1 = Ha1::from_password(Algorithm::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
    assert_eq!(ha1.to_hex(), "939e7578ed9e3c518a452acee763bce9");
    let value = b"Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", \
        response=\"670fd8c2df070c60b045671b8b24ff02\"";
    let credentials = Credentials::parse(value).unwrap();
    assert_eq!((credentials.qop, credentials.count()), (None, None));
    assert!(credentials.prove(&ha1, Method::Other("GET"), b""));
}

#[test]
fn odd_spelling_is_understood() {
    let value =
        b"DIGEST\r\n  response = ABCDEF ,realm=\"a, \\\"b\\\"\",, uri=sip:a@b;x=1 , QOP=\"AUTH\",nc=\"1\" ,\
        username = \"al\\\\ice\", Nonce=n, cnonce=\"\", algorithm=\"md5-SESS\", opaque=\"\",";
    let credentials = Credentials::parse(value).unwrap();
    assert_eq!(credentials.realm, "a, \"b\"");
    assert_eq!(credentials.username, "al\\ice");
    assert_eq!(credentials.uri, "sip:a@b;x=1");
    assert_eq!((credentials.qop, credentials.count()), (Some(Qop::Auth), Some(1)));
    assert_eq!(
        (credentials.algorithm, credentials.session),
        (Algorithm::Md5, true)
    );
    assert!(credentials.covers("sip:a@B;x=1"));
    assert!(!credentials.covers("sip:c@b;x=1"));
    assert!(!credentials.covers("sip:a@192.0.2.1"));
    assert!(credentials.covers_user("sip:a@192.0.2.1"));
    assert!(credentials.covers_user("sip:%61@B"));
    assert!(!credentials.covers_user("sip:c@b;x=1"));
    assert!(!credentials.covers_user("sip:b"));
    assert!(!credentials.covers_user("nonsense"));
}

#[test]
fn broken_credentials_say_what_is_broken() {
    let whole = "Digest username=u, realm=r, nonce=n, uri=x, response=0";
    assert!(Credentials::parse(whole.as_bytes()).is_ok());
    for (change, error) in [
        (whole.replace("Digest", "Basic"), DigestError::OtherScheme),
        (
            whole.replace("username=u, ", ""),
            DigestError::Missing("username"),
        ),
        (whole.replace("=x", " x"), DigestError::BadParam),
        (format!("{whole}, opaque=\"a"), DigestError::BadParam),
        (format!("{whole}, algorithm=SHA-1"), DigestError::UnknownAlgorithm),
        (
            format!("{whole}, algorithm=MD5-session"),
            DigestError::UnknownAlgorithm,
        ),
        (format!("{whole}, qop=auth-conf"), DigestError::UnknownQop),
        (format!("{whole}, qop=auth, nc=1"), DigestError::Missing("cnonce")),
        (format!("{whole}, qop=auth, cnonce=c"), DigestError::Missing("nc")),
        (
            format!("{whole}, qop=auth, cnonce=c, nc=000000001"),
            DigestError::BadNonceCount,
        ),
        (
            format!("{whole}, qop=auth, cnonce=c, nc=x"),
            DigestError::BadNonceCount,
        ),
        (
            format!("{whole}, algorithm=MD5-sess"),
            DigestError::Missing("cnonce"),
        ),
    ] {
        assert_eq!(Credentials::parse(change.as_bytes()), Err(error), "{change}");
    }
    assert_eq!(
        Credentials::parse(b"Digest username=\"\xff\""),
        Err(DigestError::BadParam)
    );
}

#[test]
fn credentials_are_picked_by_realm() {
    let text = "REGISTER sip:b SIP/2.0\r\nAuthorization: Bearer x\r\n\
        Authorization: Digest username=a, realm=\"one\", nonce=n, uri=x, response=0\r\n\
        Authorization: Digest broken\r\n\
        Authorization: Digest username=b, realm=\"two\", nonce=n, uri=x, response=0\r\n\r\n";
    let message = Message::parse_datagram(Bytes::from_static(text.as_bytes()), &Limits::default()).unwrap();
    let find = |realm| Credentials::find(&message, HeaderName::Authorization, realm);
    let found = find("two").unwrap().unwrap();
    assert_eq!(
        (found.header.index(), found.credentials.username.as_ref()),
        (3, "b")
    );
    assert_eq!(find("three"), Some(Err(DigestError::BadParam)));
    assert!(Credentials::find(&message, HeaderName::ProxyAuthorization, "two").is_none());
}

#[test]
fn the_strength_of_a_secret_is_bound_to_its_algorithm() {
    let md5 = Ha1::from_password(Algorithm::Md5, "u", "r", "p");
    let challenge = Challenge::new("r", "n", Algorithm::Sha256);
    let answer = Answer {
        username: "u",
        ha1: &md5,
        method: Method::Bye,
        uri: "x",
        cnonce: "c",
        nc: 1,
        body: b"",
    };
    assert_eq!(challenge.answer(&answer), Err(DigestError::OtherAlgorithm));
    assert!(Ha1::from_hex(Algorithm::Sha256, &md5.to_hex()).is_none());
    assert_eq!(
        Ha1::from_hex(Algorithm::Md5, &md5.to_hex().to_uppercase())
            .unwrap()
            .to_hex(),
        md5.to_hex()
    );
    assert!(!format!("{md5:?}").contains(&md5.to_hex()));
}

#[test]
fn challenges_print_what_phones_read() {
    let challenge = Challenge::new("a\"b", "n1", Algorithm::Sha512_256).with_stale(true);
    assert_eq!(
        challenge.to_string(),
        r#"Digest realm="a\"b", nonce="n1", stale=true, algorithm=SHA-512-256, qop="auth""#
    );
    assert_eq!(Challenge::parse(challenge.to_string().as_bytes()), Ok(challenge));
    assert_eq!(
        Challenge::parse(b"Digest realm=r, nonce=n, qop=\"foo, auth-int\", algorithm=md5")
            .map(|c| (c.auth, c.auth_int)),
        Ok((false, true))
    );
    assert_eq!(
        Challenge::parse(b"Digest realm=r, nonce=n, qop=foo"),
        Err(DigestError::UnknownQop)
    );
}

#[test]
fn nonces_age_and_cannot_be_forged() {
    let source = NonceSource::new([1; 32], Duration::from_secs(60));
    let nonce = source.issue(NOW, 42);
    let stamp = NonceStamp {
        issued_ms: 1_800_000_000_000,
        unique: 42,
    };
    assert!(
        nonce
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    assert_eq!(source.verify(&nonce, NOW), NonceVerdict::Fresh(stamp));
    assert_eq!(
        source.verify(&nonce, NOW + Duration::from_secs(60)),
        NonceVerdict::Fresh(stamp)
    );
    assert_eq!(
        source.verify(&nonce, NOW + Duration::from_secs(61)),
        NonceVerdict::Stale(stamp)
    );
    assert_eq!(
        source.verify(&nonce, NOW - Duration::from_secs(6)),
        NonceVerdict::Stale(stamp)
    );
    let other = NonceSource::new([2; 32], Duration::from_secs(60));
    assert_eq!(other.verify(&nonce, NOW), NonceVerdict::Forged);
    for forged in [
        "",
        "n",
        &nonce[1..],
        &format!("{nonce}A"),
        &nonce.replace('A', "B"),
    ] {
        assert_eq!(source.verify(forged, NOW), NonceVerdict::Forged, "{forged}");
    }
}

#[test]
fn a_count_is_accepted_once_and_may_come_late() {
    let mut counts = NonceCounts::new(8);
    let nonce = NonceStamp {
        issued_ms: 1,
        unique: 1,
    };
    for (count, verdict) in [
        (1, CountVerdict::Accepted),
        (1, CountVerdict::Replayed),
        (3, CountVerdict::Accepted),
        (2, CountVerdict::Accepted),
        (2, CountVerdict::Replayed),
        (70, CountVerdict::Accepted),
        (6, CountVerdict::Replayed),
        (7, CountVerdict::Accepted),
        (u32::MAX, CountVerdict::Accepted),
        (70, CountVerdict::Replayed),
        (0, CountVerdict::Replayed),
    ] {
        assert_eq!(counts.check(nonce, count), verdict, "{count}");
    }
}

#[test]
fn a_forgotten_nonce_is_never_accepted_again() {
    let mut counts = NonceCounts::new(2);
    let nonce = |issued_ms| NonceStamp { issued_ms, unique: 0 };
    for issued in [10, 20, 30] {
        assert_eq!(counts.check(nonce(issued), 1), CountVerdict::Accepted);
    }
    assert_eq!(counts.len(), 2);
    assert_eq!(counts.check(nonce(10), 1), CountVerdict::Forgotten);
    assert_eq!(counts.check(nonce(5), 1), CountVerdict::Forgotten);
    assert_eq!(counts.check(nonce(20), 1), CountVerdict::Replayed);
    assert_eq!(counts.check(nonce(20), 2), CountVerdict::Accepted);
    assert_eq!(counts.check(nonce(15), 1), CountVerdict::Accepted);
    assert_eq!(counts.check(nonce(15), 1), CountVerdict::Forgotten);
}

proptest! {
    #[test]
    fn no_count_is_accepted_twice(
        uses in proptest::collection::vec((0u64..6, 0u32..200), 0..300),
        nonces_max in 1usize..6,
    ) {
        let mut counts = NonceCounts::new(nonces_max);
        let mut accepted = std::collections::HashSet::new();
        for (issued_ms, count) in uses {
            if counts.check(NonceStamp { issued_ms, unique: 0 }, count) == CountVerdict::Accepted {
                prop_assert!(accepted.insert((issued_ms, count)));
            }
            prop_assert!(counts.len() <= nonces_max);
        }
    }

    #[test]
    fn every_answer_proves_its_secret_and_no_other(
        username in "[^\r\n]{1,12}", realm in "[^\r\n]{0,12}", password in ".{0,12}",
        algorithm in proptest::sample::select(&Algorithm::ALL[..]),
        session in any::<bool>(), auth in any::<bool>(), auth_int in any::<bool>(), nc in any::<u32>(),
        body in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let ha1 = Ha1::from_password(algorithm, &username, &realm, &password);
        let mut challenge = Challenge::new(realm.as_str(), "n\"once", algorithm);
        (challenge.session, challenge.auth, challenge.auth_int) = (session, auth, auth_int);
        let printed = challenge.to_string();
        let read = Challenge::parse(printed.as_bytes()).unwrap();
        prop_assert_eq!(&read, &challenge);
        let answer = Answer {
            username: &username, ha1: &ha1, method: Method::Invite, uri: "sip:b@c", cnonce: "c\\n", nc, body: &body,
        };
        let value = read.answer(&answer).unwrap();
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        prop_assert_eq!(&credentials.username, &username);
        prop_assert_eq!(credentials.count(), (auth || auth_int).then_some(nc));
        prop_assert!(credentials.prove(&ha1, Method::Invite, &body));
        prop_assert!(!credentials.prove(&ha1, Method::Bye, &body));
        prop_assert!(!credentials.prove(&Ha1::unknown_user(algorithm), Method::Invite, &body));
        let covers_body = auth_int && !auth;
        prop_assert_eq!(credentials.prove(&ha1, Method::Invite, b"other body, longer than any"), !covers_body);
    }

    #[test]
    fn reading_never_panics(value in proptest::collection::vec(any::<u8>(), 0..100)) {
        let with_scheme = [b"Digest ", &value[..]].concat();
        let _ = (Credentials::parse(&value).is_ok(), Credentials::parse(&with_scheme).is_ok());
        let _ = Challenge::parse(&with_scheme).is_ok();
        let source = NonceSource::new([1; 32], Duration::from_secs(60));
        prop_assert_eq!(source.verify(&String::from_utf8_lossy(&value), NOW), NonceVerdict::Forged);
    }
}
