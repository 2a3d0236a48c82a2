//! Our relay for a long time, with calls that come and go.

use std::fmt;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::changes::to_tag;
use super::relay::{SetUp, negotiate, set_up};
use super::{START_MAX, note};
use crate::daemon::Daemon;
use crate::drive::{ADDRESS, Commander, Phones};
use crate::gauges::metrics;
use crate::media::{CallPlan, MediaMode};
use crate::peers::{Places, RelayPeer, RelaySetup, metrics_address, ng_address};
use crate::soak::{Footprint, Left, Memory};
use crate::street::{PHONES, RELAY, Street};
use crate::usage::resident;

/// How long some of the phones talk before others do.
const TALK: Duration = Duration::from_secs(2);

/// One part of so many talks at a time: this is about what is left, not about how much there can be.
const PARTS: usize = 4;

/// One call of so many ends after each talk, and another one begins.
const CHURN: usize = 10;

/// One call of so many is encrypted.
const SECURE: usize = 4;

/// One call of so many is offered again after each talk, and recorded for a moment.
const CHANGED: usize = 40;

/// How long calls come and go before memory is looked at: answers to commands are kept for up to a minute, in case the commands
/// come again, and so it rises until then.
const WARM_UP: Duration = Duration::from_secs(90);

/// What is told meanwhile, and how often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How long ports may rest and counters be kept after the last call.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// How often it is looked whether everything is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where our programs pin what they have in the kernel.
const PINS: &str = "/sys/fs/bpf/viaduct";

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soak {
    /// For how long, once it has warmed up.
    pub time: Duration,
    /// Calls at the same time.
    pub calls: usize,
    /// Phones are on links of their own, and the kernel forwards what it can.
    pub in_kernel: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Soaked {
    calls: u64,
    sent: u64,
    received: u64,
    wrong: u64,
    /// Of each look.
    memory: Memory,
    /// Most flows that the kernel had.
    kernel_flows: u64,
    left: Vec<String>,
}

impl Soak {
    /// Does it.
    ///
    /// # Errors
    /// The relay cannot be started, refuses something, or ends.
    pub fn run(self, places: &Places, processor: Option<usize>) -> anyhow::Result<Soaked> {
        let folder = places.work.join("soak");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let street = self.in_kernel.then(Street::new).transpose()?;
        let setup = RelaySetup {
            media: if self.in_kernel { RELAY } else { ADDRESS },
            frames: false,
            in_kernel: self.in_kernel,
        };
        let phones = match &street {
            Some(street) => Phones::open_at(street, self.calls)?,
            None => Phones::open(self.calls)?,
        };
        let listener = match &street {
            Some(street) => street.at(1, || Ok(UdpSocket::bind((PHONES[1], 0))?))?,
            None => UdpSocket::bind((ADDRESS, 0))?,
        };
        let mut commander = Commander::open(ng_address())?;
        let launch = RelayPeer::Viaduct.prepare(places, &folder, setup)?;
        let mut daemon = Daemon::start(&launch, processor, &folder)?;
        daemon.wait_until(START_MAX, || commander.probe())?;
        let mut run = Run {
            soak: self,
            places,
            phones,
            commander,
            daemon,
            listener,
            plans: Vec::new(),
            numbers: 0,
            soaked: Soaked::default(),
        };
        let result = run.soak().with_context(|| run.daemon.tail());
        let Run {
            daemon, mut soaked, ..
        } = run;
        daemon.stop()?;
        result?;
        if let Ok(pins) = fs::read_dir(PINS) {
            let pins = pins.flatten().map(|pin| pin.path().display().to_string());
            soaked.left.extend(pins.map(|pin| format!("{pin}: still pinned")));
        }
        Ok(soaked)
    }
}

/// A soak that runs.
struct Run<'p> {
    soak: Soak,
    places: &'p Places,
    phones: Phones,
    commander: Commander,
    daemon: Daemon,
    /// Where recorders hear.
    listener: UdpSocket,
    /// The calls that there are.
    plans: Vec<CallPlan>,
    /// Calls that there were.
    numbers: u32,
    soaked: Soaked,
}

