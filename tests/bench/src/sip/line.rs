//! Who the phones are.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use viaduct_sip::digest::{Algorithm, Answer, Challenge, Ha1};
use viaduct_sip::{BRANCH_COOKIE, HeaderName, Message, Method, RequestBuilder};

use super::Side;

/// Domain and realm.
pub const DOMAIN: &str = "bench.test";

/// One phone.
#[derive(Debug, Clone)]
pub struct Line {
    /// The user's name, which is also the number.
    pub user: String,
    /// Which socket it uses.
    pub side: Side,
    /// The address of that socket.
    pub address: SocketAddr,
    ha1: Ha1,
}

impl Line {
    /// The address of record.
    #[must_use]
    pub fn aor(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.user)
    }

    /// The value of Contact.
    #[must_use]
    pub fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.user, self.address)
    }

    /// A request of this phone. `number` makes its branch unique.
    pub fn request(&self, method: Method<'_>, uri: &str, number: u64) -> RequestBuilder {
        let branch = format!("{BRANCH_COOKIE}bench{number:x}");
        RequestBuilder::new(method, uri)
            .via(format!("SIP/2.0/UDP {};rport;branch={branch}", self.address))
            .header(HeaderName::UserAgent, "viaduct-bench")
    }

    /// The value of Authorization or Proxy-Authorization that answers the MD5 challenge of a 401 or 407.
    ///
    /// # Errors
    /// There is no such challenge, or it is for somebody else.
    pub fn credentials(
        &self,
        response: &Message,
        challenges: HeaderName,
        method: Method<'_>,
        uri: &str,
    ) -> anyhow::Result<String> {
        let challenge = response
            .headers(challenges)
            .filter_map(|header| Challenge::parse(header.value()).ok())
            .find(|challenge| challenge.algorithm == Algorithm::Md5)
            .context("no MD5 challenge")?;
        ensure!(challenge.realm == DOMAIN, "a challenge for {:?}", challenge.realm);
        let answer = Answer {
            username: &self.user,
            ha1: &self.ha1,
            method,
            uri,
            // Nobody here chooses plaintexts: the client's nonce may be the same in all of them.
            cnonce: "0a4f113b",
            nc: 1,
            body: &[],
        };
        Ok(challenge.answer(&answer)?)
    }
}

/// All phones: the callers first, then as many to be called.
#[derive(Debug, Clone)]
pub struct Directory {
    lines: Vec<Line>,
}

impl Directory {
    /// `pairs` callers and as many to be called.
    #[must_use]
    pub fn new(pairs: usize, caller: SocketAddr, callee: SocketAddr) -> Self {
        let line = |index: usize| {
            let user = user(index);
            let ha1 = Ha1::from_password(Algorithm::Md5, &user, DOMAIN, &password(&user));
            let (side, address) = if index < pairs {
                (Side::Caller, caller)
            } else {
                (Side::Callee, callee)
            };
            Line {
                user,
                side,
                address,
                ha1,
            }
        };
        Self {
            lines: (0..2 * pairs).map(line).collect(),
        }
    }

    /// Callers, or phones to be called.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.lines.len() / 2
    }

    /// All phones.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The caller and the callee of a pair.
    #[must_use]
    pub fn pair(&self, index: usize) -> (&Line, &Line) {
        (&self.lines[index], &self.lines[self.pairs() + index])
    }
}

/// The name of the user with this index: both proxies are configured from it.
#[must_use]
pub fn user(index: usize) -> String {
    format!("{}", 100_000 + index)
}

/// The password of a user.
#[must_use]
pub fn password(user: &str) -> String {
    format!("secret-of-{user}")
}

#[cfg(test)]
mod tests {
    use viaduct_sip::digest::Credentials;
    use viaduct_sip::{Limits, ResponseBuilder, StatusCode};

    use super::*;

    #[test]
    fn the_answer_to_a_challenge_proves_the_password() {
        let directory = Directory::new(2, "127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let (caller, callee) = directory.pair(1);
        assert_eq!((caller.side, callee.side), (Side::Caller, Side::Callee));
        assert_eq!((caller.user.as_str(), callee.user.as_str()), ("100001", "100003"));

        let request = caller
            .request(Method::Invite, &callee.aor(), 7)
            .from("<sip:a@b>;tag=1")
            .to("<sip:b@c>")
            .call_id("x")
            .cseq(1)
            .build()
            .unwrap();
        let request = Message::parse_datagram(request, &Limits::default()).unwrap();
        let challenge = Challenge::new(DOMAIN, "nonce", Algorithm::Md5).to_string();
        let refusal = |value: &str| {
            let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
            let made = ResponseBuilder::new(&request, status).header(HeaderName::ProxyAuthenticate, value);
            Message::parse_datagram(made.build().unwrap(), &Limits::default()).unwrap()
        };
        let answer = |response: &Message| {
            caller.credentials(response, HeaderName::ProxyAuthenticate, Method::Invite, "sip:x@y")
        };
        let value = answer(&refusal(&challenge)).unwrap();
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        let proves = |password: &str| {
            let ha1 = Ha1::from_password(Algorithm::Md5, &caller.user, DOMAIN, password);
            credentials.prove(&ha1, Method::Invite, b"")
        };
        assert!(proves(&password("100001")));
        assert!(!proves(&password("100003")));
        assert_eq!(credentials.uri, "sip:x@y");

        assert!(answer(&refusal("Basic realm=\"bench.test\"")).is_err());
        let foreign = Challenge::new("elsewhere", "nonce", Algorithm::Md5).to_string();
        assert!(answer(&refusal(&foreign)).is_err());
    }
}
