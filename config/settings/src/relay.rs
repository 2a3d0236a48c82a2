//! The relay's own settings: from YAML, from rtpengine's configuration file, and from rtpengine's options.

pub(crate) mod apply;
pub(crate) mod args;
pub(crate) mod conf;
pub(crate) mod draft;
pub(crate) mod options;

use std::net::SocketAddr;

use crate::check::{Bound, MediaCheck, overlaps, public_addresses};
use crate::code::Code;
use crate::decode::{Decoder, section};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::form::address::PortRange;
use crate::form::number::Decimal;
use crate::form::{
    choice, choices, count, decimal, numbered, or_word, path, section_form, size, socket, switch,
};
use crate::gateway::service::LogSettings;
use crate::gateway::site::{PublicIp, PublicIpForm};
use crate::gateway::tls::CertificateKeys;
use crate::gateway::{LISTENERS_MAX, VersionForm};
use crate::listener::{Layer, is_local, listen_url};
use crate::load::Loaded;
use crate::media::{IceMode, MediaSettings, SdesMode, UnnamedMedia};
use crate::positions::Positions;
use crate::secret::Secret;
use crate::source::{FileLimits, Reporter, Source};
use crate::tree;

/// The largest `max_load`.
pub(crate) const LOAD_MAX: u32 = 100_000;

/// The largest `max_bandwidth`, in octets a second.
pub(crate) const BANDWIDTH_MAX: u64 = 1 << 40;

/// Everything that the relay is told at start, checked and with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySettings {
    /// Where it takes commands and answers questions about itself.
    pub listen: Vec<RelayListener>,
    /// What `https` listeners show.
    pub tls: Option<CertificateKeys>,
    /// DSCP and ECN byte of what is answered on NG listeners.
    pub control_tos: u32,
    /// The machine's address as the internet sees it, for interfaces with `advertise: public`.
    pub public_ip: PublicIp,
    /// The media side.
    pub media: MediaSettings,
    /// Calls at the same time; 0 refuses new calls and keeps the running ones, `None` is no limit.
    pub max_sessions: Option<u32>,
    /// The machine's load, the mean of a minute, beyond which new calls are refused; `None` is no limit.
    pub max_load: Option<Decimal>,
    /// Use of all processors together, in percent, beyond which new calls are refused.
    pub max_cpu: Option<Decimal>,
    /// Octets of media sent on in a second beyond which new calls are refused.
    pub max_bandwidth: Option<usize>,
    /// Whose repeated commands are recognised as repeated.
    pub ng_cookies: CookieScope,
    /// Whether the address that a SIP message came from counts as media address where the proxy does not say.
    pub sip_source: bool,
    /// Where digits are told of calls for which the proxy does not say.
    pub dtmf_log: Option<SocketAddr>,
    /// Whether digits of all calls are told to every NG connection over TCP.
    pub dtmf_log_ng_tcp: bool,
    /// Whether an SDP with an empty line in it is refused.
    pub reject_invalid_sdp: bool,
    /// Who may let clients of Janus' protocol in; `None` serves none.
    pub janus_secret: Option<JanusSecret>,
    /// File to write the process number to.
    pub pid_file: Option<String>,
    /// File that keeps the state of calls, so that they survive a restart.
    pub state_file: Option<String>,
    /// What is logged.
    pub log: LogSettings,
    /// Flag strings that NG commands may refer to by name (rtpengine's signalling templates): name and text. Only
    /// rtpengine's configuration file has them.
    pub templates: Vec<(String, String)>,
    /// rtpengine's options that were given and have no effect here, each once, for one line in the log.
    pub unused_options: Vec<String>,
}

/// What lets clients of Janus' protocol in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JanusSecret {
    /// The secret itself, as rtpengine's option has it.
    Given(Secret),
    /// A file with the secret in its first line.
    File(String),
}

/// One address where the relay listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelayListener {
    /// What is spoken there.
    pub scheme: RelayScheme,
    /// The local address; `[::]` is IPv6 only.
    pub address: SocketAddr,
}

choices! {
    /// What is spoken on a listener of the relay.
    pub enum RelayScheme {
        /// NG commands in datagrams.
        NgUdp = "ng+udp",
        /// NG commands over TCP.
        NgTcp = "ng+tcp",
        /// NG commands over HTTP and WebSocket, `/ping`, health and metrics.
        Http = "http",
        /// The same over TLS.
        Https = "https",
        /// The text commands of `rtpengine-ctl`.
        Cli = "cli",
    }
}

impl RelayScheme {
    /// The transport below.
    #[must_use]
    pub fn layer(self) -> Layer {
        match self {
            Self::NgUdp => Layer::Udp,
            Self::NgTcp | Self::Http | Self::Https | Self::Cli => Layer::Tcp,
        }
    }
}

