//! `a=crypto`: SRTP keys in SDP (RFC 4568, suites also from RFC 6188 and RFC 7714).

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{TypedAttribute, number, token, word};
use crate::error::Reason;

/// Prints with padding.
const PADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
/// Prints without padding, which is rtpengine's default.
const UNPADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG.with_encode_padding(false));
/// Peers write keys with and without padding, so both are read.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// One `a=crypto` line (RFC 4568 section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Tag: the answer repeats that of the line it accepts. At most nine digits.
    pub tag: u32,
    /// Crypto suite.
    pub suite: CryptoSuite,
    /// Keys; several only with MKI. Never empty.
    pub keys: Vec<KeyParam>,
    /// Session parameters in their order.
    pub session_params: Vec<SessionParam>,
}

impl Crypto {
    /// A line with one key, without lifetime, MKI, padding or session parameters.
    pub fn new(tag: u32, suite: CryptoSuite, key: MasterKey) -> Self {
        let key = KeyParam {
            key,
            padded: false,
            lifetime: None,
            mki: None,
        };
        Self {
            tag,
            suite,
            keys: vec![key],
            session_params: Vec::new(),
        }
    }
}

impl TypedAttribute for Crypto {
    const NAME: &'static str = "crypto";

    fn parse_value(value: &str) -> Result<Self, Reason> {
        let (tag, rest) = word(value);
        let tag = number(tag, "tag")?;
        if tag > 999_999_999 {
            return Err(Reason::OutOfRange("tag"));
        }
        let (suite, rest) = word(rest);
        let suite = CryptoSuite::from_name(&token(suite, "crypto suite")?);
        let (keys, params) = word(rest);
        if keys.is_empty() {
            return Err(Reason::Missing("key"));
        }
        let keys = keys
            .split(';')
            .map(|text| KeyParam::parse(text, &suite))
            .collect::<Result<_, _>>()?;
        let session_params = params.split_ascii_whitespace().map(SessionParam::parse).collect();
        Ok(Self {
            tag,
            suite,
            keys,
            session_params,
        })
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tag, self.suite)?;
        for (index, key) in self.keys.iter().enumerate() {
            write!(f, "{}{key}", if index == 0 { ' ' } else { ';' })?;
        }
        self.session_params
            .iter()
            .try_for_each(|param| write!(f, " {param}"))
    }
}

macro_rules! suites {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $key:literal, $salt:literal;)*) => {
        /// A crypto suite, in the order rtpengine offers them.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum CryptoSuite {
            $($(#[$doc])* $variant,)*
            /// A suite we cannot do, by name.
            Other(String),
        }

        impl CryptoSuite {
            /// Every known suite, in the order rtpengine offers them.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),*];

            /// Name, as in SDP.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            /// Octets of the master key and of the master salt; `None` for an unknown suite.
            pub fn key_and_salt_len(&self) -> Option<(usize, usize)> {
                match self {
                    $(Self::$variant => Some(($key, $salt)),)*
                    Self::Other(_) => None,
                }
            }
        }
    };
}

suites! {
    /// RFC 7714
    AeadAes256Gcm = "AEAD_AES_256_GCM", 32, 12;
    /// RFC 7714
    AeadAes128Gcm = "AEAD_AES_128_GCM", 16, 12;
    /// RFC 6188
    Aes256CmHmacSha1_80 = "AES_256_CM_HMAC_SHA1_80", 32, 14;
    /// RFC 6188
    Aes256CmHmacSha1_32 = "AES_256_CM_HMAC_SHA1_32", 32, 14;
    /// RFC 6188
    Aes192CmHmacSha1_80 = "AES_192_CM_HMAC_SHA1_80", 24, 14;
    /// RFC 6188
    Aes192CmHmacSha1_32 = "AES_192_CM_HMAC_SHA1_32", 24, 14;
    /// RFC 4568
    AesCm128HmacSha1_80 = "AES_CM_128_HMAC_SHA1_80", 16, 14;
    /// RFC 4568
    AesCm128HmacSha1_32 = "AES_CM_128_HMAC_SHA1_32", 16, 14;
    /// RFC 4568
    F8_128HmacSha1_80 = "F8_128_HMAC_SHA1_80", 16, 14;
    /// rtpengine
    F8_128HmacSha1_32 = "F8_128_HMAC_SHA1_32", 16, 14;
    /// rtpengine: authentication without encryption
    NullHmacSha1_80 = "NULL_HMAC_SHA1_80", 16, 14;
    /// rtpengine: authentication without encryption
    NullHmacSha1_32 = "NULL_HMAC_SHA1_32", 16, 14;
}

impl CryptoSuite {
    /// The suite with this name; case does not count.
    pub fn from_name(name: &str) -> Self {
        let known = Self::KNOWN
            .iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(name));
        known.cloned().unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

impl fmt::Display for CryptoSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Master key followed by master salt. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey(pub Vec<u8>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({} octets)", self.0.len())
    }
}

