//! What is said instead of what a peer says: silence, and keys that are pressed in its name (RFC 4733).

use std::ops::Range;

use viaduct_rtp::g711::Law;
use viaduct_rtp::telephone_event::{EVENT_LEN, TelephoneEvent};
use viaduct_rtp::{RtpPacket, Tick};

use super::flow::{Clocks, Flow};
use super::reports::Reports;
use crate::buffer::PacketBuf;
use crate::drop_reason::DropReason;
use crate::rule::{BlockReason, ClockRate, KeyPress, Route};
use crate::stats::WorkerStats;
use crate::verdict::Report;

/// The payload type of comfort noise (RFC 3389), which is as good as silence.
const COMFORT_NOISE: u8 = 13;

/// How often the end of an event is told, in case one is lost (RFC 4733 section 2.5.1.4).
const ENDS: u8 = 3;

/// The clock of speech whose payload type says none.
const CLOCK_RATE: u32 = 8_000;

/// Bit of the first octet of a header: there is padding.
const PADDING: u8 = 0x20;
/// Bit of the second octet: the marker.
const MARKER: u8 = 0x80;

/// Hz of the row and the column of a key (ITU-T Q.23), by event.
const TONES: [(f32, f32); 16] = [
    (941.0, 1_336.0),
    (697.0, 1_209.0),
    (697.0, 1_336.0),
    (697.0, 1_477.0),
    (770.0, 1_209.0),
    (770.0, 1_336.0),
    (770.0, 1_477.0),
    (852.0, 1_209.0),
    (852.0, 1_336.0),
    (852.0, 1_477.0),
    (941.0, 1_209.0),
    (941.0, 1_477.0),
    (697.0, 1_633.0),
    (770.0, 1_633.0),
    (852.0, 1_633.0),
    (941.0, 1_633.0),
];

/// What a route says instead.
#[derive(Debug)]
pub(super) struct Speech {
    /// Bit `n`: payload type `n` goes on while all else is silent.
    silence: Option<u128>,
    key: Option<KeyPress>,
}

impl Speech {
    pub(super) fn of(route: &Route) -> Option<Box<Self>> {
        let set = |types: &Vec<u8>| {
            let known = types.iter().filter(|of| **of < 128);
            known.fold(0, |all, of| all | 1 << of)
        };
        let speech = Self {
            silence: route.silence.as_ref().map(set),
            key: route
                .key_press
                .clone()
                .filter(|key| usize::from(key.event) < TONES.len()),
        };
        (speech.silence.is_some() || speech.key.is_some()).then(|| Box::new(speech))
    }
}

/// How far a key is pressed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pressing {
    /// The name of the key; `None`: none was pressed yet.
    id: Option<u64>,
    /// The timestamp of the first packet that tells of it.
    began: u32,
    /// The timestamp of the last, and how long that packet is.
    last: u32,
    frame: u32,
    /// How often its end was told.
    ends: u8,
    is_over: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It is as the sender made it.
    AsItWas,
    Instead,
    /// And with it the key is released.
    Last,
}

impl Flow {
    /// Says something else in the place of a packet of speech.
    #[cold]
    pub(super) fn say(
        &mut self,
        now: Tick,
        route_at: usize,
        buffer: &mut PacketBuf,
        reports: &mut Reports,
        stats: &WorkerStats,
    ) -> Result<(), DropReason> {
        let route = self.routes.get(route_at);
        let Some(speech) = route.and_then(|route| route.speech.as_deref()) else {
            return Ok(());
        };
        let said = match &speech.key {
            Some(key) => self.pressing.press(key, &self.clocks, buffer),
            None => Said::AsItWas,
        };
        if let (Some(key), Said::Last) = (&speech.key, said) {
            let told = reports.push(Report::KeyPressed {
                flow: self.id,
                leg: self.leg,
                id: key.id,
                at: now,
            });
            // Control does not wait for it for ever.
            stats.reports_delayed.add((!told).into());
        }
        match speech.silence {
            Some(events) if said == Said::AsItWas => silence(buffer, events),
            _ => Ok(()),
        }
    }
}

/// What is known of a packet while its octets change.
struct Spoken {
    payload_type: u8,
    timestamp: u32,
    payload: Range<usize>,
}

impl Spoken {
    fn of(buffer: &PacketBuf) -> Option<Self> {
        let packet = RtpPacket::parse(buffer.data()).ok()?;
        let begin = packet.header().size();
        Some(Self {
            payload_type: packet.header().payload_type(),
            timestamp: packet.header().timestamp(),
            payload: begin..begin + packet.payload().len(),
        })
    }
}

