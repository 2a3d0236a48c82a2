//! A media worker with one call between a browser and a phone, and whatever anybody sends to its ports.

use std::net::SocketAddr;
use std::time::Duration;

use viaduct_forward::{
    Command, CryptoCommand, CryptoDirection, CryptoId, FlowId, FlowKey, FlowRule, IceAgent, IcePassword,
    IceRule, LegId, Limits, Out, PacketBuf, PortMode, PortRule, RECEIVE_MAX, Route, Shared, SocketId,
    SrtpKeyMaterial, SrtpLimits, SrtpProfile, Tick, ToControl, Verdict, Worker,
};
use viaduct_rtp::srtp::{RTCP_GROWTH_MAX, ReceiveContext};
use viaduct_rtp::{Kind, classify};
use viaduct_stun::lite::GROWTH_MAX;

/// The port of browsers, the phone's, and one whose endpoint is not known.
const PORTS: [&str; 3] = ["192.0.2.1:3478", "192.0.2.1:30000", "192.0.2.1:30002"];
const BROWSER: &str = "203.0.113.7:50000";
const PHONE: &str = "198.51.100.9:4000";
const STRANGER: &str = "198.51.100.66:6666";

const BROWSER_LEG: LegId = LegId(1);
const PHONE_LEG: LegId = LegId(2);
const OTHER_LEG: LegId = LegId(3);

const FROM_BROWSER: CryptoId = CryptoId(1);
const TO_BROWSER: CryptoId = CryptoId(2);

/// Datagrams of one story.
const DATAGRAMS_MAX: usize = 24;

/// Reads a story: for each datagram one octet that says from whom (bits 0 and 1) to which port (bits 2 and 3) after how
/// long (the rest), its length in two octets, and the datagram.
///
/// Laws: nothing leaves that the browser's key did not open, nothing goes to a browser that its key does not open; a
/// stranger's media goes nowhere; no answer is longer than allowed; the sum of verdicts is that of datagrams.
pub fn worker(data: &[u8]) {
    let mut call = Call::new();
    let mut rest = data;
    for _ in 0..DATAGRAMS_MAX {
        let Some((&[head, high, low], after)) = rest.split_first_chunk() else {
            break;
        };
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (datagram, after) = after.split_at(len);
        call.receive(head, datagram);
        rest = after;
    }
    call.counters_add_up();
}

struct Call {
    worker: Worker,
    shared: Shared,
    now: Tick,
    buffer: Box<PacketBuf>,
    /// What the browser sends, opened beside the worker.
    from_browser: ReceiveContext,
    /// What the browser receives.
    at_browser: ReceiveContext,
    received: u64,
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn keys(first: u8) -> SrtpKeyMaterial {
    let profile = SrtpProfile::Aes128CmSha1_80;
    let octets: Vec<u8> = (first..).take(profile.key_len() + profile.salt_len()).collect();
    SrtpKeyMaterial::from_sdes(profile, &octets).unwrap()
}

fn limits() -> Limits {
    Limits {
        sockets: 8,
        flows: 8,
        ssrcs_per_flow: 2,
        ssrc_idle: Duration::from_millis(500),
        ufrags: 4,
        tuples_per_leg: 2,
        dtls_tuples: 4,
        stun_transactions: 4,
        reports_queued: 4,
        learn_per_port: 2,
        control_per_leg: 6,
        ..Limits::default()
    }
}

impl Call {
    fn new() -> Self {
        let shared = Shared::default();
        let (from_browser, to_browser) = (keys(1), keys(101));
        for (id, direction, keys) in [
            (FROM_BROWSER, CryptoDirection::Receive, &from_browser),
            (TO_BROWSER, CryptoDirection::Send, &to_browser),
        ] {
            let keys = keys.clone();
            shared
                .crypto
                .apply(&CryptoCommand::Install { id, direction, keys })
                .unwrap();
        }
        let mut worker = Worker::new(limits(), shared.clone(), [7, 11]);
        for command in commands() {
            worker.handle_command(Tick::ZERO, command).unwrap();
        }
        Self {
            worker,
            shared,
            now: Tick::ZERO,
            buffer: Box::default(),
            from_browser: ReceiveContext::new(&from_browser, SrtpLimits::default()),
            at_browser: ReceiveContext::new(&to_browser, SrtpLimits::default()),
            received: 0,
        }
    }

