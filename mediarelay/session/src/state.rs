//! What another relay needs to go on with the calls of this one: their state, as rows of octets that the shell stores.
//!
//! A call is what its commands have made of it. So a call's state is its commands as they came, each with the time, the
//! ports that were taken and the seed of the generator that it drew its keys and passwords from; the same commands, carried
//! out again with the same ports and seeds, make the same call. That the replies are the same is checked: where other
//! settings or another release would tell peers something else than what they were told, the call is not gone on with.
//! One further row has what media alone has taught: the endpoints that were found, and where the indices of SRTP stand.
//!
//! Not kept are DTLS associations, whose keys are never written down, and ICE's paths.

mod queue;
mod row;

pub(crate) use queue::{CallState, StateQueue};
pub(crate) use row::{CommandRow, Endpoint, MediaRow, key_name, reply_hash};

use sha2::{Digest, Sha256};

/// Names a call in the store: the beginning of its call-id's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallName(pub [u8; 16]);

impl CallName {
    pub(crate) fn of(call_id: &[u8]) -> Self {
        Self(half(&Sha256::digest(call_id).into()))
    }
}

/// One change of what is stored. Changes are to be made in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateChange {
    /// A row of a call is new or replaces the one with its number.
    Put {
        /// Whose.
        call: CallName,
        /// Its number; rows are given back in the order of their numbers.
        row: u32,
        /// What it says. It holds keys of calls.
        octets: Vec<u8>,
    },
    /// The first rows of a call become another one's, behind those that it has, and the others go.
    Append {
        /// Whose they become.
        call: CallName,
        /// The number of the first of them from here on.
        row: u32,
        /// Whose they were.
        of: CallName,
        /// How many they are.
        count: u32,
    },
    /// Every row of a call goes.
    Remove {
        /// Whose.
        call: CallName,
    },
}

/// The row that is not a command.
pub(crate) const MEDIA_ROW: u32 = u32::MAX;

/// The first half of a hash.
fn half(hash: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}
