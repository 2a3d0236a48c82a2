//! What of a URI may stand in a request line (RFC 3261 sections 16.4 and 19.1.1, table 1).

use std::borrow::Cow;

use super::{Uri, UriParam};

impl<'a> Uri<'a> {
    /// The URI as it may stand in a request line: without headers and without a `method` parameter, which table 1 of
    /// RFC 3261 section 19.1.1 allows elsewhere only, and otherwise as written. A proxy must take them out of whatever
    /// becomes a target (section 16.6 step 2).
    pub fn for_request_line(&self) -> Cow<'a, str> {
        self.without(&["method"])
    }

    /// The URI that a `maddr` parameter which leads to this proxy stands in the way of: without `maddr`, `transport` and
    /// port, and without what [`for_request_line`](Self::for_request_line) takes out (RFC 3261 section 16.4).
    pub fn beyond_maddr(&self) -> String {
        let kept = self.without(&["method", "maddr", "transport"]);
        match Uri::parse_checked(&kept) {
            Ok(Uri {
                port: Some(_),
                params,
                ..
            }) => {
                let front = kept.strip_suffix(params.0).unwrap_or(&kept);
                // The port is what stands behind the last colon.
                let host = front.rsplit_once(':').map_or(front, |(host, _)| host);
                [host, params.0].concat()
            }
            _ => kept.into_owned(),
        }
    }

    /// Without headers and the parameters with these names.
    fn without(&self, names: &[&str]) -> Cow<'a, str> {
        if self.host.is_none() {
            return Cow::Borrowed(self.text);
        }
        let text = self.text.strip_suffix(self.headers.0).unwrap_or(self.text);
        let text = text.strip_suffix('?').unwrap_or(text);
        let goes = |param: &UriParam<'_>| names.iter().any(|name| param.is_named(name));
        if !self.params.iter().any(|param| goes(&param)) {
            return Cow::Borrowed(text);
        }
        let mut kept = text.strip_suffix(self.params.0).unwrap_or(text).to_owned();
        for param in self.params.iter().filter(|param| !goes(param)) {
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
