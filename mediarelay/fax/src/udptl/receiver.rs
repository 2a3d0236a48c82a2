//! Packets in.

use std::collections::VecDeque;

use super::packet::{Entries, Packet, Recovery};
use super::sender::xor;
use super::{ENTRIES_MAX, IFP_MAX, UdptlError};

/// What a receiver takes and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Octets of an IFP packet, or of a parity. 1,400.
    pub ifp: usize,
    /// Earlier packets or parities in a packet. 16.
    pub entries: usize,
    /// Packets that are kept so that lost ones can be computed from them and parities. 64, half a second and more of a page.
    pub kept: usize,
    /// Numbers that may be missing between two packets. A packet further ahead is taken for one of another sequence. 1,000,
    /// which is some 30 seconds of a page.
    pub gap: u16,
    /// How far a packet may be behind and still be late. One further behind is taken for one of another sequence. 64, two
    /// seconds of a page.
    pub late: u16,
    /// Packets of another sequence in a row that begin it. 3.
    pub strays: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ifp: IFP_MAX,
            entries: ENTRIES_MAX,
            kept: 64,
            gap: 1_000,
            late: 64,
            strays: 3,
        }
    }
}

/// What a receiver has seen since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counters {
    /// Datagrams that were UDPTL packets.
    pub received: u64,
    /// IFP packets that were lost, and had back from what other packets carry.
    pub recovered: u64,
    /// IFP packets that were lost for good.
    pub lost: u64,
    /// Packets that came twice, or after later ones.
    pub late: u64,
    /// Packets so far from the sequence that they may belong to another.
    pub stray: u64,
    /// Times that the sequence began anew.
    pub restarts: u64,
    /// Datagrams that were no UDPTL packets.
    pub malformed: u64,
}

/// Puts IFP packets back into order and mends losses.
///
/// Packets are not waited for: one that comes after its successor is late, unless that one carried it.
#[derive(Debug)]
pub struct Receiver {
    limits: Limits,
    counters: Counters,
    /// The number of the packet that is due; none before the first packet.
    due: Option<u16>,
    /// A sequence that may take over: the number of its first packet, that of its latest, and how many came.
    stray: Option<(u16, u16, u8)>,
    /// The packets before `due`, the latest first. Those that were lost for good are empty.
    kept: VecDeque<Vec<u8>>,
}

