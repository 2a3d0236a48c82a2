//! One flow as the packet path uses it: its rule with everything looked up.

use std::sync::Arc;

use viaduct_rtp::g711::Law;
use viaduct_rtp::{ElementForms, RtpHeader, Tick, retain_elements, static_clock_rate};

use super::digits::Digits;
use super::repeats::Repeats;
use super::reports::{RateWindow, Reports};
use super::resumed::Resumed;
use super::select::{Sections, Selector};
use super::speech::{Pressing, Speech};
use super::ssrcs::Ssrcs;
use crate::address::{FlowId, LegId, Out, SocketId, Tuple};
use crate::buffer::PacketBuf;
use crate::crypto::{SharedReceive, SharedSend};
use crate::rule::{Accept, BlockReason, ClockRate, Extensions};
use crate::stats::{FlowStats, WorkerStats};
use crate::verdict::Report;

/// One flow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) id: FlowId,
    pub(super) leg: LegId,
    pub(super) tuple: Tuple,
    pub(super) socket: SocketId,
    pub(super) accept: Accept,
    /// A report of the first good packet is due.
    pub(super) confirm: bool,
    pub(super) unprotect: Option<SharedReceive>,
    /// RTP goes on unopened.
    pub(super) passes: bool,
    pub(super) routes: Box<[CompiledRoute]>,
    pub(super) sections: Sections,
    pub(super) ssrcs: Ssrcs,
    pub(super) rtp_flow: Option<FlowId>,
    pub(super) clocks: Clocks,
    /// Bit `n`: payload type `n` carries telephone events that control wants to hear of.
    pub(super) events: u128,
    pub(super) digits: Digits,
    /// The key that is pressed in its peer's name, or was last.
    pub(super) pressing: Pressing,
    /// Where packets may come round again.
    pub(super) repeats: Option<Box<Repeats>>,
    pub(super) stats: Arc<FlowStats>,
}

/// A route with its sockets and contexts.
#[derive(Debug)]
pub(super) struct CompiledRoute {
    pub(super) selector: Selector,
    pub(super) rtp: Option<Target>,
    pub(super) rtcp: Option<Target>,
    pub(super) protect: Option<SharedSend>,
    /// It has the key of the flow's `unprotect`.
    pub(super) same_key: bool,
    pub(super) recode: Option<Law>,
    /// What is said instead of what the peer says; most flows have nothing of the kind.
    pub(super) speech: Option<Box<Speech>>,
    /// A source goes on under other numbers; few flows have one.
    pub(super) resumed: Option<Box<Resumed>>,
    /// Control makes something else of it, as fast as it may come.
    pub(super) to_control: Option<RateWindow>,
    /// Identifiers of header extensions that go on; `None`: all.
    pub(super) extensions: Option<Box<Identifiers>>,
    /// Identifier and value of the header extension that names the m-line to the receiver.
    pub(super) mid: Option<(u8, Box<[u8]>)>,
    pub(super) feedback: bool,
    pub(super) reports: bool,
    pub(super) block: Option<BlockReason>,
    pub(super) listeners: Box<[CompiledListener]>,
}

/// A set of identifiers of header extensions, and the forms in which they go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identifiers([u128; 2], ElementForms);

impl Identifiers {
    pub(super) fn of(extensions: &Extensions) -> Self {
        let bit = |id: u8| 1 << (id % 128);
        match extensions {
            Extensions::Only(ids, forms) => {
                let mut set = [0; 2];
                for id in ids {
                    set[usize::from(id / 128)] |= bit(*id);
                }
                Self(set, *forms)
            }
            Extensions::Without(id) => {
                let mut set = [u128::MAX; 2];
                set[usize::from(id / 128)] &= !bit(*id);
                Self(set, ElementForms::Both)
            }
        }
    }

    /// Takes the others out of a packet.
    #[inline]
    pub(super) fn retain(&self, buffer: &mut PacketBuf) {
        let len = buffer.len();
        let len = retain_elements(buffer.data_mut(), len, self.1, |id| self.has(id));
        buffer.set_len(len);
    }

    #[inline]
    fn has(&self, id: u8) -> bool {
        self.0[usize::from(id / 128)] >> (id % 128) & 1 == 1
    }
}

/// A listener with its sockets and context.
#[derive(Debug)]
pub(super) struct CompiledListener {
    pub(super) rtp: Option<Target>,
    pub(super) rtcp: Option<Target>,
    pub(super) protect: Option<SharedSend>,
    /// As [`CompiledRoute::mid`], and nothing else by that identifier.
    pub(super) mid: Option<(u8, Box<[u8]>)>,
}

/// An output with its socket's number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) out: Out,
    pub(super) via: SocketId,
    /// What a flow from the output's peer would be found by.
    pub(super) back: Tuple,
}

impl Flow {
    /// Whether a packet has a telephone event in it that control wants to hear of.
    #[inline]
    pub(super) fn is_event(&self, header: &RtpHeader<'_>) -> bool {
        self.events >> header.payload_type() & 1 == 1
    }

    /// A good packet came: notes when, and reports the first.
    #[inline]
    pub(super) fn on_good_packet(&mut self, now: Tick, reports: &mut Reports, stats: &WorkerStats) {
        self.stats.last_packet.set(now);
        if self.confirm {
            // Stays due if the queue is full.
            let report = Report::FlowConfirmed {
                flow: self.id,
                leg: self.leg,
                at: now,
            };
            self.confirm = !reports.push(report);
            stats.reports_delayed.add(self.confirm.into());
        }
    }
}

/// The clocks of a flow's payload types.
#[derive(Debug)]
pub(super) struct Clocks(Vec<ClockRate>);

impl Clocks {
    pub(super) fn new(rates: &[ClockRate]) -> Self {
        Self(rates.to_vec())
    }

    /// The clock of a payload type in Hz: the rule's, or the one that a static payload type has; 0 if unknown.
    pub(super) fn of(&self, payload_type: u8) -> u32 {
        let given = self
            .0
            .iter()
            .find(|rate| rate.payload_type == payload_type)
            .map(|rate| rate.hertz);
        given.or_else(|| static_clock_rate(payload_type)).unwrap_or(0)
    }
}
