use std::borrow::Cow;

use subtle::ConstantTimeEq;

use super::response::{Input, Protection, response};
use super::{Algorithm, DigestError, Ha1, Qop, params};
use crate::{Header, HeaderName, Message, Method, Uri};

/// An Authorization or Proxy-Authorization value, read liberally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Who the client says it is.
    pub username: Cow<'a, str>,
    /// For whom the credentials are.
    pub realm: Cow<'a, str>,
    /// The server's nonce, to be [verified](super::NonceSource::verify).
    pub nonce: Cow<'a, str>,
    /// The URI that the response covers; see [`covers`](Self::covers).
    pub uri: Cow<'a, str>,
    /// The proof, hexadecimal.
    pub response: Cow<'a, str>,
    /// MD5 when the client names none.
    pub algorithm: Algorithm,
    /// The `-sess` form of the algorithm.
    pub session: bool,
    /// `None` from clients of RFC 2069: whether they are let in is policy.
    pub qop: Option<Qop>,
    /// The client's nonce, there with qop.
    pub cnonce: Option<Cow<'a, str>>,
    /// The nonce count as written, there with qop; see [`count`](Self::count).
    pub nc: Option<Cow<'a, str>>,
    /// What a server may have given to get back.
    pub opaque: Option<Cow<'a, str>>,
}

/// Credentials and the header line that holds them, so that a proxy can remove them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCredentials<'m> {
    /// The line.
    pub header: Header<'m>,
    /// What it says.
    pub credentials: Credentials<'m>,
}

impl<'a> Credentials<'a> {
    /// Reads one header value.
    pub fn parse(value: &'a [u8]) -> Result<Self, DigestError> {
        let mut fields = Fields::default();
        params::read(value, |name, value| {
            if let Some(field) = fields.named(name) {
                field.get_or_insert(value);
            }
            Ok(())
        })?;
        fields.check()
    }

    /// The credentials for `realm` among the lines of Authorization or Proxy-Authorization. `None` when there are none,
    /// an error when none can be read that might have been them.
    pub fn find<'m>(
        message: &'m Message,
        name: HeaderName,
        realm: &str,
    ) -> Option<Result<FoundCredentials<'m>, DigestError>> {
        let mut fault = None;
        for header in message.headers(name) {
            match Credentials::parse(header.value()) {
                Ok(credentials) if credentials.realm == realm => {
                    return Some(Ok(FoundCredentials { header, credentials }));
                }
                Ok(_) | Err(DigestError::OtherScheme) => {}
                Err(error) => fault = Some(Err(error)),
            }
        }
        fault
    }

    /// The nonce count as a number. `None` without qop.
    pub fn count(&self) -> Option<u32> {
        self.nc.as_ref().and_then(|nc| u32::from_str_radix(nc, 16).ok())
    }

    /// True when the URI that the response covers means the same as the Request-URI (RFC 7616 section 3.4.6). A request
    /// that was retargeted on its way fails this and is honest all the same; whether that matters is policy.
    pub fn covers(&self, request_uri: &str) -> bool {
        if self.uri == request_uri {
            return true;
        }
        match (Uri::parse(&self.uri), Uri::parse(request_uri)) {
            (Ok(covered), Ok(requested)) => covered.is_equivalent(&requested),
            _ => false,
        }
    }

    /// True when the URI that the response covers names the same user as the Request-URI, or none as well. Its host may
    /// differ: devices name the address that they send to, or a domain, and their parameters as it pleases them. What
    /// is dialled is protected all the same.
    pub fn covers_user(&self, request_uri: &str) -> bool {
        if self.uri == request_uri {
            return true;
        }
        match (Uri::parse(&self.uri), Uri::parse(request_uri)) {
            (Ok(covered), Ok(requested)) => covered.user_unescaped() == requested.user_unescaped(),
            _ => false,
        }
    }

    /// True when the response proves the secret. Takes the same time wherever it goes wrong. The body matters for
    /// [`Qop::AuthInt`] only.
    pub fn prove(&self, ha1: &Ha1, method: Method<'_>, body: &[u8]) -> bool {
        let protection = match (self.qop, &self.nc) {
            (Some(qop), Some(nc)) => Some(Protection { qop, nc }),
            _ => None,
        };
        let expected = response(&Input {
            ha1,
            session: self.session,
            nonce: &self.nonce,
            protection,
            method: method.as_str(),
            uri: &self.uri,
            body,
            cnonce: self.cnonce.as_deref().unwrap_or_default(),
        });
        let given = self.response.to_ascii_lowercase();
        let same: bool = expected.as_bytes().ct_eq(given.as_bytes()).into();
        same && ha1.algorithm() == self.algorithm
    }
}

/// Parameters as they come.
#[derive(Default)]
struct Fields<'a> {
    username: Option<Cow<'a, str>>,
    realm: Option<Cow<'a, str>>,
    nonce: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    response: Option<Cow<'a, str>>,
    algorithm: Option<Cow<'a, str>>,
    qop: Option<Cow<'a, str>>,
    cnonce: Option<Cow<'a, str>>,
    nc: Option<Cow<'a, str>>,
    opaque: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    fn named(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        let fields = [
            ("username", &mut self.username),
            ("realm", &mut self.realm),
            ("nonce", &mut self.nonce),
            ("uri", &mut self.uri),
            ("response", &mut self.response),
            ("algorithm", &mut self.algorithm),
            ("qop", &mut self.qop),
            ("cnonce", &mut self.cnonce),
            ("nc", &mut self.nc),
            ("opaque", &mut self.opaque),
        ];
        fields
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, field)| field)
    }

    fn check(self) -> Result<Credentials<'a>, DigestError> {
        let (algorithm, session) = match &self.algorithm {
            Some(token) => Algorithm::from_token(token).ok_or(DigestError::UnknownAlgorithm)?,
            None => (Algorithm::Md5, false),
        };
        let qop = match &self.qop {
            Some(token) => Some(Qop::from_token(token).ok_or(DigestError::UnknownQop)?),
            None => None,
        };
        if qop.is_some() || session {
            self.cnonce.as_ref().ok_or(DigestError::Missing("cnonce"))?;
        }
        if qop.is_some() {
            let nc = self.nc.as_ref().ok_or(DigestError::Missing("nc"))?;
            let good = (1..=8).contains(&nc.len()) && nc.bytes().all(|digit| digit.is_ascii_hexdigit());
            good.then_some(()).ok_or(DigestError::BadNonceCount)?;
        }
        Ok(Credentials {
            username: self.username.ok_or(DigestError::Missing("username"))?,
            realm: self.realm.ok_or(DigestError::Missing("realm"))?,
            nonce: self.nonce.ok_or(DigestError::Missing("nonce"))?,
            uri: self.uri.ok_or(DigestError::Missing("uri"))?,
            response: self.response.ok_or(DigestError::Missing("response"))?,
            algorithm,
            session,
            qop,
            cnonce: self.cnonce,
            nc: if qop.is_some() { self.nc } else { None },
            opaque: self.opaque,
        })
    }
}
