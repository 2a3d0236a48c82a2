//! All calls of one shard.

use bytes::Bytes;
use slotmap::SlotMap;
use viaduct_txn::Parts;

use crate::CallNumber;
use crate::call::{Call, CallState, LegId};
use crate::media::Party;

slotmap::new_key_type! {
    /// One call.
    pub(crate) struct CallKey;
}

/// Calls by key and by Call-ID. A Call-ID is its maker's to choose, so more than one call may have it.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: SlotMap<CallKey, Box<Call>>,
    by_call_id: Parts<Bytes, Vec<CallKey>>,
    numbers: u64,
}

impl Calls {
    /// A number that no other call of this shard has. Shards count in steps, so numbers are unique over all.
    pub(crate) fn next_number(&mut self, shard: u64, shards: u64) -> CallNumber {
        self.numbers += 1;
        CallNumber((self.numbers - 1) * shards + shard + 1)
    }

    /// Nothing waits for a table that grows, see [`viaduct_txn::room_for`].
    pub(crate) fn make_room(&mut self, limit: usize) {
        viaduct_txn::make_room(&mut self.calls, limit);
    }

    pub(crate) fn insert(&mut self, call: Call) -> CallKey {
        let call_id = call.call_id.clone();
        let key = self.calls.insert(Box::new(call));
        match self.by_call_id.get_mut(&call_id) {
            Some(keys) => keys.push(key),
            None => drop(self.by_call_id.insert(call_id, vec![key])),
        }
        key
    }

    pub(crate) fn remove(&mut self, key: CallKey) -> Option<Call> {
        let call = self.calls.remove(key)?;
        if let Some(keys) = self.by_call_id.get_mut(&call.call_id) {
            keys.retain(|&other| other != key);
            if keys.is_empty() {
                self.by_call_id.remove(&call.call_id);
            }
        }
        Some(*call)
    }

    pub(crate) fn get(&self, key: CallKey) -> Option<&Call> {
        self.calls.get(key).map(|call| &**call)
    }

    pub(crate) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(key).map(|call| &mut **call)
    }

    /// The call, the leg and the sender of a message inside a dialog.
    pub(crate) fn find(
        &self,
        call_id: &str,
        from_tag: &str,
        to_tag: &str,
    ) -> Option<(CallKey, LegId, Party)> {
        let keys = self.by_call_id.get(call_id.as_bytes())?;
        keys.iter().find_map(|&key| {
            let (leg, sender) = self.calls.get(key)?.find_leg(from_tag, to_tag)?;
            Some((key, leg, sender))
        })
    }

    /// Every call with this Call-ID.
    pub(crate) fn with_call_id(&self, call_id: &[u8]) -> Vec<CallKey> {
        self.by_call_id.get(call_id).cloned().unwrap_or_default()
    }

    pub(crate) fn with_number(&self, number: CallNumber) -> Option<CallKey> {
        self.calls
            .iter()
            .find(|(_, call)| call.number == number)
            .map(|(key, _)| key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallKey, &Call)> {
        self.calls.iter().map(|(key, call)| (key, &**call))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (CallKey, &mut Call)> {
        self.calls.iter_mut().map(|(key, call)| (key, &mut **call))
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn answered(&self) -> usize {
        self.calls
            .values()
            .filter(|call| call.state == CallState::Answered)
            .count()
    }
}
