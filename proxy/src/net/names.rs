//! Names into addresses: one task with the resolver, and a short one for each question to DNS.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use viaduct_resolve::{
    Answer, Candidate, Config, Counters, Failure, NextHop, Output, QueryId, Question, Resolver, WireError,
};
use viaduct_routing::{Reachable, Ticket};
use viaduct_sip::Transport;

use crate::shard::{ShardInput, Shards};

/// Where the system says which DNS servers there are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Servers that are asked, of those that the system names (as its own resolver does).
const SERVERS_MAX: usize = 3;

/// How often every server is asked before there is no answer.
const ROUNDS: usize = 2;

/// The port of a DNS server.
const DNS_PORT: u16 = 53;

/// Octets of an answer over UDP that are read; more than was asked for.
const DATAGRAM_MAX: usize = 4_096;

/// How names are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamesConfig {
    /// What the resolver is told.
    pub(crate) resolver: Config,
    /// DNS servers; `None` asks those of the system (`dns.servers`).
    pub(crate) servers: Option<Vec<SocketAddr>>,
    /// How long one server may take (`dns.timeout`).
    pub(crate) timeout: Duration,
}

/// The way to the resolver's task.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    inputs: mpsc::Sender<Input>,
    /// What is spoken: enough for next hops that are addresses.
    config: Arc<RwLock<Arc<Config>>>,
    snapshot: Arc<Mutex<NamesSnapshot>>,
}

/// What the resolver has counted, and what it keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NamesSnapshot {
    pub(crate) counters: Counters,
    /// Answers that are kept.
    pub(crate) cached: usize,
}

#[derive(Debug)]
enum Input {
    Query {
        shard: usize,
        ticket: Ticket,
        next_hop: NextHop,
    },
    Dead {
        transport: Transport,
        remote: SocketAddr,
    },
    Reconfigure(NamesConfig),
}

impl Names {
    /// Starts the task. Must be called inside a Tokio runtime; it ends when the last handle is dropped.
    pub(crate) fn start(config: &NamesConfig, shards: Shards) -> Self {
        let (inputs, queue) = mpsc::channel(config.resolver.limits.queries_max);
        let snapshot = Arc::<Mutex<NamesSnapshot>>::default();
        let desk = Desk {
            resolver: Resolver::new(config.resolver.clone(), rand::random()),
            client: Client::new(config),
            shards,
            waiting: HashMap::new(),
            asking: JoinSet::new(),
            queries: 0,
            snapshot: Arc::clone(&snapshot),
        };
        tokio::spawn(desk.run(queue));
        Self {
            inputs,
            config: Arc::new(RwLock::new(Arc::new(config.resolver.clone()))),
            snapshot,
        }
    }

