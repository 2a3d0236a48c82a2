//! A whole relay: offers and answers with whatever SDP, datagrams to whatever ports it opens, and the end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use viaduct_clip::Clip;
use viaduct_forward::{Command, Epoch, PacketBuf, Shared, SocketId, Verdict, Worker};
use viaduct_ng::{
    Answer, Delete, Dict, Flag, Offer, OtherCommand, OtherRequest, Query, Reply, Request, SubscribeAnswer,
    SubscribeRequest, Unsubscribe, Value, WordSet, flags,
};
use viaduct_rtp::srtp::DtlsRole;
use viaduct_sdp::Session;
use viaduct_session::{
    BothEngines, Certificate, Config, DtlsEngine, DtlsEngines, DtlsVersion, FaxId, FaxInput, FaxOutput,
    Gauges, Interface, InterfaceAddress, Output, Parts, PeerCertificates, Relay, WallClock,
};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The port that browsers share.
const SHARED_PORT: u16 = 3_478;

/// Steps of one story.
const STEPS_MAX: usize = 10;

/// Timers that may be due one after the other before somebody has to ask why.
const TIMEOUTS_MAX: usize = 20_000;

/// What a proxy may ask for.
const FLAGS: [&str; 16] = [
    "",
    "RTP/AVP ICE=remove rtcp-mux-demux DTLS-reverse=passive bundle=[accept] strip-extmap replace-origin",
    "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require DTLS=passive generate-mid",
    "UDP/TLS/RTP/SAVPF ICE=force ICE-lite=forward DTLS=active",
    "RTP/AVP ICE=remove replace-origin replace-session-connection",
    "RTP/SAVP SDES-pad ICE=remove",
    "RTP/SAVPF SDES-off ICE=force-relay",
    "OSRTP-offer reset",
    "bundle=[offer require] rtcp-mux-require trickle-ICE",
    "codec-strip-all codec-except-PCMU codec-offer-PCMA",
    "asymmetric strict-source endpoint-learning=immediate",
    "sdp-media-remove=[video] original-sendrecv",
    "address-family=IP4 TOS=46 no-rtcp-attribute T.38-force",
    "reject-ICE DTLS=off rtcp-mux-reject",
    "sdp-attr=[audio=[add=[x-a] remove=[ssrc] substitute=[[sendrecv inactive]]]]",
    "loop-protect record-call=on pad-crypto T.38-decode codec-transcode-PCMA",
];

/// Reads a story of steps: one octet for what happens (bits 0 to 2) to whom (bit 3) and where (the rest), one for the
/// flags, two for a length, and so many octets of SDP or datagram.
///
/// Laws: every order of the relay can be carried out; what it writes can be read, has no m-line of its own making, and
/// names no address but its own; when the call has ended nothing is left of it.
pub fn relay(data: &[u8]) {
    let mut world = World::new();
    let mut rest = data;
    for _ in 0..STEPS_MAX {
        let Some((&[what, choice, high, low], after)) = rest.split_first_chunk() else {
            break;
        };
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (octets, after) = after.split_at(len);
        world.step(what, choice, octets);
        rest = after;
    }
    world.end();
}

struct World {
    relay: Relay,
    worker: Worker,
    shared: Shared,
    now: Instant,
    epoch: Epoch,
    sockets: BTreeMap<SocketAddr, SocketId>,
    next_socket: u32,
    /// Fax gateways that have begun.
    gateways: BTreeSet<FaxId>,
    /// m-lines of the longest SDP of each side so far.
    lines_max: [usize; 2],
}

/// The engines of a whole run: to check their provider takes longer than a call.
#[derive(Debug, Clone)]
struct Engines {
    certificate: Certificate,
    both: Arc<BothEngines>,
}

impl DtlsEngines for Engines {
    fn start(&self, role: DtlsRole, peer: PeerCertificates, now: Instant) -> Box<dyn DtlsEngine> {
        self.both.start(role, peer, now)
    }
}

