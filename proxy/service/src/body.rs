//! The bodies of requests: SDP, and key presses in INFO.

use std::str;

use viaduct_sdp::Session;
use viaduct_sip::{HeaderName, Item, Message};

use crate::Limits;
use crate::refusal::Refusal;

/// The longest body of an INFO that is looked at for a digit, in octets.
const DIGIT_BODY_OCTETS_MAX: usize = 256;

/// The session description of a request. `None` when it brings none: no body, or one that may be ignored.
pub(crate) fn session(request: &Message, limits: &Limits) -> Result<Option<Session>, Refusal> {
    let body = request.body();
    if body.is_empty() {
        return Ok(None);
    }
    if body.len() > limits.body_octets_max {
        return Err(Refusal::BodyTooLarge);
    }
    let is_sdp = matches!(request.content_type(), Some(Ok(media)) if media.is("application", "sdp"));
    if !is_sdp {
        return if is_optional(request) {
            Ok(None)
        } else {
            Err(Refusal::UnsupportedMediaType)
        };
    }
    let is_encoded = request
        .values(HeaderName::ContentEncoding)
        .any(|encoding| !encoding.eq_ignore_ascii_case(b"identity"));
    if is_encoded {
        return Err(Refusal::UnsupportedEncoding);
    }
    Session::parse_within(body, &limits.sdp)
        .map(Some)
        .map_err(|_| Refusal::BadSdp)
}

/// True when the sender does not mind that its body is not understood (RFC 3261 section 20.11).
fn is_optional(request: &Message) -> bool {
    let disposition = request
        .header(HeaderName::ContentDisposition)
        .and_then(|value| Item::parse(value).ok());
    disposition
        .and_then(|item| item.params.text("handling"))
        .is_some_and(|handling| handling.eq_ignore_ascii_case("optional"))
}

/// The key that an INFO tells of. Two forms are in use, neither of them a standard: `application/dtmf-relay` with
/// `Signal=5`, and `application/dtmf` with `5`. `None` for other bodies, and for `Signal=hf` and the like.
pub(crate) fn digit(request: &Message) -> Option<char> {
    let media = request.content_type()?.ok()?;
    let body = request.body();
    if body.len() > DIGIT_BODY_OCTETS_MAX {
        return None;
    }
    let body = str::from_utf8(body).ok()?;
    let signal = if media.is("application", "dtmf-relay") {
        body.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then_some(value)
        })?
    } else if media.is("application", "dtmf") {
        body
    } else {
        return None;
    };
    key(signal.trim())
}

/// The key of a signal: its character, or 10 and 11 for `*` and `#`.
fn key(signal: &str) -> Option<char> {
    let mut letters = signal.chars();
    match (letters.next()?.to_ascii_uppercase(), letters.as_str()) {
        (key @ ('0'..='9' | '*' | '#' | 'A'..='D'), "") => Some(key),
        ('1', "0") => Some('*'),
        ('1', "1") => Some('#'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::message;

    fn with_body(headers: &str, body: &str) -> Message {
        message(&format!(
            "INFO sip:echo@example.com SIP/2.0\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn digit_of(kind: &str, body: &str) -> Option<char> {
        digit(&with_body(&format!("Content-Type: {kind}\r\n"), body))
    }

    #[test]
    fn digits_come_in_two_forms() {
        let relay = "application/dtmf-relay";
        assert_eq!(digit_of(relay, "Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(digit_of(relay, "Duration= 160\nsignal= #"), Some('#'));
        assert_eq!(digit_of(relay, "Signal=10"), Some('*'));
        assert_eq!(digit_of(relay, "Signal=d"), Some('D'));
        assert_eq!(digit_of("application/dtmf", "7\r\n"), Some('7'));
        for body in ["", "Signal=", "Signal=hf", "Signal=12", "Signal=é", "Signal"] {
            assert_eq!(digit_of(relay, body), None, "{body:?}");
        }
        assert_eq!(digit_of("text/plain", "5"), None);
        assert_eq!(digit_of(relay, &format!("{}Signal=5", "x\r\n".repeat(100))), None);
    }

    #[test]
    fn a_body_is_sdp_or_may_be_ignored_or_is_refused() {
        let read = |headers: &str, body: &str| session(&with_body(headers, body), &Limits::default());
        assert_eq!(read("", ""), Ok(None));
        let sdp = "Content-Type: Application/SDP\r\n";
        assert!(matches!(read(sdp, "v=0\r\n"), Ok(Some(_))));
        assert_eq!(read(sdp, "hello"), Err(Refusal::BadSdp));
        assert_eq!(read("", "v=0\r\n"), Err(Refusal::UnsupportedMediaType));
        let mixed = "Content-Type: multipart/mixed;boundary=x\r\n";
        assert_eq!(read(mixed, "--x--"), Err(Refusal::UnsupportedMediaType));
        let optional = format!("{mixed}Content-Disposition: render; handling=OPTIONAL\r\n");
        assert_eq!(read(&optional, "--x--"), Ok(None));
        let packed = format!("{sdp}Content-Encoding: gzip\r\n");
        assert_eq!(read(&packed, "v=0\r\n"), Err(Refusal::UnsupportedEncoding));
        let long = format!("v=0\r\n{}", "a=x\r\n".repeat(20_000));
        assert_eq!(read(sdp, &long), Err(Refusal::BodyTooLarge));
    }
}
