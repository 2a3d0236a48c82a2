//! Key streams with HMAC-SHA1 (RFC 3711, section 4.2.1): AES in counter mode, in f8 mode, and none at all.

use aes::cipher::KeyInit;
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use subtle::ConstantTimeEq;

use super::cipher::{ENCRYPTED, NotAuthentic, Position, RTCP_CLEAR_LEN, TRAILER_LEN};
use super::f8::{self, F8};
use super::hmac::HmacKey;
use super::kdf::{Label, derive, key_stream};
use super::keys::SrtpKeyMaterial;
use super::profile::SrtpProfile;

/// Octets of the tag on an RTCP packet, whichever the profile.
pub(super) const RTCP_TAG_LEN: usize = 10;

/// What encrypts.
enum Stream {
    Cm128(Aes128Enc),
    Cm192(Aes192Enc),
    Cm256(Aes256Enc),
    F8(F8),
    None,
}

impl Stream {
    fn new(master: &SrtpKeyMaterial, label: Label, salt: &[u8; 14]) -> Self {
        match master.profile() {
            SrtpProfile::NullSha1_80 | SrtpProfile::NullSha1_32 => Self::None,
            SrtpProfile::F8Sha1_80 | SrtpProfile::F8Sha1_32 => Self::F8(F8::new(derive(master, label), salt)),
            profile => match profile.key_len() {
                32 => Self::Cm256(Aes256Enc::new(&derive::<32>(master, label).into())),
                24 => Self::Cm192(Aes192Enc::new(&derive::<24>(master, label).into())),
                _ => Self::Cm128(Aes128Enc::new(&derive::<16>(master, label).into())),
            },
        }
    }
}

/// The keys of one direction for RTP or for RTCP.
struct Half {
    stream: Stream,
    salt: [u8; 14],
    hmac: HmacKey,
}

impl Half {
    fn new(master: &SrtpKeyMaterial, encryption: Label, authentication: Label, salt: Label) -> Self {
        let salt = derive(master, salt);
        Self {
            stream: Stream::new(master, encryption, &salt),
            salt,
            hmac: HmacKey::new(&derive(master, authentication)),
        }
    }

    /// Encrypts or decrypts all of a message but its first octets: `f8` makes the vector of f8 mode from those.
    fn crypt(&self, message: &mut [u8], clear_len: usize, at: Position, f8: impl FnOnce(&[u8]) -> [u8; 16]) {
        let (clear, body) = message.split_at_mut(clear_len);
        match &self.stream {
            Stream::Cm128(aes) => key_stream(aes, self.counter(at), body),
            Stream::Cm192(aes) => key_stream(aes, self.counter(at), body),
            Stream::Cm256(aes) => key_stream(aes, self.counter(at), body),
            Stream::F8(key) => key.crypt(f8(clear), body),
            Stream::None => {}
        }
    }

    fn fetch(&self) -> u32 {
        self.hmac.fetch() ^ u32::from(self.salt[0])
    }

    /// The counter block is salt, SSRC and index combined, with two octets of counter after them (RFC 3711, section
    /// 4.1.1).
    fn counter(&self, at: Position) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        let mask = u128::from(at.ssrc) << 64 | u128::from(at.index) << 16;
        (u128::from_be_bytes(iv) ^ mask).to_be_bytes()
    }

    /// Compares the first octets of a tag in constant time.
    fn verify(&self, message: &[u8], trailer: [u8; 4], found: &[u8]) -> Result<(), NotAuthentic> {
        let tag = self.hmac.tag(message, trailer);
        if same(&tag[..found.len()], found) {
            Ok(())
        } else {
            Err(NotAuthentic)
        }
    }
}

/// Constant-time comparison, as two numbers: octet by octet costs as much as a SHA-1 block.
fn same(a: &[u8], b: &[u8]) -> bool {
    let number = |octets: &[u8]| {
        let mut wide = [0; 16];
        wide[..octets.len()].copy_from_slice(octets);
        u128::from_le_bytes(wide)
    };
    debug_assert!(a.len() == b.len() && a.len() <= 16);
    number(a).ct_eq(&number(b)).into()
}

/// The session keys of one direction.
pub(super) struct CmCipher {
    rtp: Half,
    rtcp: Half,
    rtp_tag_len: usize,
}

impl CmCipher {
    pub(super) fn fetch(&self) -> u32 {
        self.rtp.fetch()
    }

    pub(super) fn new(master: &SrtpKeyMaterial) -> Self {
        Self {
            rtp: Half::new(
                master,
                Label::RtpEncryption,
                Label::RtpAuthentication,
                Label::RtpSalt,
            ),
            rtcp: Half::new(
                master,
                Label::RtcpEncryption,
                Label::RtcpAuthentication,
                Label::RtcpSalt,
            ),
            rtp_tag_len: master.profile().rtp_tag_len(),
        }
    }

    pub(super) fn rtp_tag_len(&self) -> usize {
        self.rtp_tag_len
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_len: usize, at: Position) {
        let (message, tag) = packet.split_at_mut(packet.len() - self.rtp_tag_len);
        self.rtp
            .crypt(message, header_len, at, |header| f8::rtp_vector(header, roc(at)));
        let full = self.rtp.hmac.tag(message, roc(at));
        tag.copy_from_slice(&full[..self.rtp_tag_len]);
    }

    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        at: Position,
    ) -> Result<(), NotAuthentic> {
        let (message, tag) = packet.split_at_mut(packet.len() - self.rtp_tag_len);
        self.rtp.verify(message, roc(at), tag)?;
        self.rtp
            .crypt(message, header_len, at, |header| f8::rtp_vector(header, roc(at)));
        Ok(())
    }

    /// The packet is followed by the trailer, then by the tag over both.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], at: Position) {
        let (rest, tag) = packet.split_at_mut(packet.len() - RTCP_TAG_LEN);
        let (message, place) = rest.split_at_mut(rest.len() - TRAILER_LEN);
        let trailer = (at.index as u32 | ENCRYPTED).to_be_bytes();
        self.rtcp.crypt(message, RTCP_CLEAR_LEN, at, |header| {
            f8::rtcp_vector(header, trailer)
        });
        let full = self.rtcp.hmac.tag(message, trailer);
        place.copy_from_slice(&trailer);
        tag.copy_from_slice(&full[..RTCP_TAG_LEN]);
    }

    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        at: Position,
        encrypted: bool,
    ) -> Result<(), NotAuthentic> {
        let (rest, tag) = packet.split_at_mut(packet.len() - RTCP_TAG_LEN);
        let (message, _) = rest.split_at_mut(rest.len() - TRAILER_LEN);
        let trailer = at.index as u32 | if encrypted { ENCRYPTED } else { 0 };
        self.rtcp.verify(message, trailer.to_be_bytes(), tag)?;
        if encrypted {
            self.rtcp.crypt(message, RTCP_CLEAR_LEN, at, |header| {
                f8::rtcp_vector(header, trailer.to_be_bytes())
            });
        }
        Ok(())
    }
}

/// The rollover counter, which the tag of an RTP packet covers after the packet (RFC 3711, section 4.2).
fn roc(at: Position) -> [u8; 4] {
    ((at.index >> 16) as u32).to_be_bytes()
}
