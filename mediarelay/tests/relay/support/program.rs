//! `viaduct-relay` as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PATIENCE, free_port, own_address, wait_for};

/// The last line that the program writes before it serves.
const READY: &str = "fast path in the kernel";

/// A relay that runs.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: IpAddr,
    pub(crate) ng: SocketAddr,
    pub(crate) cli: SocketAddr,
    pub(crate) pid_file: PathBuf,
    /// What it has written to its log until it was ready.
    pub(crate) log: Vec<String>,
    /// What it writes from then on.
    lines: Receiver<String>,
}

/// What became of a program that does not run any more.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl Program {
    /// Starts it with the tutorial's command line, at an address of its own, and with further options.
    pub(crate) fn start(further: &[&str]) -> Self {
        let address = own_address();
        let (ng, cli) = (free_port(address), free_port(address));
        Self::start_at(address, ng, cli, further).unwrap_or_else(|outcome| panic!("{}", outcome.log))
    }

    /// The same at this address and these ports.
    pub(crate) fn start_at(address: IpAddr, ng: u16, cli: u16, further: &[&str]) -> Result<Self, Outcome> {
        let (ng, cli) = (SocketAddr::new(address, ng), SocketAddr::new(address, cli));
        let pid_file =
            std::env::temp_dir().join(format!("viaduct-relay-{}-{address}.pid", std::process::id()));
        let mut command = command();
        command
            .args(["--config-file=none", "-p"])
            .arg(&pid_file)
            .args(["-i", &format!("eth0/{address}")]);
        command.args([
            "-n",
            &ng.to_string(),
            "-c",
            &cli.to_string(),
            "-m",
            "50000",
            "-M",
            "55000",
            "-E",
            "-L",
            "7",
        ]);
        Self::wait_until_ready(command.args(further), address, [ng, cli], pid_file)
    }

    /// The same under a service manager, which listens on a socket.
    pub(crate) fn start_managed(socket: &Path) -> Self {
        let address = own_address();
        let mut command = command();
        let ng = SocketAddr::new(address, free_port(address));
        command
            .args([
                "--config-file=none",
                "-i",
                &address.to_string(),
                "-n",
                &ng.to_string(),
            ])
            .env("NOTIFY_SOCKET", socket)
            .env("WATCHDOG_USEC", "100000");
        Self::wait_until_ready(&mut command, address, [ng; 2], PathBuf::new())
            .unwrap_or_else(|outcome| panic!("{}", outcome.log))
    }

    /// With nothing but a file of settings.
    pub(crate) fn start_with_file(file: &Path, address: IpAddr) -> Result<Self, Outcome> {
        let nowhere = SocketAddr::new(address, 0);
        Self::wait_until_ready(
            command().arg("--config-file").arg(file),
            address,
            [nowhere; 2],
            PathBuf::new(),
        )
    }

    fn wait_until_ready(
        command: &mut Command,
        address: IpAddr,
        [ng, cli]: [SocketAddr; 2],
        pid_file: PathBuf,
    ) -> Result<Self, Outcome> {
        let mut child = command.spawn().unwrap();
        let (tell, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // A test that has what it wants looks at no more lines.
                let _ = tell.send(line);
            }
        });
        let mut log = Vec::new();
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            log.push(line);
            if log.last().is_some_and(|line| line.contains(READY)) {
                return Ok(Self {
                    child,
                    address,
                    ng,
                    cli,
                    pid_file,
                    log,
                    lines,
                });
            }
        }
        let status = child.wait().unwrap();
        Err(Outcome {
            status,
            log: log.join("\n"),
        })
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Octets of memory that it has in use.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// Descriptors that it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// Ends it with a signal.
    pub(crate) fn end(mut self, signal: Signal) -> Outcome {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        let status = wait_for("the end of the relay", || self.child.try_wait().unwrap());
        let log = self.lines.iter().collect::<Vec<_>>().join("\n");
        Outcome { status, log }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

/// Runs the program with options with which it ends by itself.
pub(crate) fn run(arguments: &[&str]) -> (ExitStatus, String, String) {
    let mut child = command().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap(), out, err)
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viaduct-relay"));
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}