choices! {
    /// Whose repeated NG commands get the stored answer.
    pub enum CookieScope {
        /// A command counts as repeated if it comes from the same address with the same cookie.
        PerSender = "per-sender",
        /// The cookie alone counts, as in rtpengine: for proxies that repeat from another address. Who guesses a
        /// cookie gets the answer.
        Shared = "shared",
    }
}

section! {
    /// The configuration file of `viaduct-relay`.
    pub(crate) struct RelayFile {
        /// Version of this format.
        version: u32 = default(VersionForm, "1");
        /// Where the relay takes commands (`ng+udp`, `ng+tcp`, `http`, `https`) and shows itself (`http`, `https`, `cli`). NG
        /// has no password, so the default is this machine only.
        listen: Vec<(usize, (RelayScheme, SocketAddr))> = default(
            numbered(listen_url::<RelayScheme>(), LISTENERS_MAX),
            "[ng+udp://127.0.0.1:2223, http://127.0.0.1:9101]"
        );
        /// The certificate that `https` listeners show.
        tls: Option<CertificateKeys> = absent(section_form::<CertificateKeys>(), "needed with an `https` listener");
        /// DSCP and ECN byte of answers to NG commands; 0 is none.
        control_tos: u32 = default(count(0..=255), "0");
        /// Address of this machine as the internet sees it. With `auto`, the machine's own addresses are told: right
        /// unless it is behind a NAT.
        public_ip: PublicIp = default(PublicIpForm, "auto");
        /// The media side.
        media: MediaSettings = flatten;
        /// Calls at the same time; further offers are refused so that the proxy tries another relay. 0 refuses all
        /// new calls.
        max_sessions: Option<u32> = default(or_word("none", count(0..=10_000_000)), "none");
        /// Load of the machine, the mean of a minute as `uptime` shows it, beyond which new calls are refused. Calls refused
        /// for this, `max_cpu` or `max_bandwidth` are counted by `viaduct_relay_calls_refused_for_load`.
        max_load: Option<Decimal> = default(or_word("none", decimal(LOAD_MAX)), "none");
        /// Use of all processors together within a second, in percent, beyond which new calls are refused.
        max_cpu: Option<Decimal> = default(or_word("none", decimal(100)), "none");
        /// Media sent on within a second beyond which new calls are refused.
        max_bandwidth: Option<usize> = default(or_word("none", size(0, BANDWIDTH_MAX)), "none");
        /// Whose repeated NG commands get the stored answer.
        ng_cookies: CookieScope = default(choice::<CookieScope>(), "per-sender");
        /// Whether the address that the SIP message came from counts as media address where the proxy does not say.
        sip_source: bool = default(switch(), "false");
        /// Where the digits that parties dial are told, one datagram of JSON each, of calls for which the proxy does not say
        /// (`DTMF-log-dest` in NG).
        dtmf_log: Option<SocketAddr> = default(or_word("none", socket()), "none");
        /// Whether digits of all calls are told to every NG connection over TCP as well, unasked, as bencode.
        dtmf_log_ng_tcp: bool = default(switch(), "false");
        /// Whether an SDP with an empty line in it is refused. With `false` it ends there, as for rtpengine.
        reject_invalid_sdp: bool = default(switch(), "false");
        /// File with a secret of one line, which lets programs of the operator's add tokens of Janus' protocol; rooms, as rtpengine
        /// has them, are served on the `http` and `https` listeners to whoever has such a token. `none`: there are no rooms.
        janus_secret_file: Option<String> = default(or_word("none", path()), "none");
        /// File to write the process number to.
        pid_file: Option<String> = default(or_word("none", path()), "none");
        /// File that keeps the state of calls over a restart: plain RTP and SRTP with keys from SDPs go on at once, browsers
        /// come back with an ICE restart. It is written at most 0.1 s behind, holds the SRTP keys of calls, and only
        /// its owner may read it. `none`: calls end with the relay.
        state_file: Option<String> = default(or_word("none", path()), "none");
        /// What is logged.
        log: LogSettings = default(section_form::<LogSettings>(), "{}");
    }
}

impl Default for RelaySettings {
    /// What holds for an empty YAML file.
    fn default() -> Self {
        Self::from(crate::decode::defaults::<RelayFile>())
    }
}

impl From<RelayFile> for RelaySettings {
    fn from(file: RelayFile) -> Self {
        let listen = file.listen.into_iter();
        Self {
            listen: listen
                .map(|(_, (scheme, address))| RelayListener { scheme, address })
                .collect(),
            tls: file.tls,
            control_tos: file.control_tos,
            public_ip: file.public_ip,
            media: file.media,
            max_sessions: file.max_sessions,
            max_load: file.max_load,
            max_cpu: file.max_cpu,
            max_bandwidth: file.max_bandwidth,
            ng_cookies: file.ng_cookies,
            sip_source: file.sip_source,
            dtmf_log: file.dtmf_log,
            dtmf_log_ng_tcp: file.dtmf_log_ng_tcp,
            reject_invalid_sdp: file.reject_invalid_sdp,
            janus_secret: file.janus_secret_file.map(JanusSecret::File),
            pid_file: file.pid_file,
            state_file: file.state_file,
            log: file.log,
            templates: Vec::new(),
            unused_options: Vec::new(),
        }
    }
}

