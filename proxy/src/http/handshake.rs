//! The WebSocket handshake of SIP (RFC 6455 section 4.2, RFC 7118 section 4.1). No I/O.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, StatusCode, Version};
use sha1::{Digest, Sha1};

/// What a server appends to the client's key before it hashes it (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Which pages may open a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Any.
    Any,
    /// Those of this server: the origin's host is the Host of the request. And these, in lower case.
    Own(Vec<String>),
}

/// The headers of a 101 answer, besides Upgrade and Connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// Sec-WebSocket-Accept.
    pub accept: String,
}

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another method than GET, or HTTP before 1.1.
    #[error("a WebSocket begins with GET over HTTP/1.1")]
    NotGet,
    /// No `Upgrade: websocket` with `Connection: upgrade`: an ordinary request, which nothing here answers.
    #[error("this path speaks SIP over WebSocket only")]
    NotAnUpgrade,
    /// Another version than 13 (RFC 6455 section 4.4).
    #[error("WebSocket version 13 is needed")]
    Version,
    /// No key, or one that is not 16 octets in base64.
    #[error("Sec-WebSocket-Key is missing or wrong")]
    Key,
    /// `sip` is not among the sub-protocols offered.
    #[error("the sub-protocol sip must be offered")]
    Protocol,
    /// A page of another origin (RFC 6455 section 10.2).
    #[error("pages of this origin may not connect")]
    Origin,
}

impl Refusal {
    /// The status to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Protocol => StatusCode::BAD_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
        }
    }

    /// A header that says what would have been right.
    pub fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::NotGet => Some((http::header::ALLOW, HeaderValue::from_static("GET"))),
            Self::NotAnUpgrade => Some((UPGRADE, HeaderValue::from_static("websocket"))),
            Self::Version => Some((SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))),
            Self::Key | Self::Protocol | Self::Origin => None,
        }
    }
}

/// Judges a handshake.
pub fn check(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    origins: &Origins,
) -> Result<Accept, Refusal> {
    if method != Method::GET || version < Version::HTTP_11 {
        return Err(Refusal::NotGet);
    }
    // Firefox sends `Connection: keep-alive, Upgrade`.
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        return Err(Refusal::NotAnUpgrade);
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version.as_bytes() != b"13")
    {
        return Err(Refusal::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?.as_bytes();
    if STANDARD.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
        return Err(Refusal::Key);
    }
    if !has_token(headers, &SEC_WEBSOCKET_PROTOCOL, "sip") {
        return Err(Refusal::Protocol);
    }
    check_origin(headers, origins)?;
    let mut hasher = Sha1::new();
    hasher.update(key);
    hasher.update(GUID);
    Ok(Accept {
        accept: STANDARD.encode(hasher.finalize()),
    })
}

/// True when a comma list, on one line or many, has this token in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|have| have.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Clients that are no browsers send no Origin, and could send any.
fn check_origin(headers: &HeaderMap, origins: &Origins) -> Result<(), Refusal> {
    let (Origins::Own(others), Some(origin)) = (origins, headers.get(ORIGIN)) else {
        return Ok(());
    };
    let origin = origin.to_str().map_err(|_| Refusal::Origin)?.to_ascii_lowercase();
    // A Host that is missing or no text is nobody's: an Origin without authority must not match it.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_own = origin.split_once("://").is_some_and(|(_, authority)| {
        !authority.is_empty() && host.is_some_and(|host| authority.eq_ignore_ascii_case(host))
    });
    if is_own || others.contains(&origin) {
        Ok(())
    } else {
        Err(Refusal::Origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 section 1.3's example, with what a SIP client adds.
    const GOOD: [(&str, &str); 6] = [
        ("host", "voice.example.com:8443"),
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat, SIP"),
    ];

    fn headers(changes: &[(&str, Option<&str>)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in GOOD {
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        for (name, value) in changes {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            match value {
                Some(value) => headers.insert(name, value.parse().unwrap()),
                None => headers.remove(name),
            };
        }
        headers
    }

    fn judge(changes: &[(&str, Option<&str>)]) -> Result<Accept, Refusal> {
        check(
            &Method::GET,
            Version::HTTP_11,
            &headers(changes),
            &Origins::Own(vec!["https://www.example.com".into()]),
        )
    }

    #[test]
    fn a_sip_client_is_let_in_with_the_right_hash() {
        assert_eq!(judge(&[]).unwrap().accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// RFC 6455 section 4.2.1 and RFC 7118 section 4.1, requirement by requirement.
    #[test]
    fn every_requirement_is_checked() {
        for (changes, refusal) in [
            (&[("upgrade", None)][..], Refusal::NotAnUpgrade),
            (&[("upgrade", Some("h2c"))], Refusal::NotAnUpgrade),
            (&[("connection", Some("close"))], Refusal::NotAnUpgrade),
            (&[("sec-websocket-version", None)], Refusal::Version),
            (&[("sec-websocket-version", Some("8"))], Refusal::Version),
            (&[("sec-websocket-key", None)], Refusal::Key),
            (&[("sec-websocket-key", Some("dGhlIHNhbXBsZQ=="))], Refusal::Key),
            (&[("sec-websocket-key", Some("!!!!"))], Refusal::Key),
            (&[("sec-websocket-protocol", None)], Refusal::Protocol),
            (
                &[("sec-websocket-protocol", Some("sipx, xsip"))],
                Refusal::Protocol,
            ),
        ] {
            assert_eq!(judge(changes), Err(refusal), "{changes:?}");
        }
        let all = headers(&[]);
        assert_eq!(
            check(&Method::POST, Version::HTTP_11, &all, &Origins::Any),
            Err(Refusal::NotGet)
        );
        assert_eq!(
            check(&Method::GET, Version::HTTP_10, &all, &Origins::Any),
            Err(Refusal::NotGet)
        );
        assert_eq!(Refusal::Version.status(), StatusCode::UPGRADE_REQUIRED);
    }

    #[test]
    fn pages_of_strangers_are_refused_and_programs_are_not() {
        let origin = |origin| judge(&[("origin", Some(origin))]).is_ok();
        assert!(origin("https://voice.example.com:8443") && origin("HTTPS://WWW.EXAMPLE.COM"));
        assert!(!origin("https://voice.example.com") && !origin("https://evil.example") && !origin("null"));
        assert!(judge(&[]).is_ok());
        for host in [None, Some(""), Some("\u{e9}")] {
            for origin in ["https://", "https://voice.example.com:8443", ""] {
                let judged = judge(&[("host", host), ("origin", Some(origin))]);
                assert_eq!(judged, Err(Refusal::Origin), "{host:?} {origin:?}");
            }
        }
        let stranger = headers(&[("origin", Some("https://evil.example"))]);
        assert!(check(&Method::GET, Version::HTTP_11, &stranger, &Origins::Any).is_ok());
    }
}
