//! Reads that a disturbance does not end.

use std::io;
use std::time::{Duration, Instant};

/// Reads within this time, although something may disturb this thread: a read that has a time limit is not begun again by the system.
pub(crate) fn undisturbed<T>(time: Duration, mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + time;
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
}
