//! Master keys: where they come from and what they look like to a log (nothing).

use std::fmt;

use super::profile::SrtpProfile;

const KEY_MAX: usize = 32;
const SALT_MAX: usize = 14;

/// Why octets are not a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A master key of the wrong length.
    #[error("{profile:?} takes a master key of {expected} octets, not {actual}")]
    KeyLength {
        /// For which profile.
        profile: SrtpProfile,
        /// Octets it takes.
        expected: usize,
        /// Octets given.
        actual: usize,
    },
    /// A master salt of the wrong length.
    #[error("{profile:?} takes a master salt of {expected} octets, not {actual}")]
    SaltLength {
        /// For which profile.
        profile: SrtpProfile,
        /// Octets it takes.
        expected: usize,
        /// Octets given.
        actual: usize,
    },
    /// Key and salt together, or the exported keying material, have the wrong length.
    #[error("{profile:?} takes keying material of {expected} octets, not {actual}")]
    MaterialLength {
        /// For which profile.
        profile: SrtpProfile,
        /// Octets it takes.
        expected: usize,
        /// Octets given.
        actual: usize,
    },
}

/// Master key and salt of one direction, with their profile. `Debug` shows the profile only.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeyMaterial {
    profile: SrtpProfile,
    /// The rest is zero where the profile's key is shorter.
    key: [u8; KEY_MAX],
    /// The rest is zero where the profile's salt is shorter, as key derivation wants it (RFC 7714, section 11).
    salt: [u8; SALT_MAX],
    /// See [`shared`](Self::shared).
    shared: bool,
    mki: Option<Mki>,
}

/// A master key identifier: its value, and how many octets of each packet it takes (RFC 3711 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mki {
    value: u64,
    len: usize,
}

impl Mki {
    /// Octets that an identifier may have here; RFC 4568 allows for 128.
    pub const LEN_MAX: usize = 32;

    /// An identifier of `len` octets, 1 to [`LEN_MAX`](Self::LEN_MAX). `None` for another length, and for a value that does
    /// not fit.
    #[must_use]
    pub fn new(value: u64, len: usize) -> Option<Self> {
        let fits = len >= 8 || value >> (8 * len) == 0;
        ((1..=Self::LEN_MAX).contains(&len) && fits).then_some(Self { value, len })
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Octets in each packet.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// As it stands in packets, in the last `len` octets.
    fn octets(&self) -> [u8; Self::LEN_MAX] {
        let mut octets = [0; Self::LEN_MAX];
        octets[Self::LEN_MAX - 8..].copy_from_slice(&self.value.to_be_bytes());
        octets
    }

    /// Puts it into a packet whose last octets are free for it, before the `behind` octets that come before those.
    pub(super) fn insert(&self, packet: &mut [u8], behind: usize) {
        let at = packet.len() - self.len - behind;
        packet.copy_within(at..at + behind, at + self.len);
        packet[at..at + self.len].copy_from_slice(&self.octets()[Self::LEN_MAX - self.len..]);
    }

    /// Takes it out from before the last `behind` octets. How long the packet is without; `None` if it has another.
    pub(super) fn remove(&self, packet: &mut [u8], behind: usize) -> Option<usize> {
        let at = packet.len().checked_sub(self.len + behind)?;
        if packet[at..at + self.len] != self.octets()[Self::LEN_MAX - self.len..] {
            return None;
        }
        packet.copy_within(at + self.len.., at);
        Some(packet.len() - self.len)
    }
}

impl SrtpKeyMaterial {
    /// A key and a salt.
    ///
    /// # Errors
    /// One of them has not the profile's length.
    pub fn new(profile: SrtpProfile, master_key: &[u8], master_salt: &[u8]) -> Result<Self, KeyError> {
        let (expected, actual) = (profile.key_len(), master_key.len());
        if actual != expected {
            return Err(KeyError::KeyLength {
                profile,
                expected,
                actual,
            });
        }
        let (expected, actual) = (profile.salt_len(), master_salt.len());
        if actual != expected {
            return Err(KeyError::SaltLength {
                profile,
                expected,
                actual,
            });
        }
        let mut key = [0; KEY_MAX];
        key[..master_key.len()].copy_from_slice(master_key);
        let mut salt = [0; SALT_MAX];
        salt[..master_salt.len()].copy_from_slice(master_salt);
        Ok(Self {
            profile,
            key,
            salt,
            shared: false,
            mki: None,
        })
    }

    /// Key and salt in one piece: what follows `inline:` in `a=crypto`, decoded from base64 (RFC 4568, section 6.1).
    ///
    /// # Errors
    /// The piece has not the profile's length.
    pub fn from_sdes(profile: SrtpProfile, key_and_salt: &[u8]) -> Result<Self, KeyError> {
        let (expected, actual) = (profile.key_len() + profile.salt_len(), key_and_salt.len());
        if actual != expected {
            return Err(KeyError::MaterialLength {
                profile,
                expected,
                actual,
            });
        }
        let (key, salt) = key_and_salt.split_at(profile.key_len());
        Self::new(profile, key, salt)
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The master key: what an `a=crypto` line of ours must carry, with [`master_salt`](Self::master_salt) after it.
    #[must_use]
    pub fn master_key(&self) -> &[u8] {
        &self.key[..self.profile.key_len()]
    }

    /// The master salt.
    #[must_use]
    pub fn master_salt(&self) -> &[u8] {
        &self.salt[..self.profile.salt_len()]
    }

    /// The same key, where somebody else sends under it as well and we pass on what they send: their RTP keeps its
    /// indices and so its key stream, and our RTCP is counted from where theirs never gets, so that none repeats.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// True for a key that is [`shared`](Self::shared).
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whether packets under both look alike, whoever else sends under either.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        let Self {
            profile,
            key,
            salt,
            shared: _,
            mki,
        } = self;
        (profile, key, salt, mki) == (&other.profile, &other.key, &other.salt, &other.mki)
    }

