//! Requests that wait until somebody outside has answered, by ticket and by transaction.

use std::collections::HashMap;

use viaduct_txn::{Flow, ServerId};

use crate::Ticket;

/// Requests that wait for the same kind of answer. `T` is what is remembered of each.
#[derive(Debug)]
pub(super) struct Parked<T> {
    by_ticket: HashMap<Ticket, Waiting<T>>,
    by_server: HashMap<ServerId, Ticket>,
}

/// One request that waits.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub(super) server: ServerId,
    pub(super) flow: Flow,
    pub(super) what: T,
}

impl<T> Default for Parked<T> {
    fn default() -> Self {
        Self {
            by_ticket: HashMap::new(),
            by_server: HashMap::new(),
        }
    }
}

impl<T> Parked<T> {
    pub(super) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    pub(super) fn has(&self, server: ServerId) -> bool {
        self.by_server.contains_key(&server)
    }

    pub(super) fn insert(&mut self, ticket: Ticket, waiting: Waiting<T>) {
        self.by_server.insert(waiting.server, ticket);
        self.by_ticket.insert(ticket, waiting);
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting<T>> {
        let waiting = self.by_ticket.remove(&ticket)?;
        self.by_server.remove(&waiting.server);
        Some(waiting)
    }

    pub(super) fn remove_request(&mut self, server: ServerId) -> Option<Waiting<T>> {
        let ticket = self.by_server.remove(&server)?;
        self.by_ticket.remove(&ticket)
    }
}