impl Run<'_> {
    fn soak(&mut self) -> anyhow::Result<()> {
        // What the first call makes stays: it is none of its own.
        self.add_call()?;
        self.talk(0)?;
        self.end_all()?;
        let before = self.settled(None)?.0;

        for _ in 0..self.soak.calls {
            self.add_call()?;
        }
        let begun = Instant::now();
        let mut told = begun;
        for round in 0.. {
            let since = begun.elapsed();
            if since >= WARM_UP + self.soak.time {
                break;
            }
            self.talk(round % PARTS)?;
            self.change(round)?;
            if since >= WARM_UP {
                self.soaked.memory.add(resident(self.daemon.pid())?);
            }
            self.soaked.kernel_flows = self.soaked.kernel_flows.max(self.kernel_flows()?);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                note(&format!(
                    "after {} s: {}",
                    begun.elapsed().as_secs(),
                    self.soaked.progress()
                ));
            }
        }
        self.end_all()?;
        let (_, left) = self.settled(Some(&before))?;
        self.soaked.left.extend(left.iter().map(Left::to_string));
        Ok(())
    }

    fn add_call(&mut self) -> anyhow::Result<()> {
        let (number, mode) = self.next_call();
        let plan = if self.plans.is_empty() && number > 0 {
            // The phones of the first call, which is over.
            self.negotiate_again(0, number, mode)?
        } else {
            set_up(&mut self.commander, &mut self.phones, number, mode)?
        };
        self.plans.push(plan);
        Ok(())
    }

    /// The phones of a call that is over have another one.
    fn negotiate_again(&mut self, call: usize, number: u32, mode: MediaMode) -> anyhow::Result<CallPlan> {
        let phones = (&self.phones, Some(call));
        let SetUp { plan, relay, crypto } = negotiate(&mut self.commander, phones, number, mode)?;
        self.phones.connect_again(call, number, relay, [crypto, None])?;
        Ok(plan)
    }

    fn next_call(&mut self) -> (u32, MediaMode) {
        let number = self.numbers;
        self.numbers += 1;
        self.soaked.calls += 1;
        let is_secure = number as usize % SECURE == SECURE - 1;
        (
            number,
            if is_secure {
                MediaMode::Sdes
            } else {
                MediaMode::Plain
            },
        )
    }

    /// Lets one part of the phones talk.
    fn talk(&mut self, part: usize) -> anyhow::Result<()> {
        let calls = self.plans.len();
        let part = part * calls / PARTS..(part + 1) * calls / PARTS;
        let part = if part.is_empty() { 0..calls } else { part };
        let tally = self.phones.run_some(part, TALK)?;
        ensure!(tally.received > 0, "no packet came through");
        self.soaked.sent += tally.sent;
        self.soaked.received += tally.received;
        self.soaked.wrong += tally.wrong + tally.repeated;
        Ok(())
    }

    /// Changes some calls, and puts others in the place of some.
    fn change(&mut self, round: usize) -> anyhow::Result<()> {
        let calls = self.plans.len();
        let some = |one_of: usize| {
            let count = (calls / one_of).max(1);
            (0..count).map(move |at| (round * count + at) % calls)
        };
        for call in some(CHANGED) {
            // Others than those that end next.
            let plan = &self.plans[(call + calls / 2) % calls];
            self.commander.sdp(&plan.offer_again()?)?;
            self.commander.sdp(&plan.answer())?;
            let listener = to_tag(&*self.commander.command(&plan.subscribe())?)?;
            self.commander
                .command(&plan.listen(self.listener.local_addr()?, &listener))?;
            self.commander.command(&plan.unsubscribe(&listener))?;
        }
        for call in some(CHURN) {
            self.commander.command(&self.plans[call].delete())?;
            let (number, mode) = self.next_call();
            self.plans[call] = self.negotiate_again(call, number, mode)?;
        }
        Ok(())
    }

    fn end_all(&mut self) -> anyhow::Result<()> {
        for plan in std::mem::take(&mut self.plans) {
            self.commander.command(&plan.delete())?;
        }
        Ok(())
    }

    /// What the relay has when it comes to rest, and what of it is not as it was before.
    fn settled(&mut self, before: Option<&Footprint>) -> anyhow::Result<(Footprint, Vec<Left>)> {
        let end = Instant::now() + SETTLE_MAX;
        let mut last = self.footprint()?;
        loop {
            thread::sleep(LOOK_AGAIN);
            let footprint = self.footprint()?;
            let left = footprint.left_since(before.unwrap_or(&last));
            if left.is_empty() && footprint.is_at_rest() || Instant::now() > end {
                return Ok((footprint, left));
            }
            last = footprint;
        }
    }

    fn footprint(&self) -> anyhow::Result<Footprint> {
        let mut footprint = Footprint::of_metrics(&metrics(metrics_address())?);
        footprint.add_process(self.daemon.pid())?;
        if self.soak.in_kernel {
            footprint.add("flows pinned in the kernel", self.kernel_flows()?);
        }
        Ok(footprint)
    }

    /// Entries of the table in the kernel, whatever the relay says of them.
    fn kernel_flows(&self) -> anyhow::Result<u64> {
        if !self.soak.in_kernel {
            return Ok(0);
        }
        kernel_flows(&self.places.programs).context("asking viaduct-kmod for its status")
    }
}

