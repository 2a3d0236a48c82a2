//! What a proxy is told at start.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use viaduct_sip::digest::Algorithm;
use viaduct_sip::{Host, Message, Transport, Uri};
use viaduct_trunk::{NumberPlan, Routes, Trunks};
use viaduct_txn::Timing;

use crate::Network;
use crate::media::MediaConfig;

/// One address that this proxy listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// How octets come in.
    pub transport: Transport,
    /// The bound address. Unspecified (`0.0.0.0`, `::`) when every address of the machine is meant.
    pub addr: SocketAddr,
    /// The host to write into Via and Record-Route, IPv6 in brackets. `None` writes the address that the peer sent to.
    pub advertised: Option<String>,
}

/// What becomes of a 3xx that a phone answers an INVITE with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Redirects {
    /// It goes to the caller, who decides.
    #[default]
    Pass,
    /// Its contacts in our own domain are called instead. Others go to the caller.
    Follow,
}

/// The registrar's times, in seconds (RFC 3261 section 10.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrarTimes {
    /// Shorter is refused with 423. 60.
    pub expires_min_s: u32,
    /// Longer is cut. 7200.
    pub expires_max_s: u32,
    /// For contacts that name none. 600.
    pub expires_default_s: u32,
    /// How often a device is asked to show that its flow lives, over stream transports (RFC 5626 section 4.4). `None`
    /// leaves it to the device. 120.
    pub flow_timer_s: Option<u32>,
    /// How often a phone that registered over UDP from behind a NAT is sent an empty line, which keeps the way to it open.
    /// `None` leaves that to phones. 25 s.
    pub udp_ping: Option<Duration>,
}

impl Default for RegistrarTimes {
    fn default() -> Self {
        Self {
            expires_min_s: 60,
            expires_max_s: 7_200,
            expires_default_s: 600,
            flow_timer_s: Some(120),
            udp_ping: Some(Duration::from_secs(25)),
        }
    }
}

/// How passwords are asked for.
///
/// The algorithms go out as one challenge each, in this order. JsSIP and SIP.js read only the last challenge and know
/// only MD5; many phones read only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// Algorithms over WS and WSS. SHA-256, MD5.
    pub websocket: Vec<Algorithm>,
    /// Algorithms over UDP, TCP and TLS. MD5.
    pub other: Vec<Algorithm>,
    /// Let in clients of RFC 2069, which send no `qop` and cannot be protected from replay. False.
    pub allow_without_qop: bool,
    /// Whoever sends from one of these is the user that it says it is. None.
    pub trust_from: Vec<Network>,
    /// Requests whose User-Agent contains one of these, in any case, are dropped without an answer: who scans for phones and
    /// passwords learns that nobody is here. The well-known ones.
    pub dropped_user_agents: Vec<String>,
}

/// Programs that look for phones and passwords, and say so.
const SCANNERS: [&str; 5] = ["friendly-scanner", "sipvicious", "sipcli", "sundayddr", "pplsip"];

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            websocket: vec![Algorithm::Sha256, Algorithm::Md5],
            other: vec![Algorithm::Md5],
            allow_without_qop: false,
            trust_from: Vec::new(),
            dropped_user_agents: SCANNERS.map(str::to_owned).to_vec(),
        }
    }
}

/// Bounds. Each is counted where it is hit, see [`Counters`](crate::Counters).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls at a time over all shards; an INVITE beyond is answered 503. 10,000.
    pub calls_max: usize,
    /// Calls at a time that one user may have, as caller, over all shards. 8; beyond 486.
    pub calls_per_user_max: usize,
    /// Contacts of one address of record; beyond, the one that was refreshed longest ago goes. 10.
    pub contacts_per_aor_max: usize,
    /// Registered contacts in all; beyond, a new one is answered 503. 100,000.
    pub contacts_max: usize,
    /// Contact values in one REGISTER; beyond 400. 20.
    pub contacts_per_register_max: usize,
    /// Octets of one Contact URI; beyond 400. 1,024.
    pub contact_uri_octets_max: usize,
    /// Octets of all Path values of one REGISTER together; beyond 400. 2,048.
    pub path_octets_max: usize,
    /// Branches of one request. 20.
    pub branches_max: usize,
    /// Max-Breadth of requests that bring none: branches that may exist at a time behind all proxies on the way
    /// (RFC 5393 section 5.3.3); a request that would need more is answered 440. 60.
    pub breadth_max: u32,
    /// Answers of one branch that wait for the relay; beyond, provisional ones are dropped. 16.
    pub answers_waiting_max: usize,
    /// Requests that wait for the relay, the store or a name in one shard; beyond 503. 20,000.
    pub requests_waiting_max: usize,
    /// Server transactions of one shard; a request beyond is answered 503 without state. 100,000.
    pub server_transactions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 10_000,
            calls_per_user_max: 8,
            contacts_per_aor_max: 10,
            contacts_max: 100_000,
            contacts_per_register_max: 20,
            contact_uri_octets_max: 1_024,
            path_octets_max: 2_048,
            branches_max: 20,
            breadth_max: 60,
            answers_waiting_max: 16,
            requests_waiting_max: 20_000,
            server_transactions_max: 100_000,
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The transaction timers.
    pub timing: Timing,
    /// Timer C: how long a branch may ring after its last provisional answer. 3 min 1 s: it must be larger than three
    /// minutes (RFC 3261 section 16.6, step 11).
    pub ringing_max: Duration,
    /// How long a flow may be silent before the next of the same device is tried (RFC 5626 section 7). 2 s.
    pub flow_patience: Duration,
    /// How long a group of targets may ring before the next is tried. The last rings on. 20 s.
    pub group_ring: Duration,
    /// The longest call. 4 h.
    pub call_max: Duration,
    /// How often a call is looked at after the connection of one side has gone. 2 s.
    pub lost_flow_check: Duration,
    /// A side whose connection has gone and that sent nothing for this long has left. 6 s.
    pub lost_flow_silence: Duration,
    /// How long one address of a next hop may be silent before the next one is tried: until any answer to an INVITE, until
    /// the final one to others. The last address has 64·T1. 5 s.
    pub address_patience: Duration,
    /// How long a call or a subscription may have waited to be handled, and a tenth of how long a registration may; beyond
    /// 503. 500 ms: after T1 its sender sends it again.
    pub queue_max: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            timing: Timing::default(),
            ringing_max: Duration::from_secs(181),
            flow_patience: Duration::from_secs(2),
            group_ring: Duration::from_secs(20),
            call_max: Duration::from_secs(4 * 3_600),
            lost_flow_check: Duration::from_secs(2),
            lost_flow_silence: Duration::from_secs(6),
            address_patience: Duration::from_secs(5),
            queue_max: Duration::from_millis(500),
        }
    }
}

