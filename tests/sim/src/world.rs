//! The clock, the network and the proxy under test.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use viaduct_routing::{
    Authenticator, CallCounts, Config, Directory, DirectoryLimits, Event, Guard, GuardLimits, Listener,
    Location, Output, Proxy, RelayFailure, Shard, Shared, Ticket, User, Users, WallClock,
};
use viaduct_sip::digest::{Algorithm, Answer, Challenge, Ha1};
use viaduct_sip::{
    HeaderName, Limits, Message, Method, RequestBuilder, ResponseBuilder, StatusCode, Transport, Via,
};
use viaduct_txn::{ConnId, Flow, Hop};

use crate::end::End;
use crate::{Asked, Dialog, EndId, Hook, Mood, Names, ScriptedRelay, UserSource};

/// Everybody's password.
pub const PASSWORD: &str = "secret";

/// Where a proxy is and what it is called.
#[derive(Debug, Clone, Copy)]
struct Place {
    domain: &'static str,
    ip: [u8; 4],
    /// What its secrets and its randomness are made of.
    key: u8,
}

const FIRST: Place = Place {
    domain: "example.com",
    ip: [192, 0, 2, 1],
    key: 2,
};

const SECOND: Place = Place {
    domain: "second.example",
    ip: [192, 0, 2, 2],
    key: 102,
};

/// What the clock shows when a world begins, since 1970.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// One proxy and everything around it.
#[derive(Debug)]
pub struct World {
    place: Place,
    proxy: Proxy,
    start: Instant,
    now: Instant,
    ends: Vec<End>,
    /// The relay.
    pub relay: ScriptedRelay,
    /// What names lead to.
    pub names: Names,
    /// Users who are not in the configuration.
    pub source: UserSource,
    /// A program that decides about requests, if the configuration has one.
    pub hook: Hook,
    /// Requests that a slow relay has not answered yet.
    unanswered: VecDeque<(Instant, Ticket, viaduct_ng::Request)>,
    events: Vec<Event>,
    /// Whether the store can be written.
    pub store_works: bool,
    /// How long what ends send waits for the proxy to take it up.
    pub queue: Duration,
    branches: u32,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world with users 200 to 209 and 300 to 309, `alice` and `bob`, and everything else as it is by default.
    pub fn new() -> Self {
        Self::with(|_, _| ())
    }

    /// A world whose configuration and users `change` has seen.
    pub fn with(change: impl FnOnce(&mut Config, &mut Vec<User>)) -> Self {
        Self::at(FIRST, change)
    }

    /// Another proxy with a clock of its own: `second.example`, at 192.0.2.2.
    pub fn second(change: impl FnOnce(&mut Config, &mut Vec<User>)) -> Self {
        Self::at(SECOND, change)
    }

    #[allow(clippy::disallowed_methods, reason = "the base of the virtual clock")]
    fn at(place: Place, change: impl FnOnce(&mut Config, &mut Vec<User>)) -> Self {
        let Place { domain, ip, key } = place;
        let mut config = Config::new(domain);
        for (transport, port) in [
            (Transport::Udp, 5060),
            (Transport::Tcp, 5060),
            (Transport::Ws, 8080),
            (Transport::Wss, 8443),
        ] {
            config.listeners.push(Listener {
                transport,
                addr: (ip, port).into(),
                advertised: None,
            });
        }
        let names = (200..210).chain(300..310).map(|number| number.to_string());
        let names = names.chain(["alice".to_owned(), "bob".to_owned()]);
        let mut users: Vec<User> = names
            .map(|name| User::with_password(&name, domain, PASSWORD))
            .collect();
        change(&mut config, &mut users);
        let shared = Shared {
            location: Arc::new(Location::default()),
            auth: Arc::new(Authenticator::new([1; 32], Duration::from_secs(300), 1_000)),
            guard: Arc::new(Guard::new(GuardLimits::default())),
            calls: Arc::new(CallCounts::default()),
            token_secret: [key; 32],
            own_call_ids: "ours-".into(),
        };
        let start = Instant::now();
        let shard = Shard {
            index: 0,
            count: 1,
            seed: [key + 1; 32],
            clock: WallClock::new(start, EPOCH),
        };
        let users: Users = users.into_iter().collect();
        Self {
            place,
            proxy: Proxy::new(Arc::new(config), Arc::new(users), &shared, shard),
            start,
            now: start,
            ends: Vec::new(),
            relay: ScriptedRelay::default(),
            names: Names::default(),
            source: UserSource::default(),
            hook: Hook::default(),
            unanswered: VecDeque::new(),
            events: Vec::new(),
            store_works: true,
            queue: Duration::ZERO,
            branches: 0,
        }
    }