fn engines() -> Engines {
    static MADE: OnceLock<Engines> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let made = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let certificate = Certificate {
            certificate: made.certificate,
            private_key: made.private_key,
        };
        let both = BothEngines::new(
            certificate.clone(),
            1_200,
            DtlsVersion::V1_2,
            &viaduct_session::DtlsLimits::default(),
        )
        .unwrap();
        Engines {
            certificate,
            both: Arc::new(both),
        }
    });
    made.clone()
}

impl World {
    fn new() -> Self {
        let (now, engines) = (Instant::now(), engines());
        let (shared, epoch) = (Shared::default(), Epoch::new(now));
        let parts = Parts {
            rng: StdRng::seed_from_u64(7),
            certificate: engines.certificate.clone(),
            stats: shared.stats.clone(),
            epoch,
            clock: WallClock::new(now, Duration::from_secs(1_700_000_000)),
        };
        let mut address = InterfaceAddress::new(ADDRESS);
        address.browser_port = Some(SHARED_PORT);
        address.ports = (30_000..=30_063).into();
        let interface = Interface {
            name: "default".to_owned(),
            addresses: vec![address],
        };
        let config = Config {
            port_stock: 6,
            fax: true,
            ..Config::new(vec![interface])
        };
        let limits = viaduct_forward::Limits {
            flows: 256,
            ufrags: 256,
            dtls_tuples: 256,
            stun_transactions: 256,
            ..viaduct_forward::Limits::default()
        };
        let mut world = Self {
            relay: Relay::with_engines(now, config, parts, Box::new(engines)),
            worker: Worker::new(limits, shared.clone(), [7, 11]),
            shared,
            now,
            epoch,
            sockets: BTreeMap::new(),
            next_socket: 0,
            gateways: BTreeSet::new(),
            lines_max: [0; 2],
        };
        world.bind(SocketAddr::new(ADDRESS, SHARED_PORT));
        world.carry_out();
        world
    }

    fn step(&mut self, what: u8, choice: u8, octets: &[u8]) {
        let (from, to) = if what & 8 == 0 { ("a", "b") } else { ("b", "a") };
        let options = flags::parse_opensips(FLAGS[usize::from(choice & 15)])
            .flags
            .options;
        let mut offer = Offer {
            sdp: octets.into(),
            call_id: "call".into(),
            from_tag: from.into(),
            to_tag: (choice & 16 != 0).then(|| to.into()),
            via_branch: (choice & 32 != 0).then(|| "branch".into()),
            options,
        };
        match what & 7 {
            0 | 1 => {
                self.note_lines(from, octets);
                let reply = self.ng(&Request::Offer(Box::new(offer)));
                self.names_only_us(&reply);
            }
            2 | 3 => {
                let answer = Answer {
                    sdp: offer.sdp,
                    call_id: offer.call_id,
                    from_tag: from.into(),
                    to_tag: to.into(),
                    via_branch: offer.via_branch,
                    options: offer.options,
                };
                // An answer bears the tags of its offer: what it says is the other side's.
                self.note_lines(to, octets);
                let reply = self.ng(&Request::Answer(Box::new(answer)));
                self.names_only_us(&reply);
            }
            4 => {
                offer.options.flags.insert(Flag::Fragment);
                self.ng(&Request::Offer(Box::new(offer)));
            }
            5 => self.receive(usize::from(what >> 4), choice, octets),
            6 => self.wait(Duration::from_millis(u64::from(choice) << (what >> 4).min(11))),
            _ if choice & 1 == 0 => self.listen(choice, from, offer),
            _ => drop(self.ng(&Request::Delete(delete(Duration::from_secs(u64::from(
                what >> 4,
            )))))),
        }
    }

