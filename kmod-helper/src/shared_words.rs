//! Tables in memory that the programs in the kernel have as well: ports and flows come and go with calls, and a system call for each
//! change would be a tenth of what a call costs.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::abi::{PORTS_EACH, RawCounters, RawHearer};

/// The values of a map that is an array of words and made to be mapped. See the module.
pub(crate) struct SharedWords {
    start: NonNull<c_void>,
    octets: NonZeroUsize,
    /// Programs that are loaded later name it by its descriptor.
    _map: MapData,
}

// SAFETY: it is plain memory, and its words are atomic.
#[expect(unsafe_code, reason = "the kernel has this memory")]
unsafe impl Send for SharedWords {}

impl SharedWords {
    /// The first words of a map.
    ///
    /// # Errors
    /// What the kernel says: the map is smaller, or cannot be mapped.
    pub(crate) fn new(map: MapData, words: usize) -> io::Result<Self> {
        let octets = words.checked_mul(size_of::<u64>()).and_then(NonZeroUsize::new);
        let octets = octets.ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: the kernel chooses the address, and refuses what the map does not have.
        #[expect(unsafe_code, reason = "the kernel has this memory")]
        let start = unsafe { mmap(None, octets, access, MapFlags::MAP_SHARED, map.fd(), 0) }?;
        Ok(Self {
            start,
            octets,
            _map: map,
        })
    }

    /// A word.
    ///
    /// # Panics
    /// There are not so many.
    pub(crate) fn get(&self, at: usize) -> u64 {
        self.word(at).load(Ordering::Relaxed)
    }

    /// Changes a word, after all that was written before.
    ///
    /// # Panics
    /// There are not so many.
    pub(crate) fn set(&self, at: usize, word: u64) {
        self.word(at).store(word, Ordering::Release);
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.octets.get() / size_of::<u64>());
        // SAFETY: within the mapping, which begins at a page and lives as long as this. Everybody else who has it is in the kernel,
        // whose programs read words and change them as other processors do.
        #[expect(unsafe_code, reason = "a word that is shared with the kernel")]
        unsafe {
            AtomicU64::from_ptr(self.start.as_ptr().cast::<u64>().add(at))
        }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is this table's alone.
        #[expect(unsafe_code, reason = "the counterpart of mapping")]
        let _ = unsafe { munmap(self.start, self.octets.get()) };
    }
}

/// Who hears which port. One word for each port of each address.
pub(crate) struct PortTable(SharedWords);

impl PortTable {
    /// The table of a map that was made for so many addresses.
    ///
    /// # Errors
    /// What the kernel says: the map is smaller, or cannot be mapped.
    pub(crate) fn new(map: MapData, addresses: u32) -> io::Result<Self> {
        SharedWords::new(map, addresses as usize * PORTS_EACH as usize).map(Self)
    }

    /// Says who hears a port of an address, by the address's place.
    ///
    /// # Panics
    /// There are not so many addresses.
    pub(crate) fn set(&self, address: u32, port: u16, hearer: RawHearer) {
        let at = address as usize * PORTS_EACH as usize + usize::from(port);
        self.0.set(at, hearer.bits());
    }
}

/// What was forwarded of each flow, by their places.
pub(crate) struct CounterTable(SharedWords);

impl CounterTable {
    /// The table of a map that was made for so many places.
    ///
    /// # Errors
    /// What the kernel says: the map is smaller, or cannot be mapped.
    pub(crate) fn new(map: MapData, slots: u32) -> io::Result<Self> {
        SharedWords::new(map, first(slots)).map(Self)
    }

    /// The counters of a place. Each is whole, but a packet that comes meanwhile may be in some of them only.
    ///
    /// # Panics
    /// There are not so many places.
    pub(crate) fn get(&self, slot: u32) -> RawCounters {
        RawCounters::from_words(std::array::from_fn(|word| self.0.get(first(slot) + word)))
    }

    /// Begins anew at a place that no packet is led to.
    ///
    /// # Panics
    /// There are not so many places.
    pub(crate) fn clear(&mut self, slot: u32) {
        for word in 0..RawCounters::WORDS {
            self.0.set(first(slot) + word, 0);
        }
    }
}

/// Where the words of a place begin.
fn first(slot: u32) -> usize {
    slot as usize * RawCounters::WORDS
}

/// Which flow's place a packet's port leads to, as a guess: one for an even port and the odd one that follows, which is RTCP's and so
/// none of a flow's as a rule. Four are in a word, so that those of the flows of a whole relay are in few lines of the caches.
pub(crate) struct Guesses(SharedWords);

/// Guesses in a word.
const GUESSES_EACH: u32 = u64::BITS / u16::BITS;

impl Guesses {
    /// Words that a map needs for all ports.
    pub(crate) const WORDS: usize = (PORTS_EACH / 2 / GUESSES_EACH) as usize;

    /// The table of a map that has so many words.
    ///
    /// # Errors
    /// What the kernel says: the map is smaller, or cannot be mapped.
    pub(crate) fn new(map: MapData) -> io::Result<Self> {
        SharedWords::new(map, Self::WORDS).map(Self)
    }

    /// Leads a port to a flow's place. Those beyond 65,534 are not guessed.
    pub(crate) fn lead(&mut self, port: u16, slot: u32) {
        self.set(port, guess(slot));
    }

    /// Leads a port to a flow's place no more.
    pub(crate) fn forget(&mut self, port: u16, slot: u32) {
        let (at, shift) = place(port);
        if (self.0.get(at) >> shift) as u16 == guess(slot) {
            self.set(port, 0);
        }
    }

    fn set(&mut self, port: u16, guess: u16) {
        let (at, shift) = place(port);
        let others = self.0.get(at) & !(u64::from(u16::MAX) << shift);
        self.0.set(at, others | u64::from(guess) << shift);
    }
}

/// One more than the place, or 0.
fn guess(slot: u32) -> u16 {
    slot.checked_add(1)
        .and_then(|next| next.try_into().ok())
        .unwrap_or(0)
}

/// The word of a port, and by how many bits its guess is shifted there.
fn place(port: u16) -> (usize, u32) {
    let pair = u32::from(port / 2);
    ((pair / GUESSES_EACH) as usize, pair % GUESSES_EACH * u16::BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_pair_of_ports_has_a_place_of_its_own_within_the_words() {
        let places: HashSet<_> = (0..=u16::MAX).map(place).collect();
        assert_eq!(places.len(), PORTS_EACH as usize / 2);
        assert!(
            places
                .iter()
                .all(|(at, shift)| *at < Guesses::WORDS && *shift < u64::BITS)
        );
        assert_eq!(place(30_000), place(30_001));
    }

    #[test]
    fn a_place_that_is_too_far_away_is_not_guessed() {
        assert_eq!((guess(0), guess(65_534)), (1, u16::MAX));
        assert_eq!((guess(65_535), guess(u32::MAX)), (0, 0));
    }
}
