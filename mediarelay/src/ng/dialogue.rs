//! What the relay does with one NG message, whichever way it came: reads it, recognises repetitions, writes the answer.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use viaduct_ng as ng;
use viaduct_ng::{Encoding, Lookup, Packet, ReplyCache, ReplyCacheCounters};
use viaduct_settings::CookieScope;

use crate::counter::SharedTally;
use crate::limits::RelayLimits;
use crate::shown::shown;

/// Characters of a name without effect that are logged.
const IGNORED_CHARS: usize = 120;

/// The answering side of NG, shared by all listeners.
#[derive(Debug)]
pub(crate) struct Dialogue {
    limits: ng::Limits,
    scope: CookieScope,
    ignored_logged: usize,
    templates: Arc<ng::Templates>,
    cache: Mutex<ReplyCache>,
    /// What was logged as ignored.
    logged: Mutex<HashSet<String>>,
    pub(crate) stats: DialogueStats,
}

/// Counters of a [`Dialogue`].
#[derive(Debug, Default)]
pub(crate) struct DialogueStats {
    /// Messages that came in.
    pub(crate) received: SharedTally,
    /// Messages that are no NG messages at all; nothing is sent back.
    pub(crate) not_ng: SharedTally,
    /// Messages that are answered with what is wrong with them.
    pub(crate) malformed: SharedTally,
    /// Messages dropped because too many were being answered.
    pub(crate) overload: SharedTally,
    /// Offers over UDP that were told to try another relay, since control had not been through with what came before for too long.
    pub(crate) turned_away: SharedTally,
    /// Answers over UDP that could not be sent.
    pub(crate) unsent: SharedTally,
    /// Bodies over HTTP that were refused for their size.
    pub(crate) http_too_large: SharedTally,
    /// Files and blobs that could not be played.
    pub(crate) media_refused: SharedTally,
    /// Names without effect that were not logged, because enough others were.
    pub(crate) ignored_unlogged: SharedTally,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Ignore,
    /// Send this back.
    Answer(Bytes),
    /// Carry this out, then say [`Dialogue::finish`].
    Ask {
        request: Box<ng::Request>,
        ticket: Ticket,
    },
}

/// A message that is being answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// As the cache knows the sender.
    sender: SocketAddr,
    cookie: ng::ByteString,
    encoding: Encoding,
}

impl Dialogue {
    pub(crate) fn new(
        now: Instant,
        scope: CookieScope,
        limits: &RelayLimits,
        templates: ng::Templates,
    ) -> Self {
        Self {
            templates: Arc::new(templates),
            limits: limits.ng,
            scope,
            ignored_logged: limits.shell.ng_ignored_logged,
            cache: Mutex::new(ReplyCache::new(limits.replies, now)),
            logged: Mutex::default(),
            stats: DialogueStats::default(),
        }
    }

    /// A message with a cookie came in.
    pub(crate) fn begin(&self, now: Instant, sender: SocketAddr, message: &[u8]) -> Step {
        self.stats.received.add(1);
        let packet = match Packet::split(message, &self.limits) {
            Ok(packet) => packet,
            Err(error) => {
                let answer = error.reply();
                let counter = if answer.is_some() {
                    &self.stats.malformed
                } else {
                    &self.stats.not_ng
                };
                counter.add(1);
                return answer.map_or(Step::Ignore, |answer| Step::Answer(answer.into()));
            }
        };
        let sender = self.known_as(sender);
        match lock(&self.cache).begin(now, sender, packet.cookie) {
            Lookup::Done(answer) => return Step::Answer(answer),
            Lookup::InWork => return Step::Ignore,
            Lookup::New => {}
        }
        let ticket = Ticket {
            sender,
            cookie: packet.cookie(),
            encoding: packet.encoding,
        };
        match packet.request_with(&self.limits, &self.templates) {
            Ok(received) => {
                self.log_ignored(&received.ignored);
                Step::Ask {
                    request: Box::new(received.request),
                    ticket,
                }
            }
            Err(error) => {
                self.stats.malformed.add(1);
                Step::Answer(self.finish(now, &ticket, &error.reply()).0)
            }
        }
    }

    /// The message was carried out. Returns what to send, and how often.
    pub(crate) fn finish(&self, now: Instant, ticket: &Ticket, reply: &ng::Reply) -> (Bytes, usize) {
        let answer = Bytes::from(ng::encode_packet(
            &ticket.cookie,
            ticket.encoding,
            &reply.to_value(),
        ));
        let copies = lock(&self.cache).finish(now, ticket.sender, &ticket.cookie, answer.clone());
        (answer, copies)
    }

    /// An answer could not be sent.
    pub(crate) fn unsent(&self, error: &io::Error) {
        self.stats.unsent.add(1);
        tracing::debug!("an answer could not be sent: {error}");
    }

    /// A message without a cookie came in, which nobody can recognise as repeated.
    ///
    /// # Errors
    /// What to send back at once.
    pub(crate) fn read_plain(&self, body: &[u8]) -> Result<(Box<ng::Request>, Encoding), Vec<u8>> {
        self.stats.received.add(1);
        let encoding = Encoding::of(body).unwrap_or(Encoding::Json);
        let read = encoding
            .decode(body, &self.limits)
            .map_err(|error| ng::RequestError::Undecodable { encoding, error })
            .and_then(|value| ng::Request::from_value_with(&value, &self.templates));
        match read {
            Ok(received) => {
                self.log_ignored(&received.ignored);
                Ok((Box::new(received.request), encoding))
            }
            Err(error) => {
                self.stats.malformed.add(1);
                Err(encoding.encode(&error.reply().to_value()))
            }
        }
    }

    /// What the cache of answers has seen.
    pub(crate) fn cache_counters(&self) -> ReplyCacheCounters {
        lock(&self.cache).counters()
    }

