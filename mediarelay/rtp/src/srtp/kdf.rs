//! Session keys from master keys (RFC 3711, section 4.3; RFC 6188 for AES-256; RFC 7714, section 11).

use aes::cipher::array::Array;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use aes::{Aes128Enc, Aes256Enc};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;

use super::keys::SrtpKeyMaterial;
use super::profile::SrtpProfile;

/// What a session key is for (RFC 3711, section 4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Derives session keys at a key derivation rate of zero: once for the life of the master key.
pub(super) fn derive<const N: usize>(master: &SrtpKeyMaterial, label: Label) -> [u8; N] {
    // The label stands seven octets from the end of the 14-octet salt; two zero octets of counter follow.
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(master.padded_salt());
    iv[7] ^= label as u8;
    let mut out = [0; N];
    match master.profile() {
        SrtpProfile::AeadAes256Gcm => {
            let key = master.padded_key();
            key_stream(&Aes256Enc::new(key.into()), iv, &mut out);
        }
        SrtpProfile::Aes128CmSha1_80 | SrtpProfile::Aes128CmSha1_32 | SrtpProfile::AeadAes128Gcm => {
            let mut key = [0; 16];
            key.copy_from_slice(&master.padded_key()[..16]);
            key_stream(&Aes128Enc::new(&key.into()), iv, &mut out);
        }
    }
    out
}

/// Combines data with the AES-CM key stream that begins at this counter block (RFC 3711, section 4.1.1).
pub(super) fn key_stream<C>(cipher: &C, iv: [u8; 16], data: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    // A packet has less than 2^16 blocks, so a counter of 128 bits never differs from RFC 3711's of 16.
    let core = CtrCore::<&C, Ctr128BE>::inner_iv_init(cipher, &Array(iv));
    core.apply_keystream_partial(data.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::tests::hex;

    /// RFC 3711, appendix B.2: first and last blocks of the sample key stream.
    #[test]
    fn key_stream_of_the_rfc() {
        let cipher =
            Aes128Enc::new((&<[u8; 16]>::try_from(hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap()).into());
        let iv = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut stream = vec![0; 0xff02 * 16];
        key_stream(&cipher, iv, &mut stream);
        assert_eq!(
            stream[..48],
            hex(
                "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
            )
        );
        assert_eq!(
            stream[0xfeff * 16..],
            hex(
                "EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44"
            )
        );
    }

    /// RFC 3711, appendix B.3.
    #[test]
    fn session_keys_of_the_rfc() {
        let master = SrtpKeyMaterial::new(
            SrtpProfile::Aes128CmSha1_80,
            &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &hex("0EC675AD498AFEEBB6960B3AABE6"),
        )
        .unwrap();
        assert_eq!(
            derive::<16>(&master, Label::RtpEncryption)[..],
            hex("C61E7A93744F39EE10734AFE3FF7A087")
        );
        assert_eq!(
            derive::<14>(&master, Label::RtpSalt)[..],
            hex("30CBBC08863D8C85D49DB34A9AE1")
        );
        assert_eq!(
            derive::<94>(&master, Label::RtpAuthentication)[..],
            hex(
                "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2"
            )
        );
    }
}
