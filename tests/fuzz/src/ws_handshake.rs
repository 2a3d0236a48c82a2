//! The handshake that opens a WebSocket for SIP.

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Version};
use viaduct_proxy::http::handshake::{Accept, Origins, Refusal, check};

/// Characters of Sec-WebSocket-Accept: 20 octets in base64.
const ACCEPT_LEN: usize = 28;

/// Reads octets as the head of an HTTP request and judges it as an upgrade.
///
/// Laws: who is let in by pages of some origins is let in by all; every refusal has an answer; what is let in is a GET of
/// HTTP/1.1 that asks for the sub-protocol `sip`, and is answered with a hash that only its key decides.
pub fn ws_handshake(data: &[u8]) {
    let Some((method, version, headers)) = head(data) else {
        return;
    };
    let own = Origins::Own(vec!["https://phone.example.com".to_owned()]);
    let strict = check(&method, version, &headers, &own);
    let open = check(&method, version, &headers, &Origins::Any);
    match (&strict, &open) {
        (Err(Refusal::Origin), Ok(_)) => assert!(headers.contains_key("origin")),
        _ => assert_eq!(strict, open),
    }
    if let Ok(accept) = &strict {
        let origin = headers
            .get("origin")
            .map(|origin| origin.as_bytes().to_ascii_lowercase());
        let host = headers
            .get("host")
            .map(|host| host.as_bytes().to_ascii_lowercase());
        let is_own = |origin: &Vec<u8>| {
            origin == b"https://phone.example.com"
                || host.is_some_and(|host| origin.ends_with(&[b"://", &host[..]].concat()))
        };
        assert!(origin.as_ref().is_none_or(is_own));
        is_an_upgrade(&method, version, &headers, accept);
    }
    if let Err(refusal) = open {
        assert!(refusal != Refusal::Origin && refusal.status().is_client_error());
        assert!(!refusal.to_string().is_empty());
        let _ = refusal.header();
    }
}

fn is_an_upgrade(method: &Method, version: Version, headers: &HeaderMap, accept: &Accept) {
    assert_eq!((method, version), (&Method::GET, Version::HTTP_11));
    assert!(says(headers, "upgrade", "websocket") && says(headers, "connection", "upgrade"));
    assert!(says(headers, "sec-websocket-protocol", "sip") && says(headers, "sec-websocket-version", "13"));
    assert_eq!(accept.accept.len(), ACCEPT_LEN);
    let mut bare = HeaderMap::new();
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "sip"),
    ] {
        bare.insert(name, HeaderValue::from_static(value));
    }
    bare.insert("sec-websocket-key", headers["sec-websocket-key"].clone());
    assert_eq!(check(method, version, &bare, &Origins::Any).as_ref(), Ok(accept));
}

fn says(headers: &HeaderMap, name: &str, word: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().to_ascii_lowercase());
    values
        .into_iter()
        .any(|value| value.windows(word.len()).any(|window| window == word.as_bytes()))
}

/// A request's head as an HTTP library hands it over. `None` for what such a library refuses.
fn head(data: &[u8]) -> Option<(Method, Version, HeaderMap)> {
    let mut lines = data
        .split(|octet| *octet == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next()?.split(|octet| *octet == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let version = match words.nth(1)? {
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/1.1" => Version::HTTP_11,
        _ => return None,
    };
    let mut headers = HeaderMap::new();
    for line in lines.take_while(|line| !line.is_empty()).take(100) {
        let colon = line.iter().position(|octet| *octet == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(
            name,
            HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?,
        );
    }
    Some((method, version, headers))
}