    /// With shared cookies all senders are one.
    fn known_as(&self, sender: SocketAddr) -> SocketAddr {
        match self.scope {
            CookieScope::PerSender => sender,
            CookieScope::Shared => SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    /// Each name once: a proxy sends the same with every call.
    fn log_ignored(&self, ignored: &[ng::Ignored]) {
        if ignored.is_empty() {
            return;
        }
        let mut logged = lock(&self.logged);
        for part in ignored {
            let text = shown(&part.to_string(), IGNORED_CHARS);
            if logged.contains(&text) {
                continue;
            }
            if logged.len() < self.ignored_logged {
                tracing::info!("NG: {text}");
                logged.insert(text);
            } else {
                self.stats.ignored_unlogged.add(1);
            }
        }
    }
}

/// A panic while the lock was held would have ended the process; there is no half-changed state to fear.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialogue(scope: CookieScope) -> (Dialogue, Instant) {
        let now = Instant::now();
        (made(now, scope, &RelayLimits::default()), now)
    }

    fn made(now: Instant, scope: CookieScope, limits: &RelayLimits) -> Dialogue {
        Dialogue::new(now, scope, limits, ng::Templates::default())
    }

    fn sender(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn ticket(step: Step) -> Ticket {
        match step {
            Step::Ask { request, ticket } if *request == ng::Request::Ping => ticket,
            other => panic!("{other:?}"),
        }
    }

    const PING: &[u8] = b"7 d7:command4:pinge";
    const PONG: &[u8] = b"7 d6:result4:ponge";

    #[test]
    fn a_repeated_message_is_answered_and_not_done_again() {
        let (dialogue, now) = dialogue(CookieScope::PerSender);
        let asked = ticket(dialogue.begin(now, sender(1), PING));
        assert_eq!(dialogue.begin(now, sender(1), PING), Step::Ignore);
        assert_eq!(
            dialogue.finish(now, &asked, &ng::Reply::Pong),
            (Bytes::from_static(PONG), 2)
        );
        assert_eq!(
            dialogue.begin(now, sender(1), PING),
            Step::Answer(Bytes::from_static(PONG))
        );
        let counters = dialogue.cache_counters();
        assert_eq!((counters.misses, counters.hits, counters.hits_in_work), (1, 1, 1));
    }

    #[test]
    fn cookies_are_the_senders_own_unless_they_are_shared() {
        for (scope, repeated) in [(CookieScope::PerSender, false), (CookieScope::Shared, true)] {
            let (dialogue, now) = dialogue(scope);
            let asked = ticket(dialogue.begin(now, sender(1), PING));
            dialogue.finish(now, &asked, &ng::Reply::Pong);
            let is_answer = matches!(dialogue.begin(now, sender(2), PING), Step::Answer(_));
            assert_eq!(is_answer, repeated, "{scope:?}");
        }
    }

    #[test]
    fn names_without_effect_are_remembered_up_to_a_limit_and_then_counted() {
        let mut limits = RelayLimits::default();
        limits.shell.ng_ignored_logged = 1;
        let dialogue = made(Instant::now(), CookieScope::PerSender, &limits);
        let offer = |flag: &str| {
            let body = format!(
                r#"{{"command":"offer","call-id":"c","from-tag":"f","sdp":"v=0","flags":["{flag}"]}}"#
            );
            dialogue.read_plain(body.as_bytes()).unwrap();
            dialogue.stats.ignored_unlogged.get()
        };
        assert_eq!(offer("no-such-flag"), 0);
        assert_eq!(offer("no-such-flag"), 0);
        assert_eq!(offer("nor-such-a-flag"), 1);
        assert_eq!(lock(&dialogue.logged).len(), 1);
    }

    #[test]
    fn rubbish_is_dropped_or_answered_and_counted() {
        let (dialogue, now) = dialogue(CookieScope::PerSender);
        assert_eq!(dialogue.begin(now, sender(1), b"\x80\x00rubbish"), Step::Ignore);
        for (message, answer) in [
            (
                &b"1 x"[..],
                &b"1 d6:result5:error12:error-reason22:Invalid NG data formate"[..],
            ),
            (
                b"2 ",
                b"2 d6:result5:error12:error-reason25:Invalid data (no payload)e",
            ),
            (
                b"3 de",
                b"3 d6:result5:error12:error-reason36:Dictionary contains no key \"command\"e",
            ),
            (
                b"4 {",
                b"4 {\"result\":\"error\",\"error-reason\":\"Failed to parse JSON document\"}",
            ),
        ] {
            let step = dialogue.begin(now, sender(1), message);
            assert_eq!(step, Step::Answer(Bytes::copy_from_slice(answer)));
            assert_eq!(dialogue.begin(now, sender(1), message), step, "repeated");
        }
        let stats = &dialogue.stats;
        assert_eq!((stats.received.get(), stats.not_ng.get()), (9, 1));
        // The two that hold a body are answered from the cache when they come again.
        assert_eq!((stats.malformed.get(), dialogue.cache_counters().hits), (6, 2));
    }

    #[test]
    fn a_message_without_a_cookie_is_read_by_its_first_octet() {
        let (dialogue, _) = dialogue(CookieScope::PerSender);
        for (body, encoding) in [
            (&b"d7:command4:pinge"[..], Encoding::Bencode),
            (b"{\"command\":\"ping\"}", Encoding::Json),
        ] {
            let (request, read) = dialogue.read_plain(body).unwrap();
            assert_eq!((*request, read), (ng::Request::Ping, encoding));
        }
        let error = dialogue.read_plain(b"x").unwrap_err();
        assert_eq!(
            error,
            br#"{"result":"error","error-reason":"Failed to parse JSON document"}"#
        );
    }
}
