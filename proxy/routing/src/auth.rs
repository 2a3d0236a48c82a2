//! Who is this? Digest authentication of requests (RFC 3261 section 22, RFC 8760).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use viaduct_sip::digest::{
    Algorithm, Challenge, CountVerdict, Credentials, DigestError, FoundCredentials, Ha1, NonceCounts,
    NonceSource, NonceVerdict,
};
use viaduct_sip::{HeaderName, Message, StatusCode, Transport};

use crate::{AuthConfig, User, Users};

/// A user who has proven to be one, or is trusted. Only [`Authenticator::check`] and [`Authenticator::trusted`] make it.
#[derive(Debug, Clone)]
pub struct Authenticated {
    user: Arc<User>,
    /// The header line with credentials for us: not for the next hop.
    line: Option<usize>,
}

impl Authenticated {
    /// Who it is.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// The index of the header line with credentials for us, to be removed before the request goes on. `None` from
    /// somebody who needs none and brought none.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

/// In which role we ask: a registrar answers 401, a proxy 407.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// 401, WWW-Authenticate, Authorization.
    AsRegistrar,
    /// 407, Proxy-Authenticate, Proxy-Authorization.
    AsProxy,
}

impl Asking {
    /// The code of the answer with the challenges.
    pub fn status(self) -> StatusCode {
        match self {
            Self::AsRegistrar => StatusCode::UNAUTHORIZED,
            Self::AsProxy => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        }
    }

    /// The header that a challenge goes into.
    pub fn challenge_header(self) -> HeaderName {
        match self {
            Self::AsRegistrar => HeaderName::WwwAuthenticate,
            Self::AsProxy => HeaderName::ProxyAuthenticate,
        }
    }

    fn credentials_header(self) -> HeaderName {
        match self {
            Self::AsRegistrar => HeaderName::Authorization,
            Self::AsProxy => HeaderName::ProxyAuthorization,
        }
    }
}

/// Why nobody has proven to be anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// No credentials for our realm: the ordinary first request.
    #[error("no credentials")]
    Missing,
    /// Credentials that cannot be read.
    #[error("unreadable credentials: {0}")]
    Unreadable(DigestError),
    /// The nonce is ours and too old; the proof may be right.
    #[error("nonce too old")]
    Stale,
    /// The nonce was not made by us.
    #[error("nonce not ours")]
    Forged,
    /// The same nonce count was used before.
    #[error("nonce count used before")]
    Replayed,
    /// The credentials are for another Request-URI.
    #[error("credentials are for another URI")]
    OtherUri,
    /// No `qop`, which the configuration does not allow.
    #[error("credentials without qop")]
    WithoutQop,
    /// No such user, or not this password. Which of the two is nobody's business.
    #[error("wrong user or password for {name:?}")]
    WrongSecret {
        /// The user's name as the client gave it.
        name: String,
    },
}

/// The credentials for us that a request brings, read once.
#[derive(Debug)]
pub struct Presented<'m> {
    /// An error when none can be read that might have been them.
    found: Option<Result<FoundCredentials<'m>, DigestError>>,
}

impl<'m> Presented<'m> {
    /// Those for `realm`, in the header that answers us in this role.
    pub fn read(request: &'m Message, asking: Asking, realm: &str) -> Self {
        Self {
            found: Credentials::find(request, asking.credentials_header(), realm),
        }
    }

    /// The user's name, proven or not.
    pub fn user(&self) -> Option<&str> {
        let found = self.found.as_ref()?.as_ref().ok()?;
        Some(&found.credentials.username)
    }
}

/// Checks credentials and makes challenges. Shared by every shard, so that a nonce count is worth something once.
#[derive(Debug)]
pub struct Authenticator {
    nonces: NonceSource,
    counts: Mutex<NonceCounts>,
}

