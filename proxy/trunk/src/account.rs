//! Who we are to a trunk, and the answers to its challenges (RFC 3261 section 22.2, RFC 7616, RFC 8760).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use viaduct_sip::digest::{Algorithm, Answer, Challenge, Ha1};
use viaduct_sip::{HeaderName, Message, Method, StatusCode};

/// An account at a trunk. Clones share the count of how often each nonce was used.
#[derive(Clone)]
pub struct Account {
    /// The user part of its address, and the name in credentials.
    pub user: String,
    /// The name in credentials, where it is another.
    pub auth_user: Option<String>,
    /// Realms for which credentials are given. `None` is any realm that the trunk names.
    pub realm: Option<String>,
    secret: Secret,
    nonces: Arc<Mutex<NonceUses>>,
}

/// What an account proves itself with.
#[derive(Clone)]
enum Secret {
    Password(String),
    /// Of `user:realm:password`, one for each algorithm that can be answered (HA1, RFC 7616 section 3.4.2).
    Hashes(Vec<Ha1>),
}

/// Why a challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// None of its challenges can be read, is of a known algorithm and for a realm that the account is for.
    #[error("no challenge that the account could answer")]
    NoChallenge,
    /// The trunk has seen the credentials and does not take them.
    #[error("the trunk does not take the credentials")]
    Refused,
}

/// What a request is answered for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method.
    pub method: Method<'a>,
    /// Its Request-URI.
    pub uri: &'a str,
    /// Its body, for `auth-int`.
    pub body: &'a [u8],
    /// Fresh random text.
    pub cnonce: &'a str,
    /// Credentials have been sent with this request before.
    pub again: bool,
}

/// Challenges of one response that are looked at. RFC 8760 knows three algorithms.
const CHALLENGES_MAX: usize = 16;

/// Nonces of which the use is counted. A server takes a new one for each call, or one for a while.
const NONCES_MAX: usize = 64;

/// How often each of the last nonces was used.
#[derive(Debug, Default)]
struct NonceUses(VecDeque<(String, u32)>);

impl Account {
    /// An account with a password.
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            auth_user: None,
            realm: None,
            secret: Secret::Password(password.to_owned()),
            nonces: Arc::default(),
        }
    }

    /// An account with hashes of its password for one realm: challenges for others, or with an algorithm of which there is
    /// no hash, cannot be answered.
    pub fn with_hashes(user: &str, realm: &str, hashes: Vec<Ha1>) -> Self {
        Self {
            realm: Some(realm.to_owned()),
            secret: Secret::Hashes(hashes),
            ..Self::new(user, "")
        }
    }

    /// Answers the challenges of a 401 or 407: the headers to send the request again with, one for each realm, with the
    /// strongest algorithm that is known. A challenge after credentials is answered once more only when it is `stale`.
    pub fn answer(
        &self,
        response: &Message,
        asked: &Asked<'_>,
    ) -> Result<Vec<(HeaderName, String)>, Unanswered> {
        let (from, to) = match response.status() {
            Some(StatusCode::UNAUTHORIZED) => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            Some(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
                (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization)
            }
            _ => return Err(Unanswered::NoChallenge),
        };
        let lines: Vec<_> = response.headers(from).take(CHALLENGES_MAX).collect();
        let unfolded: Vec<_> = lines.iter().map(viaduct_sip::Header::unfolded).collect();
        let known = unfolded.iter().filter_map(|value| Challenge::parse(value).ok());
        let mut chosen: Vec<Challenge<'_>> = Vec::new();
        for challenge in known.filter(|challenge| self.can_answer(challenge)) {
            match chosen.iter_mut().find(|other| other.realm == challenge.realm) {
                Some(other) if other.algorithm < challenge.algorithm => *other = challenge,
                Some(_) => {}
                None => chosen.push(challenge),
            }
        }
        if chosen.is_empty() {
            return Err(Unanswered::NoChallenge);
        }
        if asked.again && !chosen.iter().any(|challenge| challenge.stale) {
            return Err(Unanswered::Refused);
        }
        let answers = chosen
            .iter()
            .map(|challenge| Some((to, self.credentials(challenge, asked)?)));
        answers.collect::<Option<_>>().ok_or(Unanswered::NoChallenge)
    }

    fn can_answer(&self, challenge: &Challenge<'_>) -> bool {
        let is_for_realm = self.realm.as_ref().is_none_or(|own| *own == challenge.realm);
        is_for_realm
            && match &self.secret {
                Secret::Password(_) => true,
                Secret::Hashes(hashes) => hashes.iter().any(|hash| hash.algorithm() == challenge.algorithm),
            }
    }

    fn credentials(&self, challenge: &Challenge<'_>, asked: &Asked<'_>) -> Option<String> {
        let username = self.auth_user.as_deref().unwrap_or(&self.user);
        let ha1 = self.ha1(challenge.algorithm, username, &challenge.realm)?;
        let nc = self
            .nonces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next(&challenge.nonce);
        let answer = Answer {
            username,
            ha1: &ha1,
            method: asked.method,
            uri: asked.uri,
            cnonce: asked.cnonce,
            nc,
            body: asked.body,
        };
        challenge.answer(&answer).ok()
    }

    fn ha1(&self, algorithm: Algorithm, username: &str, realm: &str) -> Option<Ha1> {
        match &self.secret {
            Secret::Password(password) => Some(Ha1::from_password(algorithm, username, realm, password)),
            Secret::Hashes(hashes) => hashes.iter().find(|hash| hash.algorithm() == algorithm).copied(),
        }
    }
}

