//! The protection profiles: key sizes, tag sizes, names.

use super::keys::Mki;

/// The most octets that protecting an RTP packet adds: tag and key identifier.
pub const RTP_GROWTH_MAX: usize = 16 + Mki::LEN_MAX;

/// The most octets that protecting an RTCP packet adds: tag, index and key identifier.
pub const RTCP_GROWTH_MAX: usize = 20 + Mki::LEN_MAX;

/// How packets are encrypted and authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SrtpProfile {
    /// AES-128 in counter mode, HMAC-SHA1 with 80-bit tags (RFC 3711): every peer has it.
    Aes128CmSha1_80,
    /// The same with 32-bit tags on RTP; RTCP keeps 80 bits (RFC 4568, section 6.2.2; RFC 5764, section 4.1.2).
    Aes128CmSha1_32,
    /// AES-128 in Galois/counter mode with 128-bit tags (RFC 7714): less than half the work of the above.
    AeadAes128Gcm,
    /// The same with AES-256.
    AeadAes256Gcm,
    /// AES-192 in counter mode, HMAC-SHA1 with 80-bit tags (RFC 6188).
    Aes192CmSha1_80,
    /// The same with 32-bit tags on RTP.
    Aes192CmSha1_32,
    /// AES-256 in counter mode, HMAC-SHA1 with 80-bit tags (RFC 6188).
    Aes256CmSha1_80,
    /// The same with 32-bit tags on RTP.
    Aes256CmSha1_32,
    /// AES-128 in f8 mode, HMAC-SHA1 with 80-bit tags (RFC 3711, section 4.1.2).
    F8Sha1_80,
    /// The same with 32-bit tags on RTP.
    F8Sha1_32,
    /// Authenticated by HMAC-SHA1 with 80-bit tags and not encrypted (RFC 3711, section 4.1.3).
    NullSha1_80,
    /// The same with 32-bit tags on RTP.
    NullSha1_32,
}

impl SrtpProfile {
    /// The profiles that we choose by ourselves, with DTLS and with SDES, in the order in which we prefer them.
    pub const ALL: [Self; 4] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::Aes128CmSha1_80,
        Self::Aes128CmSha1_32,
    ];

    /// Every profile that an `a=crypto` line can name, the strongest first. The last two do not encrypt.
    pub const SDES: [Self; 12] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::Aes256CmSha1_80,
        Self::Aes256CmSha1_32,
        Self::Aes192CmSha1_80,
        Self::Aes192CmSha1_32,
        Self::Aes128CmSha1_80,
        Self::Aes128CmSha1_32,
        Self::F8Sha1_80,
        Self::F8Sha1_32,
        Self::NullSha1_80,
        Self::NullSha1_32,
    ];

    /// Octets of the master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80
            | Self::Aes128CmSha1_32
            | Self::AeadAes128Gcm
            | Self::F8Sha1_80
            | Self::F8Sha1_32
            | Self::NullSha1_80
            | Self::NullSha1_32 => 16,
            Self::Aes192CmSha1_80 | Self::Aes192CmSha1_32 => 24,
            Self::AeadAes256Gcm | Self::Aes256CmSha1_80 | Self::Aes256CmSha1_32 => 32,
        }
    }

    /// Whether it is a mode with associated data, whose tag needs no HMAC.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm)
    }

    /// Octets of the master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// Octets of the tag on an RTP packet: what protecting one adds.
    #[must_use]
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80
            | Self::Aes192CmSha1_80
            | Self::Aes256CmSha1_80
            | Self::F8Sha1_80
            | Self::NullSha1_80 => 10,
            Self::Aes128CmSha1_32
            | Self::Aes192CmSha1_32
            | Self::Aes256CmSha1_32
            | Self::F8Sha1_32
            | Self::NullSha1_32 => 4,
        }
    }

    /// Octets of the tag on an RTCP packet; protecting one adds four more for the index.
    #[must_use]
    pub const fn rtcp_tag_len(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }

    /// The number in DTLS's `use_srtp` extension (RFC 5764, section 4.1.2; RFC 7714, section 14.2), of those that we use
    /// with DTLS.
    #[must_use]
    pub const fn dtls_id(self) -> Option<u16> {
        match self {
            Self::Aes128CmSha1_80 => Some(0x0001),
            Self::Aes128CmSha1_32 => Some(0x0002),
            Self::AeadAes128Gcm => Some(0x0007),
            Self::AeadAes256Gcm => Some(0x0008),
            _ => None,
        }
    }

    /// The profile of a `use_srtp` number, if supported.
    #[must_use]
    pub fn from_dtls_id(id: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.dtls_id() == Some(id))
    }

    /// The crypto suite's name in `a=crypto` (RFC 4568, section 6.2; RFC 6188, section 4; RFC 7714, section 14.1).
    #[must_use]
    pub const fn sdes_name(self) -> &'static str {
        match self {
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes192CmSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Self::Aes192CmSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Self::Aes256CmSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::F8Sha1_80 => "F8_128_HMAC_SHA1_80",
            Self::F8Sha1_32 => "F8_128_HMAC_SHA1_32",
            Self::NullSha1_80 => "NULL_HMAC_SHA1_80",
            Self::NullSha1_32 => "NULL_HMAC_SHA1_32",
        }
    }

    /// The profile of a crypto suite's name, if supported. Letter case does not matter.
    #[must_use]
    pub fn from_sdes_name(name: &str) -> Option<Self> {
        Self::SDES
            .into_iter()
            .find(|profile| profile.sdes_name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for profile in SrtpProfile::ALL {
            let id = profile.dtls_id().unwrap();
            assert_eq!(SrtpProfile::from_dtls_id(id), Some(profile));
            assert!(SrtpProfile::SDES.contains(&profile));
        }
        for profile in SrtpProfile::SDES {
            assert_eq!(SrtpProfile::from_sdes_name(profile.sdes_name()), Some(profile));
            assert!(profile.rtp_tag_len() <= RTP_GROWTH_MAX);
            assert!(profile.rtcp_tag_len() + 4 <= RTCP_GROWTH_MAX);
        }
        assert_eq!(SrtpProfile::from_dtls_id(5), None);
        assert_eq!(SrtpProfile::from_sdes_name("F8_128_HMAC_MD5_80"), None);
    }
}
