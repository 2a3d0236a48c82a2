//! The relay with one worker, its sockets, the time, and the network around it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use viaduct_forward::{
    Command, DropReason, Epoch, FlowRule, PacketBuf, Report, Shared, SocketId, StatsTable, Tick, Verdict,
    Worker,
};
use viaduct_ng::{
    Answer, ByteString, CallReport, Delete, ErrorReason, List, Offer, OkReply, Options, Query, Reply,
    Request, WordSet, flags,
};
use viaduct_sdp::Session;
use viaduct_session::{
    CallName, Certificate, Config, Event, FaxId, FaxInput, Interface, InterfaceAddress, NotRebuilt, Output,
    Parts, Relay, StateChange, WallClock, What,
};

use crate::weather::Weather;

pub(crate) const RELAY: &str = "192.0.2.1";
pub(crate) const RELAY_V6: &str = "2001:db8::1";
/// The port that browsers share.
pub(crate) const SHARED: u16 = 3478;
pub(crate) const CALL: &str = "call-1";
/// When the world begins, in seconds since 1970.
pub(crate) const BEGINNING: u64 = 1_700_000_000;

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A datagram on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) data: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) worker: Worker,
    pub(crate) shared: Shared,
    pub(crate) now: Instant,
    epoch: Epoch,
    sockets: BTreeMap<SocketAddr, SocketId>,
    next_socket: u32,
    /// What the relay has sent and nobody has received yet.
    pub(crate) network: VecDeque<Datagram>,
    /// What becomes of datagrams on their way. Without it they arrive at once and all of them.
    pub(crate) weather: Option<Weather>,
    pub(crate) events: Vec<Event>,
    /// Rules that the worker has, by their keys.
    pub(crate) rules: BTreeMap<viaduct_forward::FlowId, FlowRule>,
    /// How sockets mark what leaves them.
    pub(crate) marks: BTreeMap<SocketAddr, u8>,
    /// Pairs that cannot be opened.
    pub(crate) ports_fail: bool,
    /// What fax gateways were told.
    pub(crate) faxes: Vec<(FaxId, FaxInput)>,
    /// Gateways that have begun and have not ended.
    gateways: BTreeSet<FaxId>,
    /// What the relay wants to be kept of calls, by row.
    pub(crate) store: BTreeMap<CallName, BTreeMap<u32, Vec<u8>>>,
    config: Config,
    run: u32,
    unix: Duration,
}

#[expect(clippy::disallowed_methods, reason = "a test's base instant")]
fn base() -> Instant {
    Instant::now()
}

/// One interface with the shared port, four pairs in stock at each address.
pub(crate) fn config() -> Config {
    let mut address = InterfaceAddress::new(RELAY.parse().unwrap());
    address.browser_port = Some(SHARED);
    Config {
        port_stock: 8,
        ..Config::new(vec![Interface {
            name: "default".to_owned(),
            addresses: vec![address],
        }])
    }
}

pub(crate) fn certificate() -> Certificate {
    let made = dimpl::certificate::generate_self_signed_certificate().unwrap();
    Certificate {
        certificate: made.certificate,
        private_key: made.private_key,
    }
}

