//! Runs everything in turn.

mod changes;
mod churn;
mod instructions;
mod kernel;
mod media_rate;
mod memory;
mod proxy;
mod rate;
mod relay;
mod soak;
mod started;
mod watch;
mod web;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::media::MediaMode;
use crate::peers::{Places, ProxyPeer, RelayPeer};
use crate::plan::Plan;
use crate::results::{Figure, Results, Work};
use crate::sample::Latencies;

pub use self::soak::{Soak, Soaked};

/// How long a program may take to start.
const START_MAX: Duration = Duration::from_secs(15);

/// Everything that is needed for a run.
#[derive(Debug, Clone)]
pub struct Suite {
    /// What is done.
    pub plan: Plan,
    /// Which of it.
    pub works: Vec<Work>,
    /// Where things are.
    pub places: Places,
    /// The processor that programs run on, if they share none with us.
    pub processor: Option<usize>,
    /// Proxies, in turn.
    pub proxies: Vec<ProxyPeer>,
    /// Relays, in turn.
    pub relays: Vec<RelayPeer>,
}

impl Suite {
    /// Measures everybody.
    ///
    /// # Errors
    /// A program cannot be started, or ends, or does not do its work at all.
    pub fn run(&self) -> anyhow::Result<Results> {
        let mut results = Results::default();
        for run in 1..=self.plan.rate.runs {
            for work in self.chosen([Work::CallRate]) {
                for &peer in self.proxies.iter().filter(|peer| peer.does(work)) {
                    self.say(run, peer.name(), &format!("{work:?}"));
                    let measured = self.in_folder(peer.name(), run, |folder| {
                        rate::measure(self, peer, folder, &mut results)
                    });
                    measured.with_context(|| format!("measuring {}", peer.name()))?;
                }
            }
        }
        self.run_once(&mut results)?;
        for run in 1..=self.plan.runs {
            for work in self.chosen([Work::Register, Work::RegisterDigest, Work::Call]) {
                for &peer in self.proxies.iter().filter(|peer| peer.does(work)) {
                    self.say(run, peer.name(), &format!("{work:?}"));
                    let measured = self.in_folder(peer.name(), run, |folder| {
                        proxy::measure(self, peer, work, folder, &mut results)
                    });
                    measured.with_context(|| format!("measuring {}", peer.name()))?;
                }
            }
            for work in self.chosen([
                Work::Plain,
                Work::Sdes,
                Work::Dtls,
                Work::MediaRate,
                Work::Churn,
                Work::Kernel,
            ]) {
                self.run_relays(run, work, &mut results)?;
            }
        }
        Ok(results)
    }

    /// One run of each relay at one work.
    fn run_relays(&self, run: usize, work: Work, results: &mut Results) -> anyhow::Result<()> {
        let (calls, text) = match work {
            Work::Sdes => (self.plan.media_calls, "SRTP to RTP"),
            Work::Dtls => (self.plan.media_calls, "browser to phone"),
            Work::MediaRate => (self.plan.media_rate.calls, "ever more packets"),
            Work::Churn => (self.plan.churn.calls, "calls that come and go"),
            Work::Kernel => (self.plan.street.calls, "RTP to RTP between links"),
            _ => (self.plan.media_calls, "RTP to RTP"),
        };
        for &peer in &self.relays {
            if !peer.does(work, calls)? {
                continue;
            }
            self.say(run, peer.name(), text);
            let measured = self.in_folder(peer.name(), run, |folder| match work {
                Work::Sdes => relay::measure(self, peer, (MediaMode::Sdes, work), folder, results),
                Work::Dtls => relay::measure(self, peer, (MediaMode::Dtls, work), folder, results),
                Work::MediaRate => media_rate::measure(self, peer, folder, results),
                Work::Churn => churn::measure(self, peer, folder, results),
                Work::Kernel => kernel::measure(self, peer, folder, results),
                _ => relay::measure(self, peer, (MediaMode::Plain, work), folder, results),
            });
            measured.with_context(|| format!("measuring {}", peer.name()))?;
        }
        Ok(())
    }

    /// What is measured once: it hardly depends on what else the machine does.
    fn run_once(&self, results: &mut Results) -> anyhow::Result<()> {
        for work in self.chosen([Work::Memory, Work::Wss, Work::Instructions]) {
            for &peer in self.proxies.iter().filter(|peer| peer.does(work)) {
                note(&format!("{}, {work:?}", peer.name()));
                let measured = self.in_folder(peer.name(), 1, |folder| match work {
                    Work::Wss => web::measure(self, peer, folder, results),
                    Work::Instructions => instructions::measure(self, peer, folder, results),
                    _ => memory::measure(self, peer, folder, results),
                });
                measured.with_context(|| format!("measuring {}", peer.name()))?;
            }
        }
        Ok(())
    }

    /// Those of `works` that are to be done.
    fn chosen<const N: usize>(&self, works: [Work; N]) -> impl Iterator<Item = Work> + use<'_, N> {
        works.into_iter().filter(|work| self.works.contains(work))
    }

    /// Tells what is done next.
    fn say(&self, run: usize, peer: &str, what: &str) {
        note(&format!("run {run} of {}: {peer}, {what}", self.plan.runs));
    }

    /// Lets `measure` work in an empty folder, and removes what is left when that was done well.
    fn in_folder(
        &self,
        name: &str,
        run: usize,
        measure: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let folder: PathBuf = self.places.work.join(format!("{name}-{run}"));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        measure(&folder)?;
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}

/// Progress goes where it does not mix with results.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The delays that half and 99 of 100 do not exceed.
fn add_latencies(latencies: &Latencies, figures: [Figure; 2], add: &mut impl FnMut(Figure, f64)) {
    for (figure, percent) in figures.into_iter().zip([50, 99]) {
        if let Some(latency) = latencies.percentile(percent) {
            add(figure, micros(latency));
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
