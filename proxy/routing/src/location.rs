//! Where users are: the location table.
//!
//! One table serves every shard. It is divided by address of record, each part behind its own short lock, and no lock is
//! held while anything else is done.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use viaduct_sip::Aor;
use viaduct_txn::{ConnId, Flow};

use crate::Flags;

/// One registered contact (RFC 3261 section 10.3, with the flow of RFC 5626).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The Contact URI, octet for octet as registered. Requests carry it as [`request_uri`](Self::request_uri) says.
    pub uri: Arc<str>,
    /// Preference in thousandths, 0 to 1000.
    pub q: u16,
    /// When it ends.
    pub expires_at: Instant,
    /// Call-ID of the REGISTER that made it.
    pub call_id: Arc<str>,
    /// CSeq number of that REGISTER.
    pub cseq: u32,
    /// The `+sip.instance` of the device, without brackets.
    pub instance: Option<Arc<str>>,
    /// The `reg-id` of the flow, when it was registered as one (RFC 5626 section 4.2).
    pub reg_id: Option<u32>,
    /// The routers on the way to it beyond the flow, as one header value in the order of its Path (RFC 3327).
    pub path: Option<Arc<str>>,
    /// How the device is reached, whatever its URI says.
    pub flow: Flow,
    /// `DST_WS` when it registered over WS or WSS.
    pub flags: Flags,
    /// What the device calls itself.
    pub user_agent: Option<Arc<str>>,
    /// When this contact was first registered.
    pub since: Instant,
}

impl Binding {
    /// What tells this contact from others of the same user: instance and reg-id when both are there (RFC 5626
    /// section 5.2), otherwise the URI, for streams together with the connection.
    pub fn is_same_contact(&self, other: &Self) -> bool {
        match (&self.instance, self.reg_id, &other.instance, other.reg_id) {
            (Some(instance), Some(reg_id), Some(other_instance), Some(other_reg_id)) => {
                instance == other_instance && reg_id == other_reg_id
            }
            _ => self.is_same_uri(&other.uri),
        }
    }

    /// Equal URIs by RFC 3261 section 19.1.4.
    pub fn is_same_uri(&self, uri: &str) -> bool {
        if *self.uri == *uri {
            return true;
        }
        match (viaduct_sip::Uri::parse(&self.uri), viaduct_sip::Uri::parse(uri)) {
            (Ok(a), Ok(b)) => a.is_equivalent(&b),
            _ => false,
        }
    }

    /// The Request-URI of what is sent to it: the Contact URI without the little that no request line may have
    /// (RFC 3261 section 16.6 step 2).
    pub fn request_uri(&self) -> Arc<str> {
        // Hardly any has it, and this is asked for every call.
        const METHOD: &[u8] = b";method";
        let mut pieces = self.uri.as_bytes().windows(METHOD.len());
        let may_have =
            self.uri.contains(['?', '%']) || pieces.any(|piece| piece.eq_ignore_ascii_case(METHOD));
        let uri = may_have
            .then(|| viaduct_sip::Uri::parse(&self.uri))
            .and_then(Result::ok);
        match uri.map(|uri| uri.for_request_line()) {
            Some(allowed) if *allowed != *self.uri => allowed.into(),
            _ => self.uri.clone(),
        }
    }

    /// Time left, none when it is over.
    pub fn time_left(&self, now: Instant) -> Option<Duration> {
        self.expires_at
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }
}

/// The bindings of one address of record.
pub type Bindings = Vec<Arc<Binding>>;

/// All bindings, shared by every shard.
#[derive(Debug)]
pub struct Location {
    hasher: RandomState,
    by_aor: Vec<Mutex<HashMap<Aor, Bindings>>>,
    by_conn: Vec<Mutex<HashMap<ConnId, Vec<Aor>>>>,
    contacts: AtomicUsize,
}

impl Default for Location {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            by_aor: (0..Self::PARTS).map(|_| Mutex::default()).collect(),
            by_conn: (0..Self::PARTS).map(|_| Mutex::default()).collect(),
            contacts: AtomicUsize::new(0),
        }
    }
}

impl Location {
    /// Parts of the table. More than threads will ever meet in one.
    pub(crate) const PARTS: usize = 64;

