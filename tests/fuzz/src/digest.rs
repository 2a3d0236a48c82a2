//! Digest: what phones prove, what servers ask for, and nonces that come back.

use std::time::Duration;

use viaduct_sip::Method;
use viaduct_sip::digest::{
    Algorithm, Answer, Challenge, CountVerdict, Credentials, Ha1, NonceCounts, NonceSource, NonceVerdict,
};

/// What the clock shows, since 1970.
const NOW: Duration = Duration::from_secs(1_800_000_000);

/// Lines more than these say nothing that the first did not.
const LINES_MAX: usize = 32;

/// Reads each line as credentials, as a challenge and as a nonce.
///
/// Laws: who does not know the password proves nothing; an answer to a challenge that can be read is credentials that
/// prove the password for the same user, realm and nonce; no octets are a nonce that was not issued; what is remembered of
/// nonces has a bound, and no count is accepted twice.
pub fn digest(data: &[u8]) {
    let nonces = NonceSource::new([7; 32], Duration::from_secs(300));
    let mut counts = NonceCounts::new(4);
    for line in data.split(|octet| *octet == b'\n').take(LINES_MAX) {
        if let Ok(credentials) = Credentials::parse(line) {
            proves_nothing(&credentials);
            is_counted_once(&mut counts, &nonces, &credentials);
        }
        // A line break in a quoted text is printed as a blank.
        if let Ok(challenge) = Challenge::parse(line)
            && !line.contains(&b'\r')
        {
            can_be_answered(&challenge);
        }
        if let Ok(text) = str::from_utf8(line) {
            assert_eq!(nonces.verify(text, NOW), NonceVerdict::Forged);
        }
    }
}

/// The password is one that no input can have hashed.
fn proves_nothing(credentials: &Credentials<'_>) {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256] {
        let ha1 = Ha1::from_password(
            algorithm,
            &credentials.username,
            &credentials.realm,
            "correct horse battery",
        );
        assert!(!credentials.prove(&ha1, Method::Register, b""));
        assert!(!credentials.prove(&Ha1::unknown_user(algorithm), Method::Register, b""));
    }
    let _ = (
        credentials.covers("sip:bob@example.com"),
        credentials.covers_user("sip:bob@example.com"),
    );
}

fn is_counted_once(counts: &mut NonceCounts, nonces: &NonceSource, credentials: &Credentials<'_>) {
    let Some(count) = credentials.count() else { return };
    let nonce = nonces.issue(NOW, credentials.nonce.len() as u64);
    let NonceVerdict::Fresh(stamp) = nonces.verify(&nonce, NOW) else {
        panic!("a nonce of ours is not fresh");
    };
    let _ = counts.check(stamp, count);
    assert_ne!(counts.check(stamp, count), CountVerdict::Accepted, "twice");
    assert!(counts.len() <= 4);
}

fn can_be_answered(challenge: &Challenge<'_>) {
    let ha1 = Ha1::from_password(challenge.algorithm, "bob", &challenge.realm, "secret");
    let answer = challenge.answer(&Answer {
        username: "bob",
        ha1: &ha1,
        method: Method::Invite,
        uri: "sip:alice@example.com",
        cnonce: "0a4f113b",
        nc: 1,
        body: b"v=0",
    });
    let Ok(answer) = answer else { return };
    let credentials = Credentials::parse(answer.as_bytes()).unwrap();
    assert_eq!(
        (&*credentials.username, &*credentials.realm),
        ("bob", &*challenge.realm)
    );
    assert_eq!(credentials.nonce, challenge.nonce);
    assert!(credentials.covers("sip:alice@example.com"));
    assert!(credentials.prove(&ha1, Method::Invite, b"v=0"));
    let other = Ha1::from_password(challenge.algorithm, "bob", &challenge.realm, "another");
    assert!(!credentials.prove(&other, Method::Invite, b"v=0"));
}
