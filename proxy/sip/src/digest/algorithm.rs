use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A hash that digest authentication may use, in ascending order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// What every phone and browser library knows.
    Md5,
    /// RFC 8760.
    Sha256,
    /// RFC 8760.
    Sha512_256,
}

impl Algorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [Self; 3] = [Self::Md5, Self::Sha256, Self::Sha512_256];

    /// The token of the `algorithm` parameter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// The algorithm that a token names, any case, and whether in its session form (`-sess`).
    pub fn from_token(token: &str) -> Option<(Self, bool)> {
        Self::ALL.into_iter().find_map(|algorithm| {
            let (name, rest) = token.split_at_checked(algorithm.as_str().len())?;
            let session = rest.eq_ignore_ascii_case("-sess");
            let found = name.eq_ignore_ascii_case(algorithm.as_str()) && (rest.is_empty() || session);
            found.then_some((algorithm, session))
        })
    }

    /// Octets of a hash: 16 or 32.
    pub fn hash_octets(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 | Self::Sha512_256 => 32,
        }
    }

    /// The hash of the parts with colons between them.
    pub(super) fn hash(self, parts: &[&[u8]]) -> Hash {
        match self {
            Self::Md5 => hash::<Md5>(parts),
            Self::Sha256 => hash::<Sha256>(parts),
            Self::Sha512_256 => hash::<Sha512_256>(parts),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Quality of protection: what the response covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qop {
    /// Method and URI.
    Auth,
    /// Method, URI and body.
    AuthInt,
}

impl Qop {
    /// `auth` or `auth-int`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    pub(super) fn from_token(token: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt]
            .into_iter()
            .find(|qop| qop.as_str().eq_ignore_ascii_case(token))
    }
}

impl fmt::Display for Qop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hash of up to 32 octets as lower-case hexadecimal text, the form in which digest hashes are hashed again.
#[derive(Clone, Copy)]
pub(super) struct Hash {
    hex: [u8; 64],
    length: usize,
}

impl Hash {
    pub(super) fn from_octets(octets: &[u8]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 64];
        for (pair, octet) in hex.chunks_exact_mut(2).zip(octets) {
            pair[0] = HEX[usize::from(octet >> 4)];
            pair[1] = HEX[usize::from(octet & 15)];
        }
        Self {
            hex,
            length: octets.len() * 2,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.hex[..self.length]
    }

    pub(super) fn as_str(&self) -> &str {
        crate::text::ascii(self.as_bytes())
    }
}

fn hash<D: Digest>(parts: &[&[u8]]) -> Hash {
    let mut state = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            state.update(b":");
        }
        state.update(part);
    }
    Hash::from_octets(&state.finalize())
}