/// Speech is silent, and all else goes on.
fn silence(buffer: &mut PacketBuf, events: u128) -> Result<(), DropReason> {
    let Some(spoken) = Spoken::of(buffer) else {
        return Ok(());
    };
    let Some(law) = Law::of_payload_type(spoken.payload_type) else {
        let goes_on = spoken.payload_type == COMFORT_NOISE || events >> spoken.payload_type & 1 == 1;
        return if goes_on {
            Ok(())
        } else {
            Err(BlockReason::Media.into())
        };
    };
    buffer.data_mut()[spoken.payload].fill(law.silence());
    Ok(())
}

impl Pressing {
    fn press(&mut self, key: &KeyPress, clocks: &Clocks, buffer: &mut PacketBuf) -> Said {
        let Some(spoken) = Spoken::of(buffer) else {
            return Said::AsItWas;
        };
        let Spoken {
            payload_type,
            timestamp,
            payload,
        } = spoken;
        let is_event = key.payload_types.iter().any(|of| of.payload_type == payload_type);
        let is_first = self.id != Some(key.id);
        if is_event || payload_type == COMFORT_NOISE || !is_first && self.is_over {
            return Said::AsItWas;
        }
        let clock = match clocks.of(payload_type) {
            0 => CLOCK_RATE,
            known => known,
        };
        let fits = |of: &&ClockRate| of.hertz == clock;
        let event = key.payload_types.iter().find(fits);
        let law = Law::of_payload_type(payload_type).filter(|_| key.payload_types.is_empty());
        if event.is_none() && law.is_none() {
            return Said::AsItWas;
        }
        if is_first {
            *self = Self {
                id: Some(key.id),
                began: timestamp,
                last: timestamp,
                frame: clock / 50,
                ..Self::default()
            };
        }
        // Packets that have changed places are told of as if they were the first.
        let since = |before: u32| u32::try_from(timestamp.wrapping_sub(before).cast_signed()).unwrap_or(0);
        let step = since(self.last);
        if step > 0 && step <= clock / 5 {
            self.frame = step;
        }
        self.last = timestamp;
        let elapsed = since(self.began);
        let wanted = (u64::from(clock) * u64::from(key.millis) / 1_000) as u32;
        match (event, law) {
            (Some(of), _) => {
                // The field has sixteen bits; a key that is pressed longer is released then.
                let wanted = wanted.min(u16::MAX.into());
                let duration = elapsed.saturating_add(self.frame).min(wanted);
                let end = duration == wanted;
                let event = TelephoneEvent {
                    event: key.event,
                    end,
                    volume: key.volume,
                    duration: duration as u16,
                };
                let header = (of.payload_type, self.began, is_first);
                write_event(buffer, payload.start, header, event);
                self.ends += u8::from(end);
                self.is_over = self.ends >= ENDS;
            }
            (None, Some(law)) => {
                let octets = &mut buffer.data_mut()[payload];
                write_tones(octets, key, law, elapsed, wanted);
                self.is_over = elapsed.saturating_add(octets.len() as u32) >= wanted;
            }
            (None, None) => {}
        }
        if self.is_over { Said::Last } else { Said::Instead }
    }
}

/// Makes a packet one of an event: its payload, and in its header the payload type, the timestamp of when the event began, and the
/// marker if it is the first.
fn write_event(
    buffer: &mut PacketBuf,
    begin: usize,
    (payload_type, began, is_first): (u8, u32, bool),
    event: TelephoneEvent,
) {
    let octets = buffer.with_room();
    octets[0] &= !PADDING;
    octets[1] = payload_type & !MARKER | if is_first { MARKER } else { 0 };
    octets[4..8].copy_from_slice(&began.to_be_bytes());
    octets[begin..begin + EVENT_LEN].copy_from_slice(&event.encode());
    buffer.set_len(begin + EVENT_LEN);
}

