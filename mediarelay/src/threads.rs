//! The relay's threads: how they begin, end, and fail.
//!
//! A panic is a fault of this program, after which the thread's tables cannot be trusted. So it ends the process with
//! a message, whichever thread it was: a supervisor starts it again within a second, and the proxy tries its calls
//! anew, while a relay that limps on without one of its workers would leave calls silent for hours. Who embeds the
//! relay can decide otherwise with [`OnFailure`].

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Exit status after a panic: an internal fault (`EX_SOFTWARE` of sysexits).
pub const EXIT_FAULT: i32 = 70;

/// A thread that panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub thread: String,
    /// What it said last.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread `{}` failed: {}", self.thread, self.message)
    }
}

/// What is done when a thread of the relay has panicked. It runs on that thread.
#[derive(Clone)]
pub struct OnFailure(Arc<dyn Fn(&Failure) + Send + Sync>);

impl OnFailure {
    /// This, instead of ending the process.
    #[must_use]
    pub fn new(what: impl Fn(&Failure) + Send + Sync + 'static) -> Self {
        Self(Arc::new(what))
    }

    /// Ends the process with [`EXIT_FAULT`], after a line in the log.
    #[must_use]
    pub fn exit() -> Self {
        Self::new(|failure| {
            tracing::error!("{failure}; the relay ends");
            std::process::exit(EXIT_FAULT);
        })
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFailure(..)")
    }
}

/// The threads that run.
#[derive(Debug)]
pub(crate) struct Threads {
    on_failure: OnFailure,
    running: Vec<JoinHandle<()>>,
    /// Each thread has a copy and drops it when it ends.
    alive: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Threads {
    pub(crate) fn new(on_failure: OnFailure) -> Self {
        let (alive, ended) = channel();
        Self {
            on_failure,
            running: Vec::new(),
            alive: Some(alive),
            ended,
        }
    }

    /// Begins a thread. Names have 15 octets at most, which is what the kernel shows.
    pub(crate) fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        debug_assert!(name.len() <= 15, "{name}");
        let (on_failure, alive) = (self.on_failure.clone(), self.alive.clone());
        let thread = name.to_owned();
        let handle = Builder::new().name(name.to_owned()).spawn(move || {
            // Nothing of what the body owned is looked at afterwards.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                (on_failure.0)(&Failure {
                    thread,
                    message: message_of(&*panic),
                });
            }
            drop(alive);
        })?;
        self.running.push(handle);
        Ok(())
    }

    /// Waits until all have ended, at most so long. Returns the names of those that have not.
    pub(crate) fn join(mut self, patience: Duration) -> Result<(), Vec<String>> {
        self.alive = None;
        let deadline = Instant::now() + patience;
        // Nobody sends anything: this returns when the last copy is dropped, or in time.
        let _ = self
            .ended
            .recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let mut left = Vec::new();
        for handle in self.running {
            // A thread drops its copy just before its end.
            while !handle.is_finished() && Instant::now() < deadline {
                std::thread::yield_now();
            }
            if handle.is_finished() {
                // A panic was caught and told.
                let _ = handle.join();
            } else {
                left.push(handle.thread().name().unwrap_or_default().to_owned());
            }
        }
        if left.is_empty() { Ok(()) } else { Err(left) }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_panic_is_told_with_the_threads_name() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let on_failure = OnFailure::new(move |failure| teller.lock().unwrap().push(failure.to_string()));
        let mut threads = Threads::new(on_failure);
        threads.spawn("relay-a", || {}).unwrap();
        threads.spawn("relay-b", || panic!("number {}", 7)).unwrap();
        threads.join(LONG).unwrap();
        assert_eq!(*told.lock().unwrap(), ["thread `relay-b` failed: number 7"]);
    }

    #[test]
    fn threads_that_do_not_end_are_named_in_time() {
        let (release, wait) = channel::<()>();
        let mut threads = Threads::new(OnFailure::new(|_| {}));
        threads.spawn("relay-quick", || {}).unwrap();
        threads.spawn("relay-stuck", move || _ = wait.recv()).unwrap();
        assert_eq!(
            threads.join(Duration::from_millis(20)),
            Err(vec!["relay-stuck".to_owned()])
        );
        drop(release);
    }
}
