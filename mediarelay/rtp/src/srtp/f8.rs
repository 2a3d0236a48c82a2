//! AES in f8 mode (RFC 3711, section 4.1.2): each block of the key stream comes from the one before.

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// What fills the salt up to the length of the key.
const FILL: u8 = 0x55;

/// The keys of one direction for RTP or for RTCP.
pub(super) struct F8 {
    key: Aes128Enc,
    /// The key combined with the salt; it hides the vector.
    masked: Aes128Enc,
}

impl F8 {
    pub(super) fn new(key: [u8; 16], salt: &[u8]) -> Self {
        let mask = |at: usize| salt.get(at).copied().unwrap_or(FILL);
        let masked: [u8; 16] = std::array::from_fn(|at| key[at] ^ mask(at));
        Self {
            key: Aes128Enc::new(&key.into()),
            masked: Aes128Enc::new(&masked.into()),
        }
    }

    /// Encrypts or decrypts.
    pub(super) fn crypt(&self, vector: [u8; 16], data: &mut [u8]) {
        let mut hidden = vector.into();
        self.masked.encrypt_block(&mut hidden);
        let hidden = u128::from_be_bytes(hidden.into());
        let mut last = 0;
        for (number, block) in (0_u128..).zip(data.chunks_mut(16)) {
            let mut stream = (hidden ^ number ^ last).to_be_bytes().into();
            self.key.encrypt_block(&mut stream);
            let stream: [u8; 16] = stream.into();
            last = u128::from_be_bytes(stream);
            block
                .iter_mut()
                .zip(stream)
                .for_each(|(octet, key)| *octet ^= key);
        }
    }
}

/// The vector of an RTP packet: its fixed header without the first octet, and the rollover counter.
pub(super) fn rtp_vector(header: &[u8], roc: [u8; 4]) -> [u8; 16] {
    let mut vector = [0; 16];
    vector[1..12].copy_from_slice(&header[1..12]);
    vector[12..].copy_from_slice(&roc);
    vector
}

/// The vector of an RTCP packet: E bit and index, and what is not encrypted.
pub(super) fn rtcp_vector(clear: &[u8], trailer: [u8; 4]) -> [u8; 16] {
    let mut vector = [0; 16];
    vector[4..8].copy_from_slice(&trailer);
    vector[8..].copy_from_slice(&clear[..8]);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::tests::hex;

    /// RFC 3711, appendix B.1.
    #[test]
    fn vectors_of_the_rfc() {
        let key = hex("234829008467BE186C3DE14AAE72D62C").try_into().unwrap();
        let f8 = F8::new(key, &hex("32F2870D"));
        let header = hex("806E5CBA50681DE55C621599");
        let vector = rtp_vector(&header, [0xd4, 0x62, 0x56, 0x4a]);
        assert_eq!(vector[..], hex("006E5CBA50681DE55C621599D462564A"));
        let mut text = b"pseudorandomness is the next best thing".to_vec();
        f8.crypt(vector, &mut text);
        assert_eq!(
            text,
            hex("019CE7A26E7854014A6366AA95D4EEFD1AD4172A14F9FAF455B7F1D4B62BD08F562C0EEF7C4802")
        );
    }
}
