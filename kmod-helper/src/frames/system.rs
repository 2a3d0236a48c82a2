//! The system calls of a socket for frames.

use std::io;
use std::mem::{self, MaybeUninit};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};

use super::memory::{FRAME, Memory};
use super::ring::{Descriptor, Layout, Ring};

/// Which ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RingKind {
    Fill,
    Completion,
    Receive,
    Send,
}

impl RingKind {
    /// The option that makes it.
    fn option(self) -> libc::c_int {
        match self {
            Self::Fill => libc::XDP_UMEM_FILL_RING,
            Self::Completion => libc::XDP_UMEM_COMPLETION_RING,
            Self::Receive => libc::XDP_RX_RING,
            Self::Send => libc::XDP_TX_RING,
        }
    }

    /// Where it is mapped from.
    fn offset(self) -> libc::off_t {
        match self {
            Self::Fill => libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t,
            Self::Completion => libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t,
            Self::Receive => libc::XDP_PGOFF_RX_RING,
            Self::Send => libc::XDP_PGOFF_TX_RING,
        }
    }

    /// Octets of an entry.
    fn entry(self) -> usize {
        match self {
            Self::Fill | Self::Completion => size_of::<u64>(),
            Self::Receive | Self::Send => size_of::<Descriptor>(),
        }
    }
}

pub(super) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: a system call without pointers.
    #[expect(unsafe_code, reason = "a system call that no library has")]
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    let fd = Errno::result(fd)?;
    // SAFETY: the descriptor is new and nobody else's.
    #[expect(unsafe_code, reason = "a system call that no library has")]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a socket its memory.
pub(super) fn register(socket: &OwnedFd, memory: &Memory) -> io::Result<()> {
    // SAFETY: integers only.
    #[expect(unsafe_code, reason = "a structure that grows with the kernel")]
    let mut region: libc::xdp_umem_reg = unsafe { mem::zeroed() };
    region.addr = memory.start().as_ptr() as u64;
    region.len = memory.octets() as u64;
    region.chunk_size = FRAME as u32;
    set(socket, libc::XDP_UMEM_REG, &region)
}

/// Makes a ring of so many entries and maps it.
pub(super) fn ring(socket: &OwnedFd, kind: RingKind, size: u32) -> io::Result<Ring> {
    if !size.is_power_of_two() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    set(socket, kind.option(), &size)?;
    let offsets: libc::xdp_mmap_offsets = get(socket, libc::XDP_MMAP_OFFSETS)?;
    let of = match kind {
        RingKind::Fill => offsets.fr,
        RingKind::Completion => offsets.cr,
        RingKind::Receive => offsets.rx,
        RingKind::Send => offsets.tx,
    };
    let layout = Layout {
        producer: of.producer as usize,
        consumer: of.consumer as usize,
        flags: of.flags as usize,
        entries: of.desc as usize,
    };
    let octets = layout.entries + size as usize * kind.entry();
    let octets = NonZeroUsize::new(octets).ok_or(io::ErrorKind::InvalidData)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    #[expect(unsafe_code, reason = "the ring is the kernel's memory")]
    let start = unsafe { mmap(None, octets, access, flags, socket.as_fd(), kind.offset()) }?;
    // SAFETY: the kernel has laid the ring out as it says, for the entries of this kind; the mapping is the ring's alone.
    #[expect(unsafe_code, reason = "the ring is the kernel's memory")]
    Ok(unsafe { Ring::new(start, octets, layout, size) })
}

/// Binds a socket to a queue; without memory of its own, to share that of `owner`.
pub(super) fn bind(socket: &OwnedFd, ifindex: u32, queue: u32, owner: Option<&OwnedFd>) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        // Without copies where the driver can do without; who shares memory takes the owner's way.
        sxdp_flags: match owner {
            Some(_) => libc::XDP_SHARED_UMEM,
            None => libc::XDP_USE_NEED_WAKEUP,
        },
        sxdp_ifindex: ifindex,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: owner.map_or(0, |owner| owner.as_raw_fd().unsigned_abs()),
    };
    let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    // SAFETY: the address lives during the call and is as long as said.
    #[expect(unsafe_code, reason = "an address family that no library has")]
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    Errno::result(done)?;
    Ok(())
}

/// Lets the kernel send.
pub(super) fn wake_sender(socket: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: no octets are passed.
    #[expect(unsafe_code, reason = "the library sends no nothing")]
    let done = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            std::ptr::null(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null(),
            0,
        )
    };
    Errno::result(done).map(|_| ())
}

/// Tells a driver that has run out of frames that there are some.
pub(super) fn wake_receiver(socket: &OwnedFd) {
    // A failure shows itself as frames that do not come; the next one tells again.
    let _ = nix::sys::socket::recv(
        socket.as_raw_fd(),
        &mut [],
        nix::sys::socket::MsgFlags::MSG_DONTWAIT,
    );
}

/// Frames that found no room.
pub(super) fn lost(socket: &OwnedFd) -> u64 {
    let told: io::Result<libc::xdp_statistics> = get(socket, libc::XDP_STATISTICS);
    told.map_or(0, |told| told.rx_dropped + told.rx_ring_full)
}

fn set<T: Copy>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value lives during the call and is as long as said.
    #[expect(unsafe_code, reason = "options that no library has")]
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            option,
            (&raw const *value).cast(),
            len,
        )
    };
    Errno::result(done)?;
    Ok(())
}

/// For structures of integers only: what an older kernel does not fill in is 0.
fn get<T: Copy>(socket: &OwnedFd, option: libc::c_int) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: there is as much room as said.
    #[expect(unsafe_code, reason = "options that no library has")]
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            option,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    Errno::result(done)?;
    if len as usize > size_of::<T>() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: integers, all of which are 0 or written by the kernel.
    #[expect(unsafe_code, reason = "the kernel wrote it")]
    Ok(unsafe { value.assume_init() })
}
