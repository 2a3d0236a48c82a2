//! Session keys from master keys (RFC 3711, section 4.3; RFC 6188 for AES-192 and AES-256; RFC 7714, section 11).

use aes::cipher::array::Array;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;

use super::keys::SrtpKeyMaterial;

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
    match master.profile().key_len() {
        32 => key_stream(&Aes256Enc::new(master.padded_key().into()), iv, &mut out),
        24 => key_stream(
            &Aes192Enc::new(&first::<24>(master.padded_key()).into()),
            iv,
            &mut out,
        ),
        _ => key_stream(
            &Aes128Enc::new(&first::<16>(master.padded_key()).into()),
            iv,
            &mut out,
        ),
    }
    out
}

/// The first octets of a key.
fn first<const N: usize>(key: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|at| key[at])
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
    use crate::srtp::SrtpProfile;
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

    /// RFC 6188, section 7.4 (AES-256) and section 7.2 (AES-192).
    #[test]
    fn session_keys_of_longer_master_keys() {
        let master = |profile, key, salt| SrtpKeyMaterial::new(profile, &hex(key), &hex(salt)).unwrap();
        let long = master(
            SrtpProfile::Aes256CmSha1_80,
            "F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6",
            "3B04803DE51EE7C96423AB5B78D2",
        );
        assert_eq!(
            derive::<32>(&long, Label::RtpEncryption)[..],
            hex("5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4")
        );
        assert_eq!(
            derive::<14>(&long, Label::RtpSalt)[..],
            hex("FA31791685CA444A9E07C6C64E93")
        );
        let middle = master(
            SrtpProfile::Aes192CmSha1_80,
            "73EDC66C4FA15776FB57F9505C17136550FFDA71F3E8E5F1",
            "C8522F3ACD4CE86D5ADD78EDBB11",
        );
        assert_eq!(
            derive::<24>(&middle, Label::RtpEncryption)[..],
            hex("31874736A8F1143870C26E4857D8A5B2C4A354407FAADABB")
        );
        assert_eq!(
            derive::<14>(&middle, Label::RtpSalt)[..],
            hex("2372B82D639B6D8503A47ADC0A6C")
        );
    }
}
