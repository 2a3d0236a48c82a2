//! Where NG messages of all listeners are taken, carried out and answered.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use viaduct_ng::{Dict, ErrorReason, LoadLimit, OkReply, OtherCommand, Reply, Request, Value};

use super::dialogue::{Dialogue, Step, Ticket};
use super::media::Media;
use crate::cli::Cli;
use crate::line::{Ask, Line};

/// Takes messages; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    dialogue: Arc<Dialogue>,
    line: Line,
    cli: Cli,
    media: Media,
    /// One for each message that is being answered.
    permits: Arc<Semaphore>,
}

/// Room for a message that is being answered.
pub(crate) struct Place(#[expect(dead_code, reason = "held until the answer is there")] OwnedSemaphorePermit);

/// A message that is to be carried out.
pub(crate) struct Case {
    request: Box<Request>,
    ticket: Ticket,
    client: SocketAddr,
    place: Place,
}

/// Sends an answer, so often.
type Deliver = Box<dyn Fn(&[u8], usize) -> io::Result<()> + Send + Sync>;

/// A message that control answers by itself, without another turn of the thread that took it. It is answered once: with what
/// came of it, or, when that takes too long, with a text on which proxies try another relay.
pub(crate) struct Waiting {
    dialogue: Arc<Dialogue>,
    ticket: Ticket,
    supports_load_limit: bool,
    is_answered: AtomicBool,
    until: Instant,
    deliver: Deliver,
}

impl Waiting {
    /// When [`Desk::give_up`] is due.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Acquire)
    }

    /// Returns whether it had no answer before.
    fn answer(&self, reply: &Reply) -> bool {
        let first = !self.is_answered.swap(true, Ordering::AcqRel);
        if first {
            let (answer, copies) = self.dialogue.finish(Instant::now(), &self.ticket, reply);
            if let Err(error) = (self.deliver)(&answer, copies) {
                self.dialogue.unsent(&error);
            }
        }
        first
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("ticket", &self.ticket)
            .field("is_answered", &self.is_answered)
            .finish_non_exhaustive()
    }
}

/// What to do with a message.
pub(crate) enum Taken {
    /// Nothing.
    Ignore,
    /// Send this back.
    Answer(Bytes),
    /// Carry it out: [`Desk::carry_out`].
    Case(Box<Case>),
}

impl Desk {
    /// At most `outstanding` messages are answered at a time, and files of at most `media_octets` played.
    pub(crate) fn new(
        dialogue: Arc<Dialogue>,
        line: Line,
        cli: Cli,
        outstanding: usize,
        media_octets: usize,
    ) -> Self {
        Self {
            dialogue,
            line,
            cli,
            media: Media::new(media_octets),
            permits: Arc::new(Semaphore::new(outstanding)),
        }
    }

    /// Room for one more message that came in. `None` while too many are being answered: what came is to be dropped
    /// then before it is looked at, since its sender will repeat it, and its cookie must not be known by then.
    pub(crate) fn place(&self) -> Option<Place> {
        let place = Arc::clone(&self.permits).try_acquire_owned().ok().map(Place);
        if place.is_none() {
            self.dialogue.stats.overload.add(1);
        }
        place
    }

    /// The same, for clients that do not repeat and can be kept waiting.
    pub(crate) async fn wait_for_place(&self) -> Option<Place> {
        // The semaphore is never closed.
        Arc::clone(&self.permits).acquire_owned().await.ok().map(Place)
    }

    /// The body of a request over HTTP was refused for its size.
    pub(crate) fn count_too_large(&self) {
        self.dialogue.stats.http_too_large.add(1);
    }

    /// An answer could not be sent. It is as good as lost: its client asks again, and is told what it was not told.
    pub(crate) fn unsent(&self, error: &io::Error) {
        self.dialogue.unsent(error);
    }

    /// A message with a cookie came in.
    pub(crate) fn take(&self, place: Place, client: SocketAddr, message: &[u8]) -> Taken {
        match self.dialogue.begin(Instant::now(), client, message) {
            Step::Ignore => Taken::Ignore,
            Step::Answer(answer) => Taken::Answer(answer),
            Step::Ask { request, ticket } => Taken::Case(Box::new(Case {
                request,
                ticket,
                client,
                place,
            })),
        }
    }