impl Authenticator {
    /// `secret` signs nonces; `lifetime` is how long one may be used; the use of up to `nonces_max` is remembered, so
    /// that none is used twice.
    pub fn new(secret: [u8; 32], lifetime: Duration, nonces_max: usize) -> Self {
        Self {
            nonces: NonceSource::new(secret, lifetime),
            counts: Mutex::new(NonceCounts::new(nonces_max)),
        }
    }

    /// Says who sent this request. `presented` was read from it, `unix` is the time since 1970.
    pub fn check(
        &self,
        request: &Message,
        presented: Presented<'_>,
        users: &Users,
        config: &AuthConfig,
        unix: Duration,
    ) -> Result<Authenticated, AuthFailure> {
        let found = presented
            .found
            .ok_or(AuthFailure::Missing)?
            .map_err(AuthFailure::Unreadable)?;
        let credentials = found.credentials;
        if credentials.qop.is_none() && !config.allow_without_qop {
            return Err(AuthFailure::WithoutQop);
        }
        if !credentials.covers_user(request.request_uri_text().unwrap_or_default()) {
            return Err(AuthFailure::OtherUri);
        }
        let verdict = self.nonces.verify(&credentials.nonce, unix);
        if let NonceVerdict::Forged = verdict {
            // Perhaps the sender's address is, too, so this is nobody's wrong password.
            return Err(AuthFailure::Forged);
        }
        let user = prove(&credentials, request, users).ok_or_else(|| AuthFailure::WrongSecret {
            name: credentials.username.clone().into_owned(),
        })?;
        let stamp = match verdict {
            NonceVerdict::Fresh(stamp) => stamp,
            NonceVerdict::Stale(_) => return Err(AuthFailure::Stale),
            NonceVerdict::Forged => return Err(AuthFailure::Forged),
        };
        if let Some(count) = credentials.count() {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            match counts.check(stamp, count) {
                CountVerdict::Accepted => {}
                CountVerdict::Replayed => return Err(AuthFailure::Replayed),
                CountVerdict::Forgotten => return Err(AuthFailure::Stale),
            }
        }
        Ok(Authenticated {
            user,
            line: Some(found.header.index()),
        })
    }

    /// The user `name`, when whoever sends from `ip` is believed.
    pub fn trusted(
        request: &Message,
        (asking, realm): (Asking, &str),
        users: &Users,
        config: &AuthConfig,
        ip: IpAddr,
        name: Option<&str>,
    ) -> Option<Authenticated> {
        if !config.trusts(ip) {
            return None;
        }
        let user = users.get(name?)?;
        let found = Credentials::find(request, asking.credentials_header(), realm).and_then(Result::ok);
        let line = found.map(|found| found.header.index());
        Some(Authenticated { user, line })
    }

    /// The user's name in credentials for our realm, proven or not, if they come with a nonce of ours: then their sender
    /// has heard an answer of ours.
    pub fn claimed_with_own_nonce(
        &self,
        request: &Message,
        asking: Asking,
        realm: &str,
        unix: Duration,
    ) -> Option<String> {
        let found = Credentials::find(request, asking.credentials_header(), realm)?.ok()?;
        match self.nonces.verify(&found.credentials.nonce, unix) {
            NonceVerdict::Fresh(_) | NonceVerdict::Stale(_) => Some(found.credentials.username.into_owned()),
            NonceVerdict::Forged => None,
        }
    }

    /// Whether the password is right, whatever else may be wrong. Uses up no nonce.
    pub fn is_proven(&self, request: &Message, asking: Asking, realm: &str, users: &Users) -> bool {
        let found = Credentials::find(request, asking.credentials_header(), realm).and_then(Result::ok);
        found.is_some_and(|found| prove(&found.credentials, request, users).is_some())
    }

