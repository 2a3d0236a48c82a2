//! The gateway's configuration file.

pub(crate) mod found_user;
pub(crate) mod hook;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod live;
pub(crate) mod media_policy;
pub(crate) mod next_hops;
pub(crate) mod numbers;
pub(crate) mod proxies;
pub(crate) mod registrations;
pub(crate) mod relay;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod site;
pub(crate) mod table;
pub(crate) mod tls;
pub(crate) mod trunk_headers;
pub(crate) mod trunks;
pub(crate) mod user_source;
pub(crate) mod users;

mod check;
mod resolve;

use std::collections::BTreeMap;

use crate::code::Code;
use crate::decode::{Decoder, Fault, TextForm, section};
use crate::diagnostic::Diagnostics;
use crate::environment::{Environment, FlagCheck};
use crate::form::{choice, numbered, section_form};
use crate::load::Loaded;
use crate::positions::Positions;
use crate::shape::Shape;
use crate::source::{FileLimits, Reporter, Source};
use crate::tree;
use crate::written::Written;

use self::hook::{HookKeys, HookSettings};
use self::limits::LimitSettings;
use self::listen::{Listener, ListenerForm};
use self::media_policy::{MediaPolicy, MediaPolicyForm};
use self::next_hops::{DnsSettings, ForeignDomains, UdpToTcp};
use self::numbers::NumberSettings;
use self::proxies::ProxySettings;
use self::registrations::RegistrationSettings;
use self::relay::RelaySection;
use self::routes::{ForkingSettings, Route, routes};
use self::service::{
    AdminSettings, AuthSettings, LogSettings, MetricsSettings, RegistrarSettings, TimerSettings,
};
use self::site::SiteSettings;
use self::tls::TlsSettings;
use self::trunks::{Trunk, TrunkKeys, trunks};
use self::user_source::{UserSource, UserSourceForm, UserSourceKeys};
use self::users::{User, UserKeys, users};

/// Everything that a configuration file of the gateway says, checked and with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Who the gateway is.
    pub site: SiteSettings,
    /// Where it can be reached.
    pub listen: Vec<Listener>,
    /// The certificate of the secure listeners.
    pub tls: TlsSettings,
    /// Whose word is taken for whose connections they pass on.
    pub trusted_proxies: ProxySettings,
    /// Users by login name, from `users` and from the table of `user_source`.
    pub users: BTreeMap<String, User>,
    /// Where further users are. Those of a table are in [`users`](Self::users) already.
    pub user_source: Option<UserSource>,
    /// Who decides before the rules do.
    pub hook: Option<HookSettings>,
    /// Rules for dialled numbers, first match first.
    pub routes: Vec<Route>,
    /// Carriers and other exchanges, in the order of the file.
    pub trunks: Vec<Trunk>,
    /// How numbers are dialled here.
    pub numbers: NumberSettings,
    /// How the devices of a call are tried.
    pub forking: ForkingSettings,
    /// What becomes of calls to other domains.
    pub foreign_domains: ForeignDomains,
    /// Which large requests go over TCP.
    pub udp_to_tcp: UdpToTcp,
    /// How names of other domains are resolved.
    pub dns: DnsSettings,
    /// Where the relay's flags come from.
    pub media_policy: MediaPolicy,
    /// Which relay carries the media, and how.
    pub relay: RelaySection,
    /// How much of everything.
    pub limits: LimitSettings,
    /// How long registrations last.
    pub registrar: RegistrarSettings,
    /// Where registrations are kept.
    pub registrations: RegistrationSettings,
    /// How patient signalling is.
    pub timers: TimerSettings,
    /// How users prove who they are.
    pub auth: AuthSettings,
    /// Path of the control socket.
    pub control_socket: String,
    /// Health and metrics on a port of their own.
    pub metrics: MetricsSettings,
    /// What is logged.
    pub log: LogSettings,
}

/// Listeners in one file.
pub(crate) const LISTENERS_MAX: usize = 500;

