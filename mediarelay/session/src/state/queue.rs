//! What has changed since the shell has asked last.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viaduct_forward::CryptoTable;

use super::row::{CommandRow, MediaRow};
use super::{CallName, MEDIA_ROW, StateChange};
use crate::counters::LimitCounters;
use crate::ports::PortPair;

/// What is known about a call's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallState {
    /// Commands that were written.
    pub(crate) commands: u32,
    /// One could not be written, so the call is not kept.
    pub(crate) given_up: bool,
    /// The media row as it was written last.
    pub(crate) media: MediaRow,
    /// SRTP's indices are looked at with the next occasion.
    pub(crate) indices_due: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct StateQueue {
    /// Number of this relay among those that have kept their state in the same place, from 1.
    pub(crate) run: u32,
    pub(crate) crypto: CryptoTable,
    /// Chooses ports and seeds: what commands draw must not depend on them.
    pub(crate) rng: StdRng,
    /// Pairs that the present command has taken.
    pub(crate) taken: Vec<PortPair>,
    changes: VecDeque<StateChange>,
}

impl StateQueue {
    pub(crate) fn new(run: u32, crypto: CryptoTable, rng: &mut StdRng) -> Self {
        Self {
            run,
            crypto,
            rng: StdRng::from_rng(rng),
            taken: Vec::new(),
            changes: VecDeque::new(),
        }
    }

    /// The seed of a command.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        self.taken.clear();
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    pub(crate) fn next(&mut self) -> Option<StateChange> {
        self.changes.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// A command has changed a call.
    pub(crate) fn command(
        &mut self,
        call: CallName,
        state: &mut CallState,
        row: &CommandRow<'_>,
        limits: &crate::Limits,
        hits: &mut LimitCounters,
    ) {
        if state.given_up {
            return;
        }
        let too_many = state.commands as usize >= limits.commands_kept;
        hits.commands_kept += u64::from(too_many);
        let number = state.commands;
        if !too_many && self.put(call, number, || row.encode(), limits, hits) {
            state.commands += 1;
        } else {
            // With a command missing it would be another call.
            state.given_up = true;
            self.remove(call, limits, hits);
        }
    }

    /// A call has become part of another one: so do its rows.
    pub(crate) fn merge(
        &mut self,
        call: CallName,
        state: &mut CallState,
        of: CallName,
        of_state: &CallState,
        limits: &crate::Limits,
        hits: &mut LimitCounters,
    ) {
        if !state.given_up && !of_state.given_up && self.changes.len() < limits.state_waiting {
            let (row, count) = (state.commands, of_state.commands);
            self.changes
                .push_back(StateChange::Append { call, row, of, count });
            state.commands = row.saturating_add(count);
            // What media has taught about both is written anew.
            state.media = MediaRow::default();
            state.indices_due = true;
            return;
        }
        // With commands missing it would be another call.
        for (name, given_up) in [(call, state.given_up), (of, of_state.given_up)] {
            if !given_up {
                self.remove(name, limits, hits);
            }
        }
        state.given_up = true;
    }

    /// Media has taught something about a call, maybe.
    pub(crate) fn media(
        &mut self,
        call: CallName,
        state: &mut CallState,
        row: MediaRow,
        limits: &crate::Limits,
        hits: &mut LimitCounters,
    ) {
        if !state.given_up && state.media != row && self.put(call, MEDIA_ROW, || row.encode(), limits, hits) {
            state.media = row;
        }
    }

    /// A call has ended.
    pub(crate) fn remove(&mut self, call: CallName, limits: &crate::Limits, hits: &mut LimitCounters) {
        if self.changes.len() < limits.state_waiting {
            self.changes.push_back(StateChange::Remove { call });
        } else {
            hits.state_waiting += 1;
        }
    }

    /// False if there is no room.
    fn put(
        &mut self,
        call: CallName,
        row: u32,
        octets: impl FnOnce() -> Vec<u8>,
        limits: &crate::Limits,
        hits: &mut LimitCounters,
    ) -> bool {
        if self.changes.len() >= limits.state_waiting {
            hits.state_waiting += 1;
            return false;
        }
        let octets = octets();
        self.changes.push_back(StateChange::Put { call, row, octets });
        true
    }
}
