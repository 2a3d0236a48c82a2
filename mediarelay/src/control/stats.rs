//! What the control thread did. What happened to calls is counted by `session`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use viaduct_kmod_helper::Up;

use super::kernel::Outside;
use crate::counter::{SharedTally, Tally};

/// Live counters; the control thread writes, except where another hand is named, and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct ControlStats {
    /// The kernel's number of the thread, 0 before it runs.
    thread: AtomicU32,
    ending: AtomicBool,
    pub(super) requests: Tally,
    pub(super) requests_shed: Tally,
    pub(super) datagrams: Tally,
    pub(super) reports: Tally,
    pub(super) orders_failed: Tally,
    pub(super) orders_held: Tally,
    pub(super) sent: Tally,
    pub(super) send_faults: Tally,
    pub(super) addresses_unknown: Tally,
    pub(super) ports_taken: Tally,
    pub(super) ports_without_descriptor: Tally,
    pub(super) ports_failed: Tally,
    pub(super) sockets: Tally,
    pub(super) ports_steered: Tally,
    pub(super) steering: Tally,
    pub(super) steering_lost: Tally,
    pub(super) frames: Tally,
    pub(super) receive_overflows: Tally,
    pub(super) flows: Tally,
    pub(super) events: Tally,
    pub(super) digits_lost: Tally,
    /// Added to by the fax thread as well.
    pub(crate) fax_lost: SharedTally,
    pub(super) state_waiting: Tally,
    pub(super) kernel_path: Tally,
    pub(super) kernel_flows: Tally,
    pub(super) kernel_entered: Tally,
    pub(super) kernel_left: Tally,
    pub(super) kernel_refused: Tally,
    pub(super) kernel_full: Tally,
    pub(super) kernel_packets: Tally,
    pub(super) kernel_frames: Tally,
    pub(super) kernel_across: Tally,
    pub(super) kernel_outside: [Tally; Outside::COUNT],
    pub(super) kernel_ups: [Tally; Up::COUNT],
    /// Added to by the thread that writes.
    pub(crate) state_written: SharedTally,
    /// Added to by the thread that writes.
    pub(crate) state_failures: SharedTally,
    /// Added to by whoever was too slow.
    pub(crate) events_missed: SharedTally,
}

impl ControlStats {
    pub(super) fn begin(&self) {
        self.thread
            .store(nix::unistd::gettid().as_raw().unsigned_abs(), Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// All figures at this moment.
    pub(crate) fn snapshot(&self) -> ControlSnapshot {
        ControlSnapshot {
            thread: self.thread.load(Ordering::Relaxed),
            requests: self.requests.get(),
            requests_shed: self.requests_shed.get(),
            datagrams: self.datagrams.get(),
            reports: self.reports.get(),
            orders_failed: self.orders_failed.get(),
            orders_held: self.orders_held.get(),
            sent: self.sent.get(),
            send_faults: self.send_faults.get(),
            addresses_unknown: self.addresses_unknown.get(),
            ports_taken: self.ports_taken.get(),
            ports_without_descriptor: self.ports_without_descriptor.get(),
            ports_failed: self.ports_failed.get(),
            sockets: self.sockets.get(),
            ports_steered: self.ports_steered.get(),
            steering: self.steering.get(),
            steering_lost: self.steering_lost.get(),
            frames: self.frames.get(),
            receive_overflows: self.receive_overflows.get(),
            flows: self.flows.get(),
            events: self.events.get(),
            digits_lost: self.digits_lost.get(),
            fax_lost: self.fax_lost.get(),
            events_missed: self.events_missed.get(),
            state_waiting: self.state_waiting.get(),
            kernel_path: self.kernel_path.get(),
            kernel_flows: self.kernel_flows.get(),
            kernel_entered: self.kernel_entered.get(),
            kernel_left: self.kernel_left.get(),
            kernel_refused: self.kernel_refused.get(),
            kernel_full: self.kernel_full.get(),
            kernel_packets: self.kernel_packets.get(),
            kernel_frames: self.kernel_frames.get(),
            kernel_across: self.kernel_across.get(),
            kernel_outside: self.kernel_outside.each_ref().map(Tally::get),
            kernel_ups: self.kernel_ups.each_ref().map(Tally::get),
            state_written: self.state_written.get(),
            state_failures: self.state_failures.get(),
        }
    }
}

/// The figures of the control thread at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ControlSnapshot {
    /// The kernel's number of the thread; 0 before it runs.
    pub thread: u32,
    /// NG commands carried out.
    pub requests: u64,
    /// Offers of new calls refused because workers do not keep up.
    pub requests_shed: u64,
    /// Datagrams that workers handed up.
    pub datagrams: u64,
    /// Reports of workers.
    pub reports: u64,
    /// Orders that workers could not carry out.
    pub orders_failed: u64,
    /// Orders that wait for workers to keep up.
    pub orders_held: u64,
    /// Datagrams sent: DTLS, and STUN of full agents.
    pub sent: u64,
    /// Those of them that could not be sent.
    pub send_faults: u64,
    /// Things to do for an address that no socket has.
    pub addresses_unknown: u64,
    /// Ports that another process has.
    pub ports_taken: u64,
    /// Ports for which there was no descriptor left.
    pub ports_without_descriptor: u64,
    /// Ports that could not be opened for another reason.
    pub ports_failed: u64,
    /// Media sockets that are open.
    pub sockets: u64,
    /// Ports that workers hear without sockets of their own.
    pub ports_steered: u64,
    /// 1 while ports are steered, 0 otherwise.
    pub steering: u64,
    /// Times that the program which steers ports was found detached.
    pub steering_lost: u64,
    /// 1 while interfaces hand on frames, 0 otherwise.
    pub frames: u64,
    /// Datagrams that the system dropped at sockets of many ports or peers, because they were not read in time: those of steered
    /// ports and the browsers'.
    pub receive_overflows: u64,
    /// Flows that workers were told to have.
    pub flows: u64,
    /// Events of calls.
    pub events: u64,
    /// Digits that could not be told.
    pub digits_lost: u64,
    /// What found no room on its way to a fax gateway or back.
    pub fax_lost: u64,
    /// Events that somebody who watches calls was too slow to take.
    pub events_missed: u64,
    /// Changes of calls that wait for the state file.
    pub state_waiting: u64,
    /// 1 while there is a kernel path, 0 otherwise.
    pub kernel_path: u64,
    /// Flows that the kernel forwards.
    pub kernel_flows: u64,
    /// Flows that it was given.
    pub kernel_entered: u64,
    /// Flows that it was given and has no more.
    pub kernel_left: u64,
    /// Flows that it might have had, and whose receiver it does not reach.
    pub kernel_refused: u64,
    /// Flows for which it had no room.
    pub kernel_full: u64,
    /// RTP packets that it forwarded.
    pub kernel_packets: u64,
    /// Those of them that it forwarded before they became packets.
    pub kernel_frames: u64,
    /// Those of them that it put to the other end of a pair of interfaces, in another network namespace.
    pub kernel_across: u64,
    /// Flows that it has not, for each reason; without RTCP.
    pub kernel_outside: [u64; Outside::COUNT],
    /// Packets of its flows that it passed up, for each reason.
    pub kernel_ups: [u64; Up::COUNT],
    /// Changes of calls written to the state file.
    pub state_written: u64,
    /// Writes to the state file that failed.
    pub state_failures: u64,
}
