//! The two families of profiles behind one interface: all session keys of one direction.

use super::cm::CmCipher;
use super::gcm::GcmCipher;
use super::keys::SrtpKeyMaterial;

/// The bit beside the SRTCP index that says that the packet is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;

/// Octets of the E bit and index that end an SRTCP packet.
pub(super) const TRAILER_LEN: usize = 4;

/// Octets of an RTCP packet that are never encrypted.
pub(super) const RTCP_CLEAR_LEN: usize = 8;

/// The tag is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// Where a packet stands in its stream: what the nonce is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) ssrc: u32,
    /// 48 bits for RTP, 31 for RTCP.
    pub(super) index: u64,
}

/// Session keys, expanded once. Neither direction changes them, so packets cost no allocation and no key schedule.
#[expect(
    clippy::large_enum_variant,
    reason = "one per context; behind a pointer it would cost a cache miss a packet"
)]
pub(super) enum Cipher {
    Cm(CmCipher),
    Gcm(GcmCipher),
}

impl Cipher {
    pub(super) fn new(master: &SrtpKeyMaterial) -> Self {
        if master.profile().is_aead() {
            Self::Gcm(GcmCipher::new(master))
        } else {
            Self::Cm(CmCipher::new(master))
        }
    }

    /// Reads something of what a packet of RTP will need and gives a number made of it, so that the processor has it in its caches
    /// when the packet's turn comes.
    pub(super) fn fetch(&self) -> u32 {
        match self {
            Self::Cm(cipher) => cipher.fetch(),
            Self::Gcm(cipher) => cipher.fetch(),
        }
    }

    pub(super) fn rtp_tag_len(&self) -> usize {
        match self {
            Self::Cm(cipher) => cipher.rtp_tag_len(),
            Self::Gcm(_) => super::gcm::TAG_LEN,
        }
    }

    pub(super) fn rtcp_tag_len(&self) -> usize {
        match self {
            Self::Cm(_) => super::cm::RTCP_TAG_LEN,
            Self::Gcm(_) => super::gcm::TAG_LEN,
        }
    }

    /// Octets that come after a master key identifier in a packet with a tag of `tag_len` octets: the tag, except with
    /// AES-GCM, where it is part of what is encrypted (RFC 3711 section 3.1, RFC 7714 section 8.1).
    pub(super) fn behind_mki(&self, tag_len: usize) -> usize {
        match self {
            Self::Cm(_) => tag_len,
            Self::Gcm(_) => 0,
        }
    }

    /// Encrypts a packet that ends with room for its tag, and writes the tag there.
    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, at: Position) {
        match self {
            Self::Cm(cipher) => cipher.seal_rtp(packet, header_len, at),
            Self::Gcm(cipher) => cipher.seal_rtp(packet, header_len, at),
        }
    }

    /// Checks the tag at the end of a packet, then decrypts what is before it. On failure the payload's octets are
    /// undefined.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        at: Position,
    ) -> Result<(), NotAuthentic> {
        match self {
            Self::Cm(cipher) => cipher.open_rtp(packet, header_len, at),
            Self::Gcm(cipher) => cipher.open_rtp(packet, header_len, at),
        }
    }

    /// Encrypts an RTCP packet that ends with room for tag and trailer, and writes both.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], at: Position) {
        match self {
            Self::Cm(cipher) => cipher.seal_rtcp(packet, at),
            Self::Gcm(cipher) => cipher.seal_rtcp(packet, at),
        }
    }

    /// Checks tag and trailer at the end of a packet, then decrypts what is before them if the trailer says that it is
    /// encrypted. On failure the body's octets are undefined.
    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        at: Position,
        encrypted: bool,
    ) -> Result<(), NotAuthentic> {
        match self {
            Self::Cm(cipher) => cipher.open_rtcp(packet, at, encrypted),
            Self::Gcm(cipher) => cipher.open_rtcp(packet, at, encrypted),
        }
    }
}
