//! `trunks.NAME.headers`: what is different in the headers of requests to a trunk.

use crate::decode::{Fault, TextForm, section, section_default};
use crate::form::text::is_token;
use crate::form::{map_of, numbered, text};
use crate::shape::Shape;

/// Headers that one trunk may have removed, and as many that it may have set.
const HEADERS_MAX: usize = 16;
/// Octets of a header's name.
const NAME_OCTETS_MAX: usize = 64;
/// Octets of a header's value.
const VALUE_OCTETS_MAX: usize = 256;

section! {
    /// Headers of requests to a trunk, in calls and outside them; not of what the gateway sends for itself (REGISTER,
    /// OPTIONS, CANCEL, the ACK of a refusal). Those that calls live by stay as they are: addresses, routes, dialogs, what describes a body, what the ends agree on,
    /// credentials, and Privacy, which is the caller's.
    pub struct TrunkHeaders {
        /// Headers that go, at most 16. STIR's Identity (RFC 8224) is passed untouched unless it is named here.
        remove: Vec<(usize, String)> = default(numbered(HeaderNameForm::REMOVED, HEADERS_MAX), "[]");
        /// Headers that have this value alone, at most 16. Values are shown to whoever may see the configuration; none is kept
        /// secret.
        set: Vec<(String, String)> = default(
            map_of("name of a header", HeaderNameForm::SET, text("a header's value in quotes", VALUE_OCTETS_MAX))
                .at_most(HEADERS_MAX),
            "{}"
        );
    }
}
section_default!(TrunkHeaders);

/// Why headers are left alone, and which.
const KEPT: [(&str, &[&str]); 6] = [
    (
        "the gateway writes it: the way of messages depends on it",
        &[
            "Via",
            "Route",
            "Record-Route",
            "Path",
            "Service-Route",
            "Max-Forwards",
            "Max-Breadth",
        ],
    ),
    (
        "dialogs are known by it; `caller_id`, `number_format` and `domain` say who calls",
        &[
            "From",
            "To",
            "Call-ID",
            "CSeq",
            "Contact",
            "Replaces",
            "Join",
            "Target-Dialog",
        ],
    ),
    (
        "it describes the body",
        &[
            "Content-Type",
            "Content-Length",
            "Content-Encoding",
            "Content-Disposition",
            "Content-Language",
            "Content-ID",
            "MIME-Version",
        ],
    ),
    (
        "it is between the two ends, who have to agree",
        &[
            "Require",
            "Proxy-Require",
            "Supported",
            "Unsupported",
            "Session-Expires",
            "Min-SE",
            "RSeq",
            "RAck",
            "Event",
            "Subscription-State",
            "Expires",
            "Min-Expires",
            "Refer-To",
            "SIP-ETag",
            "SIP-If-Match",
        ],
    ),
    (
        "it proves who somebody is; `register` and `login` answer the trunk",
        &[
            "Authorization",
            "Proxy-Authorization",
            "WWW-Authenticate",
            "Proxy-Authenticate",
            "Authentication-Info",
            "Proxy-Authentication-Info",
            "Security-Client",
            "Security-Server",
            "Security-Verify",
        ],
    ),
    ("it is the caller's word on what may be known", &["Privacy"]),
];

/// What is another in each call, so that no fixed value is right.
const NEVER_FIXED: [&str; 4] = ["Date", "Timestamp", "Identity", "Identity-Info"];

/// The name of a header that may be changed.
#[derive(Debug, Clone, Copy)]
struct HeaderNameForm {
    /// It gets a value.
    is_set: bool,
}

impl HeaderNameForm {
    const REMOVED: Self = Self { is_set: false };
    const SET: Self = Self { is_set: true };
}

impl TextForm for HeaderNameForm {
    type Value = String;

    fn parse(&self, text: &str) -> Result<String, Fault> {
        let is_one_of = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
        if text.len() > NAME_OCTETS_MAX {
            let help = format!("{} bytes; {NAME_OCTETS_MAX} are allowed", text.len());
            return Err(Fault::range().help(help));
        }
        // Short forms (RFC 3261 section 7.3.3) would hide what they stand for.
        if text.len() < 2 {
            return Err(Fault::bad().help("the full name".to_owned()));
        }
        if !is_token(text) {
            return Err(Fault::bad().help("letters, digits and `-` only".to_owned()));
        }
        if let Some((why, _)) = KEPT.iter().find(|(_, names)| is_one_of(names)) {
            return Err(Fault::bad().help((*why).to_owned()));
        }
        if self.is_set && is_one_of(&NEVER_FIXED) {
            return Err(Fault::bad().help("it is another in each call".to_owned()));
        }
        Ok(text.to_owned())
    }

    fn shape(&self) -> Shape {
        Shape::Text {
            what: "the name of a header that may be changed, such as `X-Tenant`".to_owned(),
            pattern: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    #[test]
    fn headers_that_calls_live_by_are_left_alone() {
        for kept in [
            "Via",
            "call-id",
            "CONTENT-TYPE",
            "Proxy-Authorization",
            "Privacy",
            "v",
            "",
            "a b",
            "a:b",
        ] {
            for form in [HeaderNameForm::REMOVED, HeaderNameForm::SET] {
                assert_eq!(form.parse(kept).unwrap_err().code, Code::BadValue, "{kept}");
            }
        }
        for free in [
            "X-Tenant",
            "User-Agent",
            "Diversion",
            "P-Asserted-Identity",
            "Reason",
        ] {
            assert_eq!(HeaderNameForm::SET.parse(free).as_deref(), Ok(free));
        }
        let long = "x".repeat(NAME_OCTETS_MAX + 1);
        assert_eq!(
            HeaderNameForm::SET.parse(&long).unwrap_err().code,
            Code::OutOfRange
        );
    }

    /// RFC 8224: a signature is of one call.
    #[test]
    fn a_signature_may_go_and_cannot_be_made_up() {
        assert!(HeaderNameForm::REMOVED.parse("Identity").is_ok());
        assert!(HeaderNameForm::SET.parse("identity").is_err());
    }
}