    /// The values of the challenge headers, in their order. `unique` is any number that no other challenge gets.
    pub fn challenges(
        &self,
        realm: &str,
        algorithms: &[Algorithm],
        failure: &AuthFailure,
        unix: Duration,
        unique: u64,
    ) -> Vec<String> {
        let nonce = self.nonces.issue(unix, unique);
        // A client that had the secret right tries again without asking its user.
        let stale = match failure {
            AuthFailure::Stale | AuthFailure::Forged | AuthFailure::Replayed => true,
            AuthFailure::Missing
            | AuthFailure::Unreadable(_)
            | AuthFailure::OtherUri
            | AuthFailure::WithoutQop
            | AuthFailure::WrongSecret { .. } => false,
        };
        algorithms
            .iter()
            .map(|&algorithm| {
                Challenge::new(realm, Cow::Borrowed(&*nonce), algorithm)
                    .with_stale(stale)
                    .to_string()
            })
            .collect()
    }
}

impl AuthConfig {
    /// True when whoever sends from this address is believed.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.trust_from.iter().any(|network| network.contains(ip))
    }

    /// The algorithms to challenge with: the user's own list, or that of the transport.
    pub fn algorithms<'c>(&'c self, transport: Transport, user: Option<&'c User>) -> &'c [Algorithm] {
        let own = user.and_then(|user| user.challenge.as_ref());
        match (own, transport.is_websocket()) {
            (Some(own), true) => &own.websocket,
            (Some(own), false) => &own.other,
            (None, true) => &self.websocket,
            (None, false) => &self.other,
        }
    }
}

/// The user whose secret the credentials prove. Takes the same time for a name that is nobody's.
fn prove(credentials: &Credentials<'_>, request: &Message, users: &Users) -> Option<Arc<User>> {
    let user = users.get(&credentials.username);
    let nobody = Ha1::unknown_user(credentials.algorithm);
    let secret = user
        .as_ref()
        .and_then(|user| user.secret(credentials.algorithm))
        .unwrap_or(&nobody);
    let method = request.method()?;
    let proven = credentials.prove(secret, method, request.body());
    user.filter(|_| proven)
}

#[cfg(test)]
mod tests {
    use viaduct_sip::digest::Answer;
    use viaduct_sip::{Method, RequestBuilder};

    use super::*;
    use crate::UserChallenge;
    use crate::test::parse;

    const NOW: Duration = Duration::from_secs(1_700_000_000);
    const URI: &str = "sip:example.com";

