//! Names and keys made from the relay's generator.

use rand::{Rng, RngExt};
use viaduct_sdp::IceCredentials;

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Characters of an ICE user fragment.
const UFRAG_LEN: usize = 8;
/// Characters of an ICE password: 154 bits.
const PWD_LEN: usize = 26;
/// Hex digits of a `tls-id` (RFC 8842 section 4 asks for 120 bits).
const TLS_ID_LEN: usize = 32;
/// Hex digits of a tag (RFC 3261 section 19.3 asks for 32 bits).
const TAG_LEN: usize = 16;
/// Hex digits of a relay's instance id.
const INSTANCE_ID_LEN: usize = 12;

pub(crate) fn ice_credentials(rng: &mut impl Rng) -> IceCredentials {
    IceCredentials {
        ufrag: text(rng, ALPHANUMERIC, UFRAG_LEN),
        pwd: text(rng, ALPHANUMERIC, PWD_LEN),
    }
}

pub(crate) fn tls_id(rng: &mut impl Rng) -> String {
    text(rng, HEX, TLS_ID_LEN)
}

/// A tag for a party that nobody has named.
pub(crate) fn tag(rng: &mut impl Rng) -> String {
    text(rng, HEX, TAG_LEN)
}

pub(crate) fn instance_id(rng: &mut impl Rng) -> String {
    text(rng, HEX, INSTANCE_ID_LEN)
}

pub(crate) fn octets(rng: &mut impl Rng, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    rng.fill_bytes(&mut octets);
    octets
}

fn text(rng: &mut impl Rng, alphabet: &[u8], len: usize) -> String {
    (0..len)
        .map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn names_have_their_length_and_alphabet() {
        let mut rng = StdRng::seed_from_u64(1);
        let ice = ice_credentials(&mut rng);
        assert_eq!((ice.ufrag.len(), ice.pwd.len()), (8, 26));
        assert!(ice.pwd.bytes().all(|octet| octet.is_ascii_alphanumeric()));
        assert!(ice.is_strong());
        let tls_id = tls_id(&mut rng);
        assert_eq!(tls_id.len(), 32);
        assert!(tls_id.bytes().all(|octet| octet.is_ascii_hexdigit()));
        assert_ne!(octets(&mut rng, 30), octets(&mut rng, 30));
    }
}
