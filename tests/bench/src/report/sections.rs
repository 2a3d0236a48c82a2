//! The tables: what is in them, and who.

use crate::media::packet_time;
use crate::plan::{LoadPlan, Plan};
use crate::results::{Figure, Work};
use crate::sip::PATIENCE;

/// One table.
pub(super) struct Section {
    pub(super) work: Work,
    /// Who is in it: ours first.
    pub(super) peers: &'static [&'static str],
    /// Which of ours is compared with whom.
    pub(super) rivals: &'static [(&'static str, &'static str)],
    pub(super) rows: &'static [Row],
}

impl Section {
    /// What stands above a ratio: whom ours is compared with, and which it is if it is not the first.
    pub(super) fn pair_text(&self, (ours, theirs): (&str, &str)) -> String {
        if self.peers.first() == Some(&ours) {
            format!("to {theirs}")
        } else {
            format!("{ours} to it")
        }
    }
}

/// One line of a table.
pub(super) struct Row {
    pub(super) figure: Figure,
    pub(super) text: &'static str,
    pub(super) unit: &'static str,
}

const fn row(figure: Figure, text: &'static str, unit: &'static str) -> Row {
    Row { figure, text, unit }
}

const SIGNALLING: &[Row] = &[
    row(Figure::Rate, "at full load: each second", "1/s"),
    row(Figure::Messages, "  SIP messages each second", "1/s"),
    row(Figure::Busy, "  processor in use", "%"),
    row(Figure::FullProcessor, "  processor time, each", "µs"),
    row(Figure::Kernel, "  of it in the kernel", "%"),
    row(Figure::FullHalfWithin, "  delay p50", "µs"),
    row(Figure::FullMostWithin, "  delay p99", "µs"),
    row(Figure::FullFailed, "  failed", ""),
    row(Figure::FullOthers, "  machine used by others", "%"),
    row(Figure::MidRate, "at half load: each second", "1/s"),
    row(Figure::MidProcessor, "  processor time, each", "µs"),
    row(Figure::MidHopHalfWithin, "  time in the proxy p50", "µs"),
    row(Figure::MidHopMostWithin, "  time in the proxy p99", "µs"),
    row(Figure::MidHopNearlyAllWithin, "  time in the proxy p99.9", "µs"),
    row(Figure::MidHalfWithin, "  delay p50", "µs"),
    row(Figure::MidMostWithin, "  delay p99", "µs"),
    row(Figure::MidFailed, "  failed", ""),
    row(Figure::MidOthers, "  machine used by others", "%"),
    row(Figure::MidWaited, "  its threads waited for a turn", "%"),
    row(Figure::SteadyProcessor, "steadily: processor time, each", "µs"),
    row(Figure::SteadyHalfWithin, "  delay p50", "µs"),
    row(Figure::SteadyMostWithin, "  delay p99", "µs"),
    row(Figure::SteadyFailed, "  failed", ""),
    row(Figure::Processor, "now and then: processor time, each", "µs"),
    row(Figure::HalfWithin, "  delay p50", "µs"),
    row(Figure::MostWithin, "  delay p99", "µs"),
    row(Figure::Failed, "  failed", ""),
    row(Figure::Others, "  machine used by others", "%"),
];

const RATE: &[Row] = &[
    row(Figure::HeldRate, "no call failed at", "1/s"),
    row(Figure::Busy, "  processor in use", "%"),
    row(Figure::PhonesBusy, "  phones' processor in use", "%"),
    row(Figure::FailedRate, "a call failed at", "1/s"),
];

const MEMORY: &[Row] = &[
    row(Figure::BurstRegistration, "each registration, after a burst", "B"),
    row(Figure::SlowRegistration, "each registration, come slowly", "B"),
    row(Figure::LiveCall, "each call that goes on", "B"),
];

const WEB: &[Row] = &[
    row(Figure::WsConnection, "memory, each phone over WS", "B"),
    row(Figure::WssConnection, "memory, each phone over WSS", "B"),
    row(Figure::WssClients, "phones registered over WSS", ""),
    row(Figure::WssLost, "  lost, or not answered", ""),
    row(Figure::WssSetUp, "  set-up: processor time, each", "µs"),
    row(Figure::WssRefresh, "  refresh: processor time, each", "µs"),
    row(Figure::WssRefreshMostWithin, "  refresh: delay p99", "µs"),
];

const INSTRUCTIONS: &[Row] = &[
    row(Figure::RegisterInstructions, "REGISTER, 200", ""),
    row(
        Figure::RegisterDigestInstructions,
        "REGISTER, 401, REGISTER, 200",
        "",
    ),
    row(Figure::CallInstructions, "a call", ""),
];

