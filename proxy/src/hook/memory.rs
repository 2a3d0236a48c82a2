//! Decisions that are good for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use viaduct_routing::{HookDecision, HookQuery};

/// Octets of a question whose decision is remembered. Who writes long headers does not fill the memory with them.
const QUESTION_OCTETS_MAX: usize = 4_096;

/// What was decided lately. Two questions are the same when nothing but their Call-ID differs.
#[derive(Debug)]
pub(super) struct Memory {
    ttl: Duration,
    entries_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    decisions: HashMap<Arc<HookQuery>, (Instant, HookDecision)>,
    /// What was learnt first ends first: all are good for the same time.
    order: VecDeque<(Instant, Arc<HookQuery>)>,
}

impl Memory {
    /// Decisions are good for `ttl`; zero remembers nothing.
    pub(super) fn new(ttl: Duration, entries_max: usize) -> Self {
        Self {
            ttl,
            entries_max,
            inner: Mutex::default(),
        }
    }

    /// What of a question says whether another one is the same. Where decisions are remembered, nothing but the Call-ID
    /// may differ; where they are not, or where the question is huge, every call has a question of its own.
    pub(super) fn key(&self, query: HookQuery) -> HookQuery {
        if !self.keeps(&query) {
            return query;
        }
        HookQuery {
            call_id: String::new(),
            ..query
        }
    }

    /// The decision about a [key](Self::key).
    pub(super) fn recall(&self, now: Instant, key: &HookQuery) -> Option<HookDecision> {
        let inner = self.inner();
        let (end, decision) = inner.decisions.get(key)?;
        (now < *end).then(|| decision.clone())
    }

    /// Remembers the decision about a [key](Self::key).
    pub(super) fn learn(&self, now: Instant, key: &Arc<HookQuery>, decision: &HookDecision) {
        if !self.keeps(key) {
            return;
        }
        let end = now + self.ttl;
        let mut inner = self.inner();
        inner.decisions.insert(key.clone(), (end, decision.clone()));
        inner.order.push_back((end, key.clone()));
        while inner
            .order
            .front()
            .is_some_and(|(end, _)| *end <= now || inner.order.len() > self.entries_max)
        {
            inner.forget_oldest();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.inner().decisions.len()
    }

    fn keeps(&self, query: &HookQuery) -> bool {
        !self.ttl.is_zero() && octets(query) <= QUESTION_OCTETS_MAX
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        let Some((end, key)) = self.order.pop_front() else {
            return;
        };
        // It may have been learnt again since.
        if self.decisions.get(&key).is_some_and(|(newest, _)| *newest == end) {
            self.decisions.remove(&key);
        }
    }
}

/// All that others have written into a question.
fn octets(query: &HookQuery) -> usize {
    let lines = query.headers.values().flatten().chain([
        &query.method,
        &query.number,
        &query.from_uri,
        &query.from_name,
    ]);
    lines.map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn query(call_id: &str, number: &str) -> HookQuery {
        HookQuery {
            call_id: call_id.to_owned(),
            method: "INVITE".to_owned(),
            number: number.to_owned(),
            from_user: Some("alice".to_owned()),
            from_trunk: None,
            from_uri: "sip:alice@example.com".to_owned(),
            from_name: String::new(),
            source: "203.0.113.9".parse().unwrap(),
            transport: "UDP".to_owned(),
            headers: BTreeMap::new(),
        }
    }

    fn to(number: &str) -> HookDecision {
        let json = format!(r#"{{"action":"continue","number":"{number}"}}"#);
        HookDecision::from_json(json.as_bytes()).unwrap()
    }

    /// A memory, and what it is told and asked as a hook does.
    struct Told(Memory);

    impl Told {
        fn learn(&self, now: Instant, query: HookQuery, decision: &HookDecision) {
            self.0.learn(now, &Arc::new(self.0.key(query)), decision);
        }

        fn recall(&self, now: Instant, query: &HookQuery) -> Option<HookDecision> {
            self.0.recall(now, &self.0.key(query.clone()))
        }
    }

    #[test]
    fn a_decision_is_good_for_the_same_question_of_another_call_until_it_ends() {
        let (memory, now) = (Told(Memory::new(Duration::from_secs(5), 100)), Instant::now());
        memory.learn(now, query("a", "1"), &to("2"));
        let later = now + Duration::from_millis(4_999);
        assert_eq!(memory.recall(later, &query("b", "1")), Some(to("2")));
        assert_eq!(memory.recall(later, &query("a", "3")), None);
        let somebody = HookQuery {
            from_user: Some("bob".to_owned()),
            ..query("a", "1")
        };
        assert_eq!(memory.recall(later, &somebody), None);
        assert_eq!(
            memory.recall(now + Duration::from_secs(5), &query("a", "1")),
            None
        );
    }

    #[test]
    fn the_oldest_decisions_are_forgotten_and_one_learnt_again_is_not() {
        let (memory, now) = (Told(Memory::new(Duration::from_secs(5), 3)), Instant::now());
        let at = |ms| now + Duration::from_millis(ms);
        memory.learn(at(0), query("", "1"), &to("a"));
        memory.learn(at(1), query("", "2"), &to("b"));
        memory.learn(at(2), query("", "1"), &to("c"));
        memory.learn(at(3), query("", "3"), &to("d"));
        assert_eq!(memory.recall(at(4), &query("", "1")), Some(to("c")));
        for number in 10..1_000 {
            memory.learn(at(5), query("", &number.to_string()), &to("e"));
        }
        assert_eq!(memory.0.len(), 3);
        assert_eq!(memory.recall(at(6), &query("", "1")), None);
        memory.learn(at(6_000), query("", "1"), &to("f"));
        assert_eq!(memory.0.len(), 1, "what has ended goes");
    }

    #[test]
    fn a_huge_question_is_asked_every_time() {
        let (memory, now) = (Told(Memory::new(Duration::from_secs(5), 100)), Instant::now());
        let huge = query("", &"1".repeat(QUESTION_OCTETS_MAX));
        memory.learn(now, huge, &to("2"));
        assert_eq!(memory.0.len(), 0);
    }

    #[test]
    fn no_time_remembers_nothing() {
        let (memory, now) = (Told(Memory::new(Duration::ZERO, 100)), Instant::now());
        memory.learn(now, query("", "1"), &to("2"));
        assert_eq!((memory.recall(now, &query("", "1")), memory.0.len()), (None, 0));
    }
}
