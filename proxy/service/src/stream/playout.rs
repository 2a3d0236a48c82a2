//! The caller's audio on its way back: octets at the place in our timeline where they shall sound.
//!
//! G.711 has one octet a sample, so a ring of octets addressed by timestamp is the whole jitter buffer. A late packet
//! finds its place by itself, a repeated one writes the same octets again, a lost one leaves silence, and any packet
//! time becomes ours.

use crate::Codec;

/// Samples that the ring holds: 512 ms. A power of two.
const CAPACITY: u32 = 4_096;

/// How long a sample waits between its arrival and its return when packets come evenly: 60 ms.
pub const ECHO_DELAY_SAMPLES: u32 = 480;

/// The wait grows no longer than this unnoticed, in samples: 100 ms.
const LEAD_MAX: u32 = 800;

/// Packets over which the shortest wait is looked for.
const WINDOW_PACKETS: u32 = 100;

/// Packets in a row that come too late before the caller's clock is believed to have moved.
const LATE_MAX: u32 = 3;

/// The longest payload that is one packet's audio, in samples: 200 ms.
pub const PAYLOAD_SAMPLES_MAX: usize = 1_600;

/// The ring.
#[derive(Debug)]
pub(super) struct Playout {
    ring: Box<[u8; CAPACITY as usize]>,
    codec: Codec,
    /// Our position of the next sample that is read.
    head: u32,
    /// Our position minus the caller's timestamp. `None` until a packet came.
    offset: Option<u32>,
    late: u32,
    /// Shortest lead of the packets in the current window, and how many they are.
    lead_min: u32,
    window: u32,
    resyncs: u64,
}

impl Playout {
    /// Nothing to hear yet. What is read is in `codec`.
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            ring: Box::new([codec.silence(); CAPACITY as usize]),
            codec,
            head: 0,
            offset: None,
            late: 0,
            lead_min: u32::MAX,
            window: 0,
            resyncs: 0,
        }
    }

    /// Forgets everything that was not read. What is read from here on is in `codec`.
    pub(super) fn reset(&mut self, codec: Codec) {
        self.codec = codec;
        self.ring.fill(codec.silence());
        self.offset = None;
    }

    /// Takes a packet of at most [`PAYLOAD_SAMPLES_MAX`] octets in, coded in `codec`.
    pub(super) fn write(&mut self, timestamp: u32, codec: Codec, payload: &[u8]) {
        let length = payload.len() as u32;
        let lead = self.lead(timestamp).filter(|lead| {
            let fits = i64::from(*lead) + i64::from(length) <= i64::from(CAPACITY);
            fits && *lead > -(CAPACITY as i32)
        });
        let lead = match lead {
            None => self.resync(timestamp),
            Some(lead) if lead < 0 => {
                self.late += 1;
                if self.late >= LATE_MAX {
                    self.resync(timestamp)
                } else {
                    lead
                }
            }
            Some(lead) => {
                self.late = 0;
                self.watch_lead(lead as u32);
                lead
            }
        };
        // What should have sounded already is left out.
        let missed = lead.min(0).unsigned_abs() as usize;
        let at = self.head.wrapping_add(lead.max(0) as u32);
        for (octet, place) in payload.iter().skip(missed).zip(0..) {
            self.ring[index(at.wrapping_add(place))] = self.converted(codec, *octet);
        }
    }

    /// The next samples, and silence in their place.
    pub(super) fn read(&mut self, block: &mut [u8]) {
        for octet in block {
            let place = &mut self.ring[index(self.head)];
            *octet = std::mem::replace(place, self.codec.silence());
            self.head = self.head.wrapping_add(1);
        }
    }

    /// As if so many samples had been read.
    pub(super) fn skip(&mut self, samples: u64) {
        for _ in 0..samples.min(CAPACITY.into()) {
            self.read(&mut [0]);
        }
        self.head = self
            .head
            .wrapping_add(samples.saturating_sub(CAPACITY.into()) as u32);
    }

    /// How often the caller's timestamps were given another place in ours, the first time included.
    pub(super) fn resyncs(&self) -> u64 {
        self.resyncs
    }

    /// How far ahead of the reader a packet begins, in samples; negative for one that is late.
    fn lead(&self, timestamp: u32) -> Option<i32> {
        let position = timestamp.wrapping_add(self.offset?);
        Some(position.wrapping_sub(self.head) as i32)
    }

    /// Gives the packet with this timestamp the usual wait, and with it all that follow.
    fn resync(&mut self, timestamp: u32) -> i32 {
        let position = self.head.wrapping_add(ECHO_DELAY_SAMPLES);
        self.offset = Some(position.wrapping_sub(timestamp));
        self.late = 0;
        self.lead_min = u32::MAX;
        self.window = 0;
        self.resyncs += 1;
        ECHO_DELAY_SAMPLES as i32
    }

    /// A wait that was long for a whole window comes from clocks that differ, or from a delay that is over: it is cut.
    fn watch_lead(&mut self, lead: u32) {
        self.lead_min = self.lead_min.min(lead);
        self.window += 1;
        if self.window < WINDOW_PACKETS {
            return;
        }
        if self.lead_min > LEAD_MAX {
            let excess = self.lead_min - ECHO_DELAY_SAMPLES;
            self.offset = self.offset.map(|offset| offset.wrapping_sub(excess));
            self.resyncs += 1;
        }
        self.lead_min = u32::MAX;
        self.window = 0;
    }

    fn converted(&self, codec: Codec, octet: u8) -> u8 {
        if codec == self.codec {
            octet
        } else {
            self.codec.encode(codec.decode(octet))
        }
    }
}

