use crate::text::{Cursor, ascii, is_token, trim};
use crate::{Params, ValueError};

/// A value with parameters that is no address: Event, Reason, Session-Expires, Subscription-State, Replaces,
/// Content-Disposition and most others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// What stands before the first `;`, without blanks around it.
    pub value: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> Item<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new(trim(value));
        let value = trim(cursor.take_while(|byte| byte != b';'));
        if value.is_empty() {
            return Err(ValueError::Empty);
        }
        let params = Params::parse(cursor.rest(), |_| ())?;
        Ok(Self { value, params })
    }

    /// The value as text, `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }

    /// True when the value is `text`, any case.
    pub fn is(&self, text: &str) -> bool {
        self.value.eq_ignore_ascii_case(text.as_bytes())
    }
}

/// A Content-Type or Accept value: `type/subtype;parameters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// `application`, `multipart` …
    pub kind: &'a str,
    /// `sdp`, `mixed` …
    pub subtype: &'a str,
    /// `boundary`, `charset` …
    pub params: Params<'a>,
}

impl<'a> MediaType<'a> {
    /// Reads one value.
    pub fn parse(value: &'a [u8]) -> Result<Self, ValueError> {
        let mut cursor = Cursor::new(value);
        cursor.skip_blanks();
        if cursor.at_end() {
            return Err(ValueError::Empty);
        }
        let kind = cursor.take_while(is_token);
        let slash = cursor.eat_spaced(b'/');
        let subtype = cursor.take_while(is_token);
        if kind.is_empty() || !slash || subtype.is_empty() {
            return Err(ValueError::BadToken);
        }
        let params = Params::parse(cursor.rest(), |_| ())?;
        Ok(Self {
            kind: ascii(kind),
            subtype: ascii(subtype),
            params,
        })
    }

    /// True for this type and subtype, any case: `is("application", "sdp")`.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_apart_from_its_parameters() {
        let item = Item::parse(b" 1800 ; refresher=uac").unwrap();
        assert_eq!(item.text(), Some("1800"));
        assert_eq!(item.params.text("refresher").as_deref(), Some("uac"));
        let reason = Item::parse(b"sip;cause=200;text=\"Call completed elsewhere\"").unwrap();
        assert!(reason.is("SIP"));
        assert_eq!(Item::parse(b";a=b"), Err(ValueError::Empty));
    }

    #[test]
    fn media_types_bear_blanks_and_quotes() {
        let media = MediaType::parse(b"Multipart / mixed\r\n ;boundary=\"a;b\"").unwrap();
        assert!(media.is("multipart", "MIXED"));
        assert_eq!(media.params.text("boundary").as_deref(), Some("a;b"));
        for text in ["", "text", "text/", "/plain", "text/plain junk"] {
            assert!(MediaType::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
