//! Certificates and their fingerprints.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use viaduct_sdp::{Fingerprint, HashFunction};

/// The relay's certificate with its private key. `Debug` does not show the key.
///
/// It is made by the shell, since it carries a time of day: self-signed, ECDSA P-256, as browsers make theirs.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, in DER.
    pub certificate: Vec<u8>,
    /// Its private key: PKCS #8, in DER.
    pub private_key: Vec<u8>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field(
                "certificate",
                &fingerprint(HashFunction::Sha256, &self.certificate).to_string(),
            )
            .finish_non_exhaustive()
    }
}

/// The fingerprint of a certificate in DER (RFC 8122 section 5).
pub(crate) fn fingerprint(hash: HashFunction, certificate: &[u8]) -> Fingerprint {
    let digest = match hash {
        HashFunction::Sha1 => Sha1::digest(certificate).to_vec(),
        HashFunction::Sha224 => Sha224::digest(certificate).to_vec(),
        HashFunction::Sha256 => Sha256::digest(certificate).to_vec(),
        HashFunction::Sha384 => Sha384::digest(certificate).to_vec(),
        HashFunction::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    #[expect(
        clippy::expect_used,
        reason = "every digest has the length of its own hash function"
    )]
    Fingerprint::new(hash, &digest).expect("digest has its hash function's length")
}

/// Whether a certificate is one of those an SDP names (RFC 8122 section 6.2): of several hash functions the strongest
/// counts, and of its fingerprints any.
pub(crate) fn is_named(certificate: &[u8], fingerprints: &[Fingerprint]) -> bool {
    let Some(strongest) = fingerprints
        .iter()
        .map(Fingerprint::hash)
        .max_by_key(|hash| hash.digest_len())
    else {
        return false;
    };
    fingerprints.contains(&fingerprint(strongest, certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHES: [HashFunction; 5] = [
        HashFunction::Sha1,
        HashFunction::Sha224,
        HashFunction::Sha256,
        HashFunction::Sha384,
        HashFunction::Sha512,
    ];

    #[test]
    fn fingerprints_of_every_hash_function_fit() {
        for hash in HASHES {
            assert!(is_named(b"certificate", &[fingerprint(hash, b"certificate")]));
            assert!(!is_named(b"another", &[fingerprint(hash, b"certificate")]));
        }
        assert_eq!(
            fingerprint(HashFunction::Sha1, b"abc").to_string(),
            "sha-1 A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D"
        );
        assert!(!is_named(b"certificate", &[]));
    }

    #[test]
    fn a_weak_fingerprint_does_not_help_a_wrong_strong_one() {
        let weak = fingerprint(HashFunction::Sha1, b"certificate");
        let strong = fingerprint(HashFunction::Sha256, b"another");
        assert!(!is_named(b"certificate", &[weak.clone(), strong]));
        let strong = fingerprint(HashFunction::Sha256, b"certificate");
        let of_another = fingerprint(HashFunction::Sha256, b"another");
        assert!(is_named(b"certificate", &[of_another, weak, strong]));
    }
}