    /// Asks for the addresses of a next hop. One that is an address itself is answered here; otherwise
    /// [`ShardInput::Resolved`] brings the answer.
    pub(crate) fn resolve(
        &self,
        shard: usize,
        ticket: Ticket,
        next_hop: NextHop,
    ) -> Option<Result<Vec<Reachable>, Failure>> {
        if let Some(found) = self.config().direct(&next_hop) {
            return Some(found.map(|found| found.into_iter().filter_map(reachable).collect()));
        }
        let query = Input::Query {
            shard,
            ticket,
            next_hop,
        };
        let is_taken = self.inputs.try_send(query).is_ok();
        (!is_taken).then_some(Err(Failure::Busy))
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An address took no request.
    pub(crate) fn dead(&self, transport: Transport, remote: SocketAddr) {
        // When too many ask, that it is dead will be found out again.
        let _ = self.inputs.try_send(Input::Dead { transport, remote });
    }

    /// Resolves in another way from here on.
    pub(crate) async fn reconfigure(&self, config: NamesConfig) {
        let shared = Arc::new(config.resolver.clone());
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = shared;
        // An error means that the process ends.
        let _ = self.inputs.send(Input::Reconfigure(config)).await;
    }

    pub(crate) fn snapshot(&self) -> NamesSnapshot {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task with the resolver.
struct Desk {
    resolver: Resolver,
    client: Client,
    shards: Shards,
    /// Which shard waits for which query.
    waiting: HashMap<QueryId, (usize, Ticket)>,
    /// Questions under way; the resolver bounds their number.
    asking: JoinSet<(Question, Answer)>,
    queries: u64,
    snapshot: Arc<Mutex<NamesSnapshot>>,
}

impl Desk {
    async fn run(mut self, mut queue: mpsc::Receiver<Input>) {
        loop {
            tokio::select! {
                input = queue.recv() => match input {
                    Some(input) => self.take(input),
                    None => return,
                },
                Some(asked) = self.asking.join_next() => {
                    // A task that asks has nothing in it that could panic; without its answer the query would hang.
                    if let Ok((question, answer)) = asked {
                        self.resolver.handle_answer(Instant::now(), &question, answer);
                    }
                }
            }
            self.carry_out().await;
        }
    }

    fn take(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Query {
                shard,
                ticket,
                next_hop,
            } => {
                self.queries += 1;
                let query = QueryId(self.queries);
                self.waiting.insert(query, (shard, ticket));
                self.resolver.handle_query(now, query, next_hop);
            }
            Input::Dead { transport, remote } => self.resolver.handle_dead(now, transport, remote),
            Input::Reconfigure(config) => {
                self.client = Client::new(&config);
                self.resolver.reconfigure(config.resolver);
            }
        }
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.resolver.poll_output() {
            match output {
                Output::Ask(question) => {
                    let client = self.client.clone();
                    self.asking.spawn(async move {
                        let answer = client.ask(&question).await;
                        (question, answer)
                    });
                }
                Output::Resolved { query, found } => {
                    let Some((shard, ticket)) = self.waiting.remove(&query) else {
                        continue;
                    };
                    let found = found.map(|found| found.into_iter().filter_map(reachable).collect());
                    let input = ShardInput::Resolved { ticket, found };
                    self.shards.at(shard).push(input).await;
                }
            }
        }
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        *snapshot = NamesSnapshot {
            counters: self.resolver.counters(),
            cached: self.resolver.len().1,
        };
    }
}

/// A candidate with the address of this machine that it is reached from. `None` when there is no way to it.
fn reachable(candidate: Candidate) -> Option<Reachable> {
    let any: IpAddr = if candidate.remote.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    // Connecting a datagram socket sends nothing: the kernel only chooses the way.
    socket.connect(candidate.remote).ok()?;
    let source = socket.local_addr().ok()?.ip();
    Some(Reachable { candidate, source })
}

/// Asks DNS servers.
#[derive(Debug, Clone)]
struct Client {
    servers: Arc<[SocketAddr]>,
    patience: Duration,
}

impl Client {
    fn new(config: &NamesConfig) -> Self {
        let servers = config.servers.clone().unwrap_or_else(system_servers);
        Self {
            servers: servers.into(),
            patience: config.timeout,
        }
    }

    /// Asks one server after the other, and all of them once more.
    async fn ask(&self, question: &Question) -> Answer {
        for _ in 0..ROUNDS {
            for &server in &*self.servers {
                match timeout(self.patience, ask_server(server, question)).await {
                    Ok(Ok(Answer::Failed)) => {
                        tracing::debug!(%server, name = %question.name, "DNS server cannot tell");
                    }
                    Ok(Ok(answer)) => return answer,
                    Ok(Err(error)) => {
                        tracing::debug!(%server, name = %question.name, "asking DNS: {error}");
                    }
                    Err(_) => tracing::debug!(%server, name = %question.name, "DNS server is silent"),
                }
            }
        }
        tracing::warn!(
            name = %question.name,
            kind = ?question.kind,
            "no DNS server answers; they are: {:?}",
            self.servers
        );
        Answer::Failed
    }
}

/// Asks one server: over UDP from a port of its own, so that an answer is hard to forge, and over TCP when the answer does
/// not fit.
async fn ask_server(server: SocketAddr, question: &Question) -> io::Result<Answer> {
    let number = rand::random();
    let Ok(octets) = question.encode(number) else {
        // Nobody can have a name that cannot be asked for.
        return Ok(Answer::Nothing { ttl: None });
    };
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&octets).await?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let len = socket.recv(&mut buffer).await?;
        match question.decode(number, &buffer[..len]) {
            Ok(answer) => return Ok(answer),
            Err(WireError::Truncated) => return ask_over_tcp(server, question, number, &octets).await,
            // Whoever sent that, the server may still answer.
            Err(_) => {}
        }
    }
}

/// RFC 1035 section 4.2.2: the length goes first.
async fn ask_over_tcp(
    server: SocketAddr,
    question: &Question,
    number: u16,
    octets: &[u8],
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    // A question is far shorter than that.
    let len = u16::try_from(octets.len()).unwrap_or_default();
    stream.write_all(&[&len.to_be_bytes(), octets].concat()).await?;
    let len = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(len)];
    stream.read_exact(&mut answer).await?;
    question.decode(number, &answer).map_err(io::Error::other)
}

/// The servers of the system. Without any it is the machine itself, as resolv.conf(5) says.
fn system_servers() -> Vec<SocketAddr> {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let servers = servers_in(&text);
    if servers.is_empty() {
        return vec![(Ipv4Addr::LOCALHOST, DNS_PORT).into()];
    }
    servers
}

fn servers_in(resolv_conf: &str) -> Vec<SocketAddr> {
    let lines = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok())?
    });
    lines.take(SERVERS_MAX).map(|ip| (ip, DNS_PORT).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_the_system_are_those_of_its_file() {
        let text = "# made by hand\nsearch example.com\nnameserver 192.0.2.53\n nameserver 2001:db8::53 # second\n\
                    nameserver x\nnameserver 192.0.2.54\nnameserver 192.0.2.55\noptions edns0";
        let expected: Vec<SocketAddr> = ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:53"]
            .map(|server| server.parse().unwrap())
            .into();
        assert_eq!(servers_in(text), expected);
    }

    #[test]
    fn the_machine_says_from_where_it_reaches_a_peer() {
        let candidate = Candidate {
            transport: Transport::Udp,
            remote: "127.0.0.9:5060".parse().unwrap(),
            name: None,
            is_fixed: false,
        };
        let source = reachable(candidate).map(|reachable| reachable.source);
        assert_eq!(source, Some(Ipv4Addr::LOCALHOST.into()));
    }
}
