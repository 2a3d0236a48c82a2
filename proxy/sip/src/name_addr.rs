use std::borrow::Cow;

use crate::param::RawParam;
use crate::quoted::unquote;
use crate::text::{Cursor, ascii, is_blank, is_whole_token, trim};
use crate::{Params, Uri, UriError, ValueError};

/// An address header's value: `"Alice" <sip:alice@example.com>;tag=1` or `sip:alice@example.com;tag=1`. From, To,
/// Contact, Route, Record-Route, Path, Refer-To, P-Asserted-Identity and so on.
///
/// In the form without angle brackets every parameter belongs to the header (RFC 3261 section 20.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    display: Option<&'a [u8]>,
    uri: &'a [u8],
    params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. The URI inside is found, not judged: see [`uri`](Self::uri).
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        Self::parse_visiting(value, |_| ())
    }

    /// The same with its `tag` parameter: the first one that has a value, if only an empty one, or else the last.
    pub(crate) fn parse_with_tag(value: &'a [u8]) -> Result<(Self, Option<RawParam<'a>>), ValueError> {
        let mut tag: Option<RawParam<'a>> = None;
        let addr = Self::parse_visiting(value, |param| {
            let is_tag = param.name.eq_ignore_ascii_case(b"tag");
            if is_tag && tag.as_ref().is_none_or(|tag| tag.raw.is_none()) {
                tag = Some(param);
            }
        })?;
        Ok((addr, tag))
    }

    pub(crate) fn parse_visiting(
        value: &'a [u8],
        visit: impl FnMut(RawParam<'a>),
    ) -> Result<Self, ValueError> {
        let value = trim(value);
        let mut cursor = Cursor::new(value);
        let display = match value.first() {
            None => return Err(ValueError::Empty),
            Some(b'"') => {
                let quoted = cursor.take_quoted().ok_or(ValueError::UnclosedQuote)?;
                cursor.skip_blanks();
                if !cursor.eat(b'<') {
                    return Err(ValueError::BadDisplayName);
                }
                Some(quoted)
            }
            // Unquoted names are tokens by the grammar. Real ones hold anything (RFC 4475 section 3.1.2.15), and nothing
            // is ambiguous up to the bracket.
            Some(_) => match memchr::memchr3(b'<', b';', b'"', value).map(|at| value[at]) {
                Some(b'<') => {
                    let name = trim(cursor.take_until(b'<').unwrap_or_default());
                    (!name.is_empty()).then_some(name)
                }
                Some(b'"') => return Err(ValueError::BadDisplayName),
                _ => return Self::parse_without_brackets(cursor, visit),
            },
        };
        let uri = trim(cursor.take_until(b'>').ok_or(ValueError::UnclosedBracket)?);
        if uri.is_empty() {
            return Err(ValueError::UriMissing);
        }
        let params = Params::parse(cursor.rest(), visit)?;
        Ok(Self { display, uri, params })
    }

    fn parse_without_brackets(
        mut cursor: Cursor<'a>,
        visit: impl FnMut(RawParam<'a>),
    ) -> Result<Self, ValueError> {
        let uri = cursor.take_while(|byte| byte != b';' && !is_blank(byte));
        if uri.is_empty() {
            return Err(ValueError::UriMissing);
        }
        if memchr::memchr2(b'?', b',', uri).is_some() {
            return Err(ValueError::UriNeedsBrackets);
        }
        let params = Params::parse(cursor.rest(), visit)?;
        Ok(Self {
            display: None,
            uri,
            params,
        })
    }

    /// The display name, quotes and escapes resolved. May be any octets.
    pub fn display_name(&self) -> Option<Cow<'a, [u8]>> {
        self.display.map(unquote)
    }

    /// The URI's octets as written.
    pub fn uri_octets(&self) -> &'a [u8] {
        self.uri
    }

    /// The URI, taken apart.
    pub fn uri(&self) -> Result<Uri<'a>, UriError> {
        Uri::from_octets(self.uri)
    }

    /// The header parameters (not the URI's).
    pub fn params(&self) -> Params<'a> {
        self.params
    }

    /// The `tag` parameter. `None` when absent, empty or no token.
    pub fn tag(&self) -> Option<&'a str> {
        self.params
            .get("tag")?
            .raw
            .filter(|tag| is_whole_token(tag))
            .map(ascii)
    }

    /// The `expires` parameter in seconds, cut to 2^32-1. `None` when absent or no number.
    pub fn expires(&self) -> Option<u32> {
        crate::delta_seconds(self.params.get("expires")?.raw?)
    }

    /// The `q` parameter in thousandths, 0 to 1000. `None` when absent or no such number.
    pub fn q(&self) -> Option<u16> {
        crate::q_value(self.params.get("q")?.raw?)
    }
}

