//! Where NG messages of all listeners are taken, carried out and answered.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use viaduct_ng::{Dict, ErrorReason, LoadLimit, OkReply, OtherCommand, Reply, Request, Value};

use super::dialogue::{Dialogue, Step, Ticket};
use super::media::Media;
use crate::cli::Cli;
use crate::line::Line;

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

/// What to do with a message.
pub(crate) enum Taken {
    /// Nothing.
    Ignore,
    /// Send this back.
    Answer(Bytes),
    /// Carry it out: [`Desk::carry_out`].
    Case(Box<Case>),
}

impl Case {
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn client(&self) -> IpAddr {
        self.client.ip()
    }

    /// Whether something has to be done before control has it: a line of the text interface may ask control several things, and
    /// what is to be played is read first.
    pub(crate) fn takes_time(&self) -> bool {
        let Request::Other(other) = &*self.request else {
            return false;
        };
        matches!(other.command, OtherCommand::Cli | OtherCommand::PlayMedia)
    }
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

    /// Says what came of a message that control has carried out. Returns what to send, and how often.
    pub(crate) fn finish(&self, case: &Case, reply: &Reply) -> (Bytes, usize) {
        self.dialogue.finish(Instant::now(), &case.ticket, reply)
    }

    /// Has a new call try another relay.
    pub(crate) fn turn_away(&self, case: &Case) -> (Bytes, usize) {
        self.dialogue.stats.turned_away.add(1);
        self.finish(case, &unavailable(supports_load_limit(&case.request)))
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
