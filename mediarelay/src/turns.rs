//! How long a thread's turns on a processor are.
//!
//! A thread that shares its processor waits until the other's turn is over, which is several milliseconds by default. The
//! kernel lets a thread ask for shorter turns of its own instead: it gets no more of the processor, but when it is woken it
//! need not wait until a longer turn of somebody else has ended. This is no privilege, unlike a priority.

#![expect(unsafe_code, reason = "no library wraps the two system calls")]

use std::io;
use std::mem::size_of;

/// The length of a turn, in nanoseconds: the shortest that the kernel takes.
const TURN: u64 = 100_000;

/// Lets the calling thread, and those that it begins, take short turns, so that packets wait less for it.
///
/// Kernels before 6.12 accept that and do nothing. Whoever runs the program may have given it another policy than the
/// usual one (`sched(7)`); then nothing is changed, as it is with the niceness in any case. Where the kernel, or a
/// container's filter of system calls, refuses, everything works but for longer waits.
pub fn take_short_turns() {
    if let Err(error) = ask() {
        let thread = std::thread::current();
        tracing::debug!(thread = thread.name(), "no short turns on the processor: {error}");
    }
}

fn ask() -> io::Result<()> {
    let mut attr = get()?;
    if attr.sched_policy != libc::SCHED_OTHER as u32 {
        return Ok(());
    }
    attr.sched_runtime = TURN;
    // SAFETY: the kernel reads as many octets from `attr` as its own first field says, which is its size.
    done(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) })
}

/// What the kernel says of the calling thread.
fn get() -> io::Result<libc::sched_attr> {
    let size = size_of::<libc::sched_attr>() as u32;
    let mut attr = libc::sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `size` octets to `attr`, which has so many.
    done(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) })?;
    Ok(attr)
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own, as threads begun later would take it over.
    fn in_a_thread<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(what).join().unwrap()
    }

    #[test]
    fn turns_are_short_and_all_else_stays() {
        let (before, after) = in_a_thread(|| {
            let before = get().unwrap();
            ask().unwrap();
            (before, get().unwrap())
        });
        assert_eq!(after.sched_policy, before.sched_policy);
        assert_eq!(after.sched_nice, before.sched_nice);
        // An older kernel says 0, as it knows no such thing.
        assert!(
            [0, TURN].contains(&after.sched_runtime),
            "{}",
            after.sched_runtime
        );
    }

    #[test]
    fn who_has_another_policy_keeps_it() {
        let (before, after) = in_a_thread(|| {
            let mut attr = get().unwrap();
            attr.sched_policy = libc::SCHED_BATCH as u32;
            attr.sched_runtime = 0;
            // SAFETY: as in `ask`.
            done(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) }).unwrap();
            let before = get().unwrap();
            ask().unwrap();
            (before, get().unwrap())
        });
        assert_eq!(before.sched_policy, libc::SCHED_BATCH as u32);
        assert_eq!(
            (after.sched_policy, after.sched_runtime),
            (before.sched_policy, before.sched_runtime)
        );
    }
}