impl RelaySettings {
    /// What holds when the relay is started with rtpengine's options: rtpengine's own defaults where they are safe.
    ///
    /// Browsers get ports of their own and full ICE, SDES keys are told to the other side and what both sides have the keys
    /// for is not opened, media may pass beside the relay where a proxy asks for that, and ports change when the other side
    /// moves, because that is what proxies written for rtpengine expect. NG stays on loopback and sources stay strict, unlike
    /// rtpengine.
    #[must_use]
    pub fn rtpengine_defaults() -> Self {
        let settings = Self::default();
        Self {
            listen: Vec::new(),
            media: MediaSettings {
                browser_port: None,
                rtp_ports: PortRange {
                    first: 30_000,
                    last: 40_000,
                },
                ice: IceMode::Full,
                sdes: SdesMode::Rtpengine,
                srtp_pass_through: true,
                direct_media: true,
                begin_at_offer: true,
                rtpengine_checks: true,
                shared_endpoints: true,
                renumbered_events: false,
                port_latching: false,
                unnamed_media: UnnamedMedia::First,
                tos: 0,
                ..settings.media
            },
            ..settings
        }
    }

    /// The listener that holds when no option names one.
    pub(crate) fn default_listener() -> RelayListener {
        RelayListener {
            scheme: RelayScheme::NgUdp,
            address: SocketAddr::from(([127, 0, 0, 1], 2223)),
        }
    }
}

/// Turns the text of the relay's YAML file into settings, or into all mistakes of the file.
///
/// # Errors
///
/// Every mistake of the file, with warnings among them.
pub fn load_relay(file: &str, text: &str) -> Result<Loaded<RelaySettings>, Diagnostics> {
    let mut reporter = Reporter::new(vec![Source::new(file, text)]);
    let Some((settings, positions)) = read_yaml(&mut reporter, 0) else {
        return Err(reporter.finish());
    };
    check(&settings, &positions, &mut reporter);
    Loaded::new(settings, positions, reporter)
}

/// The settings of the YAML text that is source number `index`, without the checks across keys.
pub(crate) fn read_yaml(reporter: &mut Reporter, index: usize) -> Option<(RelaySettings, Positions)> {
    let tree = tree::build(reporter, index, &FileLimits::default());
    let positions = Positions::of(&tree.root, &reporter.sources[index]);
    let decoded: Option<RelayFile> = Decoder::new(reporter, index).section(&tree.root);
    if !tree.complete {
        reporter.retain(|diagnostic| diagnostic.code != Code::MissingKey);
        return None;
    }
    decoded.map(|file| (RelaySettings::from(file), positions))
}

/// Checks across keys: values that are good by themselves but cannot work together.
pub(crate) fn check(settings: &RelaySettings, positions: &Positions, reporter: &mut Reporter) {
    let bound: Vec<Bound> = settings
        .listen
        .iter()
        .enumerate()
        .map(|(index, listener)| Bound {
            name: format!("{}://{}", listener.scheme, listener.address),
            layer: listener.scheme.layer(),
            address: listener.address,
            place: positions.value(&["listen", &index.to_string()]),
            carried_by: None,
        })
        .collect();
    overlaps(&bound, reporter);
    if let Some(secure) = settings
        .listen
        .iter()
        .position(|of| of.scheme == RelayScheme::Https)
        && settings.tls.is_none()
    {
        let message = format!("{} has no certificate to show", bound[secure].name);
        let diagnostic = Diagnostic::new(Code::MissingKey, message)
            .at(bound[secure].place.clone())
            .note("fix: `tls` with `cert` and `key`, or the option `--https-cert`");
        reporter.report_consequence(diagnostic);
    }
    public_addresses(&settings.public_ip, &["public_ip"], positions, reporter);
    let mut media = MediaCheck {
        media: &settings.media,
        public_ip: &settings.public_ip,
        path: &[],
        positions,
        reporter,
    };
    media.run(&bound);
    for listener in bound.iter().filter(|bound| !is_local(bound.address.ip())) {
        let message = format!("{} can be reached from other machines", listener.name);
        let diagnostic = Diagnostic::new(Code::ControlExposed, message)
            .at(listener.place.clone())
            .note("who reaches it can redirect and end every call: there is no password")
            .note("fix: `127.0.0.1`, or a firewall that lets only the proxy in");
        reporter.report_consequence(diagnostic);
    }
}