    /// A world in which the same users are kept by a source, and none by the configuration.
    pub fn with_source(change: impl FnOnce(&mut Config)) -> Self {
        let mut elsewhere = Vec::new();
        let mut as_configured = None;
        let mut world = Self::with(|config, users| {
            change(config);
            elsewhere = std::mem::take(users);
            as_configured = Some(config.clone());
        });
        let directory = Arc::new(Directory::new(DirectoryLimits::default()));
        let users = Users::default().with_directory(directory.clone());
        let config = as_configured.unwrap_or_else(|| Config::new("example.com"));
        world.proxy.reconfigure(Arc::new(config), Arc::new(users));
        world.source.directory = Some(directory);
        world.source.users = elsewhere
            .into_iter()
            .map(|user| (user.name.clone(), Arc::new(user)))
            .collect();
        world
    }

    /// A browser of this user, connected over WebSocket.
    pub fn browser(&mut self, user: &str) -> EndId {
        self.add(user, Transport::Ws)
    }

    /// A desk phone of this user, on UDP.
    pub fn phone(&mut self, user: &str) -> EndId {
        self.add(user, Transport::Udp)
    }

    /// An end of this user on any transport.
    pub fn add(&mut self, user: &str, transport: Transport) -> EndId {
        let number = self.ends.len() as u8 + 1;
        let port = match transport {
            Transport::Ws => 8080,
            Transport::Wss => 8443,
            _ => 5060,
        };
        self.ends.push(End {
            user: user.to_owned(),
            flow: Flow {
                transport,
                local: (self.place.ip, port).into(),
                remote: ([10, 0, 0, number], 5_000 + u16::from(number)).into(),
                conn: transport
                    .is_reliable()
                    .then(|| ConnId::new(number.into()).unwrap()),
            },
            is_connected: true,
            inbox: VecDeque::new(),
            counter: 0,
        });
        EndId(self.ends.len() - 1)
    }

    /// From here on an end reaches the proxy at another address of its machine.
    pub fn move_local(&mut self, end: EndId, ip: [u8; 4]) {
        self.ends[end.0].flow.local.set_ip(ip.into());
    }

    /// A server elsewhere, listening at this address.
    pub fn server(&mut self, name: &str, transport: Transport, address: &str) -> EndId {
        let end = self.add(name, transport);
        self.ends[end.0].flow.remote = address.parse().unwrap();
        end
    }

    /// The Contact URI of an end.
    pub fn contact(&self, end: EndId) -> String {
        self.ends[end.0].contact()
    }

    /// The flow of an end.
    pub fn flow(&self, end: EndId) -> Flow {
        self.ends[end.0].flow
    }

    /// The proxy itself.
    pub fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    /// Now, on the virtual clock.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time of day, in seconds since 1970.
    pub fn unix(&self) -> u64 {
        (EPOCH + (self.now - self.start)).as_secs()
    }

    /// Everything that was told since this was last asked.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    // What ends do.

    /// Sends octets from an end.
    pub fn send(&mut self, end: EndId, octets: impl Into<Bytes>) {
        let flow = self.ends[end.0].flow;
        // Octets after the body of a datagram are no part of its message.
        let parse = match flow.transport {
            Transport::Udp => Message::parse_datagram,
            _ => Message::parse_frame,
        };
        match parse(octets.into(), &Limits::default()) {
            Ok(message) => self
                .proxy
                .handle_message_after(self.now, flow, &message, self.queue),
            Err(error) => self.proxy.handle_bad_message(self.now, flow, &error),
        }
        self.settle();
    }

    /// A request of an end outside any dialog: its own From, a fresh Call-ID, Contact. Change it before it is built.
    pub fn request(&mut self, end: EndId, method: Method<'_>, to: &str) -> RequestBuilder {
        let domain = self.place.domain;
        self.request_to(end, method, &format!("sip:{to}@{domain}"))
    }

