//! What of a URI may stand in a request line (RFC 3261 section 19.1.1, table 1).

use std::borrow::Cow;

use super::{Uri, UriParam};

impl<'a> Uri<'a> {
    /// The URI as it may stand in a request line: without headers and without a `method` parameter, which table 1 of
    /// RFC 3261 section 19.1.1 allows elsewhere only, and otherwise as written. A proxy must take them out of whatever
    /// becomes a target (section 16.6 step 2).
    pub fn for_request_line(&self) -> Cow<'a, str> {
        if self.host.is_none() {
            return Cow::Borrowed(self.text);
        }
        let text = self.text.strip_suffix(self.headers.0).unwrap_or(self.text);
        let text = text.strip_suffix('?').unwrap_or(text);
        let is_method = |param: &UriParam<'_>| param.is_named("method");
        if !self.params.iter().any(|param| is_method(&param)) {
            return Cow::Borrowed(text);
        }
        let mut kept = text.strip_suffix(self.params.0).unwrap_or(text).to_owned();
        for param in self.params.iter().filter(|param| !is_method(param)) {
            kept.push(';');
            kept.push_str(param.name);
            if let Some(value) = param.value {
                kept.push('=');
                kept.push_str(value);
            }
        }
        Cow::Owned(kept)
    }
}
