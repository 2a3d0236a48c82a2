//! The user agent: its inputs and where they go.

mod arrival;
mod hangup;
mod inside;
mod invite;
mod media;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use viaduct_sip::{Message, Transport};
use viaduct_txn::{self as txn, ClientId, Flow, Layer, ServerId};

use crate::call::{Call, InviteKey, Opening};
use crate::dialog::Dialog;
use crate::wakeups::Wakeups;
use crate::{
    CallEnd, Config, Counters, Event, Gauges, MediaAddress, MediaOpenError, Output, StreamEvent, StreamId,
};

/// How the proxy is reached: without leaving the process.
const LOCAL_FLOW: Flow = Flow {
    transport: Transport::Local,
    local: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    conn: None,
};

/// The services of one shard. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    rng: StdRng,
    layer: Layer,
    openings: HashMap<StreamId, Opening>,
    calls: HashMap<StreamId, Call>,
    /// Dialogs that we ended, while their BYE has no answer. A BYE that crosses ours still finds them.
    ended: HashMap<ClientId, Dialog>,
    /// Answered dialogs and ended ones by our tag, which is unique.
    by_tag: HashMap<Bytes, Place>,
    /// Openings by their transaction.
    by_invite: HashMap<ServerId, StreamId>,
    /// The INVITE of every opening and every call.
    invites: HashSet<InviteKey>,
    wakeups: Wakeups,
    streams: u64,
    outputs: VecDeque<Output>,
    counters: Counters,
}

/// Where a dialog is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Call(StreamId),
    Ended(ClientId),
}

impl Agent {
    /// An agent without calls. The seed is for tags, branches and session ids.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let layer = Layer::new(txn::Config {
            timing: config.times.timing.clone(),
            limits: config.limits.transactions.clone(),
            ..txn::Config::default()
        });
        Self {
            config,
            rng: StdRng::from_seed(seed),
            layer,
            openings: HashMap::new(),
            calls: HashMap::new(),
            ended: HashMap::new(),
            by_tag: HashMap::new(),
            by_invite: HashMap::new(),
            invites: HashSet::new(),
            wakeups: Wakeups::default(),
            streams: 0,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// A message came from the proxy over the local flow.
    pub fn handle_message(&mut self, now: Instant, message: &Message) {
        self.counters.messages += 1;
        if message.is_request() {
            self.request_received(now, message);
        } else {
            self.response_received(now, message);
        }
        self.drain_layer();
    }

    /// The media of [`Output::OpenMedia`] is open at this address, or could not be opened. The answer to the INVITE
    /// leaves. For a stream that was closed meanwhile nothing happens.
    pub fn handle_media_opened(
        &mut self,
        now: Instant,
        stream: StreamId,
        opened: Result<MediaAddress, MediaOpenError>,
    ) {
        self.media_opened(now, stream, opened);
        self.drain_layer();
    }

    /// A [`Stream`](crate::Stream) told something. For a stream that was closed meanwhile nothing happens.
    pub fn handle_stream_event(&mut self, now: Instant, stream: StreamId, event: StreamEvent) {
        self.stream_told(now, stream, event);
        self.drain_layer();
    }

    /// A timer may have fired.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        self.drain_layer();
        while let Some(id) = self.wakeups.pop(now) {
            if self.openings.contains_key(&id) {
                self.media_missing(now, id, MediaOpenError::TimedOut);
            } else {
                self.call_woke(now, id);
            }
            self.drain_layer();
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.layer.poll_timeout(), self.wakeups.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What to do next. Drain it after every call that takes `now`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Ends a call: with a BYE, or with 480 while its media is being opened. False when there is no such call.
    pub fn hang_up(&mut self, now: Instant, stream: StreamId) -> bool {
        let found = if self.openings.contains_key(&stream) {
            self.refuse_opening(now, stream, CallEnd::Operator);
            true
        } else {
            let found = self.calls.contains_key(&stream);
            self.end_call(now, stream, CallEnd::Operator);
            found
        };
        self.drain_layer();
        found
    }

    /// Works with another configuration from here on: timers and bounds of transactions stay as they are, and calls
    /// end when they would have ended.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// What exists right now.
    pub fn gauges(&self) -> Gauges {
        let (server_transactions, client_transactions) = self.layer.len();
        Gauges {
            calls_opening: self.openings.len(),
            calls_answered: self.calls.len(),
            dialogs_ending: self.ended.len(),
            server_transactions,
            client_transactions,
        }
    }

    /// What was counted, here and in the transactions.
    pub fn counters(&self) -> (Counters, txn::Counters) {
        (self.counters, self.layer.counters())
    }

    fn response_received(&mut self, now: Instant, response: &Message) {
        // Only BYEs are ever sent. Their dialogs are over, whatever is answered.
        let known = match response.essentials() {
            Ok(essentials) => self.layer.handle_response(now, response, &essentials),
            Err(_) => None,
        };
        if known.is_none() {
            self.counters.dropped += 1;
        }
    }

    /// Carries out what the transaction layer wants.
    fn drain_layer(&mut self) {
        while let Some(output) = self.layer.poll_output() {
            match output {
                txn::Output::Send { octets, .. } => self.outputs.push_back(Output::Send { octets }),
                txn::Output::Timeout { .. } => self.counters.byes_failed += 1,
                txn::Output::ClientEnded { client } => self.forget_ended(client),
                // Nothing hangs on a server transaction that is over: what waits for an ACK has a time of its own.
                txn::Output::ServerEnded { .. } => {}
            }
        }
    }

    /// Adds an output behind what the transactions wanted before it.
    fn push(&mut self, output: Output) {
        self.drain_layer();
        self.outputs.push_back(output);
    }

    fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// Twelve random octets as a tag.
    fn new_tag(&mut self) -> Bytes {
        viaduct_sip::token::random_token::<12>(|octets| self.rng.fill_bytes(octets)).into()
    }

    fn new_branch(&mut self) -> String {
        viaduct_sip::token::random_branch::<12>(|octets| self.rng.fill_bytes(octets))
    }
}
