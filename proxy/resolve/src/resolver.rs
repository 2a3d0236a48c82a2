//! Queries under way, what they wait for, and what is remembered.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use viaduct_sip::Transport;

use crate::cache::Cache;
use crate::plan::{Known, Plan, plan};
use crate::{Answer, Candidate, Config, Failure, NextHop, Question};

/// Names a query to whoever asked. Chosen by them, unique among those under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QueryId(pub u64);

/// What the shell must do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Ask DNS, and give what comes of it to [`handle_answer`](Resolver::handle_answer), whatever it is.
    Ask(Question),
    /// A query is answered.
    Resolved {
        /// Which.
        query: QueryId,
        /// The candidates in their order, or why there are none.
        found: Result<Vec<Candidate>, Failure>,
    },
}

/// What a resolver has counted. All only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Queries.
    pub queries: u64,
    /// Questions that were asked.
    pub questions: u64,
    /// Questions that a kept answer made needless.
    pub cache_hits: u64,
    /// Questions without any answer.
    pub failures: u64,
    /// Queries refused because of [`Limits::queries_max`](crate::Limits::queries_max) or
    /// [`Limits::questions_max`](crate::Limits::questions_max).
    pub queries_over_limit: u64,
    /// Addresses called dead.
    pub dead: u64,
}

/// Resolves next hops. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Resolver {
    config: Config,
    rng: StdRng,
    cache: Cache,
    queries: HashMap<QueryId, Query>,
    /// Questions under way, and who waits for each.
    asked: HashMap<Question, HashSet<QueryId>>,
    dead: HashMap<(Transport, SocketAddr), Instant>,
    outputs: VecDeque<Output>,
    counters: Counters,
}

/// A query under way.
#[derive(Debug)]
struct Query {
    next_hop: NextHop,
    /// What it has learnt, so that an answer that may not be kept serves it to its end.
    learnt: HashMap<Question, Arc<Answer>>,
    /// Questions that it waits for.
    open: usize,
}

/// What a query sees of DNS.
struct View<'v> {
    learnt: &'v HashMap<Question, Arc<Answer>>,
    cache: &'v Cache,
    now: Instant,
    hits: Cell<u64>,
}

impl Known for View<'_> {
    fn answer(&self, question: &Question) -> Option<Arc<Answer>> {
        self.learnt.get(question).cloned().or_else(|| {
            let kept = self.cache.get(self.now, question)?;
            self.hits.set(self.hits.get() + 1);
            Some(kept)
        })
    }
}

impl Resolver {
    /// A resolver that knows nothing yet. `seed` orders servers of one priority.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            config,
            rng: StdRng::from_seed(seed),
            cache: Cache::default(),
            queries: HashMap::new(),
            asked: HashMap::new(),
            dead: HashMap::new(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Somebody wants the addresses of a next hop.
    pub fn handle_query(&mut self, now: Instant, query: QueryId, next_hop: NextHop) {
        self.counters.queries += 1;
        if self.queries.len() >= self.config.limits.queries_max {
            return self.refuse(query);
        }
        self.queries.insert(
            query,
            Query {
                next_hop,
                learnt: HashMap::new(),
                open: 0,
            },
        );
        self.go_on(now, query);
    }

    /// A question was answered, or could not be. One that nobody asked is forgotten.
    pub fn handle_answer(&mut self, now: Instant, question: &Question, answer: Answer) {
        let Some(waiting) = self.asked.remove(question) else {
            return;
        };
        if answer == Answer::Failed {
            self.counters.failures += 1;
        }
        let answer = Arc::new(answer);
        self.cache
            .put(now, question.clone(), Arc::clone(&answer), &self.config.limits);
        let mut ready: Vec<QueryId> = Vec::new();
        for id in waiting {
            let Some(query) = self.queries.get_mut(&id) else {
                continue;
            };
            query.learnt.insert(question.clone(), Arc::clone(&answer));
            query.open -= 1;
            if query.open == 0 {
                ready.push(id);
            }
        }
        // The order of a set is nobody's business.
        ready.sort_unstable_by_key(|id| id.0);
        for id in ready {
            self.go_on(now, id);
        }
    }

    /// An address did not take a request: for a while, others are tried before it.
    pub fn handle_dead(&mut self, now: Instant, transport: Transport, remote: SocketAddr) {
        self.counters.dead += 1;
        let limits = &self.config.limits;
        if self.dead.len() >= limits.dead_max {
            self.dead.retain(|_, until| now < *until);
        }
        if self.dead.len() < limits.dead_max {
            self.dead.insert((transport, remote), now + limits.dead_for);
        }
    }

    /// What to do next. Drain it after every call that takes `now`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Works with another configuration from here on. What is kept stays.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Queries that wait, and answers that are kept.
    pub fn len(&self) -> (usize, usize) {
        (self.queries.len(), self.cache.len())
    }

    /// True when no query waits and no answer is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// Plans a query anew: it is answered, or waits for what it needs.
    fn go_on(&mut self, now: Instant, id: QueryId) {
        let Some(query) = self.queries.get(&id) else {
            return;
        };
        let view = View {
            learnt: &query.learnt,
            cache: &self.cache,
            now,
            hits: Cell::new(0),
        };
        let planned = plan(&self.config, &view, &query.next_hop, &mut self.rng);
        self.counters.cache_hits += view.hits.get();
        match planned {
            Plan::Needs(questions) => self.wait_for(id, questions),
            Plan::Done(found) => {
                self.queries.remove(&id);
                let found = found.map(|found| self.living_first(now, found));
                self.outputs.push_back(Output::Resolved { query: id, found });
            }
        }
    }

    fn wait_for(&mut self, id: QueryId, questions: Vec<Question>) {
        let unasked = questions
            .iter()
            .filter(|question| !self.asked.contains_key(question))
            .count();
        if self.asked.len() + unasked > self.config.limits.questions_max {
            self.queries.remove(&id);
            return self.refuse(id);
        }
        let Some(query) = self.queries.get_mut(&id) else {
            return;
        };
        query.open = questions.len();
        for question in questions {
            let waiting = self.asked.entry(question.clone()).or_default();
            if waiting.is_empty() {
                self.counters.questions += 1;
                self.outputs.push_back(Output::Ask(question));
            }
            waiting.insert(id);
        }
    }

    fn refuse(&mut self, query: QueryId) {
        self.counters.queries_over_limit += 1;
        self.outputs.push_back(Output::Resolved {
            query,
            found: Err(Failure::Busy),
        });
    }

    /// Each address once, the dead ones last: when all are dead, one of them may have come back.
    fn living_first(&self, now: Instant, found: Vec<Candidate>) -> Vec<Candidate> {
        let mut seen = HashSet::new();
        let fresh = found
            .into_iter()
            .filter(|one| seen.insert((one.transport, one.remote)));
        let is_dead = |one: &Candidate| {
            let until = self.dead.get(&(one.transport, one.remote));
            until.is_some_and(|&until| now < until)
        };
        let (dead, mut ordered): (Vec<_>, Vec<_>) = fresh.partition(is_dead);
        ordered.extend(dead);
        ordered.truncate(self.config.limits.candidates_max);
        ordered
    }
}
