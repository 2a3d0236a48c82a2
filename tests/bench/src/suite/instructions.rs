//! Instructions for one operation, counted by callgrind.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use super::started::{COUNTS, Started};
use super::{Suite, note};
use crate::load::Demand;
use crate::peers::{Proof, ProxyPeer};
use crate::results::{Figure, Results, Work};
use crate::sip::{Calls, Load, Registrations};

/// Operations at the same time: few, so that a program that runs fifty times slower answers in time.
const WINDOW: usize = 4;

/// Pairs of phones.
const PAIRS: usize = 50;

/// What is done.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Register,
    RegisterDigest,
    Call,
}

pub(super) fn measure(
    suite: &Suite,
    peer: ProxyPeer,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    for (operation, figure) in [
        (Operation::Register, Figure::RegisterInstructions),
        (Operation::RegisterDigest, Figure::RegisterDigestInstructions),
        (Operation::Call, Figure::CallInstructions),
    ] {
        let times = suite.plan.instruction_times;
        let mut counted = [0, 0];
        for (rounds, counted) in (1..).zip(&mut counted) {
            let folder = folder.join(format!("{operation:?}-{rounds}"));
            *counted = count(suite, peer, operation, (&folder, rounds * times))?;
        }
        // What starting, registering everybody and ending take is in both.
        let [once, twice] = counted.map(|count| count as f64);
        let each = (twice - once) / times as f64;
        note(&format!("  {operation:?}: {each:.0} instructions"));
        results.add(Work::Instructions, figure, peer.name(), each);
    }
    Ok(())
}

/// Instructions of a whole life with so many operations in it.
fn count(
    suite: &Suite,
    peer: ProxyPeer,
    operation: Operation,
    (folder, times): (&Path, usize),
) -> anyhow::Result<u64> {
    let proof = match operation {
        Operation::RegisterDigest => Proof::Digest,
        Operation::Register | Operation::Call => Proof::Address,
    };
    let mut started = Started::start_counted(suite, peer, folder, (PAIRS, proof))?;
    let mut registrations = Registrations::new(started.directory.clone());
    // Each phone once, so that this takes the same whatever is counted then.
    let everybody = started.directory.lines().len();
    done(&mut started, &mut registrations, everybody)?;
    let mut calls = Calls::new(started.directory.clone());
    let load: &mut dyn Load = match operation {
        Operation::Register | Operation::RegisterDigest => &mut registrations,
        Operation::Call => &mut calls,
    };
    done(&mut started, load, times)?;
    started.daemon.stop()?;
    let counts = fs::read_to_string(folder.join(COUNTS)).context("callgrind left no counts")?;
    summary(&counts).context("callgrind's counts have no summary")
}

/// Does so many operations, all of which must succeed.
fn done(started: &mut Started, load: &mut dyn Load, times: usize) -> anyhow::Result<()> {
    started.phones.run_times(load, Demand::Window(WINDOW), times)?;
    let tally = std::mem::take(load.tally());
    let (reasons, log) = (&tally.reasons, started.daemon.tail());
    ensure!(tally.done == times as u64, "under callgrind: {reasons:?}\n{log}");
    Ok(())
}

/// The line `summary:` of a file by callgrind: instructions of all threads.
fn summary(counts: &str) -> Option<u64> {
    let mut lines = counts.lines();
    lines.find_map(|line| {
        line.strip_prefix("summary:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_found() {
        assert_eq!(
            summary("events: Ir\nfn=(1) main\n1 5\nsummary: 14710651\n"),
            Some(14_710_651)
        );
        assert_eq!(summary("events: Ir\n"), None);
    }
}
