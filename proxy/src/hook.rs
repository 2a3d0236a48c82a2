//! Somebody else's program that decides about calls: the tasks that ask it.
//!
//! Shards hand over questions; each becomes a task, of which a bounded number talk to the service at the same time. How
//! many wait is bounded by `limits.requests_waiting`. What is being asked already is not asked again. No thread waits for
//! the service.

mod flights;
mod memory;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use anyhow::bail;
use http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use viaduct_routing::{HookDecision, HookQuery, NoDecision, Ticket};
use viaduct_settings::HookSettings;
use viaduct_trunk::hook::ANSWER_OCTETS_MAX;

use self::flights::Flights;
use self::memory::Memory;
use crate::http_client::HttpService;
use crate::shard::{ShardInput, Shards};

/// The way to the service.
#[derive(Debug, Clone)]
pub(crate) struct Hooks {
    runtime: Handle,
    shards: Shards,
    shared: Arc<Shared>,
}

/// What was asked. All only rise.
#[derive(Debug, Default)]
pub(crate) struct HookCounters {
    /// Questions to the service.
    pub(crate) asked: AtomicU64,
    /// Questions that a remembered decision spared.
    pub(crate) remembered: AtomicU64,
    /// Questions that waited for the answer to the same one.
    pub(crate) joined: AtomicU64,
}

#[derive(Debug, Default)]
struct Shared {
    hook: RwLock<Option<Arc<Hook>>>,
    counters: HookCounters,
}

/// A service, ready to be asked.
#[derive(Debug)]
pub(crate) struct Hook {
    settings: HookSettings,
    service: HttpService,
    at_once: Semaphore,
    memory: Memory,
    flights: Flights,
    is_failing: AtomicBool,
}

impl Hooks {
    /// Must be made inside a Tokio runtime.
    pub(crate) fn new(shards: Shards) -> Self {
        Self {
            runtime: Handle::current(),
            shards,
            shared: Arc::default(),
        }
    }

    /// Makes the hook of a configuration ready, or says why it cannot be. One that is the same as before remembers what
    /// it has decided.
    pub(crate) fn prepare(&self, settings: Option<&HookSettings>) -> anyhow::Result<Option<Arc<Hook>>> {
        let Some(settings) = settings else {
            return Ok(None);
        };
        if let Some(same) = self.current().filter(|hook| hook.settings == *settings) {
            return Ok(Some(same));
        }
        Hook::new(settings.clone()).map(|hook| Some(Arc::new(hook)))
    }

    /// Asks this hook from here on.
    pub(crate) fn install(&self, hook: Option<Arc<Hook>>) {
        *self.shared.hook.write().unwrap_or_else(PoisonError::into_inner) = hook;
    }

    /// Asks for a decision. One that is remembered is the answer; otherwise [`ShardInput::Decided`] brings it.
    pub(crate) fn ask(
        &self,
        shard: usize,
        ticket: Ticket,
        query: HookQuery,
    ) -> Option<Result<HookDecision, NoDecision>> {
        let Some(hook) = self.current() else {
            // A reload took it away meanwhile.
            return Some(Err(NoDecision));
        };
        let key = Arc::new(hook.memory.key(query.clone()));
        let mut board = hook.flights.board();
        // What lands is remembered before it leaves the board, so it is found here or there.
        if let Some(decision) = hook.memory.recall(Instant::now(), &key) {
            self.counters().remembered.fetch_add(1, Ordering::Relaxed);
            return Some(Ok(decision));
        }
        let must_ask = board.wait(&key, (shard, ticket));
        drop(board);
        if must_ask {
            self.runtime.spawn(self.clone().fly(hook, query, key));
        } else {
            self.counters().joined.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    /// Asks, and tells everybody who waits.
    async fn fly(self, hook: Arc<Hook>, query: HookQuery, key: Arc<HookQuery>) {
        let decision = hook.decide(&query, &key, self.counters()).await;
        let waiting = hook.flights.board().landed(&key);
        for (shard, ticket) in waiting {
            let decision = decision.clone();
            let input = ShardInput::Decided { ticket, decision };
            self.shards.at(shard).push(input).await;
        }
    }

    pub(crate) fn counters(&self) -> &HookCounters {
        &self.shared.counters
    }

    /// Decisions that are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.current().map_or(0, |hook| hook.memory.len())
    }

    fn current(&self) -> Option<Arc<Hook>> {
        let hook = self.shared.hook.read().unwrap_or_else(PoisonError::into_inner);
        hook.clone()
    }
}

impl Hook {
    fn new(settings: HookSettings) -> anyhow::Result<Self> {
        let at_once = settings.at_once as usize;
        Ok(Self {
            service: HttpService::new(&settings.url, settings.token.as_ref(), at_once, ANSWER_OCTETS_MAX)?,
            at_once: Semaphore::new(at_once),
            memory: Memory::new(settings.cache, settings.entries as usize),
            flights: Flights::default(),
            is_failing: AtomicBool::new(false),
            settings,
        })
    }

    /// Asks the service and remembers what it decides.
    async fn decide(
        &self,
        query: &HookQuery,
        key: &Arc<HookQuery>,
        counters: &HookCounters,
    ) -> Result<HookDecision, NoDecision> {
        let patience = self.settings.timeout;
        let answer = match tokio::time::timeout(patience, self.ask(query, counters)).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow::anyhow!("no decision in {} ms", patience.as_millis())),
        };
        self.tell(&query.call_id, answer.as_ref().err());
        let decision = answer.map_err(|_| NoDecision)?;
        self.memory.learn(Instant::now(), key, &decision);
        Ok(decision)
    }

    async fn ask(&self, query: &HookQuery, counters: &HookCounters) -> anyhow::Result<HookDecision> {
        // Fails only when the semaphore is closed, and nobody does that.
        let _turn = self.at_once.acquire().await?;
        counters.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.service.post_json(query.to_json()).await?;
        if answer.status != StatusCode::OK {
            bail!("it answers {}", answer.status);
        }
        Ok(HookDecision::from_json(&answer.body)?)
    }

    /// The first failure and the first success after it deserve attention; those between them do not.
    fn tell(&self, call_id: &str, error: Option<&anyhow::Error>) {
        let was_failing = self.is_failing.swap(error.is_some(), Ordering::Relaxed);
        match (error, was_failing) {
            (Some(error), false) => tracing::warn!(call_id, "the hook does not decide: {error:#}"),
            (Some(error), true) => tracing::debug!(call_id, "the hook does not decide: {error:#}"),
            (None, true) => tracing::info!("the hook decides again"),
            (None, false) => {}
        }
    }
}