    /// The live bindings of an address, the most preferred first, the most recent first among equals.
    pub fn lookup(&self, aor: &Aor, now: Instant) -> Bindings {
        let mut live: Bindings = match self.part(&self.by_aor, aor).get(aor) {
            Some(bindings) => bindings
                .iter()
                .filter(|binding| binding.time_left(now).is_some())
                .cloned()
                .collect(),
            None => return Bindings::new(),
        };
        live.sort_by(|a, b| b.q.cmp(&a.q).then(b.since.cmp(&a.since)));
        live
    }

    /// Lets `change` rewrite the bindings of an address as one step that nobody sees half done. Ended bindings are gone
    /// before it looks.
    pub fn update<R>(&self, aor: &Aor, now: Instant, change: impl FnOnce(&mut Bindings) -> R) -> R {
        let mut part = self.part(&self.by_aor, aor);
        let mut stored = part.get_mut(aor);
        let mut bindings = stored.as_deref_mut().map(std::mem::take).unwrap_or_default();
        let before = (bindings.len(), connections(&bindings));
        bindings.retain(|binding| binding.time_left(now).is_some());
        let result = change(&mut bindings);
        let after = (bindings.len(), connections(&bindings));
        match stored {
            Some(stored) if !bindings.is_empty() => *stored = bindings,
            Some(_) => drop(part.remove(aor)),
            None if !bindings.is_empty() => drop(part.insert(aor.clone(), bindings)),
            None => {}
        }
        drop(part);
        self.count(before.0, after.0);
        self.index_connections(aor, &before.1, &after.1);
        result
    }

    /// True when somebody is registered over this connection.
    pub fn is_reached_over(&self, conn: ConnId, now: Instant) -> bool {
        let aors = self.part(&self.by_conn, &conn).get(&conn).cloned();
        aors.unwrap_or_default().iter().any(|aor| {
            let bindings = self.lookup(aor, now);
            bindings.iter().any(|binding| binding.flow.conn == Some(conn))
        })
    }

    /// A connection is gone, and with it every binding that was reached over it. Answers what was removed.
    pub fn connection_closed(&self, conn: ConnId, now: Instant) -> Vec<(Aor, Arc<Binding>)> {
        let aors = self.part(&self.by_conn, &conn).remove(&conn).unwrap_or_default();
        let mut removed = Vec::new();
        for aor in aors {
            self.update(&aor, now, |bindings| {
                bindings.retain(|binding| {
                    let lost = binding.flow.conn == Some(conn);
                    if lost {
                        removed.push((aor.clone(), binding.clone()));
                    }
                    !lost
                });
            });
        }
        removed
    }

    /// Removes bindings that have ended. Answers them. Lookups never see one, so this only frees memory and tells
    /// people; call it every few seconds.
    pub fn expire(&self, now: Instant) -> Vec<(Aor, Arc<Binding>)> {
        let mut ended = Vec::new();
        for part in &self.by_aor {
            let stale: Vec<Aor> = lock(part)
                .iter()
                .filter(|(_, bindings)| bindings.iter().any(|binding| binding.time_left(now).is_none()))
                .map(|(aor, _)| aor.clone())
                .collect();
            for aor in stale {
                if let Some(bindings) = self.part(&self.by_aor, &aor).get(&aor) {
                    let over = bindings.iter().filter(|binding| binding.time_left(now).is_none());
                    ended.extend(over.map(|binding| (aor.clone(), binding.clone())));
                }
                self.update(&aor, now, |_| ());
            }
        }
        ended
    }

    /// The flows of live bindings in one of the [`PARTS`](Self::PARTS), none twice.
    pub(crate) fn flows_in(
        &self,
        part: usize,
        now: Instant,
        is_wanted: impl Fn(&Binding) -> bool,
    ) -> HashSet<Flow> {
        let part = lock(&self.by_aor[part]);
        let live = part.values().flatten();
        let live = live.filter(|binding| binding.time_left(now).is_some() && is_wanted(binding));
        live.map(|binding| binding.flow).collect()
    }

