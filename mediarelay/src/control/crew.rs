//! The workers, as control sees them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::worker::{Mailbox, Order};

/// How long a worker may leave orders that nobody waits for. One that hears a datagram takes its orders first, so whoever sends one
/// because of an order finds it carried out; and with calls that come and go all the time, one wake-up serves many of them.
const LINGER: Duration = Duration::from_millis(2);

/// All workers. An order is never lost: what finds a worker's mailbox full is held here and put in later, in order.
#[derive(Debug)]
pub(super) struct Crew {
    members: Vec<Member>,
    /// Orders held for all of them together.
    held: usize,
}

#[derive(Debug)]
struct Member {
    mailbox: Mailbox,
    held: VecDeque<Order>,
    /// Something was put in since the last flush.
    told: bool,
    /// The worker is to be woken at the next flush.
    urgent: bool,
    /// The worker is to be woken then, if it has not taken its orders by itself.
    due: Option<Instant>,
}

impl Crew {
    /// Workers, by their mailboxes.
    pub(super) fn new(mailboxes: impl Iterator<Item = Mailbox>) -> Self {
        let members = mailboxes.map(|mailbox| Member {
            mailbox,
            held: VecDeque::new(),
            told: false,
            urgent: false,
            due: None,
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
        member.urgent |= order.is_urgent();
        let refused = if member.held.is_empty() {
            member.told = true;
            member.mailbox.put(order).err()
        } else {
            Some(order)
        };
        if let Some(order) = refused {
            member.held.push_back(order);
            member.urgent = true;
            self.held += 1;
        }
    }

    /// Puts in what was held, as far as there is room, and wakes workers where it is time.
    pub(super) fn flush(&mut self, now: Instant) {
        for member in &mut self.members {
            while let Some(order) = member.held.pop_front() {
                match member.mailbox.put(order) {
                    Ok(()) => {
                        self.held -= 1;
                        member.told = true;
                    }
                    Err(order) => {
                        member.held.push_front(order);
                        member.urgent = true;
                        break;
                    }
                }
            }
            if std::mem::take(&mut member.told) {
                member.due.get_or_insert(now + LINGER);
            }
            if std::mem::take(&mut member.urgent) || member.due.is_some_and(|due| due <= now) {
                member.due = None;
                member.mailbox.ring();
            }
        }
    }

    /// When [`flush`](Self::flush) wakes the next worker.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.due).min()
    }

    /// Orders that wait for room.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use viaduct_forward::SocketId;

    use super::*;
    use crate::worker::{MailboxReader, mailbox};

    const CLOSE: Order = Order::Close { id: SocketId(1) };

    fn crew(capacity: usize) -> (Crew, MailboxReader) {
        let (mailbox, reader) = mailbox(capacity).unwrap();
        (Crew::new([mailbox].into_iter()), reader)
    }

    #[test]
    fn a_worker_is_woken_for_orders_that_it_has_not_taken_in_time() {
        let (mut crew, reader) = crew(8);
        let now = Instant::now();
        crew.order(0, CLOSE);
        crew.flush(now);
        assert!(!reader.is_rung());
        assert_eq!(crew.poll_timeout(), Some(now + LINGER));
        // Those that come later do not put it off.
        crew.order(0, CLOSE);
        crew.flush(now + LINGER / 2);
        assert_eq!(crew.poll_timeout(), Some(now + LINGER));
        crew.flush(now + LINGER);
        assert!(reader.is_rung());
        assert_eq!(crew.poll_timeout(), None);
    }

    #[test]
    fn a_worker_that_takes_its_orders_sleeps_on() {
        let (mut crew, reader) = crew(8);
        let now = Instant::now();
        crew.order(0, CLOSE);
        crew.flush(now);
        assert!(reader.has_some());
        crew.flush(now + LINGER);
        assert!(!reader.is_rung());
        assert_eq!(crew.poll_timeout(), None);
    }

    #[test]
    fn what_is_urgent_and_what_finds_no_room_wakes_the_worker_at_once() {
        let now = Instant::now();
        for order in [
            Order::Stop,
            Order::Inject {
                socket: SocketId(1),
                from: SocketAddr::from(([127, 0, 0, 1], 5000)),
                datagram: Box::default(),
            },
        ] {
            let (mut crew, reader) = crew(8);
            crew.order(0, CLOSE);
            crew.order(0, order);
            crew.flush(now);
            assert!(reader.is_rung());
        }
        let (mut crew, reader) = crew(1);
        crew.order(0, CLOSE);
        crew.order(0, CLOSE);
        crew.flush(now);
        assert!(reader.is_rung());
        assert_eq!(crew.held(), 1);
        // And again until there was room.
        reader.heard();
        crew.flush(now);
        assert!(reader.is_rung());
    }
}