impl Receiver {
    /// A receiver that has seen nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits {
                // Numbers further ahead cannot be told from those behind.
                gap: limits.gap.min(i16::MAX as u16),
                late: limits.late.min(i16::MAX as u16),
                ..limits
            },
            counters: Counters::default(),
            due: None,
            stray: None,
            kept: VecDeque::new(),
        }
    }

    /// What it has seen.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Reads a datagram, and delivers the IFP packets that it brings, with their numbers: those lost before that can be had
    /// back, then its own. Each packet is delivered once, in order.
    ///
    /// A packet had back from parities may have zeros behind its end: its length is that of the longest.
    ///
    /// # Errors
    /// [`UdptlError`] for what is no UDPTL packet, or exceeds the limits. Nothing is delivered and nothing changes but a counter.
    pub fn take(&mut self, datagram: &[u8], mut deliver: impl FnMut(u16, &[u8])) -> Result<(), UdptlError> {
        let packet = Packet::read(datagram, self.limits.ifp, self.limits.entries)
            .inspect_err(|_| self.counters.malformed += 1)?;
        self.counters.received += 1;
        let sequence = packet.sequence;
        let secondaries = match packet.recovery {
            Recovery::Secondary(entries) => entries.count as u16,
            Recovery::Fec { .. } => 0,
        };
        // What went before the first packet is welcome as well, if it can be had; sequences begin with 0.
        let due = *self.due.get_or_insert(sequence - secondaries.min(sequence));
        let ahead = sequence.wrapping_sub(due) as i16;
        if !(-(self.limits.late as i16)..=self.limits.gap as i16).contains(&ahead) {
            if !self.begins_anew(sequence) {
                return Ok(());
            }
        } else if ahead < 0 {
            self.counters.late += 1;
            return Ok(());
        }
        self.stray = None;
        let due = self.due.unwrap_or(sequence);
        let missing = usize::from(sequence.wrapping_sub(due));
        match packet.recovery {
            Recovery::Secondary(entries) => self.by_secondaries(due, missing, entries, &mut deliver),
            Recovery::Fec { span, parities } => {
                self.by_parities(due, missing, span, parities, &mut deliver);
            }
        }
        if !packet.primary.is_empty() {
            deliver(sequence, packet.primary);
        }
        self.keep(packet.primary);
        self.due = Some(sequence.wrapping_add(1));
        Ok(())
    }

    /// Looks at a packet of another sequence, and goes over to that when enough of them came.
    fn begins_anew(&mut self, sequence: u16) -> bool {
        self.counters.stray += 1;
        let (first, count) = match self.stray {
            // Copies of one packet are one packet.
            Some((_, latest, _)) if latest == sequence => return false,
            Some((first, latest, count)) if sequence.wrapping_sub(latest) <= self.limits.gap => {
                (first, count + 1)
            }
            _ => (sequence, 1),
        };
        self.stray = Some((first, sequence, count));
        if count < self.limits.strays {
            return false;
        }
        self.counters.restarts += 1;
        self.kept.clear();
        // Its first packets were not delivered; perhaps this one carries them.
        self.due = Some(first);
        true
    }

    fn by_secondaries(
        &mut self,
        due: u16,
        missing: usize,
        entries: Entries<'_>,
        deliver: &mut impl FnMut(u16, &[u8]),
    ) {
        if missing == 0 {
            return;
        }
        let mut found = [&[][..]; ENTRIES_MAX];
        for (place, entry) in found.iter_mut().zip(entries.iter()) {
            *place = entry;
        }
        for back in (1..=missing).rev() {
            let ifp = found.get(back - 1).copied().unwrap_or_default();
            self.settle(due.wrapping_add((missing - back) as u16), ifp, deliver);
        }
    }

    fn by_parities(
        &mut self,
        due: u16,
        missing: usize,
        span: usize,
        parities: Entries<'_>,
        deliver: &mut impl FnMut(u16, &[u8]),
    ) {
        let count = parities.count;
        if missing == 0 {
            return;
        }
        // How far back the parities tell of anything, if that is still kept.
        let known = span.checked_mul(count).filter(|reach| *reach <= self.limits.kept);
        let mut mended = vec![Vec::new(); missing.min(known.unwrap_or(0))];
        for (at, parity) in parities.iter().enumerate() {
            if known.is_none() {
                break;
            }
            // Counted back from the packet itself, whose predecessor is 1.
            let group = || (0..span).map(|step| count - at + step * count);
            let mut gone = group().filter(|back| *back <= missing || self.before(*back - missing).is_empty());
            let (Some(only), None) = (gone.next(), gone.next()) else {
                continue;
            };
            let Some(place) = mended.get_mut(only - 1) else {
                continue;
            };
            place.extend(parity);
            for back in group().filter(|back| *back > missing) {
                xor(place, self.before(back - missing));
            }
            // A parity is as long as the longest packet; one that is shorter was not made of these.
            if place.len() > parity.len() {
                place.clear();
            }
        }
        for back in (1..=missing).rev() {
            let ifp = mended.get(back - 1).map(Vec::as_slice).unwrap_or_default();
            self.settle(due.wrapping_add((missing - back) as u16), ifp, deliver);
        }
    }

    /// The packet so many before the one that is due; empty where there is none.
    fn before(&self, back: usize) -> &[u8] {
        let kept = back.checked_sub(1).and_then(|at| self.kept.get(at));
        kept.map(Vec::as_slice).unwrap_or_default()
    }

    /// Delivers a packet that did not come, if it could be had back.
    fn settle(&mut self, sequence: u16, ifp: &[u8], deliver: &mut impl FnMut(u16, &[u8])) {
        if ifp.is_empty() {
            self.counters.lost += 1;
        } else {
            self.counters.recovered += 1;
            deliver(sequence, ifp);
        }
        self.keep(ifp);
    }

    fn keep(&mut self, ifp: &[u8]) {
        if self.limits.kept == 0 {
            return;
        }
        let mut place = if self.kept.len() < self.limits.kept {
            Vec::new()
        } else {
            self.kept.pop_back().unwrap_or_default()
        };
        place.clear();
        place.extend(ifp);
        self.kept.push_front(place);
    }
}