    struct Desk {
        auth: Authenticator,
        users: Users,
        config: AuthConfig,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                auth: Authenticator::new([1; 32], Duration::from_secs(300), 100),
                users: [User::with_password("alice", "example.com", "secret")]
                    .into_iter()
                    .collect(),
                config: AuthConfig::default(),
            }
        }

        fn challenge(&self, algorithm: Algorithm, unix: Duration) -> String {
            self.auth
                .challenges("example.com", &[algorithm], &AuthFailure::Missing, unix, 1)
                .remove(0)
        }

        fn check(&self, credentials: &str, unix: Duration) -> Result<Authenticated, AuthFailure> {
            let request = register(credentials);
            let presented = Presented::read(&request, Asking::AsRegistrar, "example.com");
            self.auth
                .check(&request, presented, &self.users, &self.config, unix)
        }
    }

    fn register(credentials: &str) -> Message {
        let mut builder = RequestBuilder::new(Method::Register, URI)
            .via("SIP/2.0/UDP h;branch=z9hG4bK1")
            .from("<sip:alice@example.com>;tag=1")
            .to("<sip:alice@example.com>")
            .call_id("c")
            .cseq(1);
        if !credentials.is_empty() {
            builder = builder.header(HeaderName::Authorization, credentials);
        }
        parse(&builder.build().unwrap())
    }

    fn answer(challenge: &str, user: &str, password: &str, nc: u32) -> String {
        let challenge = Challenge::parse(challenge.as_bytes()).unwrap();
        let ha1 = Ha1::from_password(challenge.algorithm, user, "example.com", password);
        let answer = Answer {
            username: user,
            ha1: &ha1,
            method: Method::Register,
            uri: URI,
            cnonce: "x",
            nc,
            body: b"",
        };
        challenge.answer(&answer).unwrap()
    }

    #[test]
    fn the_right_password_proves_the_user_with_either_algorithm() {
        let desk = Desk::new();
        for (nc, algorithm) in [(1, Algorithm::Md5), (2, Algorithm::Sha256)] {
            let credentials = answer(&desk.challenge(algorithm, NOW), "alice", "secret", nc);
            assert_eq!(desk.check(&credentials, NOW).unwrap().user().name, "alice");
        }
    }

    #[test]
    fn a_wrong_password_and_an_unknown_user_look_the_same() {
        let desk = Desk::new();
        let challenge = desk.challenge(Algorithm::Md5, NOW);
        for (user, password) in [("alice", "wrong"), ("nobody", "secret")] {
            let failure = desk
                .check(&answer(&challenge, user, password, 1), NOW)
                .unwrap_err();
            assert_eq!(
                failure,
                AuthFailure::WrongSecret {
                    name: user.to_owned()
                }
            );
        }
        assert_eq!(desk.check("", NOW).unwrap_err(), AuthFailure::Missing);
        assert!(matches!(
            desk.check("Digest realm=\"example.com\"", NOW),
            Err(AuthFailure::Unreadable(_))
        ));
    }

    #[test]
    fn an_old_nonce_is_answered_stale_only_when_the_password_is_right() {
        let desk = Desk::new();
        let challenge = desk.challenge(Algorithm::Md5, NOW);
        let later = NOW + Duration::from_secs(301);
        let failure = desk
            .check(&answer(&challenge, "alice", "secret", 1), later)
            .unwrap_err();
        assert_eq!(failure, AuthFailure::Stale);
        let again = desk
            .auth
            .challenges("example.com", &[Algorithm::Md5], &failure, later, 2)
            .remove(0);
        assert!(Challenge::parse(again.as_bytes()).unwrap().stale);
        let failure = desk
            .check(&answer(&challenge, "alice", "wrong", 1), later)
            .unwrap_err();
        assert!(matches!(failure, AuthFailure::WrongSecret { .. }));
    }

    #[test]
    fn an_overheard_request_is_worth_nothing() {
        let desk = Desk::new();
        let credentials = answer(&desk.challenge(Algorithm::Md5, NOW), "alice", "secret", 1);
        desk.check(&credentials, NOW).unwrap();
        assert_eq!(desk.check(&credentials, NOW).unwrap_err(), AuthFailure::Replayed);
    }

    #[test]
    fn a_nonce_of_another_server_is_refused() {
        let desk = Desk::new();
        let other = Authenticator::new([2; 32], Duration::from_secs(300), 100);
        let challenge = other
            .challenges("example.com", &[Algorithm::Md5], &AuthFailure::Missing, NOW, 1)
            .remove(0);
        let failure = desk
            .check(&answer(&challenge, "alice", "secret", 1), NOW)
            .unwrap_err();
        assert_eq!(failure, AuthFailure::Forged);
    }

    #[test]
    fn credentials_for_another_uri_are_refused() {
        let desk = Desk::new();
        let credentials = answer(&desk.challenge(Algorithm::Md5, NOW), "alice", "secret", 1);
        let elsewhere = credentials.replace(URI, "sip:100@example.com");
        assert_eq!(desk.check(&elsewhere, NOW).unwrap_err(), AuthFailure::OtherUri);
    }

    #[test]
    fn browsers_are_offered_md5_last_and_phones_md5_alone() {
        let config = AuthConfig::default();
        assert_eq!(
            config.algorithms(Transport::Wss, None),
            [Algorithm::Sha256, Algorithm::Md5]
        );
        assert_eq!(config.algorithms(Transport::Udp, None), [Algorithm::Md5]);
        let mut user = User::with_password("alice", "example.com", "secret");
        user.challenge = Some(UserChallenge {
            websocket: vec![Algorithm::Md5],
            other: vec![Algorithm::Sha256],
        });
        assert_eq!(
            config.algorithms(Transport::Udp, Some(&user)),
            [Algorithm::Sha256]
        );
    }
}
