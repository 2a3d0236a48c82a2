//! Rings that are shared with the kernel: one side puts entries in, the other one takes them out, and each has a counter that the
//! other one reads. Counters run on past their width; what counts is their difference.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::libc::{XDP_RING_NEED_WAKEUP, c_void};
use nix::sys::mman::munmap;

/// A frame that was received or is to be sent (`struct xdp_desc`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// Where its octets begin.
    pub(super) address: u64,
    /// How many they are.
    pub(super) len: u32,
    pub(super) options: u32,
}

/// Where a ring's parts lie, in octets from the beginning of its memory (`struct xdp_ring_offset`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) producer: usize,
    pub(super) consumer: usize,
    pub(super) flags: usize,
    pub(super) entries: usize,
}

/// The memory of a ring.
pub(super) struct Ring {
    start: NonNull<c_void>,
    octets: NonZeroUsize,
    layout: Layout,
    /// Entries, a power of two.
    size: u32,
}

// SAFETY: it is plain memory; the counters are atomic, and entries belong to the side that the counters say.
#[expect(unsafe_code, reason = "the kernel has the other side of the ring")]
unsafe impl Send for Ring {}

impl Ring {
    /// Of memory that was mapped for it.
    ///
    /// # Safety
    /// `start` is a mapping of `octets` that nobody else in this process uses; within it lie, aligned, the counters and the flags,
    /// and `size` entries of the type that the ring is used with. `size` is a power of two.
    #[expect(unsafe_code, reason = "says what the mapping must be like")]
    pub(super) unsafe fn new(
        start: NonNull<c_void>,
        octets: NonZeroUsize,
        layout: Layout,
        size: u32,
    ) -> Self {
        Self {
            start,
            octets,
            layout,
            size,
        }
    }

    fn counter(&self, at: usize) -> &AtomicU32 {
        // SAFETY: `new` asks for it; the kernel reads and writes it as atomic.
        #[expect(unsafe_code, reason = "a counter that is shared with the kernel")]
        unsafe {
            AtomicU32::from_ptr(self.start.as_ptr().cast::<u8>().add(at).cast())
        }
    }