    /// Removes every binding of the addresses that `keep` does not want. Answers what was removed.
    pub fn retain(&self, now: Instant, keep: impl Fn(&Aor) -> bool) -> Vec<(Aor, Arc<Binding>)> {
        let mut removed = Vec::new();
        for part in &self.by_aor {
            let unwanted: Vec<Aor> = lock(part).keys().filter(|aor| !keep(aor)).cloned().collect();
            for aor in unwanted {
                let bindings = self.update(&aor, now, std::mem::take);
                removed.extend(bindings.into_iter().map(|binding| (aor.clone(), binding)));
            }
        }
        removed
    }

    /// Every live binding, part by part: what people look at.
    pub fn snapshot(&self, now: Instant) -> Vec<(Aor, Arc<Binding>)> {
        let mut all = Vec::with_capacity(self.len());
        for part in &self.by_aor {
            for (aor, bindings) in lock(part).iter() {
                let live = bindings.iter().filter(|binding| binding.time_left(now).is_some());
                all.extend(live.map(|binding| (aor.clone(), binding.clone())));
            }
        }
        all
    }

    /// Bindings held, the ended ones not yet removed included.
    pub fn len(&self) -> usize {
        self.contacts.load(Ordering::Relaxed)
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part<'t, K: Hash, V>(&self, parts: &'t [Mutex<V>], key: &K) -> MutexGuard<'t, V> {
        lock(&parts[self.hasher.hash_one(key) as usize % Self::PARTS])
    }

    fn count(&self, before: usize, after: usize) {
        if after >= before {
            self.contacts.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.contacts.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Keeps the way back from a connection to the addresses registered over it.
    fn index_connections(&self, aor: &Aor, before: &[ConnId], after: &[ConnId]) {
        for conn in after.iter().filter(|conn| !before.contains(conn)) {
            self.part(&self.by_conn, conn)
                .entry(*conn)
                .or_default()
                .push(aor.clone());
        }
        for conn in before.iter().filter(|conn| !after.contains(conn)) {
            if let Entry::Occupied(mut entry) = self.part(&self.by_conn, conn).entry(*conn) {
                entry.get_mut().retain(|other| other != aor);
                if entry.get().is_empty() {
                    entry.remove();
                }
            }
        }
    }
}

/// The connections that bindings are reached over: none for most phones, and then nothing is allocated.
fn connections(bindings: &Bindings) -> Vec<ConnId> {
    bindings.iter().filter_map(|binding| binding.flow.conn).collect()
}

/// A panic elsewhere must not take the table with it: every write leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use viaduct_sip::{Transport, Uri};

    use super::*;
    use crate::test::base;

    fn aor(user: &str) -> Aor {
        Aor::from_uri(&Uri::parse(&format!("sip:{user}@example.com")).unwrap()).unwrap()
    }

    fn binding(uri: &str, conn: u64, now: Instant, seconds: u64) -> Arc<Binding> {
        Arc::new(Binding {
            uri: uri.into(),
            q: 1000,
            expires_at: now + Duration::from_secs(seconds),
            call_id: "c".into(),
            cseq: 1,
            instance: None,
            reg_id: None,
            path: None,
            flow: Flow {
                transport: if conn == 0 { Transport::Udp } else { Transport::Ws },
                local: "192.0.2.1:5060".parse().unwrap(),
                remote: "192.0.2.2:5060".parse().unwrap(),
                conn: ConnId::new(conn),
            },
            flags: Flags::NONE,
            user_agent: None,
            since: now,
        })
    }

    fn add(location: &Location, user: &str, binding: &Arc<Binding>, now: Instant) {
        location.update(&aor(user), now, |bindings| bindings.push(binding.clone()));
    }

    #[test]
    fn a_binding_is_found_until_it_ends() {
        let (location, now) = (Location::default(), base());
        add(&location, "alice", &binding("sip:a@192.0.2.2", 0, now, 60), now);
        assert_eq!(
            location
                .lookup(&aor("alice"), now + Duration::from_secs(59))
                .len(),
            1
        );
        assert_eq!(
            location
                .lookup(&aor("alice"), now + Duration::from_secs(60))
                .len(),
            0
        );
        assert_eq!(location.lookup(&aor("bob"), now).len(), 0);
        assert_eq!(location.len(), 1);
        let ended = location.expire(now + Duration::from_secs(60));
        assert_eq!((ended.len(), location.len()), (1, 0));
    }

    #[test]
    fn the_preferred_and_the_younger_come_first() {
        let (location, now) = (Location::default(), base());
        let later = now + Duration::from_secs(5);
        for (uri, q, since) in [
            ("sip:1@h", 500, now),
            ("sip:2@h", 1000, now),
            ("sip:3@h", 1000, later),
        ] {
            let binding = Binding {
                q,
                since,
                ..(*binding(uri, 0, now, 60)).clone()
            };
            add(&location, "alice", &Arc::new(binding), now);
        }
        let found = location.lookup(&aor("alice"), later);
        let order: Vec<&str> = found.iter().map(|binding| &*binding.uri).collect();
        assert_eq!(order, ["sip:3@h", "sip:2@h", "sip:1@h"]);
    }

    #[test]
    fn a_lost_connection_takes_its_bindings_and_no_others() {
        let (location, now) = (Location::default(), base());
        add(&location, "alice", &binding("sip:x@a.invalid", 1, now, 60), now);
        add(&location, "alice", &binding("sip:y@a.invalid", 2, now, 60), now);
        add(&location, "bob", &binding("sip:z@a.invalid", 1, now, 60), now);
        let conn = ConnId::new(1).unwrap();
        let mut lost: Vec<String> = location
            .connection_closed(conn, now)
            .iter()
            .map(|(_, binding)| binding.uri.to_string())
            .collect();
        lost.sort();
        assert_eq!(lost, ["sip:x@a.invalid", "sip:z@a.invalid"]);
        assert_eq!(
            (location.lookup(&aor("alice"), now).len(), location.len()),
            (1, 1)
        );
        assert!(location.connection_closed(conn, now).is_empty());
    }

    #[test]
    fn addresses_that_nobody_wants_are_emptied_and_others_stay() {
        let (location, now) = (Location::default(), base());
        add(&location, "alice", &binding("sip:x@a.invalid", 1, now, 60), now);
        add(&location, "alice", &binding("sip:a@192.0.2.2", 0, now, 60), now);
        add(&location, "bob", &binding("sip:z@a.invalid", 1, now, 60), now);
        let removed = location.retain(now, |aor| aor.user() == Some("bob"));
        assert_eq!((removed.len(), location.len()), (2, 1));
        assert_eq!(location.lookup(&aor("bob"), now).len(), 1);
        let lost = location.connection_closed(ConnId::new(1).unwrap(), now);
        assert_eq!(lost.len(), 1, "the index knows of no other");
    }

    #[test]
    fn a_binding_that_moves_to_another_connection_survives_the_old_one() {
        let (location, now) = (Location::default(), base());
        add(&location, "alice", &binding("sip:x@a.invalid", 1, now, 60), now);
        location.update(&aor("alice"), now, |bindings| {
            bindings[0] = binding("sip:x@a.invalid", 2, now, 60);
        });
        assert!(
            location
                .connection_closed(ConnId::new(1).unwrap(), now)
                .is_empty()
        );
        assert_eq!(location.connection_closed(ConnId::new(2).unwrap(), now).len(), 1);
        assert!(
            location.by_conn.iter().all(|part| lock(part).is_empty()),
            "the index keeps nothing"
        );
    }

    #[test]
    fn contacts_are_the_same_by_instance_or_by_uri() {
        let now = base();
        let plain = binding("sip:a@192.0.2.2;x=1", 0, now, 60);
        let device = |uri: &str, reg_id| Binding {
            instance: Some("urn:uuid:1".into()),
            reg_id: Some(reg_id),
            ..(*binding(uri, 0, now, 60)).clone()
        };
        assert!(
            plain.is_same_contact(&binding("sip:a@192.0.2.2", 0, now, 1)),
            "19.1.4: unknown parameters on one side"
        );
        assert!(!plain.is_same_contact(&binding("sip:b@192.0.2.2", 0, now, 1)));
        assert!(
            device("sip:a@h", 1).is_same_contact(&device("sip:b@h", 1)),
            "the page was loaded again"
        );
        assert!(!device("sip:a@h", 1).is_same_contact(&device("sip:a@h", 2)));
    }
}