    /// Somebody listens, or looks, or is made to hear something.
    fn listen(&mut self, choice: u8, from: &str, said: Offer) {
        let (call_id, to_tag) = (said.call_id, "rec".into());
        let request = match choice & 6 {
            2 => Request::SubscribeRequest(Box::new(SubscribeRequest {
                call_id,
                from_tags: vec![from.into()],
                to_tag: Some(to_tag),
                options: said.options,
            })),
            4 => Request::SubscribeAnswer(Box::new(SubscribeAnswer {
                sdp: said.sdp,
                call_id,
                to_tag,
                options: said.options,
            })),
            6 => Request::Unsubscribe(Unsubscribe { call_id, to_tag }),
            _ if choice & 8 != 0 => play(from),
            _ => Request::Query(query()),
        };
        let reply = self.ng(&request);
        self.names_only_us(&reply);
    }

    fn ng(&mut self, request: &Request) -> Reply {
        let reply = self.relay.handle_ng(self.now, None, request);
        self.carry_out();
        // Whatever is answered can be sent.
        assert_eq!(Reply::from_value(&reply.to_value()).as_ref(), Ok(&reply));
        reply
    }

    /// A datagram from an endpoint that a rule names, or from anywhere.
    fn receive(&mut self, port: usize, choice: u8, octets: &[u8]) {
        let Some(local) = self.sockets.keys().nth(port % self.sockets.len()).copied() else {
            return;
        };
        let from = [
            "198.51.100.9:4000",
            "198.51.100.9:4001",
            "198.51.100.9:11780",
            "203.0.113.7:51000",
            "192.0.2.33:51000",
            "192.0.2.1:30000",
            "[2001:db8::7]:5000",
            "198.51.100.66:6666",
        ][usize::from(choice & 7)];
        self.judge(local, from.parse().unwrap(), octets);
        self.carry_out();
    }

    fn judge(&mut self, local: SocketAddr, from: SocketAddr, octets: &[u8]) {
        let Some(socket) = self.sockets.get(&local).copied() else {
            return;
        };
        let mut buffer = PacketBuf::new();
        buffer.fill(octets);
        match self
            .worker
            .handle_datagram(self.epoch.tick(self.now), socket, from, &mut buffer)
        {
            Verdict::Forward { out, via } => assert_eq!(self.sockets.get(&out.local), Some(&via)),
            Verdict::ToControl(why) => self
                .relay
                .handle_packet(self.now, why, local, from, buffer.data()),
            Verdict::Reply | Verdict::Drop(_) => {}
        }
        while let Some((out, via)) = self.worker.poll_copy(&mut buffer) {
            assert_eq!(self.sockets.get(&out.local), Some(&via));
        }
    }

    fn carry_out(&mut self) {
        loop {
            while let Some(output) = self.relay.poll_output() {
                self.carry_out_one(output);
            }
            let Some(report) = self.worker.poll_report() else {
                break;
            };
            self.relay.handle_report(self.now, report);
        }
    }

    fn carry_out_one(&mut self, output: Output) {
        match output {
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
            Output::Send { from, .. } => assert!(self.sockets.contains_key(&from)),
            Output::Emit {
                from,
                protect,
                kind,
                packet,
                ..
            } => {
                assert!(self.sockets.contains_key(&from));
                if let Some(id) = protect {
                    let now = self.epoch.tick(self.now);
                    self.shared.crypto.protect(now, id, kind, packet).unwrap();
                }
            }
            Output::Fax(id, input) => self.tell_gateway(id, input),
            Output::Inject { local, from, data } => self.judge(local, from, &data),
            Output::Mark { local, .. } => assert!(self.sockets.contains_key(&local)),
            Output::Event(event) => drop(format!("{event:?}")),
        }
    }

    /// A gateway that says what it hears.
    fn tell_gateway(&mut self, id: FaxId, input: FaxInput) {
        match input {
            FaxInput::Begin(..) => assert!(self.gateways.insert(id)),
            FaxInput::End => assert!(self.gateways.remove(&id)),
            heard => {
                assert!(self.gateways.contains(&id));
                let said = match heard {
                    FaxInput::Datagram(datagram) => FaxOutput::Datagram(datagram),
                    FaxInput::Sound(samples) => FaxOutput::Sound(samples),
                    _ => return,
                };
                self.relay.handle_fax(self.now, id, said);
            }
        }
    }