impl NonceUses {
    /// The count of the next use of a nonce, from 1.
    fn next(&mut self, nonce: &str) -> u32 {
        if let Some((_, uses)) = self.0.iter_mut().find(|(known, _)| known == nonce) {
            *uses = uses.saturating_add(1);
            return *uses;
        }
        if self.0.len() == NONCES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((nonce.to_owned(), 1));
        1
    }
}

impl PartialEq for Secret {
    /// Two configurations are compared, never what somebody else has sent: how long it takes tells nobody anything.
    fn eq(&self, other: &Self) -> bool {
        let hexes = |hashes: &[Ha1]| hashes.iter().map(Ha1::to_hex).collect::<Vec<_>>();
        match (self, other) {
            (Self::Password(one), Self::Password(other)) => one == other,
            (Self::Hashes(one), Self::Hashes(other)) => hexes(one) == hexes(other),
            (Self::Password(_) | Self::Hashes(_), _) => false,
        }
    }
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        (&self.user, &self.auth_user, &self.realm, &self.secret)
            == (&other.user, &other.auth_user, &other.realm, &other.secret)
    }
}

impl Eq for Account {}

impl fmt::Debug for Account {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use viaduct_sip::digest::Credentials;

    use super::*;
    use crate::test::parse;

    fn response(status: u16, challenges: &[&str]) -> Message {
        let name = if status == 401 {
            "WWW-Authenticate"
        } else {
            "Proxy-Authenticate"
        };
        let lines: String = challenges
            .iter()
            .map(|value| format!("{name}: {value}\r\n"))
            .collect();
        parse(
            format!(
                "SIP/2.0 {status} No\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                 To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{lines}Content-Length: 0\r\n\r\n"
            )
            .as_bytes(),
        )
    }

