//! Calls that change while phones talk.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use viaduct_ng::{ByteString, OkReply, Reply, Request, Value};

use crate::drive::Commander;
use crate::media::CallPlan;

/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is done to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is offered and answered again.
    Again,
    /// Somebody comes to hear the caller.
    Record,
    /// That somebody goes.
    Unrecord,
}

/// Changes calls, one after the other, without ever waiting.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    commander: &'a mut Commander,
    calls: &'a mut [Changing],
    change: Change,
    /// Where listeners hear.
    listener: SocketAddr,
    every: Duration,
    next: Instant,
    /// The call that is being changed, and how many of its commands were answered.
    at: (usize, usize),
    begun: Option<Instant>,
}

/// A call, and who listens.
#[derive(Debug)]
pub(super) struct Changing {
    plan: CallPlan,
    listener: Option<ByteString>,
}

impl Changing {
    pub(super) fn new(plan: CallPlan) -> Self {
        Self { plan, listener: None }
    }
}

impl<'a> Changes<'a> {
    pub(super) fn new(
        commander: &'a mut Commander,
        calls: &'a mut [Changing],
        change: Change,
        (listener, every): (SocketAddr, Duration),
    ) -> Self {
        Self {
            commander,
            calls,
            change,
            listener,
            every,
            next: Instant::now(),
            at: (0, 0),
            begun: None,
        }
    }

    /// Does what can be done now. Gives whether there is more.
    pub(super) fn go_on(&mut self) -> anyhow::Result<bool> {
        let now = Instant::now();
        match self.begun {
            Some(begun) => match self.commander.poll()? {
                Some(reply) => self.answered(reply)?,
                None => ensure!(now < begun + PATIENCE, "the relay does not answer"),
            },
            None if self.at.0 == self.calls.len() => return Ok(false),
            None if now < self.next => {}
            None => {
                let request = self.command()?;
                self.commander.begin(&request)?;
                self.begun = Some(now);
            }
        }
        Ok(true)
    }

    fn command(&self) -> anyhow::Result<Request> {
        let (call, step) = self.at;
        let Changing { plan, listener } = &self.calls[call];
        let listener = || listener.as_ref().context("nobody listens");
        match (self.change, step) {
            (Change::Again, 0) => plan.offer_again(),
            (Change::Again, _) => Ok(plan.answer()),
            (Change::Record, 0) => Ok(plan.subscribe()),
            (Change::Record, _) => Ok(plan.listen(self.listener, listener()?)),
            (Change::Unrecord, _) => Ok(plan.unsubscribe(listener()?)),
        }
    }

    fn answered(&mut self, reply: Reply) -> anyhow::Result<()> {
        self.begun = None;
        let (call, step) = self.at;
        let reply = match reply {
            Reply::Ok(reply) => reply,
            other => bail!("the relay refuses: {other:?}"),
        };
        let is_last = step == 1 || self.change == Change::Unrecord;
        if (self.change, step) == (Change::Record, 0) {
            self.calls[call].listener = Some(to_tag(&reply)?);
        }
        self.at = if is_last { (call + 1, 0) } else { (call, 1) };
        if is_last {
            self.next += self.every;
        }
        Ok(())
    }
}

pub(super) fn to_tag(reply: &OkReply) -> anyhow::Result<ByteString> {
    let tag = reply.rest.get("to-tag").and_then(Value::as_bytes).cloned();
    tag.context("a listener without a name")
}
