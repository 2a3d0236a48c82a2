//! The workers, as control sees them.

use std::collections::VecDeque;

use crate::worker::{Order, WorkerThread};

/// All workers. An order is never lost: what finds a worker's mailbox full is held here and put in later, in order.
#[derive(Debug)]
pub(super) struct Crew {
    members: Vec<Member>,
    /// Orders held for all of them together.
    held: usize,
}

#[derive(Debug)]
struct Member {
    thread: WorkerThread,
    held: VecDeque<Order>,
    /// Something was put in since the bell was rung.
    told: bool,
}

impl Crew {
    pub(super) fn new(threads: Vec<WorkerThread>) -> Self {
        let members = threads.into_iter().map(|thread| Member {
            thread,
            held: VecDeque::new(),
            told: false,
        });
        Self {
            members: members.collect(),
            held: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Orders something of one worker. Call [`flush`](Self::flush) after the last one.
    pub(super) fn order(&mut self, worker: usize, order: Order) {
        let member = &mut self.members[worker];
        let refused = if member.held.is_empty() {
            member.told = true;
            member.thread.mailbox.put(order).err()
        } else {
            Some(order)
        };
        if let Some(order) = refused {
            member.held.push_back(order);
            self.held += 1;
        }
    }

    /// Puts in what was held, as far as there is room, and rings where something was put in.
    pub(super) fn flush(&mut self) {
        for member in &mut self.members {
            while let Some(order) = member.held.pop_front() {
                match member.thread.mailbox.put(order) {
                    Ok(()) => {
                        self.held -= 1;
                        member.told = true;
                    }
                    Err(order) => {
                        member.held.push_front(order);
                        break;
                    }
                }
            }
            if std::mem::take(&mut member.told) {
                member.thread.mailbox.ring();
            }
        }
    }

    /// Orders that wait for room.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}
