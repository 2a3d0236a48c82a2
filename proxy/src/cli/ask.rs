//! Asking a running gateway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;

use super::{Outcome, asking_runtime, complain, say};
use crate::control::{self, AskError};

/// Where gateways keep their control sockets, unless they are told otherwise.
const USUAL_SOCKETS: [&str; 2] = ["state/control.sock", "demo-state/control.sock"];

/// Which gateway to ask, and how to print the answer.
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// Control socket of the gateway (`admin.socket`). Without it, state/control.sock and then
    /// demo-state/control.sock are tried.
    #[arg(long, env = "VIADUCT_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What a gateway answered.
pub(super) enum Answer {
    /// A body.
    Body(Vec<u8>),
    /// The command is over.
    Over(Outcome),
}

impl AskArgs {
    /// Asks. A gateway that cannot be reached is said so.
    pub(super) fn ask(&self, method: http::Method, path: &str) -> anyhow::Result<Answer> {
        self.ask_patiently(method, path, control::ASK_MAX)
    }

    /// The same with another patience.
    pub(super) fn ask_patiently(
        &self,
        method: http::Method,
        path: &str,
        patience: Duration,
    ) -> anyhow::Result<Answer> {
        let socket = self.socket();
        match asking_runtime()?.block_on(control::ask(&socket, method, path, patience)) {
            Ok(body) => Ok(Answer::Body(body)),
            Err(error @ AskError::Unreachable { .. }) => {
                complain(&format!(
                    "viaduct: {error}\nStart one with `viaduct demo`, or name its socket with --socket"
                ));
                Ok(Answer::Over(Outcome::Unreachable))
            }
            Err(error @ AskError::Silent { .. }) => {
                complain(&format!("viaduct: {error}"));
                Ok(Answer::Over(Outcome::Unreachable))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks a gateway that may have ended. `None` when it has.
    pub(super) fn ask_if_there(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let socket = self.socket();
        let asking = control::ask(&socket, http::Method::GET, path, control::ASK_MAX);
        match asking_runtime()?.block_on(asking) {
            Ok(body) => Ok(Some(body)),
            Err(AskError::Unreachable { .. } | AskError::Silent { .. } | AskError::Unreadable(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for a list or a state and prints it: as JSON, or as `text` lays it out.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        path: &str,
        text: impl FnOnce(T) -> String,
    ) -> anyhow::Result<Outcome> {
        let body = match self.ask(http::Method::GET, path)? {
            Answer::Body(body) => body,
            Answer::Over(outcome) => return Ok(outcome),
        };
        if self.json {
            let value: serde_json::Value = serde_json::from_slice(&body)?;
            say(&serde_json::to_string_pretty(&value)?);
        } else {
            say(&text(serde_json::from_slice(&body)?));
        }
        Ok(Outcome::Good)
    }

    fn socket(&self) -> PathBuf {
        let usual = || {
            USUAL_SOCKETS
                .iter()
                .map(Path::new)
                .find(|path| path.exists())
                .map(Path::to_owned)
        };
        self.socket
            .clone()
            .or_else(usual)
            .unwrap_or_else(|| PathBuf::from(USUAL_SOCKETS[0]))
    }
}

/// `viaduct stop`
pub(super) fn stop(args: &AskArgs) -> anyhow::Result<Outcome> {
    match args.ask(http::Method::POST, "/stop")? {
        Answer::Body(_) => Ok(Outcome::Good),
        Answer::Over(outcome) => Ok(outcome),
    }
}
