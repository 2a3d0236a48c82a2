use std::borrow::Cow;
use std::fmt;

use super::response::{Input, Protection, response};
use super::{Algorithm, DigestError, Ha1, Qop, params};
use crate::Method;
use crate::quoted::quote;

/// A WWW-Authenticate or Proxy-Authenticate value. `Display` prints it, [`parse`](Self::parse) reads it.
///
/// A server that offers several algorithms sends one header line each, the preferred first (RFC 8760 section 2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// For whom the credentials are to be.
    pub realm: Cow<'a, str>,
    /// The server's nonce.
    pub nonce: Cow<'a, str>,
    /// MD5 when the server names none.
    pub algorithm: Algorithm,
    /// The `-sess` form of the algorithm.
    pub session: bool,
    /// `auth` is offered.
    pub auth: bool,
    /// `auth-int` is offered.
    pub auth_int: bool,
    /// The nonce was too old, the credentials were good otherwise: try again without asking anybody.
    pub stale: bool,
    /// To be given back.
    pub opaque: Option<Cow<'a, str>>,
}

/// What a client answers a challenge with.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The user's name in the challenge's realm.
    pub username: &'a str,
    /// The user's secret for that realm and the challenge's algorithm.
    pub ha1: &'a Ha1,
    /// The method of the request that the answer goes into.
    pub method: Method<'a>,
    /// The Request-URI of that request.
    pub uri: &'a str,
    /// Fresh random text, from [`token`](crate::token::token) for example.
    pub cnonce: &'a str,
    /// How many requests this nonce was used for, this one included: 1 at first.
    pub nc: u32,
    /// The request's body, for `auth-int`.
    pub body: &'a [u8],
}

impl<'a> Challenge<'a> {
    /// A challenge that offers `auth`.
    pub fn new(realm: impl Into<Cow<'a, str>>, nonce: impl Into<Cow<'a, str>>, algorithm: Algorithm) -> Self {
        Self {
            realm: realm.into(),
            nonce: nonce.into(),
            algorithm,
            session: false,
            auth: true,
            auth_int: false,
            stale: false,
            opaque: None,
        }
    }

    /// Marks the challenge as due to an old nonce only.
    #[must_use]
    pub fn with_stale(mut self, stale: bool) -> Self {
        self.stale = stale;
        self
    }

    /// Reads one header value.
    pub fn parse(value: &'a [u8]) -> Result<Self, DigestError> {
        let (mut realm, mut nonce, mut opaque) = (None, None, None);
        let mut made = Self::new("", "", Algorithm::Md5);
        made.auth = false;
        params::read(value, |name, value| {
            match name.to_ascii_lowercase().as_str() {
                "realm" => realm = realm.take().or(Some(value)),
                "nonce" => nonce = nonce.take().or(Some(value)),
                "opaque" => opaque = opaque.take().or(Some(value)),
                "stale" => made.stale = value.eq_ignore_ascii_case("true"),
                "algorithm" => {
                    (made.algorithm, made.session) =
                        Algorithm::from_token(&value).ok_or(DigestError::UnknownAlgorithm)?;
                }
                "qop" => {
                    for token in value.split(',').filter_map(|token| Qop::from_token(token.trim())) {
                        match token {
                            Qop::Auth => made.auth = true,
                            Qop::AuthInt => made.auth_int = true,
                        }
                    }
                    // Offers that we do not know alone are no way to answer.
                    if !made.auth && !made.auth_int {
                        return Err(DigestError::UnknownQop);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        made.realm = realm.ok_or(DigestError::Missing("realm"))?;
        made.nonce = nonce.ok_or(DigestError::Missing("nonce"))?;
        made.opaque = opaque;
        Ok(made)
    }

    /// The Authorization (or Proxy-Authorization) value that answers this challenge. `auth` is taken where it is
    /// offered, then `auth-int`, else the form of RFC 2069.
    pub fn answer(&self, answer: &Answer<'_>) -> Result<String, DigestError> {
        if answer.ha1.algorithm() != self.algorithm {
            return Err(DigestError::OtherAlgorithm);
        }
        let nc = format!("{:08x}", answer.nc);
        let qop = if self.auth {
            Some(Qop::Auth)
        } else if self.auth_int {
            Some(Qop::AuthInt)
        } else {
            None
        };
        let proof = response(&Input {
            ha1: answer.ha1,
            session: self.session,
            nonce: &self.nonce,
            protection: qop.map(|qop| Protection { qop, nc: &nc }),
            method: answer.method.as_str(),
            uri: answer.uri,
            body: answer.body,
            cnonce: answer.cnonce,
        });
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{}\", algorithm={}{}",
            quote(answer.username),
            quote(&self.realm),
            quote(&self.nonce),
            quote(answer.uri),
            proof.as_str(),
            self.algorithm,
            self.session_suffix(),
        );
        if qop.is_some() || self.session {
            value.push_str(&format!(", cnonce={}", quote(answer.cnonce)));
        }
        if let Some(qop) = qop {
            value.push_str(&format!(", qop={qop}, nc={nc}"));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        Ok(value)
    }

    fn session_suffix(&self) -> &'static str {
        if self.session { "-sess" } else { "" }
    }
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Digest realm={}, nonce={}",
            quote(&self.realm),
            quote(&self.nonce)
        )?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", quote(opaque))?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        write!(f, ", algorithm={}{}", self.algorithm, self.session_suffix())?;
        match (self.auth, self.auth_int) {
            (true, true) => f.write_str(", qop=\"auth,auth-int\""),
            (true, false) => f.write_str(", qop=\"auth\""),
            (false, true) => f.write_str(", qop=\"auth-int\""),
            (false, false) => Ok(()),
        }
    }
}
