//! The media of the services: one thread, two sockets a call.
//!
//! It never waits for a shard: what a shard's queue has no room for is said again a moment later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token};
use viaduct_service::{
    Component, Family, MediaAddress, MediaOpenError, MediaParams, Service, Stream, StreamConfig, StreamId,
    StreamSetup,
};

use super::{Addresses, ServiceInput};
use crate::shard::{Handle, Inputs, ShardInput, Shards, WAKE, pair};

/// Orders that wait; a shard waits for room.
const QUEUE: usize = 256;

/// How often a pair of ports is looked for before there is none.
const PORT_TRIES: usize = 64;

/// Datagrams of one socket handled before the next gets its turn.
const DATAGRAMS_A_ROUND: usize = 16;

/// The largest datagram worth reading: an RTP packet of a network with jumbo frames does not carry speech.
const DATAGRAM_MAX: usize = 2_048;

/// When a shard that had no room is told again.
const RETRY: Duration = Duration::from_millis(5);

/// What shards want.
#[derive(Debug)]
pub(super) enum Order {
    /// Open two sockets and let it sound.
    Open {
        shard: usize,
        stream: StreamId,
        service: Service,
        family: Family,
        params: MediaParams,
    },
    /// Something else was agreed.
    Update {
        shard: usize,
        stream: StreamId,
        params: MediaParams,
    },
    /// Say the last word and close the sockets.
    Close { shard: usize, stream: StreamId },
    /// The shard's thread ends.
    Leave { shard: usize },
}

/// Whose media: streams are numbered by each shard for itself.
type Key = (usize, StreamId);

#[derive(Debug)]
struct Running {
    key: Key,
    stream: Stream,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// When it wants to be asked, as `due` knows it.
    due: Option<Instant>,
}

