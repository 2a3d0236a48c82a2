//! The asking side of NG over datagrams: repeats, gives up, and knows whether its relay is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::decode::DecodeError;
use crate::limits::Limits;
use crate::packet::{Encoding, Packet, encode_packet};
use crate::reply::{Reply, ReplyError};
use crate::request::Request;

/// Settings and bounds of a [`Client`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// When a request is sent, counted from when it was made, in rising order. Default five times: at 0, 250,
    /// 750, 1500 and 2000 ms.
    pub send_after: Vec<Duration>,
    /// When a request is given up, counted from when it was made. Default 2.5 s, so that a caller hears within
    /// 3 s whatever happens.
    pub give_up_after: Duration,
    /// How often a relay that did not answer is asked whether it is back. Default 2 s.
    pub ping_interval: Duration,
    /// Requests without a reply at the same time. Default 4,096.
    pub outstanding_max: usize,
    /// Size of a request, in octets. Default 65,507: the largest UDP payload.
    pub request_octets_max: usize,
    /// How requests are written. Default bencode.
    pub encoding: Encoding,
    /// Limits of replies.
    pub limits: Limits,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            send_after: [0, 250, 750, 1_500, 2_000].map(Duration::from_millis).to_vec(),
            give_up_after: Duration::from_millis(2_500),
            ping_interval: Duration::from_secs(2),
            outstanding_max: 4_096,
            request_octets_max: 65_507,
            encoding: Encoding::Bencode,
            limits: Limits::default(),
        }
    }
}

/// Names a request until its [`ClientEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What became of a request, or of the relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The relay answered.
    Reply {
        /// The request.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// The relay answered something that is not a reply.
    BadReply {
        /// The request.
        ticket: Ticket,
        /// What is wrong with it.
        fault: BadReply,
    },
    /// The relay did not answer.
    Timeout {
        /// The request.
        ticket: Ticket,
    },
    /// A request timed out: the relay is not used until it answers a ping.
    NodeDown,
    /// The relay answers again.
    NodeUp,
}

/// Why an answer is not a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// It cannot be read.
    #[error("{0}")]
    Undecodable(#[from] DecodeError),
    /// It has no result that we know.
    #[error("{0}")]
    NotAReply(#[from] ReplyError),
}

/// Why a request is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The relay did not answer before, and has not come back. Try another.
    #[error("the relay does not answer")]
    NodeDown,
    /// [`ClientConfig::outstanding_max`] requests are unanswered.
    #[error("{limit} requests are unanswered")]
    TooManyOutstanding {
        /// The limit.
        limit: usize,
    },
    /// The request does not fit a datagram.
    #[error("the request has {octets} octets")]
    TooLong {
        /// Its size.
        octets: usize,
    },
}

/// What a [`Client`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientCounters {
    /// Requests made.
    pub requests: u64,
    /// Datagrams sent beyond the first of each request.
    pub retransmissions: u64,
    /// Replies to a request, good or bad.
    pub replies: u64,
    /// Requests given up.
    pub timeouts: u64,
    /// Requests refused.
    pub refused: u64,
    /// Datagrams that answer nothing: late, repeated or foreign.
    pub stray: u64,
    /// Datagrams that are not a message.
    pub malformed: u64,
}

/// A client of one relay. Opens no socket and reads no clock.
///
/// **After every [`request`](Self::request), [`handle_datagram`](Self::handle_datagram) and
/// [`handle_timeout`](Self::handle_timeout), drain [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event) until both return `None`.** Every ticket gets exactly one of
/// [`ClientEvent::Reply`], [`ClientEvent::BadReply`] and [`ClientEvent::Timeout`].
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    /// Makes cookies unique among the clients of a relay, which may key its cache on the cookie alone.
    instance: u64,
    next_sequence: u64,
    outstanding: BTreeMap<u64, Outstanding>,
    /// When each outstanding request needs attention, by time.
    timers: BTreeSet<(Instant, u64)>,
    node: Node,
    transmits: VecDeque<Bytes>,
    events: VecDeque<ClientEvent>,
    counters: ClientCounters,
}

#[derive(Debug)]
struct Outstanding {
    datagram: Bytes,
    made: Instant,
    /// Times it was sent.
    sent: usize,
}

#[derive(Debug)]
enum Node {
    Up,
    Down {
        next_ping: Instant,
        /// The last pings, any of which may be answered.
        pings: VecDeque<u64>,
    },
}

/// Pings that may be answered late.
const PINGS_KEPT: usize = 4;

impl Client {
    /// A client. `instance` is drawn at random by the shell, anew at every start: it must differ from that of
    /// every other client of the relay, now and in the last minute, and should not be guessed.
    pub fn new(config: ClientConfig, instance: u64) -> Self {
        Self {
            config,
            instance,
            next_sequence: 0,
            outstanding: BTreeMap::new(),
            timers: BTreeSet::new(),
            node: Node::Up,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: ClientCounters::default(),
        }
    }

    /// Asks the relay.
    pub fn request(&mut self, now: Instant, request: &Request) -> Result<Ticket, Refused> {
        let made = self.make(now, request);
        match made {
            Ok(_) => self.counters.requests += 1,
            Err(_) => self.counters.refused += 1,
        }
        made
    }

