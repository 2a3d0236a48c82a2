//! How a signalling thread asks its relay: the one in this process with values, another one with NG over UDP.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Poll, Token};
use viaduct_mediarelay::RelayHandle;
use viaduct_ng as ng;
use viaduct_routing::{RelayFailure, Ticket};

use super::{ShardHandle, ShardInput};

/// The largest NG reply.
const REPLY_MAX: usize = 65_536;

/// Replies taken before others get their turn.
const REPLIES_A_ROUND: usize = 64;

/// Which relay.
#[derive(Debug, Clone)]
pub(crate) enum RelayTarget {
    /// The one in this process.
    BuiltIn(RelayHandle),
    /// Another one.
    Ng {
        /// Where it listens for NG over UDP.
        address: SocketAddr,
        /// How long it may take, repetitions included.
        patience: Duration,
    },
    /// None: nothing is asked.
    None,
}

/// One thread's way to the relay.
pub(crate) enum RelayLink {
    BuiltIn(RelayHandle),
    Ng(Box<NgLink>),
    None,
}

/// NG over a socket of this thread's own.
pub(crate) struct NgLink {
    socket: UdpSocket,
    client: ng::Client,
    /// Whose reply each request brings.
    tickets: HashMap<ng::Ticket, Ticket>,
    replies: VecDeque<(Ticket, Result<ng::Reply, RelayFailure>)>,
    buffer: Vec<u8>,
    is_readable: bool,
}

impl RelayLink {
    /// Opens what is needed to ask.
    pub(crate) fn new(target: RelayTarget, poll: &Poll, token: Token) -> io::Result<Self> {
        match target {
            RelayTarget::BuiltIn(handle) => Ok(Self::BuiltIn(handle)),
            RelayTarget::None => Ok(Self::None),
            RelayTarget::Ng { address, patience } => {
                let any: IpAddr = if address.is_ipv4() {
                    Ipv4Addr::UNSPECIFIED.into()
                } else {
                    Ipv6Addr::UNSPECIFIED.into()
                };
                let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
                // Only the relay's datagrams are heard, and its absence is an error on sending.
                socket.connect(address)?;
                poll.registry().register(&mut socket, token, Interest::READABLE)?;
                let config = ng::ClientConfig {
                    give_up_after: patience,
                    ..ng::ClientConfig::default()
                };
                Ok(Self::Ng(Box::new(NgLink {
                    socket,
                    client: ng::Client::new(config, rand::random()),
                    tickets: HashMap::new(),
                    replies: VecDeque::new(),
                    buffer: vec![0; REPLY_MAX],
                    is_readable: true,
                })))
            }
        }
    }

    /// Asks. The reply to a ticket comes by the shard's queue or by [`poll_reply`](Self::poll_reply). A ticket that can
    /// have none is given back with the reason.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        ticket: Option<Ticket>,
        request: ng::Request,
        shard: ShardHandle,
    ) -> Option<(Ticket, RelayFailure)> {
        let asked = match self {
            Self::BuiltIn(handle) => handle
                .request(request, move |reply| {
                    if let Some(ticket) = ticket {
                        // The relay's thread may wait: a shard never waits for the relay.
                        shard.push_blocking(ShardInput::Relay {
                            ticket,
                            reply: Ok(reply),
                        });
                    }
                })
                .is_ok(),
            Self::Ng(link) => link.ask(now, ticket, &request),
            Self::None => false,
        };
        ticket
            .filter(|_| !asked)
            .map(|ticket| (ticket, RelayFailure::Unavailable))
    }

    /// Datagrams of the relay wait.
    pub(crate) fn readable(&mut self) {
        if let Self::Ng(link) = self {
            link.is_readable = true;
        }
    }

    /// Takes replies, repeats what got none, gives up on what has waited too long.
    pub(crate) fn work(&mut self, now: Instant) {
        if let Self::Ng(link) = self {
            link.work(now);
        }
    }

    pub(crate) fn poll_reply(&mut self) -> Option<(Ticket, Result<ng::Reply, RelayFailure>)> {
        match self {
            Self::BuiltIn(_) | Self::None => None,
            Self::Ng(link) => link.replies.pop_front(),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::BuiltIn(_) | Self::None => None,
            Self::Ng(link) => link.client.poll_timeout(),
        }
    }
}

impl NgLink {
    fn ask(&mut self, now: Instant, ticket: Option<Ticket>, request: &ng::Request) -> bool {
        let asked = self.client.request(now, request);
        if let (Ok(asked), Some(ticket)) = (&asked, ticket) {
            self.tickets.insert(*asked, ticket);
        }
        self.transmit();
        asked.is_ok()
    }

    fn work(&mut self, now: Instant) {
        if self.is_readable {
            self.is_readable = self.receive(now);
        }
        if self.client.poll_timeout().is_some_and(|at| at <= now) {
            self.client.handle_timeout(now);
        }
        self.transmit();
        while let Some(event) = self.client.poll_event() {
            let (asked, reply) = match event {
                ng::ClientEvent::Reply { ticket, reply } => (ticket, Ok(reply)),
                ng::ClientEvent::Timeout { ticket } => (ticket, Err(RelayFailure::Timeout)),
                ng::ClientEvent::BadReply { ticket, fault } => {
                    tracing::warn!("the relay's reply cannot be read: {fault}");
                    (ticket, Err(RelayFailure::Unavailable))
                }
                ng::ClientEvent::NodeDown => {
                    tracing::warn!("the media relay does not answer");
                    continue;
                }
                ng::ClientEvent::NodeUp => {
                    tracing::info!("the media relay answers again");
                    continue;
                }
            };
            if let Some(ticket) = self.tickets.remove(&asked) {
                self.replies.push_back((ticket, reply));
            }
        }
    }

    /// Takes datagrams. True when more may wait.
    fn receive(&mut self, now: Instant) -> bool {
        for _ in 0..REPLIES_A_ROUND {
            match self.socket.recv(&mut self.buffer) {
                Ok(len) => self.client.handle_datagram(now, &self.buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Nobody listens there: the client finds out by silence.
                Err(_) => return true,
            }
        }
        true
    }

    fn transmit(&mut self) {
        while let Some(octets) = self.client.poll_transmit() {
            // A datagram that is lost here is sent again like one that is lost on the way.
            let _ = self.socket.send(&octets);
        }
    }
}
