//! Random tokens: tags, branches, Call-IDs. The randomness comes from the caller.

use crate::text::ascii;
use crate::via::BRANCH_COOKIE;

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// A token that holds all bits of `octets`, five a character: letters and digits only, so it may stand anywhere.
///
/// A tag must hold 32 random bits (RFC 3261 section 19.3); 10 octets make 16 characters.
pub fn token(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(5) * 8);
    push_token(&mut text, octets);
    text
}

/// A branch: the cookie of RFC 3261 and a [`token`].
pub fn branch(octets: &[u8]) -> String {
    let mut text = String::with_capacity(BRANCH_COOKIE.len() + octets.len().div_ceil(5) * 8);
    text.push_str(BRANCH_COOKIE);
    push_token(&mut text, octets);
    text
}

/// As [`token`], the `N` octets drawn by `fill`: `random_token::<10>(|octets| rng.fill_bytes(octets))`.
pub fn random_token<const N: usize>(fill: impl FnOnce(&mut [u8])) -> String {
    let mut octets = [0; N];
    fill(&mut octets);
    token(&octets)
}

/// As [`branch`], the `N` octets drawn by `fill`.
pub fn random_branch<const N: usize>(fill: impl FnOnce(&mut [u8])) -> String {
    let mut octets = [0; N];
    fill(&mut octets);
    branch(&octets)
}

fn push_token(text: &mut String, octets: &[u8]) {
    // Forty bits at a time, the first ones highest.
    for group in octets.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(padded);
        let characters: [u8; 8] =
            std::array::from_fn(|place| DIGITS[(bits >> (35 - 5 * place) & 31) as usize]);
        text.push_str(ascii(&characters[..(group.len() * 8).div_ceil(5)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_hold_every_bit() {
        assert_eq!(token(&[]), "");
        assert_eq!(token(&[0xff]), "vs");
        assert_eq!(token(&[0, 0, 0, 0, 1]), "00000001");
        assert_eq!(token(&[0x84, 0x21, 0x08, 0x42, 0x10]), "gggggggg");
        let all: std::collections::HashSet<_> = (0..=u16::MAX).map(|n| token(&n.to_be_bytes())).collect();
        assert_eq!(all.len(), 65_536);
    }

    #[test]
    fn a_branch_has_the_cookie() {
        let made = random_branch::<10>(|octets| octets.fill(7));
        assert!(made.starts_with(BRANCH_COOKIE));
        assert!(made.bytes().all(crate::text::is_token));
        assert_eq!(made.len(), BRANCH_COOKIE.len() + 16);
        assert_eq!(
            random_token::<10>(|octets| octets.fill(7)),
            made[BRANCH_COOKIE.len()..]
        );
    }
}
