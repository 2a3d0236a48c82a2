//! Memory that is shared with the kernel, cut into frames.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::slice;

use nix::libc::c_void;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Octets of one frame; the kernel keeps the first 256 of those that it receives into.
pub(super) const FRAME: usize = 2_048;

/// See the module. Who holds the address of a frame may read and write it, and nobody else does.
pub(super) struct Memory {
    start: NonNull<c_void>,
    octets: NonZeroUsize,
}

// SAFETY: it is plain memory, and the owner of an address is alone with its frame wherever it runs.
#[expect(unsafe_code, reason = "the kernel writes into this memory")]
unsafe impl Send for Memory {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the kernel writes into this memory")]
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) fn new(frames: u32) -> io::Result<Self> {
        let octets = NonZeroUsize::new(frames as usize * FRAME).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new memory, at an address that the kernel chooses.
        #[expect(unsafe_code, reason = "the kernel is to have this memory as well")]
        let start = unsafe {
            mmap_anonymous(
                None,
                octets,
                access,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE,
            )
        };
        Ok(Self {
            start: start?,
            octets,
        })
    }

    pub(super) fn start(&self) -> NonNull<c_void> {
        self.start
    }

    pub(super) fn octets(&self) -> usize {
        self.octets.get()
    }

    /// What is in a frame whose address the caller holds. `None`: it does not lie within one.
    pub(super) fn read(&self, address: u64, len: u32) -> Option<&[u8]> {
        let at = self.within(address, len as usize)?;
        // SAFETY: within the memory, which is initialized by the kernel with zeros and lives as long as `self`; nobody writes
        // there while the caller holds the address.
        #[expect(unsafe_code, reason = "the kernel wrote it")]
        Some(unsafe { slice::from_raw_parts(self.start.as_ptr().cast::<u8>().add(at), len as usize) })
    }

    /// Lets `write` fill a frame whose address the caller holds. Returns how long it says that it is.
    pub(super) fn write(&self, address: u64, write: impl FnOnce(&mut [u8]) -> usize) -> u32 {
        let Some(at) = self.within(address, FRAME) else {
            return 0;
        };
        // SAFETY: as in `read`, and nobody reads there either.
        #[expect(unsafe_code, reason = "the kernel reads it")]
        let frame = unsafe { slice::from_raw_parts_mut(self.start.as_ptr().cast::<u8>().add(at), FRAME) };
        // A frame has fewer octets than that.
        write(frame).min(FRAME) as u32
    }

    /// Where so many octets of one frame begin.
    fn within(&self, address: u64, len: usize) -> Option<usize> {
        let at = usize::try_from(address).ok()?;
        let fits = at < self.octets() && at % FRAME + len <= FRAME;
        fits.then_some(at)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: what was mapped, and no slice of it outlives `self`. The kernel has its own hold on the pages.
        #[expect(unsafe_code, reason = "the counterpart of mapping")]
        let _ = unsafe { munmap(self.start, self.octets.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_into_a_frame_is_read_there_and_nowhere_beyond() {
        let memory = Memory::new(2).unwrap();
        let at = FRAME as u64;
        let written = memory.write(at, |frame| {
            frame[..5].copy_from_slice(b"hello");
            5
        });
        assert_eq!(memory.read(at, written), Some(&b"hello"[..]));
        assert_eq!(memory.read(at + 1, 4), Some(&b"ello"[..]));
        assert_eq!(memory.read(0, 1), Some(&[0][..]));
        assert_eq!(memory.read(at + 1, FRAME as u32), None, "beyond the frame");
        assert_eq!(memory.read(2 * at, 0), None, "beyond the memory");
        assert_eq!(memory.read(u64::MAX, 1), None);
        assert_eq!(memory.write(2 * at, |_| 7), 0);
    }
}
