//! A private key that is read once for all associations.
//!
//! The library reads its key for each association, and checks each time that the two halves of the key belong together: a twentieth
//! of what a handshake costs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dimpl::CryptoError;
use dimpl::crypto::{Buf, HashAlgorithm, KeyProvider, SignatureAlgorithm, SigningKey};

/// Knows one key, and asks the library for any other.
pub(super) struct LoadedKey {
    der: Vec<u8>,
    key: Shared,
    others: &'static dyn KeyProvider,
}

/// The key in the hands of one association.
#[derive(Clone)]
struct Shared {
    key: Arc<Mutex<Box<dyn SigningKey>>>,
    algorithm: SignatureAlgorithm,
    hash: HashAlgorithm,
    hashes: Arc<[HashAlgorithm]>,
}

impl LoadedKey {
    /// Reads a key as `library` does.
    ///
    /// # Errors
    /// The library's.
    pub(super) fn load(library: &'static dyn KeyProvider, der: &[u8]) -> Result<Self, CryptoError> {
        let key = library.load_private_key(der)?;
        Ok(Self {
            der: der.to_vec(),
            key: Shared {
                algorithm: key.algorithm(),
                hash: key.hash_algorithm(),
                hashes: key.supported_hash_algorithms().into(),
                key: Arc::new(Mutex::new(key)),
            },
            others: library,
        })
    }
}

impl KeyProvider for LoadedKey {
    fn load_private_key(&self, der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        if der != self.der {
            return self.others.load_private_key(der);
        }
        Ok(Box::new(self.key.clone()))
    }
}

impl SigningKey for Shared {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        // A key that a panic has passed by is the key that it was.
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        key.sign(data, hash, out)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &self.hashes
    }
}

impl fmt::Debug for LoadedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedKey").finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use dimpl::certificate::generate_self_signed_certificate;
    use dimpl::crypto::aws_lc_rs::default_provider;

    use super::*;

    #[test]
    fn another_key_is_read_by_the_library() {
        let library = default_provider().key_provider;
        let [ours, other] = [(); 2].map(|()| generate_self_signed_certificate().unwrap());
        let loaded = LoadedKey::load(library, &ours.private_key).unwrap();
        let sign = |key: &[u8]| {
            let mut out = Buf::new();
            let mut key = loaded.load_private_key(key).unwrap();
            let hash = key.hash_algorithm();
            assert_eq!(key.supported_hash_algorithms(), [hash]);
            key.sign(b"text", hash, &mut out).unwrap();
            out.into_vec()
        };
        let verify = |certificate: &[u8], signature: &[u8]| {
            default_provider().signature_verification.verify_signature(
                certificate,
                b"text",
                signature,
                HashAlgorithm::SHA256,
                SignatureAlgorithm::ECDSA,
            )
        };
        verify(&ours.certificate, &sign(&ours.private_key)).unwrap();
        verify(&other.certificate, &sign(&other.private_key)).unwrap();
        verify(&other.certificate, &sign(&ours.private_key)).unwrap_err();
        loaded.load_private_key(b"nonsense").unwrap_err();
    }
}