    fn producer(&self) -> &AtomicU32 {
        self.counter(self.layout.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.counter(self.layout.consumer)
    }

    /// Entries that are in the ring. The other side is not believed more than it can have.
    fn len(&self) -> u32 {
        let producer = self.producer().load(Ordering::Acquire);
        let consumer = self.consumer().load(Ordering::Acquire);
        producer.wrapping_sub(consumer).min(self.size)
    }

    fn wants_to_be_woken(&self) -> bool {
        self.counter(self.layout.flags).load(Ordering::Relaxed) & XDP_RING_NEED_WAKEUP != 0
    }

    /// The entry of a counter's value.
    fn entry<T>(&self, count: u32) -> *mut T {
        let place = (count & (self.size - 1)) as usize;
        // SAFETY: within the mapping, as `new` asks for.
        #[expect(unsafe_code, reason = "an entry that is shared with the kernel")]
        unsafe {
            let entries = self.start.as_ptr().cast::<u8>().add(self.layout.entries);
            entries.cast::<T>().add(place)
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is this ring's alone.
        #[expect(unsafe_code, reason = "the counterpart of mapping")]
        let _ = unsafe { munmap(self.start, self.octets.get()) };
    }
}

/// A ring that the kernel takes entries from.
pub(super) struct Producer<T> {
    ring: Ring,
    entries: std::marker::PhantomData<T>,
}

impl<T: Copy> Producer<T> {
    pub(super) fn new(ring: Ring) -> Self {
        Self {
            ring,
            entries: std::marker::PhantomData,
        }
    }

    /// How many entries find room.
    pub(super) fn room(&self) -> usize {
        (self.ring.size - self.ring.len()) as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ring.len() == 0
    }

    pub(super) fn wants_to_be_woken(&self) -> bool {
        self.ring.wants_to_be_woken()
    }

    /// Puts entries in as far as there is room, and then shows them to the kernel.
    pub(super) fn put(&mut self, entries: impl Iterator<Item = T>) {
        let room = self.room();
        // Nobody else writes this counter.
        let mut count = self.ring.producer().load(Ordering::Relaxed);
        for entry in entries.take(room) {
            // SAFETY: the kernel does not look at places that have room, and nobody else has `&mut self`.
            #[expect(unsafe_code, reason = "an entry that is shared with the kernel")]
            unsafe {
                self.ring.entry::<T>(count).write(entry);
            }
            count = count.wrapping_add(1);
        }
        self.ring.producer().store(count, Ordering::Release);
    }
}

/// A ring that the kernel puts entries into.
pub(super) struct Consumer<T> {
    ring: Ring,
    entries: std::marker::PhantomData<T>,
}

impl<T: Copy> Consumer<T> {
    pub(super) fn new(ring: Ring) -> Self {
        Self {
            ring,
            entries: std::marker::PhantomData,
        }
    }

    /// Whether there is anything to take.
    pub(super) fn has_some(&self) -> bool {
        self.ring.len() > 0
    }

    /// Takes `max` entries at most, and then tells the kernel that their places are free.
    pub(super) fn take(&mut self, max: usize, mut each: impl FnMut(T)) {
        let count = (self.ring.len() as usize).min(max);
        // Nobody else writes this counter.
        let mut at = self.ring.consumer().load(Ordering::Relaxed);
        for _ in 0..count {
            // SAFETY: the kernel has written it, as its counter says, and leaves it alone until ours passes it. Entries are
            // integers.
            #[expect(unsafe_code, reason = "an entry that is shared with the kernel")]
            let entry = unsafe { self.ring.entry::<T>(at).read() };
            each(entry);
            at = at.wrapping_add(1);
        }
        self.ring.consumer().store(at, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

    use super::*;

    const LAYOUT: Layout = Layout {
        producer: 0,
        consumer: 64,
        flags: 128,
        entries: 192,
    };

    /// Both sides of a ring of four in memory that is mapped twice as the kernel's is.
    fn pair(begin: u32) -> (Producer<u64>, Consumer<u64>) {
        let octets = NonZeroUsize::new(4_096).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new memory, of which the second mapping is another name.
        #[expect(unsafe_code, reason = "memory for a ring")]
        let (first, second) = unsafe {
            let first = mmap_anonymous(None, octets, access, MapFlags::MAP_SHARED).unwrap();
            let flags = nix::libc::MREMAP_MAYMOVE;
            let second = nix::libc::mremap(first.as_ptr(), 0, 4_096, flags);
            (first, NonNull::new(second).unwrap())
        };
        // SAFETY: as `new` asks for; each mapping is one ring's.
        #[expect(unsafe_code, reason = "memory for a ring")]
        let rings = unsafe { [first, second].map(|start| Ring::new(start, octets, LAYOUT, 4)) };
        rings[0].producer().store(begin, Ordering::Relaxed);
        rings[0].consumer().store(begin, Ordering::Relaxed);
        let [producer, consumer] = rings;
        (Producer::new(producer), Consumer::new(consumer))
    }

    #[test]
    fn entries_come_out_in_order_even_where_counters_begin_anew() {
        let (mut producer, mut consumer) = pair(u32::MAX - 5);
        let mut next = 0;
        let mut expected = 0;
        for _ in 0..10 {
            producer.put(
                std::iter::from_fn(|| {
                    next += 1;
                    Some(next)
                })
                .take(3),
            );
            let mut came = Vec::new();
            consumer.take(usize::MAX, |entry| came.push(entry));
            assert_eq!(came.len(), 3);
            for entry in came {
                expected += 1;
                assert_eq!(entry, expected);
            }
        }
    }

    #[test]
    fn a_full_ring_takes_no_more_and_an_empty_one_gives_nothing() {
        let (mut producer, mut consumer) = pair(0);
        assert!(producer.is_empty());
        producer.put(1..=9);
        assert_eq!(producer.room(), 0);
        let mut came = Vec::new();
        consumer.take(3, |entry| came.push(entry));
        assert_eq!((came.as_slice(), producer.room()), (&[1, 2, 3][..], 3));
        consumer.take(9, |entry| came.push(entry));
        consumer.take(9, |entry| came.push(entry));
        assert_eq!(came, [1, 2, 3, 4]);
    }

    #[test]
    fn a_counter_that_makes_no_sense_is_not_believed() {
        let (mut producer, mut consumer) = pair(0);
        producer.put(1..=2);
        producer.ring.producer().store(1_000, Ordering::Relaxed);
        let mut count = 0;
        consumer.take(usize::MAX, |_| count += 1);
        assert_eq!(count, 4);
    }
}