const MEDIA: &[Row] = &[
    row(Figure::Processor, "processor time, each packet", "µs"),
    row(Figure::OwnProcessor, "  to deaf phones", "µs"),
    row(Figure::Kernel, "  of it in the kernel", "%"),
    row(Figure::HalfWithin, "delay p50", "µs"),
    row(Figure::MostWithin, "delay p99", "µs"),
    row(Figure::NearlyAllWithin, "delay p99.9", "µs"),
    row(Figure::Lost, "lost", "%"),
    row(Figure::Wrong, "damaged or twice", ""),
    row(Figure::Others, "machine used by others", "%"),
    row(Figure::Memory, "memory, each call", "KiB"),
    row(Figure::SetUp, "set-up: processor time, each call", "µs"),
    row(Figure::Deletion, "  and its end", "µs"),
    row(Figure::CommandHalfWithin, "  offer or answer p50", "µs"),
    row(Figure::CommandMostWithin, "  offer or answer p99", "µs"),
];

const MEDIA_RATE: &[Row] = &[
    row(Figure::HeldRate, "no packet lost at", "1/s"),
    row(Figure::Busy, "  processor in use", "%"),
    row(Figure::FailedRate, "a packet was lost at", "1/s"),
];

const CHURN: &[Row] = &[
    row(Figure::Failed, "calls refused", ""),
    row(Figure::CommandHalfWithin, "command p50", "µs"),
    row(Figure::CommandMostWithin, "command p99", "µs"),
    row(Figure::Lost, "packets of others lost", "%"),
    row(Figure::Wrong, "damaged or twice", ""),
    row(Figure::HalfWithin, "their delay p50", "µs"),
    row(Figure::MostWithin, "their delay p99", "µs"),
    row(Figure::NearlyAllWithin, "their delay p99.9", "µs"),
    row(Figure::Others, "machine used by others", "%"),
];

const STREET: &[Row] = &[
    row(Figure::Processor, "processor time, each packet", "µs"),
    row(Figure::OwnProcessor, "  of it in the program's threads", "µs"),
    row(Figure::Interrupts, "  of it in interrupts", "µs"),
    row(Figure::UnheardLost, "  lost meanwhile", "%"),
    row(Figure::InKernel, "forwarded by the kernel", "%"),
    row(Figure::HalfWithin, "delay p50", "µs"),
    row(Figure::MostWithin, "delay p99", "µs"),
    row(Figure::NearlyAllWithin, "delay p99.9", "µs"),
    row(Figure::Lost, "lost", "%"),
    row(Figure::Wrong, "damaged or twice", ""),
    row(Figure::OfferedAgain, "slowest while calls are re-offered", "µs"),
    row(Figure::RecorderCame, "  while recorders come", "µs"),
    row(Figure::RecorderWent, "  while recorders go", "µs"),
    row(Figure::ChangedWrong, "  lost, damaged or twice", ""),
    row(Figure::Others, "machine used by others", "%"),
    row(Figure::Memory, "memory, each call", "KiB"),
    row(Figure::SetUp, "set-up: processor time, each call", "µs"),
];

const PROXIES: &[&str] = &["viaduct", "kamailio", "kamailio-tuned"];
const REGISTRARS: &[&str] = &["viaduct", "kamailio", "kamailio-tuned", "viaduct-on-disk"];
const OURS: &[&str] = &["viaduct"];
const KAMAILIOS: &[(&str, &str)] = &[("viaduct", "kamailio"), ("viaduct", "kamailio-tuned")];
const RELAYS: &[&str] = &["viaduct-relay", "rtpengine"];
const RELAYS_OF_PORTS: &[&str] = &["viaduct-relay", "sockets", "rtpengine"];
const RTPENGINE: &[(&str, &str)] = &[("viaduct-relay", "rtpengine")];
const RTPENGINE_TWICE: &[(&str, &str)] = &[("viaduct-relay", "rtpengine"), ("sockets", "rtpengine")];

/// All tables in the order in which they are shown.
pub(super) const SECTIONS: [Section; 13] = [
    Section {
        work: Work::Register,
        peers: PROXIES,
        rivals: KAMAILIOS,
        rows: SIGNALLING,
    },
    Section {
        work: Work::RegisterDigest,
        peers: REGISTRARS,
        rivals: KAMAILIOS,
        rows: SIGNALLING,
    },
    Section {
        work: Work::Call,
        peers: PROXIES,
        rivals: KAMAILIOS,
        rows: SIGNALLING,
    },
    Section {
        work: Work::CallRate,
        peers: PROXIES,
        rivals: KAMAILIOS,
        rows: RATE,
    },
    Section {
        work: Work::Memory,
        peers: OURS,
        rivals: &[],
        rows: MEMORY,
    },
    Section {
        work: Work::Wss,
        peers: OURS,
        rivals: &[],
        rows: WEB,
    },
    Section {
        work: Work::Instructions,
        peers: OURS,
        rivals: &[],
        rows: INSTRUCTIONS,
    },
    Section {
        work: Work::Plain,
        peers: RELAYS_OF_PORTS,
        rivals: RTPENGINE_TWICE,
        rows: MEDIA,
    },
    Section {
        work: Work::Sdes,
        peers: RELAYS,
        rivals: RTPENGINE,
        rows: MEDIA,
    },
    Section {
        work: Work::Dtls,
        peers: RELAYS,
        rivals: RTPENGINE,
        rows: MEDIA,
    },
    Section {
        work: Work::MediaRate,
        peers: RELAYS_OF_PORTS,
        rivals: RTPENGINE_TWICE,
        rows: MEDIA_RATE,
    },
    Section {
        work: Work::Churn,
        peers: RELAYS,
        rivals: RTPENGINE,
        rows: CHURN,
    },
    Section {
        work: Work::Kernel,
        peers: RELAYS,
        rivals: RTPENGINE,
        rows: STREET,
    },
];

