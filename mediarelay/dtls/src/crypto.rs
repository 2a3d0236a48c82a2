//! Cipher suites, the pseudorandom function and key exchange.

use std::fmt;

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{aead, digest, hmac};

use crate::error::Error;
use crate::x509::PublicKey;

/// Octets of a master secret.
pub(crate) const MASTER_LEN: usize = 48;
/// Octets of `verify_data` in Finished.
pub(crate) const VERIFY_LEN: usize = 12;

/// A cipher suite: ECDHE, AES-GCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suite {
    /// Its number at IANA.
    pub(crate) id: u16,
    /// Whether the server's certificate is RSA; otherwise it is ECDSA.
    pub(crate) rsa: bool,
    hash: Hash,
}

/// What a client of ours offers, the best first (RFC 5289).
pub(crate) const SUITES: [Suite; 4] = [
    suite(0xC02B, false, Hash::Sha256),
    suite(0xC02F, true, Hash::Sha256),
    suite(0xC02C, false, Hash::Sha384),
    suite(0xC030, true, Hash::Sha384),
];

const fn suite(id: u16, rsa: bool, hash: Hash) -> Suite {
    Suite { id, rsa, hash }
}

/// The hash of a suite, which goes with the length of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    /// With AES-128.
    Sha256,
    /// With AES-256.
    Sha384,
}

impl Suite {
    /// Whether a server with this certificate may have chosen it.
    pub(crate) fn fits(&self, certificate: &[u8]) -> Result<bool, Error> {
        Ok(self.rsa == matches!(PublicKey::of(certificate)?, PublicKey::Rsa(_)))
    }

    pub(crate) fn aead(&self) -> &'static aead::Algorithm {
        match self.hash {
            Hash::Sha256 => &aead::AES_128_GCM,
            Hash::Sha384 => &aead::AES_256_GCM,
        }
    }

    pub(crate) fn digest(&self, octets: &[u8]) -> digest::Digest {
        let algorithm = match self.hash {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
        };
        digest::digest(algorithm, octets)
    }

    /// The pseudorandom function (RFC 5246 section 5); the seed is that of `seeds` one after another.
    pub(crate) fn prf(&self, secret: &[u8], label: &str, seeds: &[&[u8]], out: &mut [u8]) {
        let algorithm = match self.hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
        };
        let key = hmac::Key::new(algorithm, secret);
        let mac = |first: &[u8]| {
            let mut context = hmac::Context::with_key(&key);
            context.update(first);
            context
        };
        let with_seed = |mut context: hmac::Context| {
            context.update(label.as_bytes());
            for seed in seeds {
                context.update(seed);
            }
            context.sign()
        };
        let mut a = with_seed(mac(&[]));
        for block in out.chunks_mut(algorithm.digest_algorithm().output_len()) {
            let octets = with_seed(mac(a.as_ref()));
            block.copy_from_slice(&octets.as_ref()[..block.len()]);
            a = mac(a.as_ref()).sign();
        }
    }
}

/// Groups of ECDHE, the best first.
pub(crate) const GROUPS: [u16; 3] = [0x001D, 0x0017, 0x0018];

/// Our half of a key exchange.
pub(crate) struct KeyShare {
    group: u16,
    private: EphemeralPrivateKey,
    public: Vec<u8>,
}

impl KeyShare {
    /// A fresh one in a group that the peer has named.
    pub(crate) fn new(group: u16) -> Result<Self, Error> {
        let algorithm = algorithm(group).ok_or(Error::NothingInCommon("group"))?;
        let private = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new())?;
        let public = private.compute_public_key()?.as_ref().to_vec();
        Ok(Self {
            group,
            private,
            public,
        })
    }

    pub(crate) fn group(&self) -> u16 {
        self.group
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The premaster secret.
    pub(crate) fn agree(self, theirs: &[u8]) -> Result<Vec<u8>, Error> {
        let algorithm = algorithm(self.group).ok_or(Error::Internal)?;
        let theirs = UnparsedPublicKey::new(algorithm, theirs);
        agree_ephemeral(self.private, theirs, Error::KeyExchange, |secret| {
            Ok(secret.to_vec())
        })
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyShare")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

fn algorithm(group: u16) -> Option<&'static agreement::Algorithm> {
    match group {
        0x001D => Some(&agreement::X25519),
        0x0017 => Some(&agreement::ECDH_P256),
        0x0018 => Some(&agreement::ECDH_P384),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_every_group_agree() {
        for group in GROUPS {
            let (one, other) = (KeyShare::new(group).unwrap(), KeyShare::new(group).unwrap());
            let (of_one, of_other) = (one.public().to_vec(), other.public().to_vec());
            assert_eq!(one.agree(&of_other).unwrap(), other.agree(&of_one).unwrap());
            let lonely = KeyShare::new(group).unwrap();
            assert_eq!(lonely.agree(&[0; 32]).unwrap_err(), Error::KeyExchange);
        }
        assert!(KeyShare::new(0x0019).is_err());
    }

    #[test]
    fn the_pseudorandom_function_is_one_stream() {
        for suite in SUITES {
            let (mut long, mut short) = ([0; 100], [0; 33]);
            suite.prf(b"secret", "label", &[b"se", b"ed"], &mut long);
            suite.prf(b"secret", "label", &[b"seed"], &mut short);
            assert_eq!(long[..33], short);
            suite.prf(b"secret", "other", &[b"seed"], &mut short);
            assert_ne!(long[..33], short);
        }
    }
}
