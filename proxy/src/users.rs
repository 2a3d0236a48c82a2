//! Users whom somebody else keeps: the task that asks their source.
//!
//! Shards give it names; it asks for each name once however many requests wait, puts the answers into the directory
//! that all shards read, and tells the shards. No thread waits for a source.

mod http;
mod sqlite;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{Id, JoinSet};
use viaduct_routing::{Answer, Directory, Ticket, Users};
use viaduct_settings::{GatewaySettings, LookupPlace, UserDefaults, UserLookup, UserSource};

use self::http::HttpUsers;
use self::sqlite::SqliteUsers;
use crate::convert;
use crate::shard::{ShardInput, Shards};

/// Requests whose names have not been taken in yet. Those that wait further are bounded by `limits.requests_waiting`.
const QUEUE: usize = 4_096;

/// The way to the task.
#[derive(Debug, Clone)]
pub(crate) struct UserLookups {
    queue: mpsc::Sender<Question>,
    shared: Arc<Shared>,
}

/// What the task has done. All only rise.
#[derive(Debug, Default)]
pub(crate) struct LookupCounters {
    /// Questions to the source.
    pub(crate) asked: AtomicU64,
    /// Questions that it did not answer, or not in time, or not in a way that can be read.
    pub(crate) failed: AtomicU64,
    /// Requests not taken because [`QUEUE`] of them waited.
    pub(crate) refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Shared {
    source: RwLock<Option<Arc<Source>>>,
    counters: LookupCounters,
}

/// A source, ready to be asked.
#[derive(Debug)]
pub(crate) struct Source {
    config: SourceConfig,
    place: Place,
    at_once: Semaphore,
    directory: Arc<Directory>,
    is_failing: AtomicBool,
}

/// Everything that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourceConfig {
    lookup: UserLookup,
    realm: String,
    defaults: UserDefaults,
}

#[derive(Debug)]
enum Place {
    Sqlite(SqliteUsers),
    Http(HttpUsers),
}

#[derive(Debug)]
struct Question {
    shard: usize,
    ticket: Ticket,
    names: Vec<String>,
}