fn kernel_flows(programs: &Path) -> anyhow::Result<u64> {
    let output = Command::new(programs.join("viaduct-kmod"))
        .args(["status", "--json"])
        .output()?;
    let instances: Value = serde_json::from_slice(&output.stdout)?;
    let instances = instances.as_array().context("no list of instances")?;
    let flows = instances.iter().map(|instance| instance["flows"].as_u64());
    flows.sum::<Option<u64>>().context("an instance without flows")
}

impl Soaked {
    fn progress(&self) -> String {
        format!(
            "{} calls, {} packets, {} lost, {} wrong",
            self.calls,
            self.sent,
            self.sent.saturating_sub(self.received),
            self.wrong
        )
    }

    /// What is not as it must be, in words.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures: Vec<String> = self.left.iter().map(|left| format!("left: {left}")).collect();
        match self.memory.thirds() {
            None => failures.push("too short to say whether memory stands still".to_owned()),
            Some([before, after]) if !self.memory.is_flat() => {
                failures.push(format!("memory grows: {before} octets, then {after}"));
            }
            Some(_) => {}
        }
        if self.wrong > 0 {
            failures.push(format!("{} packets came twice or damaged", self.wrong));
        }
        failures
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.progress())?;
        writeln!(f, "flows in the kernel at the same time: {}", self.kernel_flows)?;
        if let Some([before, after]) = self.memory.thirds() {
            let mib = |octets: u64| octets as f64 / f64::from(1 << 20);
            let (before, after) = (mib(before), mib(after));
            writeln!(
                f,
                "memory: {before:.1} MiB in the second third, {after:.1} MiB in the last"
            )?;
        }
        let left = if self.left.is_empty() {
            "nothing".to_owned()
        } else {
            self.left.join(", ")
        };
        writeln!(f, "left after the last call: {left}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_fails_for_each_thing_that_is_left() {
        let mut soaked = Soaked {
            sent: 10,
            received: 9,
            ..Soaked::default()
        };
        assert!(soaked.failures()[0].contains("too short"));
        (0..30).for_each(|_| soaked.memory.add(30 << 20));
        assert_eq!(
            soaked.failures(),
            Vec::<String>::new(),
            "losses are told, and are no leak"
        );
        soaked.left.push("descriptors: 5 before, 6 after".to_owned());
        soaked.wrong = 1;
        assert_eq!(soaked.failures().len(), 2);
        let text = soaked.to_string();
        assert!(
            text.contains("1 lost") && text.contains("left after the last call: descriptors"),
            "{text}"
        );
    }
}