/// What becomes of a request of one of our users to somebody elsewhere: a Request-URI of another domain, or a Route that
/// leads elsewhere (RFC 3261 section 16.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForeignDomains {
    /// It is refused with 403, whoever sends it.
    #[default]
    Deny,
    /// It goes on, once its sender has proven to be a user of ours.
    Allow,
}

/// Which requests too large for a datagram go over TCP instead (RFC 3261 section 18.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UdpToTcp {
    /// None.
    Never,
    /// Those to next hops that were looked up, when their URI asked for no transport. Phones that registered over UDP are
    /// spared: many have no TCP.
    #[default]
    Resolved,
    /// Those to phones that registered over UDP too, when their Contact asks for no transport.
    Always,
}

/// What somebody else's program is asked about, and what happens without its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookConfig {
    /// Methods of the requests that it is asked about. Only those outside any dialog are.
    pub methods: Vec<String>,
    /// Headers that it is told, by the name that it knows them by.
    pub headers: Vec<String>,
    /// What happens when it does not decide.
    pub on_failure: OnNoDecision,
}

/// What becomes of a request about which a hook does not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNoDecision {
    /// The routes decide, as they do without a hook.
    #[default]
    Continue,
    /// 503 with Retry-After.
    Reject,
}

impl HookConfig {
    /// Whether requests like this one are told.
    pub fn asks_about(&self, request: &Message) -> bool {
        let method = request.method();
        method.is_some_and(|method| self.methods.iter().any(|one| one == method.as_str()))
    }
}

/// The largest request that leaves in a datagram when TCP may be tried: 200 octets less than what an Ethernet carries
/// (RFC 3261 section 18.1.1).
pub(crate) const DATAGRAM_REQUEST_MAX: usize = 1_300;

/// Everything that a [`Proxy`](crate::Proxy) is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The SIP domain: digest realm and host of every address of record.
    pub domain: String,
    /// Further hosts that mean this proxy: names and addresses, IPv6 without brackets, lower case.
    pub aliases: Vec<String>,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Which rule takes a call; the first that matches. Without one a dialled name is looked up among the users.
    pub routes: Routes,
    /// How numbers are dialled here.
    pub numbers: NumberPlan,
    /// Carriers, with what all shards know of them.
    pub trunks: Trunks,
    /// Who decides before the routes do. Nobody.
    pub hook: Option<HookConfig>,
    /// What becomes of redirections.
    pub redirects: Redirects,
    /// Registration times.
    pub registrar: RegistrarTimes,
    /// Tell devices to send their requests by the way that they registered over (RFC 3608). False.
    pub service_route: bool,
    /// A registration is acknowledged when [`Output::Store`](crate::Output::Store) has been answered. False keeps
    /// registrations in memory only, and asks for nothing to be stored. True.
    pub durable_registrations: bool,
    /// How passwords are asked for.
    pub auth: AuthConfig,
    /// How media is bridged.
    pub media: MediaConfig,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub times: Times,
    /// The Server header of answers that the proxy makes itself. `None` sends none.
    pub server: Option<String>,
    /// Whether users may reach other domains. Deny.
    pub foreign_domains: ForeignDomains,
    /// Which large requests go over TCP. Those to next hops that were looked up.
    pub udp_to_tcp: UdpToTcp,
}

