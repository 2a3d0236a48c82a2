//! `viaduct` as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;

/// Everybody's password, and the variable that holds it.
pub(crate) const PASSWORD: &str = "apple-pie-4711";

/// The program with these arguments, its surroundings those of the tests.
pub(crate) fn viaduct(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viaduct"));
    command
        .args(arguments)
        .env("PASSWORD", PASSWORD)
        .env_remove("VIADUCT_SOCKET")
        .env_remove("VIADUCT_LOG")
        .stdin(Stdio::null());
    command
}

/// Runs a command that ends by itself.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Said {
    viaduct(arguments)
        .current_dir(folder)
        .output()
        .map(Said::from)
        .unwrap()
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status,
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Said {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What it printed, as JSON. It must have gone well.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code(), Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A program that runs until it is told to end.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// What it has written to standard error, as far as it was looked at.
    log: Vec<String>,
    is_over: bool,
}

/// What became of a program that does not run any more.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // A test that has what it wants looks at no more lines.
                let _ = tell.send(line);
            }
        });
        Self {
            child,
            lines,
            log: Vec::new(),
            is_over: false,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line. False when the program ends without it.
    pub(crate) fn says(&mut self, what: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next_line(deadline) {
                Some(line) if line.contains(what) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        while self.next_line(deadline).is_some() {}
        let status = self.child.wait().unwrap();
        self.is_over = true;
        Ended {
            status,
            log: self.log.join("\n"),
        }
    }

    /// The next line, `None` when there are no more because the program has ended.
    fn next_line(&mut self, deadline: Instant) -> Option<&String> {
        match self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(line) => {
                self.log.push(line);
                self.log.last()
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the program neither says it nor ends"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        /// Lines that are worth reading after a failure.
        const LAST: usize = 60;
        if self.is_over {
            return;
        }
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.log.extend(self.lines.iter());
            let from = self.log.len().saturating_sub(LAST);
            eprintln!("the program said:\n{}", self.log[from..].join("\n"));
        }
    }
}

impl Ended {
    /// It ended because it was told to, and nothing was wrong before.
    pub(crate) fn expect_good(&self) {
        assert_eq!(self.status.code(), Some(0), "{}", self.log);
        for fault in ["panicked", "with a fault", " ERROR "] {
            assert!(!self.log.contains(fault), "{}", self.log);
        }
    }
}
