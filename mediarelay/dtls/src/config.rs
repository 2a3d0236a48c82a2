//! What all associations of a relay have in common.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

/// What an association may cost, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one handshake message from the peer. Chains of certificates are the long ones. Default 24,576.
    pub message_octets: usize,
    /// Octets of handshake messages that are not complete or not in turn. Default 49,152.
    pub pending_octets: usize,
    /// Handshake messages that may be waited with beyond the next one. Default 8.
    pub messages_ahead: u16,
    /// Protected records that came before what their keys follow from. Default 4.
    pub early_records: usize,
    /// How long a flight waits for its answer before it is sent again; doubles each time. Default 100 ms.
    pub first_timeout: Duration,
    /// The longest such wait. Default 800 ms.
    pub longest_timeout: Duration,
    /// How long a handshake may take. Default 40 s.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_octets: 24_576,
            pending_octets: 49_152,
            messages_ahead: 8,
            early_records: 4,
            first_timeout: Duration::from_millis(100),
            longest_timeout: Duration::from_millis(800),
            handshake: Duration::from_secs(40),
        }
    }
}

/// How often a limit was met. What is over one is left out: it may be forged, and a true one is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitHits {
    /// [`Limits::message_octets`]
    pub message_octets: u64,
    /// [`Limits::pending_octets`]
    pub pending_octets: u64,
    /// [`Limits::messages_ahead`]
    pub messages_ahead: u64,
    /// [`Limits::early_records`]
    pub early_records: u64,
}

/// Why there is no [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The private key is not PKCS #8 with a key of ECDSA P-256.
    #[error("the private key is not one of ECDSA P-256 in PKCS #8")]
    PrivateKey,
    /// A datagram must have room for a fragment.
    #[error("datagrams of {0} octets are too small for DTLS, at least {min} are needed", min = Config::MIN_MTU)]
    Mtu(usize),
}

/// Certificate, size of datagrams and limits. `Debug` does not show the key.
pub struct Config {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: EcdsaKeyPair,
    pub(crate) mtu: usize,
    pub(crate) limits: Limits,
}

impl Config {
    /// The smallest size of datagrams, in octets.
    pub const MIN_MTU: usize = 128;

    /// `certificate` is in DER, `private_key` its key of ECDSA P-256 in PKCS #8, and `mtu` the largest datagram in octets.
    ///
    /// # Errors
    /// The key is of another kind, or the datagrams are smaller than [`Self::MIN_MTU`].
    pub fn new(
        certificate: Vec<u8>,
        private_key: &[u8],
        mtu: usize,
        limits: Limits,
    ) -> Result<Self, ConfigError> {
        if mtu < Self::MIN_MTU {
            return Err(ConfigError::Mtu(mtu));
        }
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, private_key)
            .map_err(|_| ConfigError::PrivateKey)?;
        Ok(Self {
            certificate,
            key,
            mtu,
            limits,
        })
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("mtu", &self.mtu)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
