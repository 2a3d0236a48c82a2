//! HMAC-SHA1 for the full agent, on the crate that STUN uses as well.

use is::Sha1HmacProvider;
use sha1::{Digest, Sha1};

/// Octets that SHA-1 takes at a time.
const BLOCK_LEN: usize = 64;

/// HMAC-SHA1 (RFC 2104).
#[derive(Debug)]
pub(crate) struct Hmac;

impl Sha1HmacProvider for Hmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let mut block = [0; BLOCK_LEN];
        match block.get_mut(..key.len()) {
            Some(place) => place.copy_from_slice(key),
            None => block[..20].copy_from_slice(&Sha1::digest(key)),
        }
        let mut inner = Sha1::new_with_prefix(block.map(|octet| octet ^ 0x36));
        payloads.iter().for_each(|payload| inner.update(payload));
        let mut outer = Sha1::new_with_prefix(block.map(|octet| octet ^ 0x5c));
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 section 3.
    #[test]
    fn agrees_with_the_published_vectors() {
        let hex = |octets: [u8; 20]| {
            octets
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect::<String>()
        };
        let what = Hmac.sha1_hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex(what), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = Hmac.sha1_hmac(
            &[0xaa; 80],
            &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
        );
        assert_eq!(hex(long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }
}