    /// Carries a message out. Returns what to send, and how often.
    pub(crate) async fn carry_out(&self, case: Box<Case>) -> (Bytes, usize) {
        let Case {
            request,
            ticket,
            client,
            place: _place,
        } = *case;
        let reply = self.reply(request, client).await;
        self.dialogue.finish(Instant::now(), &ticket, &reply)
    }

    /// Has a message carried out. `deliver` gets what to send and how often, on whatever thread knows it, and must not wait.
    /// Returns what must not wait for longer than [`Waiting::until`].
    pub(crate) fn hand_over(
        &self,
        case: Box<Case>,
        deliver: impl Fn(&[u8], usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Option<Arc<Waiting>> {
        if takes_time(&case.request) {
            let desk = self.clone();
            tokio::spawn(async move {
                let (answer, copies) = desk.carry_out(case).await;
                if let Err(error) = deliver(&answer, copies) {
                    desk.unsent(&error);
                }
            });
            return None;
        }
        let Case {
            request,
            ticket,
            client,
            place,
        } = *case;
        let waiting = Arc::new(Waiting {
            dialogue: Arc::clone(&self.dialogue),
            ticket,
            supports_load_limit: supports_load_limit(&request),
            is_answered: AtomicBool::new(false),
            until: Instant::now() + self.line.patience(),
            deliver: Box::new(deliver),
        });
        let answered = Arc::clone(&waiting);
        let ask = Ask::Ng {
            request,
            client: Some(client.ip()),
            reply: Box::new(move |reply| {
                answered.answer(&reply);
                drop(place);
            }),
        };
        if self.line.send(ask).is_err() {
            waiting.answer(&unavailable(waiting.supports_load_limit));
        }
        Some(waiting)
    }

    /// Nobody waits any longer.
    pub(crate) fn give_up(&self, waiting: &Waiting) {
        if waiting.answer(&unavailable(waiting.supports_load_limit)) {
            self.line.stats().timed_out.add(1);
        }
    }

    /// Carries out a message without a cookie, and gives the answer.
    pub(crate) async fn plain(&self, client: SocketAddr, body: &[u8]) -> Vec<u8> {
        let _place = self.wait_for_place().await;
        match self.dialogue.read_plain(body) {
            Ok((request, encoding)) => encoding.encode(&self.reply(request, client).await.to_value()),
            Err(answer) => answer,
        }
    }

    /// The text that answers a line of the text interface.
    pub(crate) async fn text(&self, line: &str) -> String {
        let _place = self.wait_for_place().await;
        self.cli.answer(line).await
    }

    async fn reply(&self, mut request: Box<Request>, client: SocketAddr) -> Reply {
        if let Request::Other(other) = &mut *request {
            match other.command {
                OtherCommand::Cli => return self.cli_reply(other.body.get("body")).await,
                OtherCommand::PlayMedia => {
                    if let Err(reason) = self.media.prepare(&mut other.body).await {
                        self.dialogue.stats.media_refused.add(1);
                        return Reply::error(reason);
                    }
                }
                _ => {}
            }
        }
        let supports_load_limit = supports_load_limit(&request);
        let answer = self.line.ng(Some(client.ip()), request).await;
        answer.unwrap_or_else(|_| unavailable(supports_load_limit))
    }

    /// `cli`: a line of the text interface, and its text.
    async fn cli_reply(&self, body: Option<&Value>) -> Reply {
        let line = body
            .and_then(Value::as_bytes)
            .map(|line| line.to_text().into_owned())
            .unwrap_or_default();
        let text = self.cli.answer(&line).await;
        let mut rest = Dict::new();
        rest.insert("response", Value::text(text));
        Reply::Ok(Box::new(OkReply {
            rest,
            ..OkReply::default()
        }))
    }
}

/// Whether something has to be done before control has it: a line of the text interface may ask control several things, and
/// what is to be played is read first.
fn takes_time(request: &Request) -> bool {
    let Request::Other(other) = request else {
        return false;
    };
    matches!(other.command, OtherCommand::Cli | OtherCommand::PlayMedia)
}

/// A text on which proxies try another relay, whatever the reason.
fn unavailable(supports_load_limit: bool) -> Reply {
    match supports_load_limit {
        true => LoadLimit::Load.reply(true),
        false => Reply::error(ErrorReason::LoadLimit),
    }
}

fn supports_load_limit(request: &Request) -> bool {
    match request {
        Request::Offer(offer) => offer.options.supports_load_limit,
        Request::Answer(answer) => answer.options.supports_load_limit,
        _ => false,
    }
}
