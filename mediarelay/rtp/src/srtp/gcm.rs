//! AES in Galois/counter mode (RFC 7714).

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::cipher::{ENCRYPTED, NotAuthentic, Position, RTCP_CLEAR_LEN, TRAILER_LEN};
use super::kdf::{Label, derive};
use super::keys::SrtpKeyMaterial;
use super::profile::SrtpProfile;

/// Octets of the tag on every packet.
pub(super) const TAG_LEN: usize = 16;

/// The keys of one direction for RTP or for RTCP. That no nonce repeats is seen to by the context's packet indices.
struct Half {
    key: LessSafeKey,
    salt: [u8; NONCE_LEN],
}

impl Half {
    fn new(profile: SrtpProfile, key: &[u8], salt: [u8; NONCE_LEN]) -> Self {
        let algorithm = match profile {
            SrtpProfile::AeadAes256Gcm => &AES_256_GCM,
            _ => &AES_128_GCM,
        };
        #[expect(
            clippy::expect_used,
            reason = "the key is derived with the algorithm's length"
        )]
        let key = UnboundKey::new(algorithm, key).expect("a key of the algorithm's length");
        Self {
            key: LessSafeKey::new(key),
            salt,
        }
    }

    /// Salt combined with two zero octets, SSRC and index (RFC 7714, sections 8.1 and 9.1: RTP's rollover counter and
    /// sequence number are its index, and RTCP's index fills the same octets).
    fn nonce(&self, at: Position) -> Nonce {
        let mut nonce = self.salt;
        for (octet, ssrc) in nonce[2..6].iter_mut().zip(at.ssrc.to_be_bytes()) {
            *octet ^= ssrc;
        }
        for (octet, index) in nonce[6..].iter_mut().zip(&at.index.to_be_bytes()[2..]) {
            *octet ^= index;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, at: Position, clear: &[u8], body: &mut [u8], tag: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "GCM fails only on bodies of 64 GiB")]
        let full = self
            .key
            .seal_in_place_separate_tag(self.nonce(at), Aad::from(clear), body)
            .expect("a datagram is short enough for GCM");
        tag.copy_from_slice(full.as_ref());
    }

    /// `body` ends with the tag.
    fn open(&self, at: Position, clear: &[u8], body: &mut [u8]) -> Result<(), NotAuthentic> {
        match self.key.open_in_place(self.nonce(at), Aad::from(clear), body) {
            Ok(_) => Ok(()),
            Err(_) => Err(NotAuthentic),
        }
    }
}

/// The session keys of one direction.
pub(super) struct GcmCipher {
    rtp: Half,
    rtcp: Half,
}

impl GcmCipher {
    pub(super) fn fetch(&self) -> u32 {
        u32::from(self.rtp.salt[0])
    }

    pub(super) fn new(master: &SrtpKeyMaterial) -> Self {
        let half = |encryption, salt| {
            let salt = derive(master, salt);
            match master.profile() {
                SrtpProfile::AeadAes256Gcm => {
                    Half::new(master.profile(), &derive::<32>(master, encryption), salt)
                }
                profile => Half::new(profile, &derive::<16>(master, encryption), salt),
            }
        };
        Self {
            rtp: half(Label::RtpEncryption, Label::RtpSalt),
            rtcp: half(Label::RtcpEncryption, Label::RtcpSalt),
        }
    }

    /// Session keys as they are, for RFC 7714's vectors, which start from those.
    #[cfg(test)]
    pub(super) fn from_session_keys(profile: SrtpProfile, key: &[u8], salt: [u8; NONCE_LEN]) -> Self {
        Self {
            rtp: Half::new(profile, key, salt),
            rtcp: Half::new(profile, key, salt),
        }
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, at: Position) {
        let (message, tag) = packet.split_at_mut(packet.len() - TAG_LEN);
        let (header, body) = message.split_at_mut(header_len);
        self.rtp.seal(at, header, body, tag);
    }

    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        at: Position,
    ) -> Result<(), NotAuthentic> {
        let (header, body) = packet.split_at_mut(header_len);
        self.rtp.open(at, header, body)
    }

    /// The packet is followed by the tag, then by the trailer, which is authenticated as well.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], at: Position) {
        let (rest, place) = packet.split_at_mut(packet.len() - TRAILER_LEN);
        let (message, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        let (clear, body) = message.split_at_mut(RTCP_CLEAR_LEN);
        let trailer = (at.index as u32 | ENCRYPTED).to_be_bytes();
        self.rtcp.seal(at, &associated(clear, trailer), body, tag);
        place.copy_from_slice(&trailer);
    }

    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        at: Position,
        encrypted: bool,
    ) -> Result<(), NotAuthentic> {
        let (rest, _) = packet.split_at_mut(packet.len() - TRAILER_LEN);
        if encrypted {
            let (clear, body) = rest.split_at_mut(RTCP_CLEAR_LEN);
            return self.rtcp.open(
                at,
                &associated(clear, (at.index as u32 | ENCRYPTED).to_be_bytes()),
                body,
            );
        }
        // Only tagged: the associated data is the whole packet with the trailer after it, and nothing is encrypted
        // (RFC 7714, section 9.3). The trailer goes where the tag was, so that both lie in one piece.
        let (message, place) = rest.split_at_mut(rest.len() - TAG_LEN);
        let message_len = message.len();
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(place);
        place[..TRAILER_LEN].copy_from_slice(&(at.index as u32).to_be_bytes());
        self.rtcp.open(at, &rest[..message_len + TRAILER_LEN], &mut tag)
    }
}

/// What an encrypted RTCP packet authenticates beside its body: the first eight octets and the trailer.
fn associated(clear: &[u8], trailer: [u8; TRAILER_LEN]) -> [u8; RTCP_CLEAR_LEN + TRAILER_LEN] {
    let mut data = [0; RTCP_CLEAR_LEN + TRAILER_LEN];
    data[..RTCP_CLEAR_LEN].copy_from_slice(clear);
    data[RTCP_CLEAR_LEN..].copy_from_slice(&trailer);
    data
}