fn index(position: u32) -> usize {
    (position % CAPACITY) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: usize = 160;
    const SILENCE: u8 = 0xff;

    /// Reads blocks, each told by its first octet.
    fn read(playout: &mut Playout, blocks: usize) -> Vec<u8> {
        (0..blocks)
            .map(|_| {
                let mut block = [0; BLOCK];
                playout.read(&mut block);
                assert!(block.iter().all(|octet| *octet == block[0]), "{block:?}");
                block[0]
            })
            .collect()
    }

    fn write(playout: &mut Playout, number: u32) {
        let payload = [number as u8; BLOCK];
        playout.write(number * BLOCK as u32, Codec::Pcmu, &payload);
    }

    #[test]
    fn audio_comes_back_after_the_usual_wait() {
        let mut playout = Playout::new(Codec::Pcmu);
        write(&mut playout, 1);
        assert_eq!(read(&mut playout, 5), [SILENCE, SILENCE, SILENCE, 1, SILENCE]);
    }

    #[test]
    fn order_is_restored_repeats_are_heard_once_and_loss_is_silence() {
        let mut playout = Playout::new(Codec::Pcmu);
        for number in [1, 3, 2, 3, 5] {
            write(&mut playout, number);
        }
        assert_eq!(
            read(&mut playout, 9),
            [SILENCE, SILENCE, SILENCE, 1, 2, 3, SILENCE, 5, SILENCE]
        );
        assert_eq!(playout.resyncs(), 1);
    }

    #[test]
    fn the_part_of_a_late_packet_that_can_still_sound_does() {
        let mut playout = Playout::new(Codec::Pcmu);
        write(&mut playout, 1);
        read(&mut playout, 4);
        let mut block = [0; 80];
        playout.read(&mut block);
        write(&mut playout, 2);
        playout.read(&mut block);
        assert_eq!(block, [2; 80]);
        assert_eq!(read(&mut playout, 1), [SILENCE]);
    }

    #[test]
    fn a_jump_of_the_clock_is_followed() {
        let mut playout = Playout::new(Codec::Pcmu);
        write(&mut playout, 1);
        read(&mut playout, 4);
        playout.write(0x8000_0000, Codec::Pcmu, &[9; BLOCK]);
        assert_eq!(read(&mut playout, 4), [SILENCE, SILENCE, SILENCE, 9]);
        // Backwards by less than the ring: believed after the third packet.
        for number in 0..3 {
            playout.write(0x8000_0000 - 800 + number * 160, Codec::Pcmu, &[7; BLOCK]);
        }
        assert_eq!(read(&mut playout, 4), [SILENCE, SILENCE, SILENCE, 7]);
    }

    #[test]
    fn a_wait_that_has_grown_is_cut() {
        let mut playout = Playout::new(Codec::Pcmu);
        write(&mut playout, 0);
        // Ten packets arrive at once after the network let go of them, then all goes evenly.
        for number in 1..=10 {
            write(&mut playout, number);
        }
        for number in 11..=220 {
            read(&mut playout, 1);
            write(&mut playout, number);
        }
        assert_eq!(playout.resyncs(), 2);
        let lead = playout.lead(221 * 160).unwrap();
        assert!((0..=LEAD_MAX as i32).contains(&lead), "{lead}");
    }

    #[test]
    fn another_law_is_converted() {
        let mut playout = Playout::new(Codec::Pcmu);
        let sample = 12_000;
        playout.write(0, Codec::Pcma, &[Codec::Pcma.encode(sample); BLOCK]);
        read(&mut playout, 3);
        let back = Codec::Pcmu.decode(read(&mut playout, 1)[0]);
        assert!((back - sample).abs() < 600, "{back}");
    }

    #[test]
    fn what_was_skipped_is_not_heard_later() {
        let mut playout = Playout::new(Codec::Pcmu);
        write(&mut playout, 1);
        playout.skip(640);
        assert!(read(&mut playout, 30).iter().all(|octet| *octet == SILENCE));
        write(&mut playout, 2);
        playout.skip(1 << 40);
        assert!(read(&mut playout, 30).iter().all(|octet| *octet == SILENCE));
    }

    proptest! {
        #[test]
        fn whatever_timestamps_come_nothing_panics_and_nothing_is_heard_twice(
            packets in proptest::collection::vec((any::<u32>(), 0_usize..=PAYLOAD_SAMPLES_MAX, any::<bool>()), 0..50),
            start: u32,
        ) {
            let mut playout = Playout::new(Codec::Pcmu);
            playout.head = start;
            let mut near = 0_u32;
            let mut heard = 0;
            let mut written = 0;
            for (timestamp, length, jumps) in packets {
                near = if jumps { timestamp } else { near.wrapping_add(timestamp % 2_000).wrapping_sub(1_000) };
                playout.write(near, Codec::Pcmu, &vec![1; length]);
                written += length;
                let mut block = [0; BLOCK];
                playout.read(&mut block);
                heard += block.iter().filter(|octet| **octet == 1).count();
            }
            let mut rest = [0; 2 * CAPACITY as usize];
            playout.read(&mut rest);
            heard += rest.iter().filter(|octet| **octet == 1).count();
            prop_assert!(heard <= written);
        }
    }
}
