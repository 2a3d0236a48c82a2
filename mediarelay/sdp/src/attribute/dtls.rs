//! What DTLS-SRTP needs from SDP: `setup`, `fingerprint`, `tls-id`.

use std::fmt;

use super::{TypedAttribute, word};
use crate::error::Reason;

/// `a=setup:actpass` (RFC 4145 section 4, RFC 8842 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Will send the ClientHello.
    Active,
    /// Waits for the ClientHello.
    Passive,
    /// Either; only in offers.
    Actpass,
    /// Wants no connection for the time being.
    Holdconn,
}

impl Setup {
    /// The word of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Actpass => "actpass",
            Self::Holdconn => "holdconn",
        }
    }
}

impl TypedAttribute for Setup {
    const NAME: &'static str = "setup";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let all = [Self::Active, Self::Passive, Self::Actpass, Self::Holdconn];
        all.into_iter()
            .find(|setup| setup.name().eq_ignore_ascii_case(value))
            .ok_or(Reason::Unknown("role"))
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Hash of a certificate fingerprint. MD2 and MD5 are deliberately absent (RFC 8122 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashFunction {
    /// `sha-1`
    Sha1,
    /// `sha-224`
    Sha224,
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl HashFunction {
    const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name, as in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The hash with this name; case does not count.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))
    }

    /// Octets of the digest.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `a=fingerprint:sha-256 4A:AD:…` (RFC 8122 section 5). The digest has the length of its hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    hash: HashFunction,
    digest: Vec<u8>,
}

impl Fingerprint {
    /// A fingerprint; `None` when `digest` has not the length of `hash`.
    pub fn new(hash: HashFunction, digest: &[u8]) -> Option<Self> {
        (digest.len() == hash.digest_len()).then(|| Self {
            hash,
            digest: digest.to_vec(),
        })
    }

    /// Hash function.
    pub fn hash(&self) -> HashFunction {
        self.hash
    }

    /// Digest of the certificate in DER.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

impl TypedAttribute for Fingerprint {
    const NAME: &'static str = "fingerprint";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (hash, digest) = word(value);
        let hash = HashFunction::from_name(hash).ok_or(Reason::Unknown("hash function"))?;
        let octets = digest.split(':').map(|pair| match pair.as_bytes() {
            [high, low] => Some(hex_digit(*high)? << 4 | hex_digit(*low)?),
            _ => None,
        });
        let digest: Vec<u8> = octets
            .collect::<Option<_>>()
            .ok_or(Reason::Malformed("fingerprint"))?;
        Self::new(hash, &digest).ok_or(Reason::Malformed("fingerprint"))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (index, octet) in self.digest.iter().enumerate() {
            write!(f, "{}{octet:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// `a=tls-id:` (RFC 8842 section 4): names one DTLS association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsId(pub String);

impl TypedAttribute for TlsId {
    const NAME: &'static str = "tls-id";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        if !(20..=255).contains(&value.len()) {
            return Err(Reason::OutOfRange("tls-id"));
        }
        let legal = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'-' | b'_');
        if !value.bytes().all(legal) {
            return Err(Reason::Malformed("tls-id"));
        }
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Display for TlsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
