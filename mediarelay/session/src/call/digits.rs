//! Digits that somebody wants to hear of (NG `DTMF-log-dest`).

use std::time::Duration;

use viaduct_forward::{FlowId, LegId, TelephoneEvent};

use super::Call;
use crate::core::Core;
use crate::event::{Digit, What};

/// The clock of telephone events where nobody says another (RFC 4733 section 2.3).
pub(super) const CLOCK_RATE: u32 = 8_000;

/// 0 to 9, `*`, `#`, A to D (RFC 4733 section 3.2).
const DIGITS_END: u8 = 16;

impl Call {
    /// A telephone event on a flow is over.
    pub(super) fn tell_digit(&self, core: &mut Core, leg: LegId, flow: FlowId, event: TelephoneEvent) {
        let of_flow = self.legs.get(&leg).and_then(|leg| {
            let path = leg.paths.iter().find(|path| path.flow == flow)?;
            Some((self.parties.get(&leg.party)?, path.tuple.remote.ip()))
        });
        let Some((party, source)) = of_flow else {
            return;
        };
        if event.event >= DIGITS_END {
            return;
        }
        let clock_rate = match event.clock_rate {
            0 => CLOCK_RATE,
            known => known,
        };
        let digit = Digit {
            to: self.dtmf_log,
            source_tag: party.name(),
            tags: self.talkers().map(|party| self.party(party).name()).collect(),
            source,
            event: event.event,
            duration: Duration::from_micros(u64::from(event.duration) * 1_000_000 / u64::from(clock_rate)),
            volume: event.volume,
        };
        core.event(&self.id, What::Digit(Box::new(digit)));
    }
}
