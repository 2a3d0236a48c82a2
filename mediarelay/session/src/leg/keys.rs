//! SRTP keys under the names that the workers know them by.

use viaduct_forward::CryptoId;
use viaduct_rtp::srtp::{SrtpKeyMaterial, SrtpKeyPair, SrtpProfile};

use crate::core::Core;

/// The keys of one component, or of both where they are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) send: (CryptoId, SrtpKeyMaterial),
    pub(crate) receive: (CryptoId, SrtpKeyMaterial),
}

impl Keys {
    /// Names a pair. What `known` has already keeps its name, and with it the state of its SRTP context: beginning anew
    /// with a known key would repeat key stream.
    pub(crate) fn name(pair: &SrtpKeyPair, known: Option<&Self>, core: &mut Core) -> Self {
        let named =
            |material: &SrtpKeyMaterial, known: Option<&(CryptoId, SrtpKeyMaterial)>, core: &mut Core| {
                match known.filter(|(_, known)| known == material) {
                    Some(known) => known.clone(),
                    None => (core.new_crypto(), material.clone()),
                }
            };
        Self {
            send: named(&pair.send, known.map(|keys| &keys.send), core),
            receive: named(&pair.receive, known.map(|keys| &keys.receive), core),
        }
    }

    pub(crate) fn profile(&self) -> SrtpProfile {
        self.send.1.profile()
    }
}
