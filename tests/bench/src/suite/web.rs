//! Phones that stay connected over WebSocket.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::started::Started;
use super::watch::Watch;
use super::{Suite, micros, note};
use crate::drive::{WebPhones, web_address};
use crate::gauges::settled_memory;
use crate::peers::{Proof, ProxyPeer, WEB_PORTS, metrics_address};
use crate::results::{Figure, Results, Work};

/// How long all phones together may take to connect and register.
const REGISTER_MAX: Duration = Duration::from_secs(180);

/// Files that programs have open besides their connections.
const FILES: usize = 200;

/// Where our gateway keeps the certificate that it made.
const CERTIFICATE: &str = "state/tls/certificate.pem";

pub(super) fn measure(
    suite: &Suite,
    peer: ProxyPeer,
    folder: &Path,
    results: &mut Results,
) -> anyhow::Result<()> {
    let plan = suite.plan.web;
    let [ws, wss] = WEB_PORTS;
    let mut add = |figure, value| results.add(Work::Wss, figure, peer.name(), value);

    let mut online = Online::start(suite, peer, &folder.join("ws"), (ws, plan.ws))?;
    add(Figure::WsConnection, online.memory_each()?);
    online.program.daemon.stop()?;

    let mut online = Online::start(suite, peer, &folder.join("wss"), (wss, plan.wss))?;
    add(Figure::WssClients, online.registered as f64);
    add(Figure::WssSetUp, online.set_up);
    add(Figure::WssConnection, online.memory_each()?);
    let watch = Watch::start(online.program.daemon.pid())?;
    let refreshed = online.phones.refresh_all(plan.refresh);
    let used = watch.stop()?.used;
    let tally = online.phones.tally();
    add(Figure::WssLost, plan.wss.saturating_sub(refreshed) as f64);
    add(
        Figure::WssRefresh,
        micros(used.processor) / refreshed.max(1) as f64,
    );
    if let Some(delay) = tally.refreshes.percentile(99) {
        add(Figure::WssRefreshMostWithin, micros(delay));
    }
    for (reason, count) in tally.reasons {
        let reason = format!("{} over WSS: {reason}", peer.name());
        *results.reasons.entry(reason).or_default() += count as u64;
    }
    online.program.daemon.stop()
}

/// A gateway with phones that are registered over WebSocket.
#[derive(Debug)]
struct Online {
    program: Started,
    phones: WebPhones,
    /// Phones that registered.
    registered: usize,
    /// Processor time for each of them, in microseconds.
    set_up: f64,
    /// Memory before they came, in octets.
    before: u64,
}

impl Online {
    fn start(
        suite: &Suite,
        peer: ProxyPeer,
        folder: &Path,
        (port, phones): (u16, usize),
    ) -> anyhow::Result<Self> {
        let files = files_max()?;
        ensure!(
            files >= phones + FILES,
            "{phones} connections need {} open files, and `ulimit -n` allows {files}",
            phones + FILES
        );
        let mut program = Started::start(suite, peer, folder, (phones.div_ceil(2), Proof::Address))?;
        program.wait_for_metrics()?;
        let pid = program.daemon.pid();
        let pass = |time| {
            std::thread::sleep(time);
            Ok(())
        };
        let (before, _) = settled_memory(pid, metrics_address(), pass)?;
        let watch = Watch::start(pid)?;
        let certificate = folder.join(CERTIFICATE);
        let certificate = (port == WEB_PORTS[1]).then_some(&*certificate);
        let web = WebPhones::open(web_address(port), certificate, phones)?;
        let registered = web.register_all(REGISTER_MAX);
        let used = watch.stop()?.used;
        let reasons = web.tally().reasons;
        note(&format!("  {registered} of {phones} have registered {reasons:?}"));
        ensure!(
            registered > 0,
            "nobody can register: {reasons:?}\n{}",
            program.daemon.tail()
        );
        Ok(Self {
            set_up: micros(used.processor) / registered as f64,
            program,
            phones: web,
            registered,
            before,
        })
    }

    /// Resident memory for one phone, in octets.
    fn memory_each(&mut self) -> anyhow::Result<f64> {
        let pass = |time| {
            self.phones.pass(time);
            Ok(())
        };
        let (memory, gauges) = settled_memory(self.program.daemon.pid(), metrics_address(), pass)?;
        note(&format!("  {} KiB with {gauges:?}", memory / 1_024));
        let count = self.registered as u64;
        ensure!(
            (gauges.connections, gauges.registrations) == (count, count),
            "connections or registrations are lost: {gauges:?}, {:?}",
            self.phones.tally().reasons
        );
        Ok(memory.saturating_sub(self.before) as f64 / self.registered as f64)
    }
}

/// How many files a process may have open.
fn files_max() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    files_of(&limits).context("no limit of open files in /proc/self/limits")
}

/// The soft limit, which children have too.
fn files_of(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" {
        return Some(usize::MAX);
    }
    soft.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_files_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             95000                95000                processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(files_of(limits), Some(1_024));
        assert_eq!(
            files_of("Max open files unlimited unlimited files\n"),
            Some(usize::MAX)
        );
        assert_eq!(files_of(""), None);
    }
}
