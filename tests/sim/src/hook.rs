//! A program beside the proxy that decides about requests.

use viaduct_routing::{HookDecision, HookQuery, NoDecision, Ticket};

/// What it says, and what it was asked.
#[derive(Debug, Default)]
pub struct Hook {
    /// Its answer, in JSON. What is no decision counts as none.
    pub answer: String,
    /// Whether it answers only when [`World::let_hook_answer`](crate::World::let_hook_answer) says so.
    pub is_slow: bool,
    /// Every question.
    pub asked: Vec<HookQuery>,
    pub(crate) waiting: Vec<Ticket>,
}

impl Hook {
    pub(crate) fn decision(&self) -> Result<HookDecision, NoDecision> {
        HookDecision::from_json(self.answer.as_bytes()).map_err(|_| NoDecision)
    }
}