    fn receive(&mut self, head: u8, datagram: &[u8]) {
        let from = [BROWSER, PHONE, STRANGER, "198.51.100.66:0"][usize::from(head & 3)];
        let port = usize::from(head >> 2 & 3);
        self.now = self.now.after(Duration::from_millis(u64::from(head >> 4) * 40));
        self.buffer.fill(datagram);
        let socket = SocketId(port as u32);
        let verdict = self
            .worker
            .handle_datagram(self.now, socket, address(from), &mut self.buffer);
        self.received += 1;
        let sent = self.buffer.data();
        assert!(sent.len() <= datagram.len() + RTCP_GROWTH_MAX.max(GROWTH_MAX));
        // What the browser's key says of this datagram. One that comes to a port which is not its own is not asked about:
        // the worker must not take it for received either.
        let opened = (from == BROWSER && port == 0)
            .then(|| opened(&mut self.from_browser, self.now, datagram))
            .flatten();
        match verdict {
            Verdict::Forward { out, via } => {
                assert!(datagram.len() < RECEIVE_MAX);
                assert_eq!(PORTS.map(address).get(via.0 as usize), Some(&out.local));
                if from == BROWSER && port == 0 {
                    assert_eq!(out.remote, address(PHONE));
                    assert_eq!(Some(sent), opened.as_deref());
                } else {
                    assert_eq!((from, port, out.remote), (PHONE, 1, address(BROWSER)));
                    let sent = sent.to_vec();
                    let plain = super::worker::opened(&mut self.at_browser, self.now, &sent);
                    let plain = plain.expect("the browser can open what it gets");
                    if classify(datagram) == Kind::Rtp {
                        assert_eq!(plain, datagram);
                    }
                }
            }
            Verdict::Reply => assert!(sent.len() <= datagram.len() + GROWTH_MAX),
            Verdict::ToControl(ToControl::UnknownSource { leg, .. }) => {
                assert_eq!((leg, port), (OTHER_LEG, 2));
            }
            Verdict::ToControl(ToControl::Dtls { leg }) => {
                assert_eq!((leg, from, port), (BROWSER_LEG, BROWSER, 0));
                assert_eq!(sent, datagram);
            }
            Verdict::ToControl(ToControl::Media { leg }) => panic!("nothing of leg {leg:?} is for control"),
            Verdict::ToControl(ToControl::Stun { leg }) => panic!("leg {leg:?} has no full agent"),
            Verdict::Drop(reason) => assert!(!reason.text().is_empty()),
        }
        let reports = std::iter::from_fn(|| self.worker.poll_report()).count();
        assert!(reports <= limits().reports_queued);
    }

    fn counters_add_up(&self) {
        let figures = self.worker.stats().snapshot();
        let dropped: u64 = viaduct_forward::DropReason::ALL
            .iter()
            .map(|reason| figures.dropped(*reason))
            .sum();
        assert!(dropped <= self.received);
        let (flows, legs) = self.shared.stats.sizes();
        assert!(flows <= limits().flows && legs <= 3);
    }
}

/// The datagram without its protection, if the context opens it.
fn opened(context: &mut ReceiveContext, now: Tick, datagram: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = datagram.to_vec();
    let len = match classify(datagram) {
        Kind::Rtp => context.unprotect_rtp(now, &mut buffer),
        Kind::Rtcp => context.unprotect_rtcp(now, &mut buffer),
        Kind::Stun | Kind::Zrtp | Kind::Dtls | Kind::Turn | Kind::Unknown => return None,
    };
    buffer.truncate(len.ok()?);
    Some(buffer)
}

/// The browser's leg with DTLS and ICE, the phone's, and a port that learns.
fn commands() -> Vec<Command> {
    let ports = PORTS.map(address);
    let mut commands: Vec<Command> = (0..)
        .zip(ports)
        .map(|(number, local)| bind(number, local))
        .collect();
    let [browsers, phones, learning] = ports;
    let from_browser = FlowKey {
        local: browsers,
        remote: address(BROWSER),
    };
    let from_phone = FlowKey {
        local: phones,
        remote: address(PHONE),
    };
    let to_phone = Route::to(Out {
        local: phones,
        remote: address(PHONE),
    });
    let to_browser = Route {
        protect: Some(TO_BROWSER),
        ..Route::to(Out {
            local: browsers,
            remote: address(BROWSER),
        })
    };
    commands.push(Command::InstallFlow(FlowRule {
        unprotect: Some(FROM_BROWSER),
        confirm: true,
        ..FlowRule::new(FlowId(1), from_browser, BROWSER_LEG, vec![to_phone])
    }));
    commands.push(Command::InstallFlow(FlowRule::new(
        FlowId(2),
        from_phone,
        PHONE_LEG,
        vec![to_browser],
    )));
    commands.push(Command::SetPort(port(phones, PHONE_LEG, PortMode::Settled)));
    commands.push(Command::SetPort(port(learning, OTHER_LEG, PortMode::Learning)));
    commands.push(Command::SetIce(IceRule {
        ufrag: "evtj".to_owned(),
        leg: BROWSER_LEG,
        remote_ufrag: Some("h6vY".to_owned()),
        agent: IceAgent::Lite {
            password: IcePassword("VOkJxbRl1RmTxUk/WvJxBt".to_owned()),
        },
    }));
    commands.push(Command::AllowDtls {
        tuple: from_browser,
        leg: BROWSER_LEG,
    });
    commands
}

fn bind(number: u32, local: SocketAddr) -> Command {
    Command::BindSocket {
        socket: SocketId(number),
        local,
    }
}

fn port(local: SocketAddr, leg: LegId, mode: PortMode) -> PortRule {
    PortRule {
        local,
        leg,
        mode,
        authenticate: None,
    }
}