    /// The same to any URI.
    pub fn request_to(&mut self, end: EndId, method: Method<'_>, uri: &str) -> RequestBuilder {
        let via = self.next_via(end);
        let entry = &mut self.ends[end.0];
        entry.counter += 1;
        RequestBuilder::new(method, uri)
            .via(via)
            .from(format!(
                "\"{0}\" <sip:{0}@{1}>;tag=f{2}",
                entry.user, self.place.domain, entry.counter
            ))
            .to(format!("<{uri}>"))
            .call_id(format!("call-{}-{}", end.0, entry.counter))
            .cseq(1)
            .header(HeaderName::Contact, format!("<{}>", entry.contact()))
    }

    /// Sends a request and answers the challenge that comes back. Answers the request as it was sent last.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a request is built where it is sent"
    )]
    pub fn send_with_password(&mut self, end: EndId, request: RequestBuilder) -> Message {
        let first = parse(&request.clone().build().unwrap());
        self.send(end, first.octets().clone());
        let challenge = self.take(end);
        self.send_again_with_password(end, &first, &challenge)
    }

    /// Sends a request again with an answer to the challenge that it got. Answers it as it was sent.
    pub fn send_again_with_password(&mut self, end: EndId, first: &Message, challenge: &Message) -> Message {
        let status = challenge.status().map(StatusCode::get);
        let (ask, answer) = match status {
            Some(401) => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            Some(407) => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
            _ => panic!("no challenge but {challenge:?}"),
        };
        if first.method() == Some(Method::Invite) {
            let ack = RequestBuilder::ack_for(first, challenge)
                .unwrap()
                .build()
                .unwrap();
            self.send(end, ack);
        }
        // Browsers read only the last challenge.
        let value = challenge.headers(ask).last().unwrap().value().to_vec();
        let credentials = self.credentials(end, first, &value);
        let via = self.next_via(end);
        let cseq = first.cseq().unwrap().unwrap().number + 1;
        let mut edit = viaduct_sip::Edit::new(first);
        edit.remove_first(HeaderName::Via);
        edit.prepend(HeaderName::Via, via);
        edit.set(
            HeaderName::CSeq,
            format!("{cseq} {}", first.method().unwrap().as_str()),
        );
        edit.append(answer, credentials);
        let again = parse(&edit.finish().unwrap());
        self.send(end, again.octets().clone());
        again
    }

    fn credentials(&self, end: EndId, request: &Message, challenge: &[u8]) -> String {
        let challenge = Challenge::parse(challenge).unwrap();
        assert_eq!(
            challenge.algorithm,
            Algorithm::Md5,
            "the last challenge is for MD5"
        );
        let username = &self.ends[end.0].user;
        let ha1 = Ha1::from_password(challenge.algorithm, username, &challenge.realm, PASSWORD);
        let answer = Answer {
            username,
            ha1: &ha1,
            method: request.method().unwrap(),
            uri: request.request_uri_text().unwrap(),
            cnonce: "cnonce",
            nc: 1,
            body: b"",
        };
        challenge.answer(&answer).unwrap()
    }

    /// Registers an end with its contact.
    pub fn register(&mut self, end: EndId) {
        let user = self.ends[end.0].user.clone();
        let request = self.register_request(end).header(HeaderName::Expires, "300");
        self.send_with_password(end, request);
        let answer = self.expect(end, "200");
        let contact = self.contact(end);
        assert!(
            answer
                .values(HeaderName::Contact)
                .any(|value| String::from_utf8_lossy(value).contains(&contact)),
            "{user} is not among {answer:?}"
        );
    }

    /// A REGISTER of an end with its contact, not sent.
    pub fn register_request(&mut self, end: EndId) -> RequestBuilder {
        self.register_request_with(end, "")
    }

    /// A REGISTER of an end whose contact has these parameters (`;q=0.5`), not sent.
    pub fn register_request_with(&mut self, end: EndId, params: &str) -> RequestBuilder {
        let contact = format!("<{}>{params}", self.contact(end));
        self.register_request_bare(end)
            .header(HeaderName::Contact, contact)
    }

    /// A REGISTER of an end without Contact, not sent.
    pub fn register_request_bare(&mut self, end: EndId) -> RequestBuilder {
        let via = self.next_via(end);
        let entry = &mut self.ends[end.0];
        entry.counter += 1;
        let domain = self.place.domain;
        let aor = format!("<sip:{}@{domain}>", entry.user);
        RequestBuilder::new(Method::Register, &format!("sip:{domain}"))
            .via(via)
            .from(format!("{aor};tag=r{}", entry.counter))
            .to(aor)
            .call_id(format!("reg-{}-{}", end.0, entry.counter))
            .cseq(1)
    }

    /// Dials a number, password and all, and takes the 100. Answers the INVITE as it was sent last.
    pub fn call(&mut self, end: EndId, to: &str, sdp: Option<&str>) -> Message {
        let invite = self.dial(end, to, sdp);
        self.expect(end, "100");
        invite
    }

    /// Dials a number, password and all, whatever comes back.
    pub fn dial(&mut self, end: EndId, to: &str, sdp: Option<&str>) -> Message {
        let mut request = self.request(end, Method::Invite, to);
        if let Some(sdp) = sdp {
            request = request.body("application/sdp", sdp.to_owned());
        }
        self.send_with_password(end, request)
    }

    /// An end answers a request, tagged `t-<end>`.
    pub fn respond(&mut self, end: EndId, request: &Message, status: u16, sdp: Option<&str>) {
        let octets = self.response(end, request, status, sdp);
        self.send(end, octets);
    }

    /// The octets of an answer, not sent.
    pub fn response(&self, end: EndId, request: &Message, status: u16, sdp: Option<&str>) -> Bytes {
        let status = StatusCode::new(status).unwrap();
        let mut builder = ResponseBuilder::new(request, status).to_tag(&tag_of(end));
        if status.get() < 300 && request.method().is_some_and(|method| method.makes_dialog()) {
            builder = builder.header(HeaderName::Contact, format!("<{}>", self.contact(end)));
        }
        if let Some(sdp) = sdp {
            builder = builder.body("application/sdp", sdp.to_owned());
        }
        builder.build().unwrap()
    }

    /// The callee's view of a dialog.
    pub fn callee_dialog(&self, end: EndId, invite: &Message) -> Dialog {
        Dialog::of_callee(end, invite, &tag_of(end))
    }

    /// Sends a request inside a dialog. Answers it as it was sent.
    pub fn send_in(&mut self, dialog: &mut Dialog, method: Method<'_>, sdp: Option<&str>) -> Message {
        if method != Method::Ack {
            dialog.cseq += 1;
        }
        let request = self.in_dialog(dialog, method, sdp);
        self.send(dialog.end, request.octets().clone());
        request
    }

    /// A request inside a dialog, not sent.
    pub fn in_dialog(&mut self, dialog: &Dialog, method: Method<'_>, sdp: Option<&str>) -> Message {
        let via = self.next_via(dialog.end);
        let mut builder = RequestBuilder::new(method, &dialog.target)
            .via(via)
            .from(&dialog.local)
            .to(&dialog.remote)
            .call_id(&dialog.call_id)
            .cseq(dialog.cseq);
        for route in &dialog.routes {
            builder = builder.route(route);
        }
        if matches!(method, Method::Invite | Method::Update) {
            builder = builder.header(HeaderName::Contact, format!("<{}>", self.contact(dialog.end)));
        }
        if let Some(sdp) = sdp {
            builder = builder.body("application/sdp", sdp.to_owned());
        }
        parse(&builder.build().unwrap())
    }

    /// Cancels an INVITE.
    pub fn cancel(&mut self, end: EndId, invite: &Message) {
        let cancel = RequestBuilder::cancel_for(invite).unwrap().build().unwrap();
        self.send(end, cancel);
    }

    /// Acknowledges a refusal.
    pub fn ack_refusal(&mut self, end: EndId, invite: &Message, refusal: &Message) {
        let ack = RequestBuilder::ack_for(invite, refusal).unwrap().build().unwrap();
        self.send(end, ack);
    }

    /// An answered call between two registered ends, ACK and all. Answers both views of the dialog.
    pub fn answered(&mut self, caller: EndId, callee: EndId, offer: &str, answer: &str) -> (Dialog, Dialog) {
        let to = self.ends[callee.0].user.clone();
        self.call(caller, &to, Some(offer));
        let invite = self.expect(callee, "INVITE");
        self.respond(callee, &invite, 200, Some(answer));
        let ok = self.expect(caller, "200");
        let mut dialog = Dialog::of_caller(caller, &ok);
        self.send_in(&mut dialog, Method::Ack, None);
        self.expect(callee, "ACK");
        (dialog, self.callee_dialog(callee, &invite))
    }

    /// The connection of an end breaks.
    pub fn disconnect(&mut self, end: EndId) {
        self.ends[end.0].is_connected = false;
        let conn = self.ends[end.0].flow.conn.expect("only streams have connections");
        self.proxy.handle_connection_closed(self.now, conn);
        self.settle();
    }

    /// The connection of an end breaks, and the proxy finds out only when it sends.
    pub fn disconnect_unnoticed(&mut self, end: EndId) {
        self.ends[end.0].is_connected = false;
    }

    // What ends see.

    /// Takes the next message of an end.
    pub fn take(&mut self, end: EndId) -> Message {
        let user = self.ends[end.0].user.clone();
        self.ends[end.0]
            .inbox
            .pop_front()
            .unwrap_or_else(|| panic!("{user} got nothing"))
    }

    /// Takes the next message of an end, if there is one.
    pub fn try_take(&mut self, end: EndId) -> Option<Message> {
        self.ends[end.0].inbox.pop_front()
    }

    /// Takes the next message of an end, which must be this method or status code.
    pub fn expect(&mut self, end: EndId, what: &str) -> Message {
        let message = self.take(end);
        let got = match (message.method(), message.status()) {
            (Some(method), _) => method.as_str().to_owned(),
            (None, Some(status)) => status.to_string(),
            (None, None) => unreachable!("a message is a request or a response"),
        };
        assert_eq!(
            got,
            what,
            "{} got {}",
            self.ends[end.0].user,
            String::from_utf8_lossy(message.octets())
        );
        message
    }

    /// Nothing is waiting for an end.
    pub fn expect_nothing(&mut self, end: EndId) {
        if let Some(message) = self.ends[end.0].inbox.front() {
            panic!(
                "{} got {}",
                self.ends[end.0].user,
                String::from_utf8_lossy(message.octets())
            );
        }
    }

    /// Forgets what an end received.
    pub fn clear(&mut self, end: EndId) {
        self.ends[end.0].inbox.clear();
    }

    /// Nothing is left of any call: no transaction, no context, no session at the relay.
    pub fn expect_clean(&mut self) {
        self.pass(40.0);
        let gauges = self.proxy.gauges();
        assert_eq!(gauges, viaduct_routing::Gauges::default(), "left in the proxy");
        assert!(
            self.relay.sessions().is_empty(),
            "left at the relay: {:?}",
            self.relay.sessions()
        );
    }

    // Time and the relay.

    /// Lets time pass, timer by timer.
    pub fn pass(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        loop {
            let give_up = self
                .unanswered
                .front()
                .map(|(asked, _, _)| *asked + Duration::from_millis(2_500));
            let next = [self.proxy.poll_timeout(), give_up].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = next.max(self.now);
            self.give_up_on_relay();
            self.proxy.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// A slow relay answers what it was asked.
    pub fn let_relay_answer(&mut self) {
        while let Some((_, ticket, request)) = self.unanswered.pop_front() {
            let reply = self.relay.answer(&request);
            self.proxy.handle_relay(self.now, ticket, Ok(reply));
            self.settle();
        }
    }

    /// As the NG client does: no reply in 2.5 s is a failure.
    fn give_up_on_relay(&mut self) {
        while let Some((asked, ticket, _)) = self.unanswered.front().cloned() {
            if self.now < asked + Duration::from_millis(2_500) {
                return;
            }
            self.unanswered.pop_front();
            self.proxy
                .handle_relay(self.now, ticket, Err(RelayFailure::Timeout));
            self.settle();
        }
    }

    /// Carries out everything that the proxy wants at this instant.
    pub fn settle(&mut self) {
        while let Some(output) = self.proxy.poll_output() {
            match output {
                Output::Send { hop, octets, id } => {
                    let is_at = |end: &&mut End| match &hop {
                        Hop::Flow(flow) => (end.flow.remote, end.flow.conn) == (flow.remote, flow.conn),
                        Hop::Connect {
                            transport, remote, ..
                        } => (end.flow.transport, end.flow.remote) == (*transport, *remote),
                    };
                    let end = self.ends.iter_mut().find(|end| end.is_connected && is_at(end));
                    match (end, id) {
                        // An empty line, which says nothing (RFC 3261 section 7.5).
                        (Some(_), None) if octets.iter().all(|octet| b"\r\n".contains(octet)) => {}
                        (Some(end), _) => end.inbox.push_back(parse(&octets)),
                        (None, Some(id)) if hop.transport().is_reliable() => {
                            self.proxy.handle_send_failed(self.now, id);
                        }
                        // A datagram to nowhere.
                        (None, _) => {}
                    }
                }
                Output::Resolve { ticket, next_hop } => {
                    self.names.waiting.push((ticket, next_hop));
                    if !self.names.is_slow {
                        self.answer_names();
                    }
                }
                Output::LookUp { ticket, names } => {
                    self.source.asked.extend(names.iter().cloned());
                    self.source.waiting.push((ticket, names));
                    if !self.source.is_slow {
                        self.answer_lookups();
                    }
                }
                Output::Decide { ticket, query } => {
                    self.hook.asked.push(*query);
                    self.hook.waiting.push(ticket);
                    if !self.hook.is_slow {
                        self.answer_decisions();
                    }
                }
                Output::Dead { transport, remote } => self.names.dead.push((transport, remote)),
                Output::Relay { ticket, request } => self.ask_relay(ticket, request),
                Output::Store { ticket, .. } => {
                    if let Some(ticket) = ticket {
                        self.proxy.handle_stored(self.now, ticket, self.store_works);
                    }
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// A slow resolver answers what it was asked.
    pub fn let_names_answer(&mut self) {
        self.answer_names();
        self.settle();
    }

    /// A slow hook answers what it was asked.
    pub fn let_hook_answer(&mut self) {
        self.answer_decisions();
        self.settle();
    }

    fn answer_decisions(&mut self) {
        for ticket in std::mem::take(&mut self.hook.waiting) {
            let decision = self.hook.decision();
            self.proxy.handle_decided(self.now, ticket, decision);
        }
    }

    /// A slow source answers what it was asked.
    pub fn let_source_answer(&mut self) {
        self.answer_lookups();
        self.settle();
    }

    fn answer_lookups(&mut self) {
        for (ticket, names) in std::mem::take(&mut self.source.waiting) {
            for name in names {
                if let Some(directory) = &self.source.directory {
                    directory.learn(self.now, &name, self.source.answer(&name));
                }
            }
            self.proxy.handle_looked_up(self.now, ticket);
        }
    }

    fn answer_names(&mut self) {
        for (ticket, next_hop) in std::mem::take(&mut self.names.waiting) {
            let found = self.names.resolve(&next_hop, self.place.ip.into());
            self.proxy.handle_resolved(self.now, ticket, found);
        }
    }

    fn ask_relay(&mut self, ticket: Option<Ticket>, request: viaduct_ng::Request) {
        self.relay.asked.push(Asked {
            request: request.clone(),
        });
        match (&self.relay.mood, ticket) {
            (Mood::Slow | Mood::Silent, Some(ticket)) => {
                self.unanswered.push_back((self.now, ticket, request));
            }
            (Mood::Silent, None) => {}
            (Mood::Slow, None) | (Mood::Well | Mood::Refusing(_), _) => {
                let reply = self.relay.answer(&request);
                if let Some(ticket) = ticket {
                    self.proxy.handle_relay(self.now, ticket, Ok(reply));
                }
            }
        }
    }

    fn next_via(&mut self, end: EndId) -> String {
        self.branches += 1;
        let entry = &self.ends[end.0];
        Via::value(
            entry.flow.transport,
            &entry.sent_by(),
            &format!("z9hG4bKend{}", self.branches),
        )
    }
}

/// The tag that an end answers with.
fn tag_of(end: EndId) -> String {
    format!("t-{}", end.0)
}

/// Ends read what the proxy has made a few lines longer than it may itself be sent.
fn parse(octets: &Bytes) -> Message {
    let limits = Limits::default();
    let roomy = Limits {
        frame_octets_max: 2 * limits.frame_octets_max,
        head_octets_max: 2 * limits.head_octets_max,
        header_octets_max: 2 * limits.header_octets_max,
        headers_max: 2 * limits.headers_max,
        vias_max: 2 * limits.vias_max,
        ..limits
    };
    match Message::parse_frame(octets.clone(), &roomy) {
        Ok(message) => message,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(octets)),
    }
}