    fn bind(&mut self, local: SocketAddr) {
        let socket = SocketId(self.next_socket);
        self.next_socket += 1;
        assert_eq!(self.sockets.insert(local, socket), None, "{local} is bound twice");
        self.order(&Command::BindSocket { socket, local });
    }

    fn unbind(&mut self, local: SocketAddr) {
        let socket = self.sockets.remove(&local).expect("what is closed is open");
        self.order(&Command::UnbindSocket { socket });
    }

    fn order(&mut self, command: &Command) {
        let result = self
            .worker
            .handle_command(self.epoch.tick(self.now), command.clone());
        assert_eq!(result, Ok(()), "{command:?}");
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..TIMEOUTS_MAX {
            let Some(at) = self.relay.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.relay.handle_timeout(self.now);
            self.carry_out();
        }
        panic!("the timers of the relay do not come to rest");
    }

    /// An m-line never goes away while a call lasts (RFC 3264 section 8), so any party may be told of as many as there
    /// ever were: its own, and those of the other side, which are others when an answer had more than its offer.
    fn note_lines(&mut self, from: &str, sdp: &[u8]) {
        let lines = Session::parse(sdp).map_or(0, |session| session.medias().len());
        let side = &mut self.lines_max[usize::from(from == "b")];
        *side = lines.max(*side);
    }

    /// The SDP in a reply, if there is one: it leaves no media to pass beside us.
    fn names_only_us(&self, reply: &Reply) {
        let Reply::Ok(reply) = reply else { return };
        let Some(sdp) = &reply.sdp else { return };
        let written = Session::parse(sdp).unwrap();
        assert!(written.medias().len() <= self.lines_max.iter().sum());
        let is_ours = |address: IpAddr| address == ADDRESS || address.is_unspecified();
        for media in written.medias() {
            let connection = media
                .effective_connection()
                .unwrap()
                .expect("every m-line has an address");
            assert!(connection.address.ip().is_some_and(is_ours), "{connection}");
            for candidate in media.candidates() {
                let candidate = candidate.unwrap();
                assert!(candidate.address.ip().is_some_and(is_ours), "{candidate}");
            }
            let rtcp = media.rtcp().unwrap();
            assert!(
                rtcp.and_then(|rtcp| rtcp.address)
                    .and_then(|host| host.ip())
                    .is_none_or(is_ours)
            );
        }
    }

    /// Whatever happened: when the call is deleted and its ports have rested, nothing is left.
    fn end(&mut self) {
        self.ng(&Request::Delete(delete(Duration::ZERO)));
        self.wait(Duration::from_secs(120));
        assert_eq!(self.relay.gauges(), Gauges::default());
        assert_eq!(self.gateways, BTreeSet::new());
        assert_eq!(self.worker.stats().snapshot().flows, 0);
        assert_eq!((self.shared.stats.sizes(), self.shared.crypto.len()), ((0, 0), 0));
        for usage in self.relay.port_usage() {
            assert_eq!((usage.used, usage.opening, usage.resting), (0, 0, 0), "{usage:?}");
        }
    }
}

/// 60 ms of something, to whoever has this tag.
fn play(tag: &str) -> Request {
    let mut body = Dict::new();
    body.insert("call-id", Value::text("call"));
    body.insert("from-tag", Value::text(tag));
    body.insert("blob", Value::Bytes(Clip::new(vec![7; 480]).to_wav().into()));
    body.insert("flags", Value::texts(["block-egress"]));
    Request::Other(OtherRequest {
        command: OtherCommand::PlayMedia,
        body,
    })
}

fn query() -> Query {
    Query {
        call_id: "call".into(),
        from_tag: None,
        to_tag: None,
    }
}

fn delete(delay: Duration) -> Delete {
    Delete {
        call_id: "call".into(),
        from_tag: None,
        to_tag: None,
        via_branch: None,
        delete_delay: Some(delay),
        flags: WordSet::new(),
    }
}
