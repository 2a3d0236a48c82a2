//! Media policy: what the relay is asked to make of an SDP, for the endpoint that will read it.

mod exchange;
mod merge;
mod profile;
mod support;

pub use self::exchange::{Exchange, Operation, Party};
pub use self::merge::{Addition, merge};
pub use self::profile::{Endpoint, Profile};
pub use self::support::{NoCommonCodec, check_codecs};

use viaduct_ng as ng;

use crate::{Flag, Flags};

/// How media is bridged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// False lets every SDP pass untouched and never asks a relay. True.
    pub relayed: bool,
    /// Where the flags for the relay come from.
    pub policy: Policy,
    /// What the relay is towards browsers.
    pub ice: IceRole,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            relayed: true,
            policy: Policy::default(),
            ice: IceRole::default(),
        }
    }
}

/// What the relay is towards browsers (RFC 8445 section 2.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IceRole {
    /// It only answers checks: quickest, and right for a host with an address of its own.
    #[default]
    Lite,
    /// It also makes checks.
    Full,
}

/// Where the flags for the relay come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Policy {
    /// From the profile of the endpoint that reads the SDP.
    #[default]
    Profiles,
    /// From a table by the kinds of caller and callee, completed by the profiles.
    Table(Box<Table>),
}

/// One row for each pair of kinds, as in the OpenSIPS WebSocket tutorial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// `SRC_WS` and `DST_WS`.
    pub ws_to_ws: Row,
    /// `SRC_WS` only.
    pub ws_to_phone: Row,
    /// `DST_WS` only.
    pub phone_to_ws: Row,
    /// Neither.
    pub phone_to_phone: Row,
}

/// What the relay is asked for in calls of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// With the offer, read by the callee.
    pub offer: ng::Options,
    /// With the answer, read by the caller.
    pub answer: ng::Options,
}

impl Table {
    /// The row of a call.
    pub fn row(&self, flags: Flags) -> &Row {
        match (flags.has(Flag::SrcWs), flags.has(Flag::DstWs)) {
            (true, true) => &self.ws_to_ws,
            (true, false) => &self.ws_to_phone,
            (false, true) => &self.phone_to_ws,
            (false, false) => &self.phone_to_phone,
        }
    }
}

impl MediaConfig {
    /// What the relay is asked with an offer that `sender` made and `reader` will read. `flags` are those of the call:
    /// `SRC_WS` of its caller, `DST_WS` of its callee; `from_caller` says which of the two offers.
    pub fn offer(
        &self,
        sender: &Endpoint,
        reader: &Endpoint,
        flags: Flags,
        from_caller: bool,
    ) -> ng::Options {
        let needed = profile::offer(sender, reader, self.ice);
        self.complete(
            needed,
            flags,
            |row| if from_caller { &row.offer } else { &row.answer },
        )
    }

    /// What the relay is asked with an answer that `reader`, who made the offer, will read.
    pub fn answer(&self, sender: &Endpoint, reader: &Endpoint, flags: Flags, to_caller: bool) -> ng::Options {
        let needed = profile::answer(sender, reader);
        self.complete(
            needed,
            flags,
            |row| if to_caller { &row.answer } else { &row.offer },
        )
    }

    /// What the relay is asked with an SDP of a call's first exchange that `reader` will read, and what was added to its
    /// row of the table, with the reasons. Nothing is added to profiles.
    pub fn explain(
        &self,
        caller: &Endpoint,
        callee: &Endpoint,
        flags: Flags,
        reader: Party,
    ) -> (ng::Options, Vec<Addition>) {
        let needed = match reader {
            Party::Callee => profile::offer(caller, callee, self.ice),
            Party::Caller => profile::answer(callee, caller),
        };
        match &self.policy {
            Policy::Profiles => (needed, Vec::new()),
            Policy::Table(table) => {
                let row = table.row(flags);
                merge(
                    if reader == Party::Callee {
                        &row.offer
                    } else {
                        &row.answer
                    },
                    needed,
                )
            }
        }
    }

    /// A row says what each side reads: its first half is for the callee, its second for the caller, whoever offers.
    fn complete(
        &self,
        needed: ng::Options,
        flags: Flags,
        half: impl Fn(&Row) -> &ng::Options,
    ) -> ng::Options {
        match &self.policy {
            Policy::Profiles => needed,
            Policy::Table(table) => merge(half(table.row(flags)), needed).0,
        }
    }
}
