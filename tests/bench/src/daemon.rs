//! The programs that are measured: started as a user starts them, ended whatever happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program may take to end when it is asked to.
const STOP_MAX: Duration = Duration::from_secs(15);

/// How often it is looked at while it ends.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Lines of its output that are shown when it fails.
const TAIL_LINES: usize = 20;

/// A running program. Ends when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

/// How a program is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// What it is called here: letters and dashes.
    pub name: String,
    /// The file that is run.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

impl Daemon {
    /// Starts it, on processor `processor` alone if there is one given. Its output goes to a file in `folder`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(launch: &Launch, processor: Option<usize>, folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join(format!("{}.log", launch.name));
        let output = File::create(&log).with_context(|| format!("writing {}", log.display()))?;
        let mut command = match processor {
            Some(processor) => {
                // It becomes the program, so the process number is the program's.
                let mut command = Command::new("taskset");
                command
                    .arg("--cpu-list")
                    .arg(processor.to_string())
                    .arg(&launch.program);
                command
            }
            None => Command::new(&launch.program),
        };
        let child = command
            .args(&launch.args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", launch.program.display()))?;
        Ok(Self {
            name: launch.name.clone(),
            child,
            log,
        })
    }

    /// The number of its first process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks `is_ready`, which may wait a little, until it says yes.
    ///
    /// # Errors
    /// The program has ended, or `is_ready` failed, or it takes longer than `patience`.
    pub fn wait_until(
        &mut self,
        patience: Duration,
        mut is_ready: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + patience;
        while !is_ready()? {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, self.tail());
            }
            if Instant::now() > end {
                bail!(
                    "{} is not ready after {} s:\n{}",
                    self.name,
                    patience.as_secs(),
                    self.tail()
                );
            }
        }
        Ok(())
    }

    /// The last lines of its output.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Ends it.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + STOP_MAX;
        if self.child.try_wait()?.is_none() {
            kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGTERM)?;
        }
        while self.child.try_wait()?.is_none() {
            if Instant::now() > end {
                self.child.kill()?;
                self.child.wait()?;
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> (Daemon, PathBuf) {
        let folder = std::env::temp_dir().join(format!("viaduct-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let launch = Launch {
            name: name.to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
        };
        (Daemon::start(&launch, None, &folder).unwrap(), folder)
    }

    #[test]
    fn a_program_that_ends_early_is_not_waited_for_and_says_why() {
        let (mut daemon, folder) = shell("early", "echo no such device; exit 3");
        let error = daemon
            .wait_until(Duration::from_secs(60), || Ok(false))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("early ended") && error.contains("no such device"),
            "{error}"
        );
        daemon.stop().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_program_is_ended_when_nobody_needs_it() {
        let (mut daemon, folder) = shell("needless", "exec cat /dev/zero >/dev/null");
        daemon.wait_until(Duration::from_secs(60), || Ok(true)).unwrap();
        let pid = Pid::from_raw(daemon.pid().try_into().unwrap());
        assert!(kill(pid, None).is_ok());
        drop(daemon);
        assert!(kill(pid, None).is_err(), "it is gone and was waited for");
        fs::remove_dir_all(folder).unwrap();
    }
}