    fn asked(again: bool) -> Asked<'static> {
        Asked {
            method: Method::Invite,
            uri: "sip:+4930@carrier.example",
            body: b"v=0",
            cnonce: "c",
            again,
        }
    }

    const MD5: &str = "Digest realm=\"carrier.example\", nonce=\"n1\", qop=\"auth\"";

    /// RFC 8760 section 2.4: the strongest that both know.
    #[test]
    fn the_strongest_challenge_is_answered() {
        let account = Account::new("4930123", "secret");
        let sha = "Digest realm=\"carrier.example\", nonce=\"n2\", algorithm=SHA-256, qop=\"auth-int\"";
        let unknown = "Digest realm=\"carrier.example\", nonce=\"n3\", algorithm=SHA-9, qop=\"auth\"";
        for order in [[MD5, unknown, sha], [sha, unknown, MD5]] {
            let answers = account.answer(&response(407, &order), &asked(false)).unwrap();
            let [(HeaderName::ProxyAuthorization, value)] = answers.as_slice() else {
                panic!("{answers:?}");
            };
            let credentials = Credentials::parse(value.as_bytes()).unwrap();
            assert_eq!(
                (credentials.algorithm, &*credentials.username),
                (Algorithm::Sha256, "4930123")
            );
            let ha1 = Ha1::from_password(Algorithm::Sha256, "4930123", "carrier.example", "secret");
            assert!(
                credentials.prove(&ha1, Method::Invite, b"v=0"),
                "auth-int covers the body"
            );
        }
    }

    #[test]
    fn every_realm_gets_its_credentials() {
        let account = Account::new("4930123", "secret");
        let second = "Digest realm=\"other.example\", nonce=\"n2\"";
        let answers = account
            .answer(&response(401, &[MD5, second]), &asked(false))
            .unwrap();
        let realms: Vec<String> = answers
            .iter()
            .map(|(name, value)| {
                assert_eq!(*name, HeaderName::Authorization);
                Credentials::parse(value.as_bytes()).unwrap().realm.into_owned()
            })
            .collect();
        assert_eq!(realms, ["carrier.example", "other.example"]);
        let one_realm = Account {
            realm: Some("other.example".to_owned()),
            ..account
        };
        let answers = one_realm
            .answer(&response(401, &[MD5, second]), &asked(false))
            .unwrap();
        assert_eq!(answers.len(), 1, "a password goes to nobody else");
    }

    #[test]
    fn each_use_of_a_nonce_has_its_own_count() {
        let account = Account::new("4930123", "secret");
        let count = |account: &Account, challenge: &str| {
            let answers = account
                .answer(&response(407, &[challenge]), &asked(false))
                .unwrap();
            Credentials::parse(answers[0].1.as_bytes()).unwrap().count()
        };
        assert_eq!(count(&account, MD5), Some(1));
        assert_eq!(count(&account.clone(), MD5), Some(2), "calls share an account");
        for number in 0..NONCES_MAX {
            count(&account, &MD5.replace("n1", &format!("other{number}")));
        }
        assert_eq!(account.nonces.lock().unwrap().0.len(), NONCES_MAX);
        let without_qop = "Digest realm=\"carrier.example\", nonce=\"n1\"";
        assert_eq!(count(&account, without_qop), None, "RFC 2069 knows no count");
    }

    #[test]
    fn a_refused_password_is_not_tried_again() {
        let account = Account::new("4930123", "wrong");
        let again = account.answer(&response(407, &[MD5]), &asked(true));
        assert_eq!(again, Err(Unanswered::Refused));
        let stale = format!("{MD5}, stale=TRUE");
        assert!(account.answer(&response(407, &[&stale]), &asked(true)).is_ok());
        assert_eq!(
            account.answer(&response(407, &["Basic realm=\"x\""]), &asked(false)),
            Err(Unanswered::NoChallenge)
        );
        assert_eq!(
            account.answer(&response(403, &[]), &asked(false)),
            Err(Unanswered::NoChallenge)
        );
    }

    #[test]
    fn the_password_is_not_shown() {
        assert!(!format!("{:?}", Account::new("u", "hidden")).contains("hidden"));
    }

    #[test]
    fn hashes_answer_for_their_realm_and_algorithm_and_for_nothing_else() {
        let hash = Ha1::from_password(Algorithm::Md5, "4930123", "r", "secret");
        let account = Account::with_hashes("4930123", "r", vec![hash]);
        let both = response(
            401,
            &[
                "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"",
                "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"",
            ],
        );
        let answered = account.answer(&both, &asked(false)).unwrap();
        let [(HeaderName::Authorization, value)] = answered.as_slice() else {
            panic!("{answered:?}");
        };
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        assert!(credentials.prove(&hash, Method::Invite, b"v=0"));
        for other in [
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"",
            "Digest realm=\"other\", nonce=\"n\", algorithm=MD5, qop=\"auth\"",
        ] {
            let refused = account.answer(&response(401, &[other]), &asked(false));
            assert_eq!(refused, Err(Unanswered::NoChallenge), "{other}");
        }
    }

    #[test]
    fn accounts_are_the_same_with_the_same_secret() {
        let hash = |password| Ha1::from_password(Algorithm::Md5, "u", "r", password);
        let hashed = |password| Account::with_hashes("u", "r", vec![hash(password)]);
        assert_eq!(hashed("a"), hashed("a"));
        assert_ne!(hashed("a"), hashed("b"));
        assert_ne!(hashed("a"), Account::new("u", "a"));
        assert_eq!(Account::new("u", "a"), Account::new("u", "a"));
        let shown = format!("{:?}", hashed("a"));
        assert!(!shown.contains(&hash("a").to_hex()), "{shown}");
    }
}
