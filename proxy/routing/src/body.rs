//! The SDP inside a message: alone, or one part of several (RFC 3261 section 7.4, RFC 5621).

use std::ops::Range;

use bytes::Bytes;
use viaduct_sip::Message;

use crate::Refusal;

/// Where the SDP of a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SdpPart {
    /// Octets of the body.
    range: Range<usize>,
    /// The body has other parts too.
    is_multipart: bool,
    /// Its octets are signed or encrypted, so that nobody may write it anew (RFC 1847).
    is_sealed: bool,
}

impl SdpPart {
    /// Finds the SDP of a message. `None` when it has none, or an empty one. A body that is sealed has one: what else would
    /// be secret in a message that can have SDP?
    pub(crate) fn find(message: &Message) -> Option<Self> {
        let body = message.body();
        let kind = message.content_type()?.ok()?;
        let part = if kind.is("application", "sdp") {
            Self {
                range: 0..body.len(),
                is_multipart: false,
                is_sealed: false,
            }
        } else if kind.is("multipart", "signed") || kind.is("multipart", "encrypted") {
            Self {
                range: 0..body.len(),
                is_multipart: true,
                is_sealed: true,
            }
        } else if kind.kind.eq_ignore_ascii_case("multipart") {
            let boundary = kind
                .params
                .text("boundary")
                .filter(|boundary| !boundary.is_empty())?;
            Self {
                range: find_part(body, &boundary)?,
                is_multipart: true,
                is_sealed: false,
            }
        } else {
            return None;
        };
        (!part.range.is_empty()).then_some(part)
    }

    /// The SDP.
    pub(crate) fn of(&self, message: &Message) -> Bytes {
        message.body_bytes().slice(self.range.clone())
    }

    /// The SDP, if it may be written anew.
    pub(crate) fn to_rewrite(&self, message: &Message) -> Result<Bytes, Refusal> {
        if self.is_sealed {
            return Err(Refusal::SealedBody);
        }
        Ok(self.of(message))
    }

    /// The whole body with another SDP in it.
    pub(crate) fn replace(&self, message: &Message, sdp: &Bytes) -> Bytes {
        if !self.is_multipart {
            return sdp.clone();
        }
        let body = message.body();
        let mut whole = Vec::with_capacity(body.len() + sdp.len());
        whole.extend_from_slice(&body[..self.range.start]);
        whole.extend_from_slice(sdp);
        whole.extend_from_slice(&body[self.range.end..]);
        whole.into()
    }
}

/// The content of the first part of type `application/sdp` (RFC 2046 section 5.1.1), without the line end that belongs
/// to the delimiter behind it.
fn find_part(body: &[u8], boundary: &str) -> Option<Range<usize>> {
    let delimiter = format!("--{boundary}");
    let mut from = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    loop {
        let headers = find(body, b"\r\n", from)? + 2;
        // A part without the delimiter behind it was cut off.
        let end = find(body, delimiter.as_bytes(), headers)?;
        let content = find(&body[..end], b"\r\n\r\n", headers.saturating_sub(2))? + 4;
        if is_sdp_head(&body[headers.min(content)..content]) {
            let last = end
                .checked_sub(2)
                .filter(|&at| &body[at..end] == b"\r\n")
                .unwrap_or(end);
            return Some(content..last.max(content));
        }
        from = end + delimiter.len();
    }
}

fn is_sdp_head(head: &[u8]) -> bool {
    head.split(|&byte| byte == b'\n').any(|line| {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
            return false;
        };
        let value = value.split(|&byte| byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-type")
            && value.trim_ascii().eq_ignore_ascii_case(b"application/sdp")
    })
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let at = haystack
        .get(from..)?
        .windows(needle.len())
        .position(|window| window == needle)?;
    Some(from + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::parse;

    fn message(content_type: &str, body: &str) -> Message {
        parse(
            format!(
                "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                 To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Type: {content_type}\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }

    fn sdp_of(content_type: &str, body: &str) -> Option<String> {
        let message = message(content_type, body);
        let part = SdpPart::find(&message)?;
        Some(String::from_utf8(part.of(&message).to_vec()).unwrap())
    }

    #[test]
    fn sdp_alone_is_the_whole_body() {
        assert_eq!(sdp_of("application/sdp", "v=0\r\n").as_deref(), Some("v=0\r\n"));
        assert_eq!(
            sdp_of("Application/SDP;x=1", "v=0\r\n").as_deref(),
            Some("v=0\r\n")
        );
        assert_eq!(sdp_of("application/sdp", ""), None);
        assert_eq!(sdp_of("text/plain", "v=0\r\n"), None);
    }

    const PARTS: &str = "preamble\r\n--b1\r\nContent-Type: application/isup\r\n\r\nv=9\r\n--b1\r\n\
        content-type: application/sdp;q=1\r\nContent-Disposition: session\r\n\r\nv=0\r\ns=-\r\n\r\n--b1--\r\n";

    #[test]
    fn the_sdp_part_of_several_is_found_and_replaced_alone() {
        let kind = "multipart/mixed;boundary=\"b1\"";
        assert_eq!(sdp_of(kind, PARTS).as_deref(), Some("v=0\r\ns=-\r\n"));
        let message = message(kind, PARTS);
        let part = SdpPart::find(&message).unwrap();
        let replaced = part.replace(&message, &Bytes::from_static(b"NEW\r\n"));
        assert_eq!(
            std::str::from_utf8(&replaced).unwrap(),
            PARTS.replace("v=0\r\ns=-\r\n", "NEW\r\n")
        );
    }

    #[test]
    fn broken_multiparts_have_no_sdp() {
        let kind = "multipart/mixed;boundary=b1";
        for body in [
            "",
            "--b1",
            "--b1\r\n",
            "--b1\r\nContent-Type: application/sdp\r\n\r\nv=0",
            "--b1--\r\n--b1--",
        ] {
            assert_eq!(sdp_of(kind, body), None, "{body:?}");
        }
        assert_eq!(sdp_of("multipart/mixed", PARTS), None);
        assert_eq!(sdp_of("multipart/mixed;boundary=", PARTS), None);
    }
}