impl Running {
    fn socket(&self, component: Component) -> &UdpSocket {
        match component {
            Component::Rtp => &self.rtp,
            Component::Rtcp => &self.rtcp,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct MediaThread {
    addresses: Addresses,
    shards: Shards,
    /// Shards whose threads run.
    present: usize,
    poll: Poll,
    orders: Inputs<Order>,
    streams: BTreeMap<usize, Running>,
    numbers: BTreeMap<Key, usize>,
    next_number: usize,
    due: BTreeSet<(Instant, usize)>,
    readable: BTreeSet<Token>,
    unsaid: VecDeque<(usize, ServiceInput)>,
    buffer: Vec<u8>,
}

impl MediaThread {
    /// Starts it. It ends when every shard has left.
    pub(super) fn spawn(addresses: Addresses, shards: Shards) -> io::Result<Handle<Order>> {
        let poll = Poll::new()?;
        let (handle, orders) = pair(&poll, QUEUE)?;
        let thread = Self {
            addresses,
            present: shards.len(),
            shards,
            poll,
            orders,
            streams: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
            due: BTreeSet::new(),
            readable: BTreeSet::new(),
            unsaid: VecDeque::new(),
            buffer: vec![0; DATAGRAM_MAX],
        };
        std::thread::Builder::new()
            .name("services".to_owned())
            .spawn(move || thread.run())?;
        Ok(handle)
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        while self.present > 0 {
            match self.poll.poll(&mut events, self.time_to_sleep()) {
                Ok(()) => {}
                // Sound may be due all the same, however often that happens.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return tracing::error!("the services' media thread ends: {error}"),
            }
            self.readable.extend(
                events
                    .iter()
                    .map(mio::event::Event::token)
                    .filter(|token| *token != WAKE),
            );
            self.say_unsaid();
            self.take_orders();
            self.take_datagrams();
            self.let_sound();
        }
    }

    fn time_to_sleep(&self) -> Option<Duration> {
        if !self.readable.is_empty() || self.orders.is_waiting() {
            return Some(Duration::ZERO);
        }
        let due = self
            .due
            .first()
            .map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let retry = (!self.unsaid.is_empty()).then_some(RETRY);
        due.into_iter().chain(retry).min()
    }

    fn take_orders(&mut self) {
        self.orders.begin();
        for _ in 0..QUEUE {
            let Some(order) = self.orders.next() else { return };
            let now = Instant::now();
            match order {
                Order::Open {
                    shard,
                    stream,
                    service,
                    family,
                    params,
                } => {
                    let result = self.open(now, (shard, stream), service, family, params);
                    self.say(shard, ServiceInput::Opened { stream, result });
                }
                Order::Update {
                    shard,
                    stream,
                    params,
                } => {
                    if let Some(&number) = self.numbers.get(&(shard, stream))
                        && let Some(running) = self.streams.get_mut(&number)
                    {
                        running.stream.update(now, params);
                        self.work(now, number);
                    }
                }
                Order::Close { shard, stream } => self.close(now, (shard, stream)),
                Order::Leave { shard } => self.leave(now, shard),
            }
        }
    }

    fn open(
        &mut self,
        now: Instant,
        key: Key,
        service: Service,
        family: Family,
        params: MediaParams,
    ) -> Result<MediaAddress, MediaOpenError> {
        let ip = self.addresses.of(family).ok_or(MediaOpenError::NoFamily)?;
        let (mut rtp, mut rtcp) = bind_pair(ip)?;
        let address = address_of(&rtp, &rtcp).map_err(|error| MediaOpenError::Io(error.to_string()))?;
        let number = self.next_number;
        self.next_number += 1;
        register(self.poll.registry(), number, &mut rtp, &mut rtcp)
            .map_err(|error| MediaOpenError::Io(error.to_string()))?;
        let setup = StreamSetup {
            service,
            params,
            config: StreamConfig::default(),
            // A clock before 1970 is wrong in any case.
            unix_time: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
            seed: rand::random(),
        };
        let stream = Stream::new(now, setup);
        self.numbers.insert(key, number);
        self.streams.insert(
            number,
            Running {
                key,
                stream,
                rtp,
                rtcp,
                due: None,
            },
        );
        self.work(now, number);
        Ok(address)
    }

    fn close(&mut self, now: Instant, key: Key) {
        let Some(number) = self.numbers.remove(&key) else {
            return;
        };
        let Some(mut running) = self.streams.remove(&number) else {
            return;
        };
        if let Some(due) = running.due {
            self.due.remove(&(due, number));
        }
        if let Some(last) = running.stream.goodbye(now) {
            let socket = match last.from {
                Component::Rtp => &running.rtp,
                Component::Rtcp => &running.rtcp,
            };
            // The peer notices the end of a call without it as well.
            let _ = socket.send_to(last.octets, last.to);
        }
        // Closing a socket takes it out of the poll.
    }

    fn leave(&mut self, now: Instant, shard: usize) {
        let keys: Vec<Key> = self
            .numbers
            .keys()
            .filter(|(owner, _)| *owner == shard)
            .copied()
            .collect();
        for key in keys {
            self.close(now, key);
        }
        self.unsaid.retain(|(to, _)| *to != shard);
        self.present -= 1;
    }

    fn take_datagrams(&mut self) {
        let mut drained = Vec::new();
        for &token in &self.readable {
            let (number, component) = from_token(token);
            let Some(running) = self.streams.get_mut(&number) else {
                drained.push(token);
                continue;
            };
            for _ in 0..DATAGRAMS_A_ROUND {
                match running.socket(component).recv_from(&mut self.buffer) {
                    Ok((len, from)) => {
                        running
                            .stream
                            .handle_packet(Instant::now(), component, from, &self.buffer[..len]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        drained.push(token);
                        break;
                    }
                    // An ICMP error of an earlier datagram.
                    Err(_) => {}
                }
            }
        }
        let heard: BTreeSet<usize> = self.readable.iter().map(|token| from_token(*token).0).collect();
        for token in drained {
            self.readable.remove(&token);
        }
        let now = Instant::now();
        for number in heard {
            self.work(now, number);
        }
    }

    fn let_sound(&mut self) {
        let now = Instant::now();
        while let Some(&(at, number)) = self.due.first() {
            if at > now {
                return;
            }
            self.due.pop_first();
            self.work(now, number);
        }
    }

    /// Sends what a stream has to send, and tells what it has to tell.
    fn work(&mut self, now: Instant, number: usize) {
        let Some(running) = self.streams.get_mut(&number) else {
            return;
        };
        while let Some(transmit) = running.stream.poll_transmit(now) {
            let socket = match transmit.from {
                Component::Rtp => &running.rtp,
                Component::Rtcp => &running.rtcp,
            };
            // A datagram that is lost here is lost like one that is lost on the way.
            let _ = socket.send_to(transmit.octets, transmit.to);
        }
        let (shard, stream) = running.key;
        // What cannot be said now waits in the stream, which keeps a bounded number.
        while self.unsaid.is_empty()
            && let Some(event) = running.stream.poll_event()
        {
            let told = ShardInput::Service(ServiceInput::Told { stream, event });
            if let Err(ShardInput::Service(told)) = self.shards.at(shard).try_give(told) {
                self.unsaid.push_back((shard, told));
            }
        }
        let due = running.stream.poll_timeout();
        if let Some(before) = std::mem::replace(&mut running.due, due) {
            self.due.remove(&(before, number));
        }
        if let Some(due) = due {
            self.due.insert((due, number));
        }
    }

    /// Tells a shard, in order.
    fn say(&mut self, shard: usize, input: ServiceInput) {
        self.unsaid.push_back((shard, input));
        self.say_unsaid();
    }

    fn say_unsaid(&mut self) {
        while let Some((shard, input)) = self.unsaid.pop_front() {
            if let Err(ShardInput::Service(input)) =
                self.shards.at(shard).try_give(ShardInput::Service(input))
            {
                self.unsaid.push_front((shard, input));
                return;
            }
        }
    }
}

/// Two sockets on an even port and the next (RFC 3550 section 11).
fn bind_pair(ip: IpAddr) -> Result<(UdpSocket, UdpSocket), MediaOpenError> {
    for _ in 0..PORT_TRIES {
        let any =
            UdpSocket::bind(SocketAddr::new(ip, 0)).map_err(|error| MediaOpenError::Io(error.to_string()))?;
        let port = any
            .local_addr()
            .map_err(|error| MediaOpenError::Io(error.to_string()))?
            .port();
        // The system gives odd ports as well; those serve as the second of a pair.
        let (own, other) = if port % 2 == 0 {
            (any, port + 1)
        } else {
            (any, port - 1)
        };
        let Ok(other) = UdpSocket::bind(SocketAddr::new(ip, other)) else {
            continue;
        };
        return Ok(if port % 2 == 0 { (own, other) } else { (other, own) });
    }
    Err(MediaOpenError::NoPort)
}

fn address_of(rtp: &UdpSocket, rtcp: &UdpSocket) -> io::Result<MediaAddress> {
    Ok(MediaAddress {
        rtp: rtp.local_addr()?,
        rtcp: rtcp.local_addr()?,
    })
}

fn register(registry: &Registry, number: usize, rtp: &mut UdpSocket, rtcp: &mut UdpSocket) -> io::Result<()> {
    registry.register(rtp, to_token(number, Component::Rtp), Interest::READABLE)?;
    registry.register(rtcp, to_token(number, Component::Rtcp), Interest::READABLE)
}

fn to_token(number: usize, component: Component) -> Token {
    Token(number * 2 + usize::from(component == Component::Rtcp))
}

fn from_token(token: Token) -> (usize, Component) {
    (
        token.0 / 2,
        if token.0.is_multiple_of(2) {
            Component::Rtp
        } else {
            Component::Rtcp
        },
    )
}