/// What stands above the table of `work`.
pub(super) fn title(work: Work, plan: &Plan) -> String {
    let (register, call) = (plan.register, plan.call);
    let talk = |calls: usize| {
        let packets = 1.0 / packet_time(calls).as_secs_f64();
        format!("{calls} calls, {packets:.0} packets a second each way, each of 20 ms of G.711")
    };
    let way = if plan.links {
        "\nPhones are on links of their own (veth), whose frames viaduct-relay has"
    } else {
        ""
    };
    let unheard = if plan.links {
        ".\nPackets are counted there without being heard, which leaves phones more time to send."
    } else {
        ""
    };
    let media = format!("{}{way}", talk(plan.media_calls));
    let loads = |load: LoadPlan| {
        format!(
            "At full load {} at a time; steadily {} a second, and now and then {}.",
            load.window, load.steady_per_second, load.paced_per_second
        )
    };
    let registrations = |what: &str| {
        format!(
            "Registrations: {what}; {} phones over UDP.\n{}",
            2 * plan.pairs,
            loads(register)
        )
    };
    match work {
        Work::Register => registrations("REGISTER, 200"),
        Work::RegisterDigest => registrations("REGISTER, 401, REGISTER with MD5 digest, 200"),
        Work::Call => format!(
            "Calls: INVITE, 100, 180, 200, ACK, BYE, 200 between UDP phones, with Record-Route, without relay and passwords;\n\
             the delay is that from INVITE to 200. {}",
            loads(call)
        ),
        Work::CallRate => format!(
            "The same calls between {} pairs of phones, ever more a second ({} s each) until one fails: none may be refused or\n\
             take longer than {} s, and no more may be under way at the end than begin in half a second. What UDP loses is sent\n\
             again as RFC 3261 says.",
            plan.rate.pairs,
            plan.rate.step.as_secs_f64(),
            PATIENCE.as_secs()
        ),
        Work::Memory => format!(
            "Resident memory, once nothing has been said for so long that no transaction is left: {} registrations in a burst,\n\
             {} at {} a second, and {} calls. T1 is shorter there, so that transactions are over in ten seconds.",
            2 * plan.memory.pairs,
            2 * plan.memory.slow_pairs,
            plan.memory.slow_per_second,
            plan.memory.calls
        ),
        Work::Wss => format!(
            "Phones that stay connected and registered: {} over WS, {} over WSS (TLS 1.3, no resumption), all of which refresh\n\
             within {} s. Memory is that of the connection and of the registration.",
            plan.web.ws,
            plan.web.wss,
            plan.web.refresh.as_secs()
        ),
        Work::Instructions => format!(
            "Instructions of the program for one operation, counted by callgrind: what {} more of them take.",
            plan.instruction_times
        ),
        Work::Plain => format!(
            "Media, RTP to RTP: {media}.\n\
             `sockets` is viaduct-relay with a socket for each port, as it works without capabilities."
        ),
        Work::Kernel => format!(
            "Media, RTP to RTP between phones on links of their own (veth), the kernel's where it can:\n\
             {}. Processor time has that of interrupts in it:\n\
             what sending takes with the relay (and nobody to hear it) more than with frames that nobody takes, a little of each\n\
             in turn, {} times. {} calls are changed, one every {} ms.",
            talk(plan.street.calls),
            plan.street.turns,
            plan.street.changed,
            plan.street.change_every.as_millis()
        ),
        Work::MediaRate => format!(
            "The same calls, {} at a time, ever more packets a second ({} s each) until one is lost or the phones can send no\n\
             more: then the highest rate at which none was lost is theirs, and the relay's is above it.{way}{unheard}",
            plan.media_rate.calls,
            plan.media_rate.step.as_secs_f64()
        ),
        Work::Churn => format!(
            "{} calls that come and go, {} a second, beside {} that go on, {} of which talk. The delay is that of their packets.",
            plan.churn.times, plan.churn.per_second, plan.churn.calls, plan.churn.talking
        ),
        Work::Sdes => format!("Media, SRTP (AES_CM_128_HMAC_SHA1_80, keys in SDP) to RTP: {media}."),
        Work::Dtls => format!(
            "Media between browsers (ICE, DTLS-SRTP with AES-GCM where the relay has it, one port) and phones (RTP): {media}.\n\
             Set-up includes checks and handshake."
        ),
    }
}
