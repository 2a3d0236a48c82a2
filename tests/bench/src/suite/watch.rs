//! Who used the processors meanwhile.

use std::time::{Duration, Instant};

use crate::usage::{Usage, machine_busy, processors};

/// What a program and everybody else use of the machine, from now on.
#[derive(Debug)]
pub(super) struct Watch {
    pid: u32,
    begun: Instant,
    program: Usage,
    ours: Usage,
    busy: Duration,
}

/// What a [`Watch`] has seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// By the program.
    pub(super) used: Usage,
    /// By everybody but the program and us, in percent of all processors.
    pub(super) others: f64,
    /// How long the program's threads waited for a processor, in percent of the time.
    pub(super) waited: f64,
}

impl Watch {
    pub(super) fn start(pid: u32) -> anyhow::Result<Self> {
        Ok(Self {
            pid,
            busy: machine_busy()?,
            // Programs are our children, so this has in it what they use.
            ours: Usage::of(std::process::id())?,
            program: Usage::of(pid)?,
            begun: Instant::now(),
        })
    }

    pub(super) fn stop(self) -> anyhow::Result<Seen> {
        let used = Usage::of(self.pid)?.since(self.program);
        let ours = Usage::of(std::process::id())?.since(self.ours);
        let busy = machine_busy()?.saturating_sub(self.busy);
        let elapsed = self.begun.elapsed().as_secs_f64();
        let available = elapsed * processors()? as f64;
        let others = busy.saturating_sub(ours.processor);
        Ok(Seen {
            used,
            others: others.as_secs_f64() / available * 100.0,
            waited: used.waited.as_secs_f64() / elapsed * 100.0,
        })
    }
}
