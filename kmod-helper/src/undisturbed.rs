//! Loading programs while signals come.
//!
//! The kernel looks at a program for milliseconds, and gives up with EAGAIN as soon as a signal waits for the thread that loads it.
//! Signals that come again and again, from a timer or from a supervisor, would never let it get to the end; and aya takes a program
//! with which it tries a feature for one that the kernel refuses.

use aya::programs::ProgramError;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};

/// How often a program is loaded that is given up each time: some signals cannot be kept off, such as those that stop a process and
/// let it go on.
const TRIES_MAX: usize = 5;

/// As long as this is there, signals wait for this thread, or go to another one.
#[must_use]
pub(crate) struct Undisturbed {
    /// What was in force. `None`: it still is, and loading goes on as well as it can.
    before: Option<SigSet>,
}

impl Undisturbed {
    pub(crate) fn begin() -> Self {
        Self {
            // The kernel takes every set of signals that there is.
            before: SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok(),
        }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // What was in force once is so again.
            let _ = before.thread_set_mask();
        }
    }
}

/// Loads a program with signals kept off, and again if the kernel gave it up.
///
/// # Errors
/// What the kernel says of the program, or that it gave it up each time.
pub(crate) fn load(load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    let _undisturbed = Undisturbed::begin();
    repeat(load, is_given_up)
}

fn is_given_up(error: &ProgramError) -> bool {
    matches!(error, ProgramError::LoadError { io_error, .. }
        if io_error.raw_os_error() == Some(Errno::EAGAIN as i32))
}

fn repeat<E>(mut work: impl FnMut() -> Result<(), E>, again: impl Fn(&E) -> bool) -> Result<(), E> {
    for _ in 1..TRIES_MAX {
        match work() {
            Err(error) if again(&error) => {}
            done => return done,
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How it ends, and after how many tries, if the tries end like this, one after the other.
    fn tried(results: &[Result<(), Errno>]) -> (Result<(), Errno>, usize) {
        let mut tries = 0;
        let next = || {
            tries += 1;
            results[tries - 1]
        };
        let done = repeat(next, |error| *error == Errno::EAGAIN);
        (done, tries)
    }

    #[test]
    fn what_was_given_up_is_tried_again_and_what_was_refused_is_not() {
        assert_eq!(tried(&[Ok(())]), (Ok(()), 1));
        let given_up = Err(Errno::EAGAIN);
        assert_eq!(tried(&[given_up, given_up, Ok(())]), (Ok(()), 3));
        assert_eq!(tried(&[Err(Errno::EACCES)]), (Err(Errno::EACCES), 1));
        assert_eq!(tried(&[given_up, Err(Errno::EACCES)]), (Err(Errno::EACCES), 2));
        assert_eq!(tried(&[given_up; TRIES_MAX]), (given_up, TRIES_MAX));
    }

    #[test]
    fn signals_come_again_afterwards() {
        let mask = || SigSet::thread_get_mask().unwrap();
        let before = mask();
        let undisturbed = Undisturbed::begin();
        assert!(mask().contains(nix::sys::signal::Signal::SIGTERM));
        drop(undisturbed);
        assert_eq!(mask(), before);
    }
}
