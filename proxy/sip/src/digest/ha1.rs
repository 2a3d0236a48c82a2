use std::fmt;

use super::Algorithm;
use super::algorithm::Hash;

/// H(username:realm:password): what a server stores in place of a password. Worth as much as the password for its realm,
/// so `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct Ha1 {
    algorithm: Algorithm,
    hash: Hash,
}

impl Ha1 {
    /// From a password.
    pub fn from_password(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> Self {
        let hash = algorithm.hash(&[username.as_bytes(), realm.as_bytes(), password.as_bytes()]);
        Self { algorithm, hash }
    }

    /// From stored hexadecimal text, any case. `None` when the length is not the algorithm's or a digit is none.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Option<Self> {
        if hex.len() != algorithm.hash_octets() * 2 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *octet = u8::from_str_radix(crate::text::ascii(pair), 16).ok()?;
        }
        Some(Self {
            algorithm,
            hash: Hash::from_octets(&octets[..algorithm.hash_octets()]),
        })
    }

    /// A secret that no password has. Proving against it takes the time that a real one takes, so an unknown user looks
    /// like a known one with a wrong password.
    pub fn unknown_user(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            hash: Hash::from_octets(&[0; 32][..algorithm.hash_octets()]),
        }
    }

    /// The algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Lower-case hexadecimal text, for storing.
    pub fn to_hex(&self) -> String {
        self.hash.as_str().to_owned()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.hash.as_bytes()
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ha1")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
