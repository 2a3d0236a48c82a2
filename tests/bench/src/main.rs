//! `viaduct-bench`: what `scripts/bench` runs once everything is built and a network made.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use viaduct_bench::disk::sync_time;
use viaduct_bench::peers::{Places, ProxyPeer, RelayPeer};
use viaduct_bench::picture;
use viaduct_bench::plan::Plan;
use viaduct_bench::report::Report;
use viaduct_bench::results::Work;
use viaduct_bench::suite::{Soak, Suite};

/// Pages written to learn what the disk costs.
const SYNCS: usize = 50;

/// Measures viaduct beside Kamailio, and viaduct-relay beside rtpengine.
#[derive(Debug, Parser)]
#[command(name = "viaduct-bench", max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    instead: Option<Instead>,
    /// A minute instead of five: shows that everything works.
    #[arg(long)]
    quick: bool,
    /// Print JSON, with the figures of every run.
    #[arg(long)]
    json: bool,
    /// Runs of every program.
    #[arg(long)]
    runs: Option<usize>,
    /// Do only this, several with commas between them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Work>,
    /// Calls at a time for media; several numbers with commas between them are measured one after the other.
    #[arg(long, value_delimiter = ',')]
    calls: Vec<usize>,
    /// Phones on links of their own (veth) for media, as over network cards, instead of the loopback interface. Our relay has the
    /// frames of its interfaces then. For root.
    #[arg(long)]
    links: bool,
    /// Draw what a packet costs, over the numbers of calls, into this file (SVG).
    #[arg(long)]
    picture: Option<PathBuf>,
    /// The folder with our programs.
    #[arg(long)]
    programs: PathBuf,
    /// An empty folder on a disk.
    #[arg(long)]
    work: PathBuf,
    /// Run programs on this processor; the caller keeps this process off it.
    #[arg(long)]
    processor: Option<usize>,
}

/// What is done instead of measuring.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Instead {
    /// Let calls come and go at our relay for a long time, and say what is left of them. Ends with failure if anything is.
    Soak {
        /// For how long.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
        minutes: u32,
        /// Calls at the same time.
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
        calls: u32,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(Instead::Soak { minutes, calls }) = args.instead {
        return soak(&args, minutes, calls);
    }
    let mut plan = if args.quick { Plan::quick() } else { Plan::full() };
    plan.runs = args.runs.unwrap_or(plan.runs).max(1);
    plan.links = args.links;
    let places = Places {
        programs: args.programs.clone(),
        work: args.work.clone(),
    };
    let (kamailio, rtpengine) = (version("kamailio", "-v"), version("rtpengine", "--version"));
    let valgrind = version("valgrind", "--version");
    let has_valgrind = valgrind.is_some();
    let kernel_path = kernel_path(&args.programs);
    let sync_time = sync_time(&args.work, SYNCS).context("writing to the work folder")?;
    let about = vec![
        ("processor", processor_model()),
        (
            "kernel",
            fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        ),
        ("kamailio", kamailio.clone().unwrap_or_else(missing)),
        ("rtpengine", rtpengine.clone().unwrap_or_else(missing)),
        (
            "media in the kernel",
            kernel_path.as_ref().map_or_else(Clone::clone, Clone::clone),
        ),
        (
            "valgrind",
            valgrind.unwrap_or_else(|| {
                "not installed, so no instructions are counted (Debian: apt-get install valgrind)".to_owned()
            }),
        ),
    ];
    let plans = if args.calls.is_empty() {
        vec![plan]
    } else {
        args.calls.iter().map(|&calls| plan.with_calls(calls)).collect()
    };
    let mut grown = Vec::new();
    for plan in plans {
        let suite = Suite {
            proxies: proxies(kamailio.is_some()),
            relays: relays(rtpengine.is_some()),
            plan,
            works: works(&args, has_valgrind, kernel_path.is_ok()),
            places: places.clone(),
            processor: args.processor,
        };
        let report = Report {
            results: suite.run()?,
            plan,
            about: about.clone(),
            sync_time,
            is_pinned: args.processor.is_some(),
        };
        let text = if args.json {
            format!("{:#}\n", report.json())
        } else {
            report.text()
        };
        std::io::stdout().write_all(text.as_bytes())?;
        grown.push((plan.street.calls, report.results));
    }
    if let Some(file) = args.picture {
        fs::write(&file, picture::draw(&grown)).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

fn soak(args: &Args, minutes: u32, calls: u32) -> anyhow::Result<()> {
    let kernel_path = kernel_path(&args.programs);
    let soak = Soak {
        time: Duration::from_secs(60 * u64::from(minutes)),
        calls: calls as usize,
        in_kernel: kernel_path.is_ok(),
    };
    let places = Places {
        programs: args.programs.clone(),
        work: args.work.clone(),
    };
    let soaked = soak.run(&places, args.processor)?;
    let kernel_path = kernel_path.unwrap_or_else(|missing| missing);
    writeln!(std::io::stdout(), "{soaked}media in the kernel: {kernel_path}")?;
    let left = soaked.failures();
    ensure!(left.is_empty(), "{}", left.join("\n"));
    Ok(())
}

/// What is asked for, or everything; in either case what can be done.
fn works(args: &Args, has_valgrind: bool, has_kernel_path: bool) -> Vec<Work> {
    let mut works = if args.only.is_empty() {
        Work::value_variants().to_vec()
    } else {
        args.only.clone()
    };
    works.retain(|&work| work != Work::Instructions || has_valgrind);
    works.retain(|&work| work != Work::Kernel || has_kernel_path);
    works
}

/// Whether the kernel forwards media here, or what is missing.
fn kernel_path(programs: &Path) -> Result<String, String> {
    let checked = Command::new(programs.join("viaduct-kmod")).arg("check").output();
    let output = checked.map_err(|error| format!("not measured: viaduct-kmod: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let missing: Vec<&str> = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("missing"))
        .map(str::trim)
        .collect();
    if output.status.success() {
        Ok("possible".to_owned())
    } else {
        Err(format!("not measured, for want of: {}", missing.join("; ")))
    }
}

fn proxies(has_kamailio: bool) -> Vec<ProxyPeer> {
    let all = [
        ProxyPeer::Viaduct,
        ProxyPeer::Kamailio,
        ProxyPeer::KamailioTuned,
        ProxyPeer::ViaductOnDisk,
    ];
    all.into_iter()
        .filter(|peer| has_kamailio || !peer.is_foreign())
        .collect()
}

fn relays(has_rtpengine: bool) -> Vec<RelayPeer> {
    let all = [
        RelayPeer::Viaduct,
        RelayPeer::ViaductSockets,
        RelayPeer::Rtpengine,
    ];
    all.into_iter()
        .filter(|&peer| peer != RelayPeer::Rtpengine || has_rtpengine)
        .collect()
}

/// The first line in which a program says its version. `None` when there is no such program.
fn version(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines()
        .find(|line| line.to_ascii_lowercase().contains("version") || line.starts_with(program))
        .map(str::to_owned)
}

fn missing() -> String {
    "not installed, so not measured (Debian: apt-get install kamailio kamailio-extra-modules rtpengine-daemon)".to_owned()
}

fn processor_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
    format!("{count} × {model}")
}
