//! Answers that are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Answer, Limits, Question};

/// Answers by question, each until its time is over; the oldest goes when there are too many.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: HashMap<Question, Entry>,
    /// Every question of `entries` once, in the order in which they came first.
    order: VecDeque<Question>,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Answer>,
    until: Instant,
}

impl Cache {
    /// What is known.
    pub(crate) fn get(&self, now: Instant, question: &Question) -> Option<Arc<Answer>> {
        let entry = self.entries.get(question).filter(|entry| now < entry.until)?;
        Some(Arc::clone(&entry.answer))
    }

    /// Keeps an answer as long as it says and the limits allow.
    pub(crate) fn put(&mut self, now: Instant, question: Question, answer: Arc<Answer>, limits: &Limits) {
        let until = now + time_to_live(&answer, limits);
        let entry = Entry { answer, until };
        if self.entries.insert(question.clone(), entry).is_none() {
            self.order.push_back(question);
        }
        while self.entries.len() > limits.cache_max {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.entries.remove(&oldest);
        }
        debug_assert_eq!(
            self.entries.len(),
            self.order.len(),
            "both name the same questions"
        );
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn time_to_live(answer: &Answer, limits: &Limits) -> Duration {
    match answer {
        Answer::Records { ttl, .. } => (*ttl).min(limits.ttl_max).max(limits.ttl_min),
        Answer::Nothing { ttl } => ttl
            .unwrap_or(limits.negative_ttl_max)
            .min(limits.negative_ttl_max)
            .max(limits.ttl_min),
        Answer::Failed => limits.failure_ttl,
    }
}