/// `inline:<key and salt>|<lifetime>|<MKI>` (RFC 4568 section 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyParam {
    /// Key and salt.
    pub key: MasterKey,
    /// True when the base64 text carries its `=` padding (NG `pad-crypto`).
    pub padded: bool,
    /// Packets the key may protect.
    pub lifetime: Option<Lifetime>,
    /// Master key identifier.
    pub mki: Option<Mki>,
}

impl KeyParam {
    fn parse(text: &str, suite: &CryptoSuite) -> Result<Self, Reason> {
        let (method, info) = text.split_once(':').ok_or(Reason::Missing("key method"))?;
        if !method.eq_ignore_ascii_case("inline") {
            return Err(Reason::Unknown("key method"));
        }
        let mut parts = info.split('|');
        let encoded = parts.next().unwrap_or_default();
        let key = UNPADDED.decode(encoded).map_err(|_| Reason::Malformed("key"))?;
        let right_length = match suite.key_and_salt_len() {
            Some((key_len, salt_len)) => key.len() == key_len + salt_len,
            None => !key.is_empty(),
        };
        if !right_length {
            return Err(Reason::Malformed("key"));
        }
        let mut parsed = Self {
            key: MasterKey(key),
            padded: encoded.ends_with('='),
            lifetime: None,
            mki: None,
        };
        for part in parts {
            match part.split_once(':') {
                Some((value, len)) if parsed.mki.is_none() => parsed.mki = Some(Mki::parse(value, len)?),
                None if parsed.lifetime.is_none() && parsed.mki.is_none() => {
                    parsed.lifetime = Some(Lifetime::parse(part)?);
                }
                _ => return Err(Reason::Trailing),
            }
        }
        Ok(parsed)
    }
}

impl fmt::Display for KeyParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = if self.padded { &PADDED } else { &UNPADDED };
        write!(f, "inline:{}", engine.encode(&self.key.0))?;
        if let Some(lifetime) = &self.lifetime {
            write!(f, "|{lifetime}")?;
        }
        match &self.mki {
            Some(mki) => write!(f, "|{}:{}", mki.value, mki.octets),
            None => Ok(()),
        }
    }
}

/// How many packets a key may protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// `2^31`: the exponent.
    PowerOfTwo(u8),
    /// A plain number.
    Packets(u64),
}

impl Lifetime {
    fn parse(text: &str) -> Result<Self, Reason> {
        match text.strip_prefix("2^") {
            Some(exponent) => match number(exponent, "lifetime")? {
                exponent @ 0..=48 => Ok(Self::PowerOfTwo(exponent)),
                _ => Err(Reason::OutOfRange("lifetime")),
            },
            None => Ok(Self::Packets(number(text, "lifetime")?)),
        }
    }

    /// Number of packets.
    pub fn packets(self) -> u64 {
        match self {
            Self::PowerOfTwo(exponent) => 1u64.checked_shl(exponent.into()).unwrap_or(u64::MAX),
            Self::Packets(packets) => packets,
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOfTwo(exponent) => write!(f, "2^{exponent}"),
            Self::Packets(packets) => write!(f, "{packets}"),
        }
    }
}

/// Master key identifier: its value, and its length in every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mki {
    /// Value. Larger ones than this holds are refused.
    pub value: u64,
    /// Length in octets, 1 to 128.
    pub octets: u8,
}

impl Mki {
    fn parse(value: &str, octets: &str) -> Result<Self, Reason> {
        let value = number(value, "MKI")?;
        let octets = number(octets, "MKI length")?;
        let fits = octets >= 8 || value < 1u64 << (8 * u32::from(octets));
        if !(1..=128).contains(&octets) || !fits {
            return Err(Reason::OutOfRange("MKI length"));
        }
        Ok(Self { value, octets })
    }
}

/// A session parameter (RFC 4568 section 6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionParam {
    /// `UNENCRYPTED_SRTP`
    UnencryptedSrtp,
    /// `UNENCRYPTED_SRTCP`
    UnencryptedSrtcp,
    /// `UNAUTHENTICATED_SRTP`
    UnauthenticatedSrtp,
    /// `KDR=`, `FEC_ORDER=`, `FEC_KEY=`, `WSH=` and extensions, as written.
    Other(String),
}

impl SessionParam {
    fn parse(text: &str) -> Self {
        match text {
            "UNENCRYPTED_SRTP" => Self::UnencryptedSrtp,
            "UNENCRYPTED_SRTCP" => Self::UnencryptedSrtcp,
            "UNAUTHENTICATED_SRTP" => Self::UnauthenticatedSrtp,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for SessionParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnencryptedSrtp => "UNENCRYPTED_SRTP",
            Self::UnencryptedSrtcp => "UNENCRYPTED_SRTCP",
            Self::UnauthenticatedSrtp => "UNAUTHENTICATED_SRTP",
            Self::Other(text) => text,
        })
    }
}