impl Config {
    /// A configuration for a domain, with no listener yet and every default.
    pub fn new(domain: &str) -> Self {
        Self {
            domain: domain.to_ascii_lowercase(),
            aliases: Vec::new(),
            listeners: Vec::new(),
            routes: Routes::default(),
            numbers: NumberPlan::default(),
            trunks: Trunks::default(),
            hook: None,
            redirects: Redirects::Pass,
            registrar: RegistrarTimes::default(),
            service_route: false,
            durable_registrations: true,
            auth: AuthConfig::default(),
            media: MediaConfig::default(),
            limits: Limits::default(),
            times: Times::default(),
            server: Some("Viaduct".to_owned()),
            foreign_domains: ForeignDomains::default(),
            udp_to_tcp: UdpToTcp::default(),
        }
    }

    /// True when the host of a To, From or Request-URI is our domain, whatever the port. `at` is the local address that
    /// the message arrived at: it is ours even if this machine gained it after the start.
    pub fn is_our_host(&self, host: &Host<'_>, at: SocketAddr) -> bool {
        match host.ip() {
            Some(ip) => ip.to_canonical() == at.ip().to_canonical() || self.is_our_ip(ip),
            None => {
                let name = host.as_str();
                // Nearly everybody writes it as we do.
                name == self.domain
                    || name.eq_ignore_ascii_case(&self.domain)
                    || self.aliases.iter().any(|alias| name.eq_ignore_ascii_case(alias))
                    || self
                        .listeners
                        .iter()
                        .any(|listener| listener.is_advertised_as(name))
            }
        }
    }

    /// True when a Route value names us: host and port of a listener (RFC 3261 section 16.4). `at` as for
    /// [`is_our_host`](Self::is_our_host).
    pub fn is_our_route(&self, uri: &Uri<'_>, at: SocketAddr) -> bool {
        let Some(host) = uri.host() else { return false };
        if !self.is_our_host(&host, at) {
            return false;
        }
        let transport = || {
            let usual = if uri.is_sips() {
                Transport::Tls
            } else {
                Transport::Udp
            };
            uri.transport().unwrap_or(usual)
        };
        let port = match uri.port() {
            Some(port) => port,
            // DNS says which port a bare name has.
            None if host.ip().is_none() => return true,
            None => transport().default_port(),
        };
        self.listeners.iter().any(|listener| listener.addr.port() == port)
    }

    /// The listener that a flow came in over, or that speaks the flow's transport.
    pub fn listener_of(&self, transport: Transport, local: SocketAddr) -> Option<&Listener> {
        let same = |listener: &&Listener| listener.transport == transport;
        let family = |listener: &&Listener| listener.addr.is_ipv4() == local.is_ipv4();
        let mut candidates = self.listeners.iter().filter(same);
        candidates
            .clone()
            .find(|listener| listener.addr == local)
            .or_else(|| {
                candidates
                    .clone()
                    .find(|listener| listener.addr.port() == local.port() && family(listener))
            })
            .or_else(|| candidates.clone().find(family))
            .or_else(|| candidates.next())
    }

    /// Where a peer reaches us that we reach from `source`: a listener of this transport and address family. `None` when
    /// there is none, so that nothing can be sent that way.
    pub fn local_for(&self, transport: Transport, source: IpAddr) -> Option<SocketAddr> {
        let fits = |listener: &&Listener| {
            listener.transport == transport && listener.addr.is_ipv4() == source.is_ipv4()
        };
        let mut listeners = self.listeners.iter().filter(fits).map(|listener| listener.addr);
        let listener = listeners
            .clone()
            .find(|addr| addr.ip() == source)
            .or_else(|| listeners.clone().find(|addr| addr.ip().is_unspecified()))
            .or_else(|| listeners.next())?;
        let ip = if listener.ip().is_unspecified() {
            source
        } else {
            listener.ip()
        };
        Some(SocketAddr::new(ip, listener.port()))
    }

    fn is_our_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.aliases
            .iter()
            .any(|alias| alias.parse::<IpAddr>().is_ok_and(|alias| alias == ip))
            || self.listeners.iter().any(|listener| listener.addr.ip() == ip)
            || self
                .listeners
                .iter()
                .filter_map(|listener| listener.advertised.as_deref())
                .any(|advertised| {
                    advertised
                        .trim_matches(['[', ']'])
                        .parse::<IpAddr>()
                        .is_ok_and(|advertised| advertised == ip)
                })
    }
}

impl Listener {
    /// The host and port to write into Via and Record-Route for a peer that reaches us at `local`.
    pub fn sent_by(&self, local: SocketAddr) -> String {
        let ip = if self.addr.ip().is_unspecified() {
            local.ip()
        } else {
            self.addr.ip()
        };
        match &self.advertised {
            Some(host) => format!("{host}:{}", self.addr.port()),
            None => SocketAddr::new(ip, self.addr.port()).to_string(),
        }
    }

    fn is_advertised_as(&self, name: &str) -> bool {
        self.advertised
            .as_ref()
            .is_some_and(|advertised| advertised.eq_ignore_ascii_case(name))
    }
}
