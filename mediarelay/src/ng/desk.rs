//! Where NG messages of all listeners are taken, carried out and answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use viaduct_ng as ng;
use viaduct_ng::{Dict, ErrorReason, LoadLimit, OkReply, OtherCommand, Reply, Request, Value};

use super::dialogue::{Dialogue, Step, Ticket};
use crate::cli::Cli;
use crate::line::{Line, Unavailable};

/// Takes messages; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    dialogue: Arc<Dialogue>,
    line: Line,
    cli: Cli,
    /// One for each message that is being answered.
    permits: Arc<Semaphore>,
}

/// A message that is to be carried out.
pub(crate) struct Case {
    request: Box<Request>,
    ticket: Ticket,
    client: SocketAddr,
    _permit: OwnedSemaphorePermit,
}

/// What to do with a message.
pub(crate) enum Taken {
    /// Nothing.
    Ignore,
    /// Send this back.
    Answer(Bytes),
    /// Carry it out: [`Desk::carry_out`].
    Case(Box<Case>),
}

impl Desk {
    pub(crate) fn new(dialogue: Arc<Dialogue>, line: Line, cli: Cli, outstanding: usize) -> Self {
        Self { dialogue, line, cli, permits: Arc::new(Semaphore::new(outstanding)) }
    }

    /// A message with a cookie came in. While too many are being answered it is dropped: its sender will repeat it,
    /// and the cookie must not be known by then.
    pub(crate) fn take(&self, client: SocketAddr, message: &[u8]) -> Taken {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            self.dialogue.stats.overload.add(1);
            return Taken::Ignore;
        };
        match self.dialogue.begin(Instant::now(), client, message) {
            Step::Ignore => Taken::Ignore,
            Step::Answer(answer) => Taken::Answer(answer),
            Step::Ask { request, ticket } => {
                Taken::Case(Box::new(Case { request, ticket, client, _permit: permit }))
            }
        }
    }

    /// Carries a message out. Returns what to send, and how often.
    pub(crate) async fn carry_out(&self, case: Box<Case>) -> (Bytes, usize) {
        let Case { request, ticket, client, _permit } = *case;
        let reply = self.reply(request, client).await;
        self.dialogue.finish(Instant::now(), &ticket, &reply)
    }

    /// Carries out a message without a cookie, and gives the answer.
    pub(crate) async fn plain(&self, client: SocketAddr, body: &[u8]) -> Vec<u8> {
        match self.dialogue.read_plain(body) {
            Ok((request, encoding)) => encoding.encode(&self.reply(request, client).await.to_value()),
            Err(answer) => answer,
        }
    }

    async fn reply(&self, request: Box<Request>, client: SocketAddr) -> Reply {
        if let Request::Other(other) = &*request
            && other.command == OtherCommand::Cli
        {
            return self.cli_reply(other.body.get("body")).await;
        }
        let supports_load_limit = supports_load_limit(&request);
        self.line.ng(Some(client.ip()), request).await.unwrap_or_else(|why| match why {
            // Texts on which proxies try another relay.
            Unavailable::Busy | Unavailable::Ended | Unavailable::TimedOut if supports_load_limit => {
                LoadLimit::Load.reply(true)
            }
            Unavailable::Busy | Unavailable::Ended | Unavailable::TimedOut => Reply::error(ErrorReason::LoadLimit),
        })
    }

    /// `cli`: a line of the text interface, and its text.
    async fn cli_reply(&self, body: Option<&Value>) -> Reply {
        let line = body.and_then(Value::as_bytes).map(|line| line.to_text().into_owned()).unwrap_or_default();
        let text = self.cli.answer(&line).await;
        let mut rest = Dict::new();
        rest.insert("response", Value::text(&text));
        Reply::Ok(Box::new(OkReply { rest, ..OkReply::default() }))
    }
}

fn supports_load_limit(request: &Request) -> bool {
    match request {
        Request::Offer(offer) => offer.options.supports_load_limit,
        Request::Answer(answer) => answer.options.supports_load_limit,
        _ => false,
    }
}
