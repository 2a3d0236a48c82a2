//! `viaduct-kmod`: the kernel path of Viaduct's relays, for those who operate them.
//!
//! `check` only looks. `load` and `unload` put the program there and take it away, which a relay does for itself too; `status`
//! and `explain` read what is there.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args as ClapArgs, Parser, Subcommand};

use viaduct_kmod_helper::{
    BPFFS, Config, Explanation, Facts, Fast, Findings, Instance, Limits, Standing, Status, unload,
};

/// How long a relay may take to connect, to listen and to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Octets of an answer that are read.
const ANSWER_OCTETS_MAX: u64 = 1 << 20;

/// The kernel path of Viaduct's relays.
#[derive(Parser)]
#[command(name = "viaduct-kmod", version, about, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

/// Which relay's.
#[derive(ClapArgs)]
struct Place {
    /// The relay's name among those of this host.
    #[arg(long, default_value_t)]
    instance: Instance,
    /// Where the BPF file system is mounted.
    #[arg(long, default_value = BPFFS)]
    bpffs: PathBuf,
}

#[derive(Subcommand)]
enum Verb {
    /// Look at the kernel, the capabilities of this process and the limits that matter, and say what each
    /// missing piece costs. Exit status: 0 the kernel path has everything, 1 something is missing, 2 wrong usage.
    Check {
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
        /// The ports that the relay gives to calls (`rtp_ports`): steering needs them kept for it.
        #[arg(long, value_name = "FIRST-LAST", default_value = "30000-39999", value_parser = ports)]
        rtp_ports: RangeInclusive<u16>,
    },
    /// Attach the program, without flows, for a relay that comes later and finds it.
    Load {
        /// An interface that media comes in by; may be repeated. Without: all that are up and have Ethernet frames.
        #[arg(long)]
        interface: Vec<String>,
        /// Flows at a time. A relay that wants another number begins anew.
        #[arg(long, default_value_t = Limits::default().flows_max, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
        flows_max: u32,
        #[command(flatten)]
        place: Place,
    },
    /// Remove the program, its tables and its pins. A relay that runs goes on in user space.
    Unload {
        #[command(flatten)]
        place: Place,
    },
    /// Say what is in the kernel. Exit status: 0 all that is there is alive, 1 something is not, or nothing is there.
    Status {
        /// Print one JSON array instead of text.
        #[arg(long)]
        json: bool,
        /// Where the BPF file system is mounted.
        #[arg(long, default_value = BPFFS)]
        bpffs: PathBuf,
    },
    /// Say which flows of a call are in the kernel, how they do, and, if the relay is asked, why others are not.
    Explain {
        /// Its Call-ID, or an address of its media, with or without port.
        call: String,
        /// Ask the relay that takes text commands there (`listen: cli://…`, `--listen-cli`). Needs a Call-ID.
        #[arg(long, value_name = "ADDR:PORT")]
        relay: Option<SocketAddr>,
        #[command(flatten)]
        place: Place,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.verb) {
        Ok(code) => code,
        Err(error) => {
            // A closed pipe (`viaduct-kmod check | head -1`) lands here too; there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "viaduct-kmod: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Check { json, rtp_ports } => check(json, &rtp_ports),
        Verb::Load {
            interface,
            flows_max,
            place,
        } => load(interface, flows_max, place),
        Verb::Unload { place } => {
            unload(&place.bpffs, &place.instance)
                .with_context(|| format!("unloading the instance `{}`", place.instance))?;
            print(&format!("{} is gone.", place.instance))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Status { json, bpffs } => status(json, &bpffs),
        Verb::Explain { call, relay, place } => explain(&call, relay, &place),
    }
}

fn explain(call: &str, relay: Option<SocketAddr>, place: &Place) -> anyhow::Result<ExitCode> {
    let of_kernel = Explanation::of(&place.bpffs, &place.instance, call);
    let Some(relay) = relay else {
        print(&of_kernel?.to_string())?;
        print("Why others are not, the relay knows: ask it with --relay ADDR:PORT.")?;
        return Ok(ExitCode::SUCCESS);
    };
    // Where nothing is in the kernel the relay says why.
    print(&of_kernel.map_or_else(|error| error.to_string(), |told| told.to_string()))?;
    print(&ask(relay, call).with_context(|| format!("asking the relay at {relay}"))?)?;
    Ok(ExitCode::SUCCESS)
}

/// What the relay says of a call, by its text interface: a line there, a text back until it closes.
fn ask(relay: SocketAddr, call: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&relay, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    writeln!(stream, "list kernel {call}")?;
    let mut text = String::new();
    stream.take(ANSWER_OCTETS_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// `30000-39999`
fn ports(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    let range = text
        .split_once('-')
        .and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    range
        .filter(|range| !range.is_empty())
        .ok_or("two ports are expected, as in 30000-39999")
}

fn check(json: bool, rtp_ports: &RangeInclusive<u16>) -> anyhow::Result<ExitCode> {
    let findings = Findings::from_facts(&Facts::gather(), rtp_ports);
    print(&if json {
        serde_json::to_string_pretty(&findings).context("printing the findings as JSON")?
    } else {
        findings.to_string()
    })?;
    Ok(match findings.standing() {
        Standing::Ready => ExitCode::SUCCESS,
        Standing::Missing => ExitCode::FAILURE,
    })
}

fn load(interfaces: Vec<String>, flows_max: u32, place: Place) -> anyhow::Result<ExitCode> {
    let config = Config {
        instance: place.instance,
        interfaces,
        bpffs: place.bpffs,
        limits: Limits {
            flows_max,
            ..Limits::default()
        },
    };
    let fast = Fast::open(Instant::now(), &config)?;
    drop(fast);
    print(&Status::read(&config.bpffs, &config.instance)?.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn status(json: bool, bpffs: &std::path::Path) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    for instance in Status::instances(bpffs) {
        all.push(Status::read(bpffs, &instance)?);
    }
    if json {
        print(&serde_json::to_string_pretty(&all).context("printing the status as JSON")?)?;
    } else if all.is_empty() {
        print(&format!(
            "No relay has anything in the kernel (looked below {}).",
            bpffs.display()
        ))?;
    }
    for status in all.iter().filter(|_| !json) {
        print(&status.to_string())?;
    }
    let is_alive = !all.is_empty() && all.iter().all(Status::is_alive);
    Ok(if is_alive {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("writing to standard output")?;
    Ok(())
}
