//! How many messages of connections wait for shards at a time.
//!
//! One message of each connection may always wait: it is read already, and would be kept by somebody in any case. What a
//! connection has waiting beyond it is bounded for itself, and for all connections together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for messages beyond the first of each connection, of all connections together
/// (`limits.messages_in_flight`).
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

/// The turns of one connection.
#[derive(Debug)]
pub(crate) struct Turns {
    /// What is left of those it may have at a time.
    own: Arc<Semaphore>,
    /// How many those are (`limits.connection_in_flight`).
    own_max: usize,
    places: Places,
}

/// A connection's right to let one message wait for a shard. It is given back when the message is handled.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    /// `None` for the only message of a connection.
    _place: Option<OwnedSemaphorePermit>,
}

/// For what a connection has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// As many of its own messages wait as may.
    Own,
    /// As many messages of all connections do.
    All,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// The turns of a connection of which `own_max` messages may wait.
    pub(crate) fn turns(&self, own_max: usize) -> Turns {
        Turns {
            own: Arc::new(Semaphore::new(own_max)),
            own_max,
            places: self.clone(),
        }
    }
}

impl Turns {
    /// A turn, if there is one at once.
    pub(crate) fn try_next(&self) -> Result<Turn, Full> {
        let own = Arc::clone(&self.own).try_acquire_owned().map_err(|_| Full::Own)?;
        if self.is_only_one() {
            return Ok(Turn {
                _own: own,
                _place: None,
            });
        }
        let place = Arc::clone(&self.places.0).try_acquire_owned();
        let place = place.map_err(|_| Full::All)?;
        Ok(Turn {
            _own: own,
            _place: Some(place),
        })
    }

    /// A turn as soon as there is one. May be asked for and dropped any number of times.
    pub(crate) async fn next(&self) -> Turn {
        let own = permit(&self.own, 1).await;
        if self.is_only_one() {
            return Turn {
                _own: own,
                _place: None,
            };
        }
        let others = u32::try_from(self.own_max - 1).unwrap_or(u32::MAX);
        tokio::select! {
            place = permit(&self.places.0, 1) => Turn { _own: own, _place: Some(place) },
            // All that the connection had waiting is handled.
            _others = permit(&self.own, others) => Turn { _own: own, _place: None },
        }
    }

    /// True while the one who asks has the only turn.
    fn is_only_one(&self) -> bool {
        self.own.available_permits() + 1 == self.own_max
    }
}

async fn permit(semaphore: &Arc<Semaphore>, count: u32) -> OwnedSemaphorePermit {
    #[expect(clippy::expect_used, reason = "semaphores that nobody closes")]
    let permit = Arc::clone(semaphore)
        .acquire_many_owned(count)
        .await
        .expect("turns are never closed");
    permit
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_connection_has_so_many_turns_and_no_more() {
        let turns = Places::new(100).turns(3);
        let mut taken: Vec<Turn> = (0..3).map(|_| turns.try_next().unwrap()).collect();
        assert_eq!(turns.try_next().unwrap_err(), Full::Own);
        assert!(turns.next().now_or_never().is_none());
        taken.pop();
        assert!(turns.next().now_or_never().is_some());
        assert!(turns.try_next().is_ok(), "what was not used is given back");
    }

    #[test]
    fn when_all_places_are_taken_every_connection_still_has_one_message() {
        let places = Places::new(4);
        let greedy = places.turns(16);
        let mut taken: Vec<Turn> = (0..5).map(|_| greedy.try_next().unwrap()).collect();
        assert_eq!(greedy.try_next().unwrap_err(), Full::All);
        let other = places.turns(16);
        let only = other.try_next().unwrap();
        assert_eq!(other.try_next().unwrap_err(), Full::All);
        let mut next = Box::pin(other.next());
        assert!(next.as_mut().now_or_never().is_none());
        drop(only);
        assert!(next.now_or_never().is_some(), "its own message is handled");
        taken.truncate(3);
        let mut more: Vec<Turn> = (0..3).map(|_| other.try_next().unwrap()).collect();
        assert_eq!(other.try_next().unwrap_err(), Full::All);
        more.clear();
        assert!(greedy.try_next().is_ok());
    }

    #[test]
    fn a_connection_with_one_turn_needs_no_place() {
        let turns = Places::new(0).turns(1);
        let turn = turns.try_next().unwrap();
        assert_eq!(turns.try_next().unwrap_err(), Full::Own);
        drop(turn);
        assert!(turns.next().now_or_never().is_some());
    }
}