/// Fills a payload of G.711 with the tones of a key, and with silence once it is released.
fn write_tones(octets: &mut [u8], key: &KeyPress, law: Law, elapsed: u32, wanted: u32) {
    let (row, column) = TONES[usize::from(key.event) % TONES.len()];
    // Half of what can be told for each of the two, and so much below that.
    let loudness = 16_383.0 * 10_f32.powf(-f32::from(key.volume) / 20.0);
    for (at, octet) in (elapsed..).zip(octets.iter_mut()) {
        // Both tones begin anew with every second, so the angle stays small and exact.
        let seconds = (at % CLOCK_RATE) as f32 / CLOCK_RATE as f32;
        let tone = |hertz: f32| (std::f32::consts::TAU * hertz * seconds).sin();
        let sample = if at < wanted {
            loudness * (tone(row) + tone(column))
        } else {
            0.0
        };
        *octet = law.encode(sample as i16);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use viaduct_rtp::RtpFields;

    use super::*;

    fn key(payload_types: Vec<ClockRate>) -> KeyPress {
        KeyPress {
            id: 1,
            event: 9,
            millis: 100,
            volume: 8,
            payload_types,
        }
    }

    fn event_type(payload_type: u8, hertz: u32) -> ClockRate {
        ClockRate { payload_type, hertz }
    }

    /// A packet of so many octets of speech.
    fn packet(payload_type: u8, timestamp: u32, octets: usize) -> PacketBuf {
        let fields = RtpFields {
            marker: false,
            payload_type,
            sequence: 7,
            timestamp,
            ssrc: 9,
        };
        let mut buffer = PacketBuf::new();
        buffer.fill(&[&fields.encode()[..], &vec![1; octets]].concat());
        buffer
    }

    fn event(buffer: &PacketBuf) -> TelephoneEvent {
        let packet = RtpPacket::parse(buffer.data()).unwrap();
        TelephoneEvent::parse(packet.payload()).unwrap()
    }

    #[test]
    fn an_event_has_the_clock_of_the_speech() {
        let clocks = Clocks::new(&[event_type(111, 48_000)]);
        let key = key(vec![event_type(101, 8_000), event_type(110, 48_000)]);
        let mut pressing = Pressing::default();
        // Of two octets: the event is longer than what it takes the place of.
        let mut opus = packet(111, 96_000, 2);
        assert_eq!(pressing.press(&key, &clocks, &mut opus), Said::Instead);
        assert_eq!(opus.data()[1], 110 | MARKER);
        assert_eq!((event(&opus).duration, event(&opus).event), (960, 9));
        let mut later = packet(111, 96_000 + 4_800, 80);
        assert_eq!(pressing.press(&key, &clocks, &mut later), Said::Instead);
        assert_eq!((event(&later).duration, event(&later).end), (4_800, true));
        assert_eq!(later.data()[4..8], 96_000_u32.to_be_bytes());
    }

    #[test]
    fn what_is_no_speech_goes_on() {
        let clocks = Clocks::new(&[]);
        let key = key(vec![event_type(101, 8_000)]);
        for payload_type in [101, COMFORT_NOISE] {
            let mut buffer = packet(payload_type, 160, 4);
            let before = buffer.data().to_vec();
            let said = Pressing::default().press(&key, &clocks, &mut buffer);
            assert_eq!((said, buffer.data()), (Said::AsItWas, &before[..]));
        }
    }

    #[test]
    fn packets_that_change_places_do_not_make_a_key_longer() {
        let clocks = Clocks::new(&[]);
        let key = key(vec![event_type(101, 8_000)]);
        let mut pressing = Pressing::default();
        for (timestamp, duration) in [
            (1_600, 160),
            (1_920, 640),
            (1_760, 480),
            (1_440, 320),
            (2_080, 800),
        ] {
            let mut buffer = packet(8, timestamp, 160);
            pressing.press(&key, &clocks, &mut buffer);
            assert!(
                event(&buffer).duration <= duration,
                "{timestamp}: {:?}",
                event(&buffer)
            );
        }
    }

    proptest! {
        /// Whatever comes, what goes on is RTP of the same number and source.
        #[test]
        fn whatever_is_said_is_a_packet_of_the_same_stream(
            octets in prop::collection::vec(any::<u8>(), 0..200),
            first in 0x80_u8..0xc0,
            payload_type: u8,
            tones: bool,
            events: u128,
        ) {
            let mut octets = octets;
            if let [one, two, ..] = &mut octets[..] {
                (*one, *two) = (first, payload_type);
            }
            let key = key(if tones { vec![] } else { vec![event_type(101, 8_000)] });
            let clocks = Clocks::new(&[]);
            for _ in 0..2 {
                let mut buffer = PacketBuf::new();
                buffer.fill(&octets);
                let Ok(before) = RtpPacket::parse(&octets) else { continue };
                let mut pressing = Pressing::default();
                pressing.press(&key, &clocks, &mut buffer);
                pressing.press(&key, &clocks, &mut buffer);
                let _ = silence(&mut buffer, events);
                let after = RtpPacket::parse(buffer.data()).unwrap();
                prop_assert_eq!(after.header().sequence(), before.header().sequence());
                prop_assert_eq!(after.header().ssrc(), before.header().ssrc());
                prop_assert!(after.header().csrcs().eq(before.header().csrcs()));
            }
        }
    }
}
