//! Telephone events as they pass by (RFC 4733).
//!
//! One event is many packets with the same timestamp, whose duration grows; its end comes three times, in case one is
//! lost. It is reported once.

use viaduct_rtp::{RtpPacket, Tick};

use super::flow::Flow;
use super::reports::Reports;
use crate::stats::WorkerStats;
use crate::verdict::{Report, TelephoneEvent};

/// Set in the second octet of the payload when the event is over.
const END: u8 = 0x80;

/// The loudness in the second octet.
const VOLUME: u8 = 0x3f;

/// The event that a flow hears or has heard last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Digits(Option<Digit>);

#[derive(Debug, Clone, Copy)]
struct Digit {
    ssrc: u32,
    timestamp: u32,
    event: TelephoneEvent,
    reported: bool,
}

impl Digits {
    /// Takes a packet. Returns the event before it, if its end was lost, and its own if it is over; each until it is
    /// [`reported`](Self::reported).
    fn take(
        &mut self,
        ssrc: u32,
        timestamp: u32,
        clock_rate: u32,
        payload: &[u8],
    ) -> [Option<TelephoneEvent>; 2] {
        let [event, flags, duration_high, duration_low, ..] = *payload else {
            return [None; 2];
        };
        let heard = TelephoneEvent {
            event,
            volume: flags & VOLUME,
            duration: u16::from_be_bytes([duration_high, duration_low]),
            clock_rate,
        };
        let mut lost = None;
        let same = |digit: &&mut Digit| (digit.ssrc, digit.timestamp) == (ssrc, timestamp);
        match self.0.as_mut().filter(same) {
            // Packets may have changed places.
            Some(digit) if digit.event.duration <= heard.duration => digit.event = heard,
            Some(_) => {}
            None => {
                lost = self.0.filter(|digit| !digit.reported).map(|digit| digit.event);
                self.0 = Some(Digit {
                    ssrc,
                    timestamp,
                    event: heard,
                    reported: false,
                });
            }
        }
        let over = self.0.filter(|digit| flags & END != 0 && !digit.reported);
        [lost, over.map(|digit| digit.event)]
    }

    fn reported(&mut self) {
        if let Some(digit) = &mut self.0 {
            digit.reported = true;
        }
    }
}

impl Flow {
    /// A packet with telephone events came.
    #[cold]
    pub(super) fn on_event(
        &mut self,
        now: Tick,
        packet: &RtpPacket<'_>,
        reports: &mut Reports,
        stats: &WorkerStats,
    ) {
        let header = packet.header();
        let clock = self.clocks.of(header.payload_type());
        let [lost, over] = self
            .digits
            .take(header.ssrc(), header.timestamp(), clock, packet.payload());
        let mut report = |event| {
            let room = reports.push(Report::EventEnded {
                flow: self.id,
                leg: self.leg,
                event,
                at: now,
            });
            stats.reports_delayed.add((!room).into());
            room
        };
        lost.map(&mut report);
        // With no room it is tried again when the end comes once more.
        if over.is_some_and(report) {
            self.digits.reported();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: u8, duration: u16) -> TelephoneEvent {
        TelephoneEvent {
            event,
            volume: 10,
            duration,
            clock_rate: 8000,
        }
    }

    /// A packet of digit `event` at a timestamp; what follows from it, which is taken to be reported.
    fn take(
        digits: &mut Digits,
        timestamp: u32,
        of: u8,
        end: bool,
        duration: u16,
    ) -> [Option<TelephoneEvent>; 2] {
        let [high, low] = duration.to_be_bytes();
        let found = digits.take(
            7,
            timestamp,
            8000,
            &[of, 10 | if end { END } else { 0 }, high, low],
        );
        if found[1].is_some() {
            digits.reported();
        }
        found
    }

    #[test]
    fn an_event_is_told_once_when_it_is_over() {
        let mut digits = Digits::default();
        assert_eq!(take(&mut digits, 1, 5, false, 160), [None; 2]);
        assert_eq!(take(&mut digits, 1, 5, false, 320), [None; 2]);
        assert_eq!(take(&mut digits, 1, 5, true, 480), [None, Some(event(5, 480))]);
        assert_eq!(take(&mut digits, 1, 5, true, 480), [None; 2]);
        assert_eq!(take(&mut digits, 1, 5, false, 320), [None; 2]);
        assert_eq!(take(&mut digits, 2, 5, true, 480), [None, Some(event(5, 480))]);
    }

    #[test]
    fn one_whose_end_is_lost_is_told_when_the_next_begins() {
        let mut digits = Digits::default();
        take(&mut digits, 1, 11, false, 160);
        take(&mut digits, 1, 11, false, 800);
        assert_eq!(take(&mut digits, 2, 3, false, 160), [Some(event(11, 800)), None]);
        assert_eq!(take(&mut digits, 2, 3, true, 480), [None, Some(event(3, 480))]);
    }

    #[test]
    fn short_payloads_are_no_events() {
        let mut digits = Digits::default();
        assert_eq!(digits.take(7, 1, 8000, &[5, END, 1]), [None; 2]);
        assert_eq!(digits.take(7, 1, 8000, &[]), [None; 2]);
    }
}