    /// A datagram came from the relay. The caller has checked its sender.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let Ok(packet) = Packet::split(datagram, &self.config.limits) else {
            self.counters.malformed += 1;
            return;
        };
        let Some(sequence) = self.sequence_of(packet.cookie) else {
            self.counters.stray += 1;
            return;
        };
        if self.answers_ping(sequence) {
            self.node_is_up();
            return;
        }
        let Some(outstanding) = self.outstanding.remove(&sequence) else {
            self.counters.stray += 1;
            return;
        };
        self.timers.remove(&(self.attention(&outstanding), sequence));
        debug_assert!(now >= outstanding.made, "time runs forward");
        self.counters.replies += 1;
        self.node_is_up();
        let ticket = Ticket(sequence);
        self.events
            .push_back(match read_reply(&packet, &self.config.limits) {
                Ok(reply) => ClientEvent::Reply { ticket, reply },
                Err(fault) => ClientEvent::BadReply { ticket, fault },
            });
    }

    /// [`poll_timeout`](Self::poll_timeout) was reached.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, sequence)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            self.attend(now, sequence);
        }
        if let Node::Down { next_ping, .. } = self.node
            && next_ping <= now
        {
            self.ping(now);
        }
    }

    /// The next datagram to send to the relay.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let request = self.timers.first().map(|(at, _)| *at);
        let ping = match self.node {
            Node::Up => None,
            Node::Down { next_ping, .. } => Some(next_ping),
        };
        request.into_iter().chain(ping).min()
    }

    /// True while the relay answers.
    pub fn is_up(&self) -> bool {
        matches!(self.node, Node::Up)
    }

    /// Requests without a reply.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// What was seen so far.
    pub fn counters(&self) -> ClientCounters {
        self.counters
    }

    fn make(&mut self, now: Instant, request: &Request) -> Result<Ticket, Refused> {
        if !self.is_up() {
            return Err(Refused::NodeDown);
        }
        if self.outstanding.len() >= self.config.outstanding_max {
            return Err(Refused::TooManyOutstanding {
                limit: self.config.outstanding_max,
            });
        }
        let (sequence, datagram) = self.encode(request);
        if datagram.len() > self.config.request_octets_max {
            return Err(Refused::TooLong {
                octets: datagram.len(),
            });
        }
        self.outstanding.insert(
            sequence,
            Outstanding {
                datagram,
                made: now,
                sent: 0,
            },
        );
        self.attend(now, sequence);
        Ok(Ticket(sequence))
    }

    fn encode(&mut self, request: &Request) -> (u64, Bytes) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let cookie = self.cookie(sequence);
        let datagram = encode_packet(cookie.as_bytes(), self.config.encoding, &request.to_value());
        (sequence, Bytes::from(datagram))
    }

    fn cookie(&self, sequence: u64) -> String {
        format!("{:016x}_{sequence}", self.instance)
    }

    /// The request a cookie of ours names.
    fn sequence_of(&self, cookie: &[u8]) -> Option<u64> {
        let (_, digits) = str::from_utf8(cookie).ok()?.split_once('_')?;
        let sequence = digits.parse().ok()?;
        (self.cookie(sequence).as_bytes() == cookie).then_some(sequence)
    }

    /// When a request is sent next, or given up.
    fn attention(&self, outstanding: &Outstanding) -> Instant {
        let after = self.config.send_after.get(outstanding.sent).copied();
        let after = after.filter(|after| *after < self.config.give_up_after);
        outstanding.made + after.unwrap_or(self.config.give_up_after)
    }

    /// Sends a request as often as is due, or gives it up.
    fn attend(&mut self, now: Instant, sequence: u64) {
        let Some(mut outstanding) = self.outstanding.remove(&sequence) else {
            return;
        };
        let mut transmit = false;
        while self.attention(&outstanding) <= now {
            if now >= outstanding.made + self.config.give_up_after {
                return self.give_up(now, sequence);
            }
            // After a late wake-up several sends may be due: one datagram stands for them all.
            self.counters.retransmissions += u64::from(outstanding.sent > 0 && !transmit);
            transmit = true;
            outstanding.sent += 1;
        }
        if transmit {
            self.transmits.push_back(outstanding.datagram.clone());
        }
        self.timers.insert((self.attention(&outstanding), sequence));
        self.outstanding.insert(sequence, outstanding);
    }

    fn give_up(&mut self, now: Instant, sequence: u64) {
        self.counters.timeouts += 1;
        self.events.push_back(ClientEvent::Timeout {
            ticket: Ticket(sequence),
        });
        if self.is_up() {
            self.events.push_back(ClientEvent::NodeDown);
            self.node = Node::Down {
                next_ping: now + self.config.ping_interval,
                pings: VecDeque::new(),
            };
        }
    }

    fn ping(&mut self, now: Instant) {
        let (sequence, datagram) = self.encode(&Request::Ping);
        if let Node::Down { next_ping, pings } = &mut self.node {
            *next_ping = now + self.config.ping_interval;
            pings.push_back(sequence);
            if pings.len() > PINGS_KEPT {
                pings.pop_front();
            }
            self.transmits.push_back(datagram);
        }
    }

    fn answers_ping(&self, sequence: u64) -> bool {
        match &self.node {
            Node::Up => false,
            Node::Down { pings, .. } => pings.contains(&sequence),
        }
    }

    fn node_is_up(&mut self) {
        if !self.is_up() {
            self.node = Node::Up;
            self.events.push_back(ClientEvent::NodeUp);
        }
    }
}

fn read_reply(packet: &Packet<'_>, limits: &Limits) -> Result<Reply, BadReply> {
    let value = packet.encoding.decode(packet.body, limits)?;
    let reply = Reply::from_value(&value)?;
    Ok(reply)
}

#[cfg(test)]
mod tests;
