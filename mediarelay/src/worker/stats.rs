//! What one worker's thread did with its sockets. The datagrams themselves are counted by its `forward::Worker`.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::counter::Tally;

/// Why a datagram could not be sent. It is counted and forgotten: media is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SendFault {
    /// The socket's send buffer is full.
    BufferFull,
    /// The peer's host said that nobody listens there.
    Refused,
    /// There is no way to the peer.
    Unreachable,
    /// A firewall of this machine forbids it.
    Forbidden,
    /// The datagram is longer than the path takes.
    TooLong,
    /// The socket is gone, or never was.
    NoSocket,
    /// Anything else.
    Other,
}

impl SendFault {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 7] = [
        Self::BufferFull,
        Self::Refused,
        Self::Unreachable,
        Self::Forbidden,
        Self::TooLong,
        Self::NoSocket,
        Self::Other,
    ];

    /// A word for metrics.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::TooLong => "too_long",
            Self::NoSocket => "no_socket",
            Self::Other => "other",
        }
    }

    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::BufferFull,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => Self::Unreachable,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            _ if error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32) => Self::TooLong,
            _ => Self::Other,
        }
    }
}

/// The live counters of one worker's thread; the thread writes, anybody reads.
#[derive(Debug, Default)]
pub(crate) struct IoStats {
    /// The kernel's number of the thread, 0 before it runs.
    thread: AtomicU32,
    pub(super) received: Tally,
    pub(super) sent: Tally,
    pub(super) sent_octets: Tally,
    pub(super) sent_in_bursts: Tally,
    pub(super) forwarded_octets: Tally,
    pub(super) faults: [Tally; SendFault::ALL.len()],
    pub(super) receive_errors: Tally,
    pub(super) strays: Tally,
    pub(super) frames_received: Tally,
    pub(super) frames_damaged: Tally,
    pub(super) frames_sent: Tally,
    pub(super) wakeups: Tally,
    pub(super) naps: Tally,
    pub(super) notices_lost: Tally,
    pub(super) reports_held: Tally,
    pub(super) orders: Tally,
    pub(super) orders_failed: Tally,
    pub(super) sockets: Tally,
    pub(super) connected: Tally,
}

impl IoStats {
    pub(super) fn count_fault(&self, fault: SendFault) {
        self.faults[fault as usize].add(1);
    }

    pub(super) fn set_thread(&self, thread: u32) {
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// All figures at this moment.
    pub(crate) fn snapshot(&self) -> IoSnapshot {
        IoSnapshot {
            thread: self.thread.load(Ordering::Relaxed),
            received: self.received.get(),
            sent: self.sent.get(),
            sent_octets: self.sent_octets.get(),
            sent_in_bursts: self.sent_in_bursts.get(),
            forwarded_octets: self.forwarded_octets.get(),
            faults: SendFault::ALL.map(|fault| (fault, self.faults[fault as usize].get())),
            receive_errors: self.receive_errors.get(),
            strays: self.strays.get(),
            frames_received: self.frames_received.get(),
            frames_damaged: self.frames_damaged.get(),
            frames_sent: self.frames_sent.get(),
            wakeups: self.wakeups.get(),
            naps: self.naps.get(),
            notices_lost: self.notices_lost.get(),
            reports_held: self.reports_held.get(),
            orders: self.orders.get(),
            orders_failed: self.orders_failed.get(),
            sockets: self.sockets.get(),
            connected: self.connected.get(),
        }
    }
}

/// The figures of one worker's thread at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoSnapshot {
    /// The kernel's number of the thread; 0 before it runs.
    pub thread: u32,
    /// Datagrams read.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Their octets, without IP and UDP headers.
    pub sent_octets: u64,
    /// Those of the datagrams that went together with others to the same peer (UDP_SEGMENT).
    pub sent_in_bursts: u64,
    /// Octets of media that were to be sent on, without STUN answers.
    pub forwarded_octets: u64,
    /// Datagrams that could not be sent, by reason.
    pub faults: [(SendFault, u64); SendFault::ALL.len()],
    /// Reads that failed: messages of the network about something sent earlier.
    pub receive_errors: u64,
    /// Datagrams to ports that are steered no more, or not yet.
    pub strays: u64,
    /// Frames that interfaces handed on.
    pub frames_received: u64,
    /// Those of them that were damaged, forged in our own name, or no datagrams.
    pub frames_damaged: u64,
    /// Those of the datagrams that were sent as frames.
    pub frames_sent: u64,
    /// Times that the thread waited for something and got it.
    pub wakeups: u64,
    /// Times that it slept for a tick.
    pub naps: u64,
    /// Datagrams for control that found its queue full.
    pub notices_lost: u64,
    /// Times that a report found control's queue full and waited.
    pub reports_held: u64,
    /// Orders carried out.
    pub orders: u64,
    /// Orders that could not be carried out.
    pub orders_failed: u64,
    /// Sockets that it reads from.
    pub sockets: u64,
    /// Further sockets of ports, each for one peer alone.
    pub connected: u64,
}