/// Options as a proxy's operator writes them.
pub(crate) fn options(text: &str) -> Options {
    let parsed = flags::parse_opensips(text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.flags.options
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let mut world = Self::at(base(), Duration::from_secs(BEGINNING), config, 1);
        world.carry_out();
        world
    }

    /// The relay is killed and another one begins after a while. What became of each call.
    pub(crate) fn restart(self, down: Duration) -> (Self, Vec<Result<(), NotRebuilt>>) {
        let config = self.config.clone();
        self.restart_with(down, config)
    }

    pub(crate) fn restart_with(self, down: Duration, config: Config) -> (Self, Vec<Result<(), NotRebuilt>>) {
        let began = self.epoch.instant(Tick::ZERO);
        let alive = self.unix + (self.now - began);
        let (now, store) = (self.now + down, self.store);
        let mut world = Self::at(now, alive + down, config, self.run + 1);
        let mut results = Vec::new();
        for (name, rows) in &store {
            let rows: Vec<_> = rows.clone().into_iter().collect();
            let result = world.relay.rebuild(now, alive, *name, &rows);
            results.push(result.map(|rebuilt| {
                for pair in rebuilt.pairs() {
                    world.bind(pair.rtp());
                    world.bind(pair.rtcp());
                }
                world.relay.go_on(now, rebuilt);
            }));
        }
        world.store = store;
        world.carry_out();
        (world, results)
    }

    fn at(now: Instant, unix: Duration, config: Config, run: u32) -> Self {
        let (shared, epoch) = (Shared::default(), Epoch::new(now));
        let shared_ports: Vec<SocketAddr> = config
            .interfaces
            .iter()
            .flat_map(|interface| &interface.addresses)
            .filter_map(|of| Some(SocketAddr::new(of.address, of.browser_port?)))
            .collect();
        let parts = Parts {
            rng: StdRng::seed_from_u64(6 + u64::from(run)),
            certificate: certificate(),
            stats: StatsTable::clone(&shared.stats),
            epoch,
            clock: WallClock::new(now, unix),
        };
        let mut relay = Relay::new(now, config.clone(), parts).unwrap();
        relay.keep_state(run, shared.crypto.clone());
        let mut world = Self {
            relay,
            worker: Worker::new(viaduct_forward::Limits::default(), shared.clone(), [7, 11]),
            shared,
            now,
            epoch,
            sockets: BTreeMap::new(),
            next_socket: 0,
            network: VecDeque::new(),
            weather: None,
            events: Vec::new(),
            rules: BTreeMap::new(),
            marks: BTreeMap::new(),
            ports_fail: false,
            faxes: Vec::new(),
            gateways: BTreeSet::new(),
            store: BTreeMap::new(),
            config,
            run,
            unix,
        };
        shared_ports.into_iter().for_each(|local| world.bind(local));
        world
    }

    fn bind(&mut self, local: SocketAddr) {
        let socket = SocketId(self.next_socket);
        self.next_socket += 1;
        assert_eq!(self.sockets.insert(local, socket), None, "{local} is bound twice");
        self.order(&Command::BindSocket { socket, local });
    }

    fn unbind(&mut self, local: SocketAddr) {
        let named = |rule: &&FlowRule| rule.key.local == local || rule.outs().any(|out| out.local == local);
        let left: Vec<_> = self.rules.values().filter(named).collect();
        assert_eq!(
            left,
            Vec::<&FlowRule>::new(),
            "rules name {local}, which is closed"
        );
        let socket = self.sockets.remove(&local).unwrap();
        self.order(&Command::UnbindSocket { socket });
    }

    fn order(&mut self, command: &Command) {
        let tick = self.epoch.tick(self.now);
        match command {
            Command::InstallFlow(rule) => drop(self.rules.insert(rule.flow, rule.clone())),
            Command::RemoveFlow { flow } => drop(self.rules.remove(flow)),
            _ => {}
        }
        let result = self.worker.handle_command(tick, command.clone());
        assert_eq!(result, Ok(()), "{command:?}");
    }

    /// Does all that the relay wants, and tells it what the worker reports, until nothing is left.
    pub(crate) fn carry_out(&mut self) {
        loop {
            while let Some(output) = self.relay.poll_output() {
                self.carry_out_one(output);
            }
            let Some(report) = self.worker.poll_report() else {
                break;
            };
            self.report(report);
        }
        while let Some(change) = self.relay.poll_state() {
            match change {
                StateChange::Put { call, row, octets } => {
                    self.store.entry(call).or_default().insert(row, octets);
                }
                StateChange::Append { call, row, of, count } => {
                    let rows = self.store.remove(&of).unwrap_or_default();
                    let moved = rows.into_iter().filter(|(number, _)| *number < count);
                    let moved = moved.map(|(number, octets)| (row + number, octets));
                    self.store.entry(call).or_default().extend(moved);
                }
                StateChange::Remove { call } => drop(self.store.remove(&call)),
            }
        }
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.relay.handle_report(self.now, report);
    }

    fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::OpenPair(pair) if self.ports_fail => self.relay.handle_pair_failed(self.now, pair),
            Output::OpenPair(pair) => {
                self.bind(pair.rtp());
                self.bind(pair.rtcp());
                self.relay.handle_pair_opened(self.now, pair);
            }
            Output::ClosePair(pair) => {
                self.unbind(pair.rtp());
                self.unbind(pair.rtcp());
            }
            Output::Crypto(command) => self.shared.crypto.apply(&command).unwrap(),
            Output::Forward(command) => self.order(&command),
            Output::Send { from, to, data } => {
                assert!(self.sockets.contains_key(&from), "nothing is bound to {from}");
                self.emit(Datagram { from, to, data });
            }
            Output::Emit {
                from,
                to,
                protect,
                kind,
                packet,
            } => {
                assert!(self.sockets.contains_key(&from), "nothing is bound to {from}");
                let tick = self.epoch.tick(self.now);
                let data = match protect {
                    Some(id) => self.shared.crypto.protect(tick, id, kind, packet).unwrap(),
                    None => packet,
                };
                self.emit(Datagram { from, to, data });
            }
            Output::Fax(id, input) => {
                let expected = match &input {
                    FaxInput::Begin(..) => self.gateways.insert(id),
                    FaxInput::End => self.gateways.remove(&id),
                    _ => self.gateways.contains(&id),
                };
                assert!(expected, "{id:?}: {input:?}");
                self.faxes.push((id, input));
            }
            Output::Inject { local, from, data } => drop(self.judge(from, local, &data)),
            Output::Mark { local, tos } => {
                assert!(self.sockets.contains_key(&local));
                self.marks.insert(local, tos);
            }
            Output::Event(event) => self.events.push(event),
        }
    }

    /// A datagram reaches one of the relay's sockets. What the worker makes of it.
    pub(crate) fn receive(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> Verdict {
        let verdict = self.judge(from, to, data);
        self.carry_out();
        verdict
    }

    /// The relay sends a datagram.
    fn emit(&mut self, datagram: Datagram) {
        match &mut self.weather {
            Some(weather) => weather.carry(self.now, datagram),
            None => self.network.push_back(datagram),
        }
    }

    /// An endpoint sends a datagram to the relay, through whatever weather there is.
    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        let Some(weather) = &mut self.weather else {
            self.receive(from, to, data);
            return;
        };
        let data = data.to_vec();
        weather.carry(self.now, Datagram { from, to, data });
    }

    /// Lets arrive what is due.
    fn arrive(&mut self) {
        let Some(weather) = &mut self.weather else { return };
        for datagram in weather.arrived(self.now) {
            if self.sockets.contains_key(&datagram.to) {
                self.receive(datagram.from, datagram.to, &datagram.data);
            } else {
                self.network.push_back(datagram);
            }
        }
    }

    fn judge(&mut self, from: SocketAddr, local: SocketAddr, data: &[u8]) -> Verdict {
        let Some(socket) = self.sockets.get(&local).copied() else {
            return Verdict::Drop(DropReason::UnknownSource);
        };
        let mut buffer = PacketBuf::new();
        buffer.fill(data);
        let verdict = self
            .worker
            .handle_datagram(self.epoch.tick(self.now), socket, from, &mut buffer);
        let data = buffer.data().to_vec();
        match verdict {
            Verdict::Forward { out, via } => {
                assert_eq!(self.sockets.get(&out.local), Some(&via));
                self.emit(Datagram {
                    from: out.local,
                    to: out.remote,
                    data,
                });
            }
            Verdict::Reply => self.emit(Datagram {
                from: local,
                to: from,
                data,
            }),
            Verdict::ToControl(why) => self.relay.handle_packet(self.now, why, local, from, &data),
            Verdict::Drop(_) => {}
        }
        while let Some((out, via)) = self.worker.poll_copy(&mut buffer) {
            assert_eq!(self.sockets.get(&out.local), Some(&via));
            self.network.push_back(Datagram {
                from: out.local,
                to: out.remote,
                data: buffer.data().to_vec(),
            });
        }
        verdict
    }

    /// What is bound.
    pub(crate) fn sockets(&self) -> Vec<SocketAddr> {
        self.sockets.keys().copied().collect()
    }

    /// Takes what the relay has sent to an address.
    pub(crate) fn take(&mut self, to: SocketAddr) -> Vec<Datagram> {
        let (taken, left) = std::mem::take(&mut self.network)
            .into_iter()
            .partition(|datagram| datagram.to == to);
        self.network = left;
        Vec::from(taken)
    }

    /// Time passes; the relay's timers run when they are due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut turns = 0;
        while let Some(at) = self.relay.poll_timeout().filter(|at| *at <= end) {
            turns = if at > self.now { 0 } else { turns + 1 };
            assert!(turns < 20, "the timers of the relay do not come to rest");
            self.now = self.now.max(at);
            self.relay.handle_timeout(self.now);
            self.carry_out();
        }
        self.now = end;
        self.arrive();
    }

    pub(crate) fn wait_millis(&mut self, millis: u64) {
        self.wait(Duration::from_millis(millis));
    }

    pub(crate) fn ng(&mut self, request: &Request) -> Reply {
        let reply = self
            .relay
            .handle_ng(self.now, Some(IpAddr::from([127, 0, 0, 1])), request);
        self.carry_out();
        reply
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, request: &Request) -> OkReply {
        match self.ng(request) {
            Reply::Ok(ok) => *ok,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn fails(&mut self, request: &Request) -> ErrorReason {
        match self.ng(request) {
            Reply::Error { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// The SDP that an offer or answer is given back.
    #[track_caller]
    pub(crate) fn sdp(&mut self, request: &Request) -> Sdp {
        let sdp = self.ok(request).sdp.expect("an SDP");
        Sdp::of(&sdp)
    }

    #[track_caller]
    pub(crate) fn query(&mut self) -> CallReport {
        self.query_call(CALL)
    }

    #[track_caller]
    pub(crate) fn query_call(&mut self, call: &str) -> CallReport {
        let query = Request::Query(Query {
            call_id: call.into(),
            from_tag: None,
            to_tag: None,
        });
        *self.ok(&query).call.expect("a call")
    }

    pub(crate) fn list(&mut self) -> Vec<ByteString> {
        self.ok(&Request::List(List::default())).calls.expect("calls")
    }

    /// Events of a kind since the last time they were asked for.
    pub(crate) fn take_events(&mut self) -> Vec<What> {
        std::mem::take(&mut self.events)
            .into_iter()
            .map(|event| event.what)
            .collect()
    }

    /// The same by name.
    pub(crate) fn take_event_names(&mut self) -> Vec<String> {
        let name = |what: &What| {
            format!("{what:?}")
                .split([' ', '{'])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        self.take_events().iter().map(name).collect()
    }

    /// After the last call and all rests: nothing is left anywhere.
    #[track_caller]
    pub(crate) fn assert_empty(&mut self) {
        self.wait(Duration::from_secs(120));
        assert_eq!(self.relay.gauges(), viaduct_session::Gauges::default());
        let forward = self.worker.stats().snapshot();
        assert_eq!(forward.flows, 0, "flows");
        assert_eq!(self.shared.stats.sizes(), (0, 0), "counters of flows and legs");
        assert_eq!(self.shared.crypto.len(), 0, "SRTP contexts");
        for usage in self.relay.port_usage() {
            assert_eq!((usage.used, usage.opening, usage.resting), (0, 0, 0), "{usage:?}");
        }
        assert_eq!(self.store, BTreeMap::new(), "what is kept of calls");
        assert_eq!(self.gateways, BTreeSet::new(), "fax gateways");
    }
}

/// An offer in the first call.
pub(crate) fn offer(sdp: &str, from: &str, to: Option<&str>, flags: &str) -> Request {
    Request::Offer(Box::new(Offer {
        sdp: sdp.into(),
        call_id: CALL.into(),
        from_tag: from.into(),
        to_tag: to.map(ByteString::from),
        via_branch: None,
        options: options(flags),
    }))
}

/// An answer in the first call: `to` answers what `from` has offered.
pub(crate) fn answer(sdp: &str, from: &str, to: &str, flags: &str) -> Request {
    Request::Answer(Box::new(Answer {
        sdp: sdp.into(),
        call_id: CALL.into(),
        from_tag: from.into(),
        to_tag: to.into(),
        via_branch: None,
        options: options(flags),
    }))
}

/// The same offer or answer in another call.
pub(crate) fn in_call(call: &str, request: Request) -> Request {
    match request {
        Request::Offer(mut offer) => {
            offer.call_id = call.into();
            Request::Offer(offer)
        }
        Request::Answer(mut answer) => {
            answer.call_id = call.into();
            Request::Answer(answer)
        }
        other => other,
    }
}

/// Deletes the first call at once.
pub(crate) fn delete_now() -> Request {
    delete_call(CALL)
}

/// Deletes a call at once.
pub(crate) fn delete_call(call: &str) -> Request {
    Request::Delete(Delete {
        call_id: call.into(),
        from_tag: None,
        to_tag: None,
        via_branch: None,
        delete_delay: Some(Duration::ZERO),
        flags: WordSet::new(),
    })
}

/// An SDP that the relay has written.
#[derive(Clone)]
pub(crate) struct Sdp {
    pub(crate) text: String,
    pub(crate) session: Session,
}

impl Sdp {
    #[track_caller]
    pub(crate) fn of(octets: &[u8]) -> Self {
        let session = Session::parse(octets).unwrap();
        let name = session.name().expect("an s= line");
        assert!(!name.is_empty(), "Chromium refuses an empty s=");
        Self {
            text: String::from_utf8(octets.to_vec()).unwrap(),
            session,
        }
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.text.lines().any(|have| have == line)
    }

    pub(crate) fn has_attribute(&self, name: &str) -> bool {
        let (flag, with_value) = (format!("a={name}"), format!("a={name}:"));
        self.text
            .lines()
            .any(|line| line == flag || line.starts_with(&with_value))
    }

    /// The values of all attributes with a name.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let start = format!("a={name}:");
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix(&start))
            .collect()
    }

    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> &str {
        let values = self.values(name);
        assert_eq!(values.len(), 1, "a={name} in {}", self.text);
        values[0]
    }

    /// Where the relay hears the m-line at a position.
    #[track_caller]
    pub(crate) fn address(&self, media: usize) -> SocketAddr {
        let media = self.session.media(media).expect("the m-line");
        let connection = media.effective_connection().unwrap().unwrap();
        SocketAddr::new(connection.address.ip().unwrap(), media.port())
    }

    /// The m-lines.
    pub(crate) fn m_lines(&self) -> Vec<&str> {
        self.text.lines().filter(|line| line.starts_with("m=")).collect()
    }
}
