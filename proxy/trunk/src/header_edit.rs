//! Changes of headers as data.

use std::sync::Arc;

use viaduct_sip::{Edit, HeaderName, NameRef};

/// The name of a header, known or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderKey {
    /// One of the names that are known.
    Known(HeaderName),
    /// Any other, as it is written.
    Other(Arc<str>),
}

impl HeaderKey {
    fn name(&self) -> NameRef<'_> {
        match self {
            Self::Known(name) => NameRef::Known(*name),
            Self::Other(text) => NameRef::Other(text),
        }
    }
}

impl From<HeaderName> for HeaderKey {
    fn from(name: HeaderName) -> Self {
        Self::Known(name)
    }
}

/// A text that means a known header becomes that header, whatever its case.
impl From<&str> for HeaderKey {
    fn from(text: &str) -> Self {
        match NameRef::from(text) {
            NameRef::Known(name) => Self::Known(name),
            NameRef::Other(text) => Self::Other(text.into()),
        }
    }
}

/// A change of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Every line of it goes.
    Remove(HeaderKey),
    /// It has this value alone.
    Set(HeaderKey, String),
}

impl HeaderEdit {
    /// Every line of a header goes.
    pub fn remove(name: impl Into<HeaderKey>) -> Self {
        Self::Remove(name.into())
    }

    /// A header has this value alone, which is one line.
    pub fn set(name: impl Into<HeaderKey>, value: impl Into<String>) -> Self {
        Self::Set(name.into(), value.into())
    }

    /// Makes the change.
    pub fn apply(&self, edit: &mut Edit<'_>) {
        match self {
            Self::Remove(key) => {
                edit.remove_all(key.name());
            }
            Self::Set(key, value) => {
                edit.set(key.name(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::parse;

    #[test]
    fn headers_are_changed_by_name_whatever_case_and_form_they_are_written_in() {
        let request = parse(
            b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
              Call-ID: c\r\nCSeq: 1 INVITE\r\ns: lunch\r\nx-tenant: 1\r\nX-Tenant: 2\r\nX-Left: a,b\r\n\r\n",
        );
        let mut edit = Edit::new(&request);
        for change in [
            HeaderEdit::remove("SUBJECT"),
            HeaderEdit::set("X-TENANT", "blue"),
            HeaderEdit::set("X-Fresh", "1, 2"),
        ] {
            change.apply(&mut edit);
        }
        let changed = parse(&edit.finish().unwrap());
        assert!(!changed.has(HeaderName::Subject));
        let tenants: Vec<_> = changed.headers("X-Tenant").map(|line| line.value()).collect();
        assert_eq!(tenants, [b"blue"]);
        assert_eq!(changed.text("X-Fresh"), Some("1, 2"));
        assert_eq!(changed.text("X-Left"), Some("a,b"));
        assert_eq!(HeaderKey::from("subject"), HeaderName::Subject.into());
    }
}
