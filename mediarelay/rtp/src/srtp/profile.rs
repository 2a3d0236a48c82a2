//! The protection profiles: key sizes, tag sizes, names.

/// The most octets that protecting an RTP packet adds.
pub const RTP_GROWTH_MAX: usize = 16;

/// The most octets that protecting an RTCP packet adds: tag and index.
pub const RTCP_GROWTH_MAX: usize = 20;

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
}

impl SrtpProfile {
    /// All profiles, in the order in which we prefer them.
    pub const ALL: [Self; 4] = [
        Self::AeadAes256Gcm,
        Self::AeadAes128Gcm,
        Self::Aes128CmSha1_80,
        Self::Aes128CmSha1_32,
    ];

    /// Octets of the master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Octets of the master salt.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Octets of the tag on an RTP packet: what protecting one adds.
    #[must_use]
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 10,
            Self::Aes128CmSha1_32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Octets of the tag on an RTCP packet; protecting one adds four more for the index.
    #[must_use]
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// The number in DTLS's `use_srtp` extension (RFC 5764, section 4.1.2; RFC 7714, section 14.2).
    #[must_use]
    pub const fn dtls_id(self) -> u16 {
        match self {
            Self::Aes128CmSha1_80 => 0x0001,
            Self::Aes128CmSha1_32 => 0x0002,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    /// The profile of a `use_srtp` number, if supported.
    #[must_use]
    pub fn from_dtls_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.dtls_id() == id)
    }

    /// The crypto suite's name in `a=crypto` (RFC 4568, section 6.2; RFC 7714, section 14.1).
    #[must_use]
    pub const fn sdes_name(self) -> &'static str {
        match self {
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The profile of a crypto suite's name, if supported. Letter case does not matter.
    #[must_use]
    pub fn from_sdes_name(name: &str) -> Option<Self> {
        Self::ALL
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
            assert_eq!(SrtpProfile::from_dtls_id(profile.dtls_id()), Some(profile));
            assert_eq!(SrtpProfile::from_sdes_name(profile.sdes_name()), Some(profile));
            assert!(profile.rtp_tag_len() <= RTP_GROWTH_MAX);
            assert!(profile.rtcp_tag_len() + 4 <= RTCP_GROWTH_MAX);
        }
        assert_eq!(SrtpProfile::from_dtls_id(5), None);
        assert_eq!(SrtpProfile::from_sdes_name("F8_128_HMAC_SHA1_80"), None);
    }
}
