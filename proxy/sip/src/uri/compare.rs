//! URI comparison: RFC 3261 section 19.1.4 for SIP, RFC 3966 section 4 for `tel`.

use super::escape::{same, same_ignoring_case};
use super::{Scheme, Uri, UriParam};

/// Parameters (or headers) of one URI that are compared. A URI with more of them equals only its own text: comparing is
/// quadratic, and nobody needs so many.
const PARAMS_COMPARED_MAX: usize = 64;

/// Parameters that must match when either URI has them.
const ALWAYS_COMPARED: [&str; 5] = ["maddr", "method", "transport", "ttl", "user"];

impl Uri<'_> {
    /// True when both mean the same resource: for `sip` and `sips` by RFC 3261 section 19.1.4, for `tel` by RFC 3966
    /// section 4, for other schemes when they are the same text but for the scheme's case.
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => {
                same_option(self.user, other.user)
                    && same_option(self.password, other.password)
                    && self.host == other.host
                    && self.port == other.port
                    && self.has_same_params(other)
                    && self.has_same_headers(other)
            }
            (Scheme::Tel, Scheme::Tel) => self.is_same_number(other),
            (Scheme::Other(a), Scheme::Other(b)) => {
                a.eq_ignore_ascii_case(b) && self.after_scheme() == other.after_scheme()
            }
            _ => false,
        }
    }

    fn has_same_params(&self, other: &Uri<'_>) -> bool {
        if self.params == other.params {
            return true;
        }
        let agrees = |param: UriParam<'_>, other: &Uri<'_>| match other.params.get(param.name) {
            Some(found) => same_value(param.value, found.value),
            None => !ALWAYS_COMPARED
                .iter()
                .any(|name| same_ignoring_case(param.name, name)),
        };
        is_short(self.params.iter())
            && is_short(other.params.iter())
            && self.params.iter().all(|param| agrees(param, other))
            && other.params.iter().all(|param| agrees(param, self))
    }

    fn has_same_headers(&self, other: &Uri<'_>) -> bool {
        if self.headers == other.headers {
            return true;
        }
        let agrees = |header: UriParam<'_>, other: &Uri<'_>| {
            other
                .headers
                .get(header.name)
                .is_some_and(|found| same_option(header.value, found.value))
        };
        is_short(self.headers.iter())
            && is_short(other.headers.iter())
            && self.headers.iter().count() == other.headers.iter().count()
            && self.headers.iter().all(|header| agrees(header, other))
            && other.headers.iter().all(|header| agrees(header, self))
    }

    /// Digits decide, visual separators do not; every parameter must be in both.
    fn is_same_number(&self, other: &Uri<'_>) -> bool {
        fn digits<'a>(uri: &Uri<'a>) -> impl Iterator<Item = u8> + use<'a> {
            let number = uri.number.unwrap_or_default().bytes();
            number
                .filter(|byte| !b"-.()".contains(byte))
                .map(|byte| byte.to_ascii_lowercase())
        }
        let agrees = |param: UriParam<'_>, other: &Uri<'_>| {
            other
                .params
                .get(param.name)
                .is_some_and(|found| same_value(param.value, found.value))
        };
        let same_params = || {
            is_short(self.params.iter())
                && is_short(other.params.iter())
                && self.params.iter().all(|param| agrees(param, other))
                && other.params.iter().all(|param| agrees(param, self))
        };
        digits(self).eq(digits(other)) && (self.params == other.params || same_params())
    }
}

fn is_short<'a>(params: impl Iterator<Item = UriParam<'a>>) -> bool {
    params.take(PARAMS_COMPARED_MAX + 1).count() <= PARAMS_COMPARED_MAX
}

fn same_option(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn same_value(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same_ignoring_case(a, b),
        (None, None) => true,
        _ => false,
    }
}