section! {
    /// The configuration file of the gateway.
    pub(crate) struct GatewayFile {
        /// Version of this format.
        version: u32 = default(VersionForm, "1");
        /// Who the gateway is: its name, its address as the internet sees it, and where it keeps its files.
        site: SiteSettings = default(section_form::<SiteSettings>(), "{}");
        /// Where the gateway can be reached. What is not listed is not offered.
        listen: Vec<(usize, Listener)> = default(
            numbered(ListenerForm, LISTENERS_MAX),
            "[https://0.0.0.0:443, sip+udp://0.0.0.0:5060, sip+tcp://0.0.0.0:5060, sip+tls://0.0.0.0:5061]"
        );
        /// The certificate and the protocol versions of `https`, `wss` and `sip+tls` listeners.
        tls: TlsSettings = default(section_form::<TlsSettings>(), "{}");
        /// Proxies before the gateway that say whose connections they pass on.
        trusted_proxies: ProxySettings = default(section_form::<ProxySettings>(), "{}");
        /// Who may register and call, by login name.
        users: Vec<(String, UserKeys)> = default(users(), "{}");
        /// Further users: in a table, in a database, or asked of a service.
        user_source: Option<UserSourceKeys> = default(UserSourceForm, "none");
        /// A service that decides about calls before `routes` does.
        hook: HookKeys = default(section_form::<HookKeys>(), "{}");
        /// Which number goes where; the first rule that matches takes the call.
        routes: Vec<(usize, Route)> = default(
            routes(),
            "[{ match: { to: '100' }, send_to: 'service:echo' }, { match: { to: '101' }, send_to: 'service:music' }]"
        );
        /// Carriers and other exchanges, by name.
        trunks: Vec<(String, TrunkKeys)> = default(trunks(), "{}");
        /// How numbers are dialled here.
        numbers: NumberSettings = default(section_form::<NumberSettings>(), "{}");
        /// How the devices of a call are tried.
        forking: ForkingSettings = default(section_form::<ForkingSettings>(), "{}");
        /// What becomes of calls of users to other domains, and along a Route that leads elsewhere. Needs a listener of the
        /// transport by which the other domain is reached.
        foreign_domains: ForeignDomains = default(choice::<ForeignDomains>(), "deny");
        /// Which requests that are too large for a datagram go over TCP instead.
        udp_to_tcp: UdpToTcp = default(choice::<UdpToTcp>(), "resolved");
        /// How names of other domains are turned into addresses.
        dns: DnsSettings = default(section_form::<DnsSettings>(), "{}");
        /// Relay flags by who calls whom; `profiles` lets the gateway write them.
        media_policy: MediaPolicy = default(MediaPolicyForm, "profiles");
        /// The relay that carries the media.
        relay: RelaySection = default(section_form::<RelaySection>(), "{}");
        /// How much of everything the gateway takes on.
        limits: LimitSettings = default(section_form::<LimitSettings>(), "{}");
        /// How long registrations last.
        registrar: RegistrarSettings = default(section_form::<RegistrarSettings>(), "{}");
        /// Where registrations are kept, and what of them survives a power cut.
        registrations: RegistrationSettings = default(section_form::<RegistrationSettings>(), "{}");
        /// How patient signalling is.
        timers: TimerSettings = default(section_form::<TimerSettings>(), "{}");
        /// How users prove who they are, and which pages may connect.
        auth: AuthSettings = default(section_form::<AuthSettings>(), "{}");
        /// The control socket.
        admin: AdminSettings = default(section_form::<AdminSettings>(), "{}");
        /// Health and metrics on a port of their own.
        metrics: MetricsSettings = default(section_form::<MetricsSettings>(), "{}");
        /// What is logged.
        log: LogSettings = default(section_form::<LogSettings>(), "{}");
    }
}

/// Turns the text of a configuration file into settings, or into all mistakes of the file.
///
/// `file` is the name for messages. `flags` checks the strings of `media_policy`.
///
/// # Errors
///
/// Every mistake of the file, with warnings among them.
pub fn load_gateway(
    file: &str,
    text: &str,
    environment: &dyn Environment,
    flags: &FlagCheck<'_>,
) -> Result<Loaded<GatewaySettings>, Diagnostics> {
    let mut reporter = Reporter::new(vec![Source::new(file, text)]);
    let tree = tree::build(&mut reporter, 0, &FileLimits::default());
    let positions = Positions::of(&tree.root, &reporter.sources[0]);
    let mut decoder = Decoder::new(&mut reporter, 0).with_flags(flags);
    let decoded: Option<GatewayFile> = decoder.section(&tree.root);
    if !tree.complete {
        // What is missing may stand in the part that could not be read.
        reporter.retain(|diagnostic| diagnostic.code != Code::MissingKey);
        return Err(reporter.finish());
    }
    let Some(decoded) = decoded else {
        return Err(reporter.finish());
    };
    check::run(&decoded, &positions, environment, &mut reporter);
    let settings = resolve::run(decoded, &positions, environment, &mut reporter);
    let loaded = Loaded::new(settings, positions, reporter)?;
    Ok(Loaded {
        written: Written::of(&tree.root),
        ..loaded
    })
}

/// The version of the format: 1.
pub(crate) struct VersionForm;

impl TextForm for VersionForm {
    type Value = u32;

    fn parse(&self, text: &str) -> Result<u32, Fault> {
        match text {
            "1" => Ok(1),
            _ => Err(Fault {
                code: Code::Version,
                ..Fault::bad()
            }),
        }
    }

    fn shape(&self) -> Shape {
        Shape::Whole { min: 1, max: 1 }
    }

    fn plain_only(&self) -> bool {
        true
    }
}