impl UserLookups {
    /// Starts the task. Must run inside a Tokio runtime.
    pub(crate) fn start(shards: Shards) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let desk = Desk {
            queue: receiver,
            shared: shared.clone(),
            shards,
            flights: JoinSet::new(),
            names: HashMap::new(),
            waiting_for: HashMap::new(),
            requests: HashMap::new(),
            numbers: 0,
        };
        tokio::spawn(desk.run());
        Self {
            queue: sender,
            shared,
        }
    }

    /// Makes the source of a configuration ready, or says why it cannot be. One that is the same as before keeps what it
    /// has answered.
    pub(crate) fn prepare(&self, settings: &GatewaySettings) -> anyhow::Result<Option<Arc<Source>>> {
        let Some(UserSource::Lookup(lookup)) = &settings.user_source else {
            return Ok(None);
        };
        let config = SourceConfig {
            lookup: lookup.clone(),
            realm: settings.site.domain.clone(),
            defaults: UserDefaults {
                devices: settings.limits.contacts_per_user,
                challenge: settings.auth.challenge.clone(),
            },
        };
        if let Some(same) = self.shared.source().filter(|source| source.config == config) {
            return Ok(Some(same));
        }
        Ok(Some(Arc::new(Source::new(config)?)))
    }

    /// Asks this source from here on. Answers the users of the configuration, with those of the source behind them.
    pub(crate) fn install(&self, source: Option<Arc<Source>>, settings: &GatewaySettings) -> Users {
        let users = convert::users(settings);
        let users = match &source {
            Some(source) => users.with_directory(source.directory.clone()),
            None => users,
        };
        *self.shared.source.write().unwrap_or_else(PoisonError::into_inner) = source;
        users
    }

    /// Looks names up; [`ShardInput::LookedUp`] tells when that is done. False when too many requests wait.
    pub(crate) fn ask(&self, shard: usize, ticket: Ticket, names: Vec<String>) -> bool {
        let question = Question { shard, ticket, names };
        let is_taken = self.queue.try_send(question).is_ok();
        if !is_taken {
            self.counters().refused.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    pub(crate) fn counters(&self) -> &LookupCounters {
        &self.shared.counters
    }

    /// What the source has answered, if there is one.
    pub(crate) fn directory(&self) -> Option<Arc<Directory>> {
        self.shared.source().map(|source| source.directory.clone())
    }
}

impl Shared {
    fn source(&self) -> Option<Arc<Source>> {
        self.source.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source {
    fn new(config: SourceConfig) -> anyhow::Result<Self> {
        let lookup = &config.lookup;
        let at_once = lookup.at_once as usize;
        let place = match &lookup.place {
            LookupPlace::Sqlite { path, query } => {
                Place::Sqlite(SqliteUsers::open(Path::new(path), query, at_once)?)
            }
            LookupPlace::Http { url, token } => Place::Http(HttpUsers::new(url, token.as_ref(), at_once)?),
        };
        Ok(Self {
            place,
            at_once: Semaphore::new(at_once),
            directory: Arc::new(Directory::new(convert::directory_limits(lookup))),
            is_failing: AtomicBool::new(false),
            config,
        })
    }

    /// Asks for one user and remembers the answer.
    async fn look_up(&self, name: &str, counters: &LookupCounters) {
        counters.asked.fetch_add(1, Ordering::Relaxed);
        let patience = self.config.lookup.timeout;
        let found = match tokio::time::timeout(patience, self.ask(name)).await {
            Ok(found) => found,
            Err(_) => Err(anyhow::anyhow!("no answer in {} ms", patience.as_millis())),
        };
        let answer = match found {
            Ok(Some(user)) => {
                let user = convert::account(&user, &self.config.realm, &self.config.defaults.challenge);
                Answer::Found(Arc::new(user))
            }
            Ok(None) => Answer::Nobody,
            Err(error) => {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                self.tell(name, Some(&error));
                Answer::Failed
            }
        };
        if !matches!(answer, Answer::Failed) {
            self.tell(name, None);
        }
        self.directory.learn(Instant::now(), name, answer);
    }

    async fn ask(&self, name: &str) -> anyhow::Result<Option<viaduct_settings::User>> {
        // Fails only when the semaphore is closed, and nobody does that.
        let _turn = self.at_once.acquire().await?;
        let SourceConfig {
            realm,
            defaults,
            lookup,
        } = &self.config;
        match &self.place {
            Place::Sqlite(users) => users.ask((name, realm), lookup.timeout, defaults).await,
            Place::Http(users) => users.ask(name, realm, defaults).await,
        }
    }

    /// The first failure and the first success after it deserve attention; those between them do not.
    fn tell(&self, name: &str, error: Option<&anyhow::Error>) {
        let was_failing = self.is_failing.swap(error.is_some(), Ordering::Relaxed);
        match (error, was_failing) {
            (Some(error), false) => {
                tracing::warn!("the user source cannot be asked for user `{name}`: {error:#}");
            }
            (Some(error), true) => {
                tracing::debug!("the user source cannot be asked for user `{name}`: {error:#}");
            }
            (None, true) => tracing::info!("the user source answers again"),
            (None, false) => {}
        }
    }
}

/// A name at a source; a source that was replaced while it was asked is another one.
type Key = (usize, String);

struct Desk {
    queue: mpsc::Receiver<Question>,
    shared: Arc<Shared>,
    shards: Shards,
    flights: JoinSet<()>,
    /// What each flight asks for.
    names: HashMap<Id, Key>,
    /// Requests that wait for each name that is asked for.
    waiting_for: HashMap<Key, Vec<u64>>,
    /// Requests that wait, with the number of names that they wait for.
    requests: HashMap<u64, (usize, Ticket, usize)>,
    numbers: u64,
}

impl Desk {
    async fn run(mut self) {
        loop {
            tokio::select! {
                question = self.queue.recv() => match question {
                    Some(question) => self.take(question).await,
                    None => return,
                },
                Some(landed) = self.flights.join_next_with_id() => {
                    let id = match landed {
                        Ok((id, ())) => id,
                        Err(fault) => fault.id(),
                    };
                    self.landed(id).await;
                }
            }
        }
    }

    async fn take(&mut self, question: Question) {
        let Question { shard, ticket, names } = question;
        let Some(source) = self.shared.source() else {
            // A reload took the source away meanwhile.
            return self.tell(shard, ticket).await;
        };
        let now = Instant::now();
        self.numbers += 1;
        let request = self.numbers;
        let mut left = 0;
        // Another shard may have asked for it meanwhile.
        for name in names
            .into_iter()
            .filter(|name| !source.directory.is_sure(now, name))
        {
            left += 1;
            let key = (Arc::as_ptr(&source) as usize, name);
            if let Some(waiting) = self.waiting_for.get_mut(&key) {
                waiting.push(request);
                continue;
            }
            self.waiting_for.insert(key.clone(), vec![request]);
            let (source, shared, name) = (source.clone(), self.shared.clone(), key.1.clone());
            let flight = self
                .flights
                .spawn(async move { source.look_up(&name, &shared.counters).await });
            self.names.insert(flight.id(), key);
        }
        if left == 0 {
            return self.tell(shard, ticket).await;
        }
        self.requests.insert(request, (shard, ticket, left));
    }

    /// A question was answered, or will not be.
    async fn landed(&mut self, flight: Id) {
        let key = self.names.remove(&flight);
        let waiting = key.and_then(|key| self.waiting_for.remove(&key));
        for request in waiting.unwrap_or_default() {
            let Some((shard, ticket, left)) = self.requests.get_mut(&request) else {
                continue;
            };
            *left -= 1;
            if *left == 0 {
                let (shard, ticket) = (*shard, *ticket);
                self.requests.remove(&request);
                self.tell(shard, ticket).await;
            }
        }
    }

    async fn tell(&self, shard: usize, ticket: Ticket) {
        self.shards.at(shard).push(ShardInput::LookedUp { ticket }).await;
    }
}