    /// The same key, with an identifier in every packet under it.
    #[must_use]
    pub fn with_mki(mut self, mki: Option<Mki>) -> Self {
        self.mki = mki;
        self
    }

    /// The identifier that packets under it carry.
    #[must_use]
    pub fn mki(&self) -> Option<Mki> {
        self.mki
    }

    /// The key with zeros up to 32 octets.
    pub(super) fn padded_key(&self) -> &[u8; KEY_MAX] {
        &self.key
    }

    /// The salt with zeros up to 14 octets, as key derivation takes it.
    pub(super) fn padded_salt(&self) -> &[u8; SALT_MAX] {
        &self.salt
    }
}

impl fmt::Debug for SrtpKeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SrtpKeyMaterial({:?}, ..)", self.profile)
    }
}

/// Our role in the DTLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// We sent the ClientHello (`a=setup:active`).
    Client,
    /// We answered it (`a=setup:passive`).
    Server,
}

/// The keys of both directions of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeyPair {
    /// For a [`SendContext`](super::SendContext).
    pub send: SrtpKeyMaterial,
    /// For a [`ReceiveContext`](super::ReceiveContext).
    pub receive: SrtpKeyMaterial,
}

impl SrtpKeyPair {
    /// Octets to export with the label `EXTRACTOR-dtls_srtp` (RFC 5764, section 4.2).
    #[must_use]
    pub const fn exporter_len(profile: SrtpProfile) -> usize {
        2 * (profile.key_len() + profile.salt_len())
    }

    /// Splits exported keying material: client key, server key, client salt, server salt (RFC 5764, section 4.2).
    ///
    /// # Errors
    /// The material has not the length that [`exporter_len`](Self::exporter_len) says.
    pub fn from_dtls_exporter(
        profile: SrtpProfile,
        our_role: DtlsRole,
        material: &[u8],
    ) -> Result<Self, KeyError> {
        let (expected, actual) = (Self::exporter_len(profile), material.len());
        if actual != expected {
            return Err(KeyError::MaterialLength {
                profile,
                expected,
                actual,
            });
        }
        let (keys, salts) = material.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        let client = SrtpKeyMaterial::new(profile, client_key, client_salt)?;
        let server = SrtpKeyMaterial::new(profile, server_key, server_salt)?;
        Ok(match our_role {
            DtlsRole::Client => Self {
                send: client,
                receive: server,
            },
            DtlsRole::Server => Self {
                send: server,
                receive: client,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_material_is_split_by_role() {
        for profile in SrtpProfile::ALL {
            let material: Vec<u8> = (0..SrtpKeyPair::exporter_len(profile)).map(|n| n as u8).collect();
            let client = SrtpKeyPair::from_dtls_exporter(profile, DtlsRole::Client, &material).unwrap();
            let server = SrtpKeyPair::from_dtls_exporter(profile, DtlsRole::Server, &material).unwrap();
            assert_eq!((&client.send, &client.receive), (&server.receive, &server.send));
            let (key, salt) = (profile.key_len(), profile.salt_len());
            assert_eq!(client.send.master_key(), &material[..key]);
            assert_eq!(client.receive.master_key(), &material[key..2 * key]);
            assert_eq!(client.send.master_salt(), &material[2 * key..2 * key + salt]);
            assert_eq!(client.receive.master_salt(), &material[2 * key + salt..]);
        }
    }

    #[test]
    fn lengths_are_checked() {
        let profile = SrtpProfile::Aes128CmSha1_80;
        assert_eq!(
            SrtpKeyMaterial::new(profile, &[0; 15], &[0; 14]),
            Err(KeyError::KeyLength {
                profile,
                expected: 16,
                actual: 15
            })
        );
        assert_eq!(
            SrtpKeyMaterial::new(profile, &[0; 16], &[0; 12]),
            Err(KeyError::SaltLength {
                profile,
                expected: 14,
                actual: 12
            })
        );
        assert_eq!(
            SrtpKeyMaterial::from_sdes(profile, &[0; 31]),
            Err(KeyError::MaterialLength {
                profile,
                expected: 30,
                actual: 31
            })
        );
        assert_eq!(
            SrtpKeyPair::from_dtls_exporter(profile, DtlsRole::Client, &[0; 59]),
            Err(KeyError::MaterialLength {
                profile,
                expected: 60,
                actual: 59
            })
        );
    }

    #[test]
    fn keys_are_the_same_whoever_sends_under_them() {
        let profile = SrtpProfile::AeadAes128Gcm;
        let key = |octet| SrtpKeyMaterial::new(profile, &[octet; 16], &[7; 12]).unwrap();
        assert!(key(1).is_same_key(&key(1).shared()));
        assert!(!key(1).is_same_key(&key(2)));
        assert!(!key(1).is_same_key(&key(1).with_mki(Mki::new(1, 4))));
    }

    #[test]
    fn debug_hides_the_key() {
        let keys = SrtpKeyMaterial::new(SrtpProfile::AeadAes128Gcm, &[0xab; 16], &[0xcd; 12]).unwrap();
        assert_eq!(format!("{keys:?}"), "SrtpKeyMaterial(AeadAes128Gcm, ..)");
    }
}
