//! Who hears which port, in memory that the program in the kernel reads: ports come and go with calls, and a system call for each would
//! be a tenth of what a call costs.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use nix::libc::c_void;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::abi::{PORTS_EACH, RawHearer};

/// See the module. One entry for each port of each address.
pub(crate) struct PortTable {
    start: NonNull<c_void>,
    octets: NonZeroUsize,
    /// Programs that are loaded later name it by its descriptor.
    _map: MapData,
}

// SAFETY: it is plain memory, and its entries are atomic.
#[expect(unsafe_code, reason = "the kernel reads this memory")]
unsafe impl Send for PortTable {}

impl PortTable {
    /// The table of a map that was made for so many addresses.
    ///
    /// # Errors
    /// What the kernel says: the map is smaller, or cannot be mapped.
    pub(crate) fn new(map: MapData, addresses: u32) -> io::Result<Self> {
        let octets = addresses as usize * PORTS_EACH as usize * size_of::<u64>();
        let octets = NonZeroUsize::new(octets).ok_or(io::ErrorKind::InvalidInput)?;
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

    /// Says who hears a port of an address, by the address's place.
    ///
    /// # Panics
    /// There are not so many addresses.
    pub(crate) fn set(&self, address: u32, port: u16, hearer: RawHearer) {
        let at = address as usize * PORTS_EACH as usize + usize::from(port);
        assert!(at < self.octets.get() / size_of::<u64>());
        // SAFETY: within the mapping, which begins at a page; the kernel only reads it.
        #[expect(unsafe_code, reason = "an entry that is shared with the kernel")]
        let entry = unsafe { AtomicU64::from_ptr(self.start.as_ptr().cast::<u64>().add(at)) };
        entry.store(hearer.bits(), Ordering::Release);
    }
}

impl Drop for PortTable {
    fn drop(&mut self) {
        // SAFETY: the mapping is this table's alone.
        #[expect(unsafe_code, reason = "the counterpart of mapping")]
        let _ = unsafe { munmap(self.start, self.octets.get()) };
    }
}
