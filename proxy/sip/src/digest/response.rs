//! The hash that proves knowledge of a secret (RFC 7616 section 3.4.1).

use super::algorithm::Hash;
use super::{Ha1, Qop};

/// Everything that goes into a response.
pub(super) struct Input<'a> {
    pub(super) ha1: &'a Ha1,
    pub(super) session: bool,
    pub(super) nonce: &'a str,
    /// `None` for the form of RFC 2069, which old phones use.
    pub(super) protection: Option<Protection<'a>>,
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) body: &'a [u8],
    /// Needed for a session algorithm even without qop.
    pub(super) cnonce: &'a str,
}

pub(super) struct Protection<'a> {
    pub(super) qop: Qop,
    /// The count as it stands in the header.
    pub(super) nc: &'a str,
}

pub(super) fn response(input: &Input<'_>) -> Hash {
    let algorithm = input.ha1.algorithm();
    let (method, uri) = (input.method.as_bytes(), input.uri.as_bytes());
    let (nonce, cnonce) = (input.nonce.as_bytes(), input.cnonce.as_bytes());
    let session_ha1 = input
        .session
        .then(|| algorithm.hash(&[input.ha1.as_bytes(), nonce, cnonce]));
    let ha1 = session_ha1.as_ref().map_or(input.ha1.as_bytes(), Hash::as_bytes);
    let qop = input.protection.as_ref().map(|protection| protection.qop);
    let ha2 = match qop {
        Some(Qop::AuthInt) => {
            let body = algorithm.hash(&[input.body]);
            algorithm.hash(&[method, uri, body.as_bytes()])
        }
        Some(Qop::Auth) | None => algorithm.hash(&[method, uri]),
    };
    match &input.protection {
        Some(Protection { qop, nc }) => {
            let qop = qop.as_str().as_bytes();
            algorithm.hash(&[ha1, nonce, nc.as_bytes(), cnonce, qop, ha2.as_bytes()])
        }
        None => algorithm.hash(&[ha1, nonce, ha2.as_bytes()]),
    }
}