/// One Contact value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact<'a> {
    /// `*`: every binding (RFC 3261 section 10.2.2).
    Wildcard,
    /// An address.
    Addr(NameAddr<'a>),
}

impl<'a> Contact<'a> {
    /// Reads one Contact value: one element, not a whole comma list.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        match trim(value) {
            b"*" => Ok(Self::Wildcard),
            value => NameAddr::parse(value).map(Self::Addr),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parameters_belong_to_the_header_without_brackets_and_to_the_uri_within() {
        let bare = parse("sip:alice@example.com ;   tag    = 1918181833n");
        assert_eq!(bare.uri_octets(), b"sip:alice@example.com");
        assert_eq!(bare.tag(), Some("1918181833n"));
        let bracketed = parse("<sip:alice@example.com;tag=uri>");
        assert_eq!(bracketed.tag(), None);
        assert!(bracketed.uri().unwrap().params().has("tag"));
    }

    #[test]
    fn quoted_names_may_hold_anything() {
        let addr = parse(r#""Mr. \"J\" <x>;, Doe"<sip:j@example.com>;tag=1"#);
        assert_eq!(addr.display_name().unwrap().as_ref(), br#"Mr. "J" <x>;, Doe"#);
        assert_eq!(addr.tag(), Some("1"));
    }

    #[test]
    fn unquoted_names_are_taken_as_they_come() {
        assert_eq!(
            parse("caller<sip:c@d>").display_name().unwrap().as_ref(),
            b"caller"
        );
        assert_eq!(
            parse("Bell, A. (x) <sip:c@d>").display_name().unwrap().as_ref(),
            b"Bell, A. (x)"
        );
        assert_eq!(parse("<sip:c@d>").display_name(), None);
    }

    #[test]
    fn a_quoted_parameter_may_hold_brackets() {
        let addr = parse(r#"sip:a@b;+sip.instance="<urn:uuid:1>""#);
        assert_eq!(
            addr.params().text("+SIP.instance").as_deref(),
            Some("<urn:uuid:1>")
        );
    }

    #[test]
    fn blanks_inside_brackets_are_borne() {
        assert_eq!(
            parse("\"W\" < sip:t@example.org >").uri_octets(),
            b"sip:t@example.org"
        );
    }

    #[test]
    fn broken_addresses_are_refused_with_their_fault() {
        for (text, error) in [
            ("", ValueError::Empty),
            (
                "\"Mr. J. User <sip:j.user@example.com>",
                ValueError::UnclosedQuote,
            ),
            ("<sip:a@b", ValueError::UnclosedBracket),
            ("\"A\" sip:a@b", ValueError::BadDisplayName),
            ("a \"b\" <sip:a@b>", ValueError::BadDisplayName),
            ("sip:a@b?Route=x", ValueError::UriNeedsBrackets),
            ("sip:a,b@c", ValueError::UriNeedsBrackets),
            ("<>", ValueError::UriMissing),
            (";tag=1", ValueError::UriMissing),
            ("<sip:a@b>tag=1", ValueError::Junk),
            ("\"Joe\" <sip:joe@example.org>;;;;", ValueError::BadParam),
        ] {
            assert_eq!(NameAddr::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn contact_parameters_have_numbers() {
        let Contact::Addr(addr) = Contact::parse(b"<sip:a@b>;q=0.33;expires=280297596632815").unwrap() else {
            panic!("an address")
        };
        assert_eq!(addr.q(), Some(330));
        assert_eq!(addr.expires(), Some(u32::MAX));
        assert_eq!(Contact::parse(b" * "), Ok(Contact::Wildcard));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(addr) = NameAddr::parse(&value) {
                let _ = (addr.uri().is_ok(), addr.tag(), addr.params().iter().count());
            }
        }
    }
}
