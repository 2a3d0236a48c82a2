//! Settings, as people write them, into what the cores are told. No I/O.

pub(crate) mod trunks;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use viaduct_ng::flags;
use viaduct_resolve as resolve;
use viaduct_routing as routing;
use viaduct_routing::media::{IceRole, MediaConfig, Policy, Profile, Row, Table};
use viaduct_settings as settings;
use viaduct_settings::GatewaySettings;
use viaduct_sip::digest::{Algorithm, Ha1};
use viaduct_sip::{Limits, Transport};
use viaduct_txn::Timing;

use crate::http::handshake::Origins;
use crate::net::conns::ConnLimits;
use crate::net::context::{ConnTimes, Tuning};
use crate::net::names::NamesConfig;
use crate::net::proxies::Proxies;
use crate::net::sources::SourceLimits;
use crate::store::StoreConfig;

/// What the routing core is told, but for the trunks, which live longer than one configuration. `bound` are the listeners as they were bound, `own` the addresses of this machine.
pub(crate) fn routing_config(
    settings: &GatewaySettings,
    bound: Vec<routing::Listener>,
    own: &[IpAddr],
    shards: usize,
) -> routing::Config {
    let mut config = routing::Config::new(&settings.site.domain);
    let aliases: BTreeSet<String> = own
        .iter()
        .chain(settings.site.public_ip.known())
        .map(ToString::to_string)
        .collect();
    config.aliases = aliases.into_iter().collect();
    // Browsers on this machine, and nobody else, reach us by this name.
    config.aliases.push("localhost".to_owned());
    config.listeners = bound;
    config.routes = trunks::routes(settings);
    config.numbers = trunks::numbers(settings);
    config.hook = settings.hook.as_ref().map(hook);
    config.redirects = match settings.forking.redirects {
        settings::Redirects::Pass => routing::Redirects::Pass,
        settings::Redirects::Follow => routing::Redirects::Follow,
    };
    config.registrar = routing::RegistrarTimes {
        expires_min_s: seconds(settings.registrar.min_expires),
        expires_max_s: seconds(settings.registrar.max_expires),
        expires_default_s: seconds(settings.registrar.default_expires),
        flow_timer_s: settings.registrar.flow_timer.map(seconds),
        udp_ping: settings.registrar.udp_ping,
    };
    config.service_route = settings.registrar.service_route;
    config.durable_registrations = settings.registrations.keep == settings::Keep::Disk;
    config.auth = routing::AuthConfig {
        websocket: settings
            .auth
            .challenge
            .ws
            .iter()
            .map(|&one| algorithm(one))
            .collect(),
        other: settings
            .auth
            .challenge
            .other
            .iter()
            .map(|&one| algorithm(one))
            .collect(),
        allow_without_qop: settings.auth.without_qop,
        trust_from: settings
            .auth
            .trust_from
            .iter()
            .map(|&network| self::network(network))
            .collect(),
        dropped_user_agents: settings.auth.drop_user_agents.clone(),
    };
    config.foreign_domains = match settings.foreign_domains {
        settings::ForeignDomains::Deny => routing::ForeignDomains::Deny,
        settings::ForeignDomains::Allow => routing::ForeignDomains::Allow,
    };
    config.udp_to_tcp = match settings.udp_to_tcp {
        settings::UdpToTcp::Never => routing::UdpToTcp::Never,
        settings::UdpToTcp::Resolved => routing::UdpToTcp::Resolved,
        settings::UdpToTcp::Always => routing::UdpToTcp::Always,
    };
    config.media = media(settings);
    let limits = &settings.limits;
    config.limits = routing::Limits {
        calls_max: limits.calls as usize,
        calls_per_user_max: limits.calls_per_user as usize,
        contacts_per_aor_max: limits.contacts_per_user as usize,
        contacts_max: limits.contacts as usize,
        contacts_per_register_max: limits.contacts_per_register as usize,
        contact_uri_octets_max: limits.contact_uri,
        path_octets_max: limits.path,
        branches_max: limits.branches as usize,
        breadth_max: limits.max_breadth,
        answers_waiting_max: limits.answers_waiting as usize,
        requests_waiting_max: limits.requests_waiting as usize,
        server_transactions_max: (limits.transactions as usize).div_ceil(shards),
    };
    let timers = &settings.timers;
    config.times = routing::Times {
        timing: timing(timers),
        ringing_max: limits.ring_time,
        flow_patience: timers.flow_patience,
        group_ring: settings.forking.ring_time,
        // No limit is written as a year: longer than the process lives.
        call_max: limits.call_time.unwrap_or(Duration::from_secs(365 * 86_400)),
        lost_flow_check: timers.lost_flow_check,
        lost_flow_silence: timers.lost_flow_silence,
        address_patience: timers.next_address,
        queue_max: limits.queue_time,
    };
    config
}

/// The timers of transactions.
pub(crate) fn timing(timers: &settings::TimerSettings) -> Timing {
    Timing {
        t1: timers.t1,
        t2: timers.t2,
        t4: timers.t4,
        timer_d: timers.d,
    }
}

/// Who may use the gateway.
pub(crate) fn users(settings: &GatewaySettings) -> routing::Users {
    settings
        .users
        .values()
        .map(|user| account(user, &settings.site.domain, &settings.auth.challenge))
        .collect()
}

/// What the hook is asked about.
fn hook(hook: &settings::HookSettings) -> routing::HookConfig {
    routing::HookConfig {
        methods: hook
            .methods
            .iter()
            .map(|method| method.as_str().to_owned())
            .collect(),
        headers: hook.headers.clone(),
        on_failure: match hook.on_failure {
            settings::HookFailure::Continue => routing::OnNoDecision::Continue,
            settings::HookFailure::Reject => routing::OnNoDecision::Reject,
        },
    }
}

/// How long answers of a source of users are worth something.
pub(crate) fn directory_limits(lookup: &settings::UserLookup) -> routing::DirectoryLimits {
    routing::DirectoryLimits {
        ttl: lookup.ttl,
        negative_ttl: lookup.negative_ttl,
        stale: lookup.stale,
        entries_max: lookup.entries as usize,
    }
}

/// What one source may do.
pub(crate) fn guard_limits(settings: &GatewaySettings) -> routing::GuardLimits {
    routing::GuardLimits {
        requests: rate(settings.limits.requests_per_source),
        failures: rate(settings.limits.register_attempts),
        pause_max: settings.limits.register_pause,
        sources_max: settings.limits.sources as usize,
    }
}

fn rate(rate: settings::Rate) -> routing::Rate {
    routing::Rate {
        count: rate.count,
        per: rate.per,
    }
}

/// What a SIP parser accepts.
pub(crate) fn message_limits(settings: &GatewaySettings) -> Limits {
    let octets = settings.limits.sip_message;
    let standard = Limits::default();
    Limits {
        datagram_octets_max: octets.min(standard.datagram_octets_max),
        stream_octets_max: octets,
        frame_octets_max: octets,
        head_octets_max: octets.min(standard.head_octets_max),
        headers_max: settings.limits.headers as usize,
        ..standard
    }
}

pub(crate) fn conn_limits(settings: &GatewaySettings) -> ConnLimits {
    ConnLimits {
        connections: settings.limits.connections as usize,
        source: SourceLimits {
            connections: settings.limits.connections_per_source as usize,
            opening: rate(settings.limits.new_connections_per_source),
            remembered: settings.limits.sources as usize,
        },
        queue: settings.limits.connection_queue as usize,
    }
}

/// What a connection that begins is given.
pub(crate) fn tuning(settings: &GatewaySettings) -> Tuning {
    Tuning {
        limits: message_limits(settings),
        times: ConnTimes {
            handshake: settings.limits.handshake,
            first_message: settings.limits.first_message,
            message: settings.limits.message_time,
            write: settings.limits.write_time,
            idle: settings.limits.connection_idle,
            ping: settings.limits.websocket_ping,
        },
        in_flight: settings.limits.connection_in_flight as usize,
        connect: settings.limits.connect,
        outgoing_max: settings.limits.outgoing_connections as usize,
    }
}

/// How names are resolved. `listeners` say which transports are spoken.
pub(crate) fn names_config(settings: &GatewaySettings, listeners: &[routing::Listener]) -> NamesConfig {
    let dns = &settings.dns;
    let standard = resolve::Limits::default();
    let spoken = |transport: &Transport| listeners.iter().any(|listener| listener.transport == *transport);
    NamesConfig {
        resolver: resolve::Config {
            transports: [Transport::Udp, Transport::Tcp, Transport::Tls]
                .into_iter()
                .filter(spoken)
                .collect(),
            hosts: dns
                .hosts
                .iter()
                .map(|(name, addresses)| (name.as_str().into(), addresses.clone()))
                .collect(),
            limits: resolve::Limits {
                questions_max: settings.limits.lookups as usize,
                cache_max: dns.cache as usize,
                ttl_max: dns.max_ttl,
                negative_ttl_max: dns.negative_ttl,
                dead_for: dns.dead_address,
                ..standard
            },
        },
        servers: dns.servers.clone(),
        timeout: dns.timeout,
    }
}

/// Whose word is taken for whose connections they pass on.
pub(crate) fn proxies(settings: &GatewaySettings) -> Proxies {
    let settings::ProxySettings { from, tell_by } = &settings.trusted_proxies;
    Proxies {
        from: from.iter().map(|&one| network(one)).collect(),
        tell_by: *tell_by,
    }
}

pub(crate) fn origins(settings: &GatewaySettings) -> Origins {
    match &settings.auth.origins {
        settings::Origins::Any => Origins::Any,
        settings::Origins::Own(others) => Origins::Own(others.clone()),
    }
}

/// How registrations are written down. `None` when they are kept in memory only.
pub(crate) fn store_config(settings: &GatewaySettings) -> Option<StoreConfig> {
    let registrations = &settings.registrations;
    (registrations.keep == settings::Keep::Disk).then_some(StoreConfig {
        window: registrations.window,
    })
}

/// The transport that a listener gives to flows.
pub(crate) fn transport(scheme: settings::Scheme) -> Transport {
    match scheme {
        settings::Scheme::SipUdp => Transport::Udp,
        settings::Scheme::SipTcp => Transport::Tcp,
        settings::Scheme::SipTls => Transport::Tls,
        settings::Scheme::Ws | settings::Scheme::Http => Transport::Ws,
        settings::Scheme::Wss | settings::Scheme::Https => Transport::Wss,
    }
}

/// The host that peers are told for a listener, IPv6 in brackets.
pub(crate) fn advertised(listener: &settings::Listener, public: &[IpAddr]) -> Option<String> {
    let in_uri = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    match listener.advertise.as_ref()? {
        settings::AdvertisedHost::Host(host) => {
            Some(host.parse::<IpAddr>().map_or(host.clone(), |ip| in_uri(&ip)))
        }
        settings::AdvertisedHost::Public => public
            .iter()
            .find(|ip| ip.is_ipv4() == listener.address.is_ipv4())
            .map(in_uri),
    }
}

fn media(settings: &GatewaySettings) -> MediaConfig {
    let policy = match &settings.media_policy {
        settings::MediaPolicy::Profiles => Policy::Profiles,
        settings::MediaPolicy::Table(table) => Policy::Table(Box::new(media_table(table))),
    };
    let ice = match settings.relay.media.ice {
        settings::IceMode::Lite => IceRole::Lite,
        settings::IceMode::Full => IceRole::Full,
    };
    MediaConfig {
        relayed: settings.relay.mode != settings::RelayMode::None,
        policy,
        ice,
    }
}

/// A row that is left out asks for nothing itself: the profiles complete it.
pub(crate) fn media_table(table: &settings::MediaTable) -> Table {
    let row = |row: &Option<settings::MediaRow>| {
        row.as_ref().map_or_else(Row::default, |row| Row {
            offer: flags::parse_opensips(&row.offer.text).flags.options,
            answer: flags::parse_opensips(&row.answer.text).flags.options,
        })
    };
    Table {
        ws_to_ws: row(&table.ws_to_ws),
        ws_to_phone: row(&table.ws_to_phone),
        phone_to_ws: row(&table.phone_to_ws),
        phone_to_phone: row(&table.phone_to_phone),
    }
}

/// A user of the configuration, or of a source.
pub(crate) fn account(
    user: &settings::User,
    realm: &str,
    challenge: &settings::ChallengeSettings,
) -> routing::User {
    let secrets = match &user.credentials {
        settings::Credentials::Password(password) => Algorithm::ALL
            .map(|algorithm| Ha1::from_password(algorithm, &user.login, realm, password.expose()))
            .to_vec(),
        settings::Credentials::Ha1(ha1) => hashes(ha1),
    };
    let all = settings::Transport::ALL.len();
    let own_challenge = user.challenge != *challenge;
    routing::User {
        name: user.login.clone(),
        display_name: user.name.clone().unwrap_or_default(),
        secrets,
        contacts_max: Some(user.devices as usize),
        transports: (user.transports.len() < all)
            .then(|| user.transports.iter().map(|&one| user_transport(one)).collect()),
        challenge: own_challenge.then(|| routing::UserChallenge {
            websocket: user.challenge.ws.iter().map(|&one| algorithm(one)).collect(),
            other: user.challenge.other.iter().map(|&one| algorithm(one)).collect(),
        }),
        profile: match user.profile {
            settings::Profile::Auto => None,
            settings::Profile::Web => Some(Profile::Web),
            settings::Profile::Phone => Some(Profile::Phone),
            settings::Profile::PhoneSdes => Some(Profile::PhoneSdes),
            settings::Profile::PhoneDtls => Some(Profile::PhoneDtls),
        },
        codecs: (!user.codecs.is_empty()).then(|| user.codecs.clone()),
        identities: user.aliases.clone(),
    }
}

fn hashes(ha1: &settings::Ha1) -> Vec<Ha1> {
    let of = |one| Ha1::from_hex(algorithm(one), ha1.of(one)?.expose());
    settings::Algorithm::ALL
        .iter()
        .filter_map(|&one| of(one))
        .collect()
}

fn network(network: settings::Network) -> routing::Network {
    routing::Network {
        address: network.address(),
        prefix: network.prefix(),
    }
}

fn user_transport(transport: settings::Transport) -> Transport {
    match transport {
        settings::Transport::Udp => Transport::Udp,
        settings::Transport::Tcp => Transport::Tcp,
        settings::Transport::Tls => Transport::Tls,
        settings::Transport::Ws => Transport::Ws,
        settings::Transport::Wss => Transport::Wss,
    }
}

fn algorithm(algorithm: settings::Algorithm) -> Algorithm {
    match algorithm {
        settings::Algorithm::Md5 => Algorithm::Md5,
        settings::Algorithm::Sha256 => Algorithm::Sha256,
        settings::Algorithm::Sha512_256 => Algorithm::Sha512_256,
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use viaduct_settings::{FixedEnvironment, load_gateway};

    use super::*;

    fn load(text: &str) -> GatewaySettings {
        let environment = FixedEnvironment::default().with_file("secret", "apple pie");
        load_gateway("test.yaml", text, &environment, &|_| Vec::new())
            .unwrap()
            .settings
    }

    const HEAD: &str = "site: { domain: voice.example.com, public_ip: 203.0.113.10 }\n";

    #[test]
    fn defaults_agree_with_the_core() {
        let settings = load(&format!("{HEAD}users: {{ alice: {{ secret_file: secret }} }}"));
        let config = routing_config(&settings, Vec::new(), &["10.0.0.5".parse().unwrap()], 1);
        assert_eq!(config.domain, "voice.example.com");
        assert_eq!(config.aliases, ["10.0.0.5", "203.0.113.10", "localhost"]);
        assert_eq!(config.auth, routing::AuthConfig::default());
        assert_eq!(config.media, MediaConfig::default());
        assert_eq!(config.routes.rules().len(), 2);
        let users = users(&settings);
        let alice = users.get("alice").unwrap();
        assert!(alice.transports.is_none() && alice.challenge.is_none() && alice.codecs.is_none());
        let expected = Ha1::from_password(Algorithm::Sha256, "alice", "voice.example.com", "apple pie");
        assert_eq!(
            alice.secret(Algorithm::Sha256).unwrap().to_hex(),
            expected.to_hex()
        );
    }

    #[test]
    fn a_users_own_settings_arrive() {
        let settings = load(&format!(
            "{HEAD}users:\n  \"201\": {{ secret_file: secret, transports: [udp], codecs: [pcma], profile: phone, \
             aliases: [\"+49\"], devices: 2, challenge: {{ ws: [SHA-256, MD5], other: [SHA-256] }} }}"
        ));
        let users = users(&settings);
        let user = users.get("201").unwrap();
        assert_eq!(user.transports, Some(vec![Transport::Udp]));
        assert_eq!(user.codecs.as_ref().unwrap().len(), 1);
        assert_eq!((user.profile, user.contacts_max), (Some(Profile::Phone), Some(2)));
        assert_eq!(user.challenge.as_ref().unwrap().other, [Algorithm::Sha256]);
        assert!(user.may_call_as("+49"));
    }

    #[test]
    fn limits_are_divided_among_shards() {
        let settings = load(&format!(
            "{HEAD}users: {{ a: {{ secret_file: secret }} }}\nlimits: {{ transactions: 301, calls: 5 }}"
        ));
        let config = routing_config(&settings, Vec::new(), &[], 2);
        assert_eq!(config.limits.server_transactions_max, 151);
        assert_eq!(config.limits.calls_max, 5, "calls are counted over all shards");
    }

    #[test]
    fn an_ipv6_host_is_told_in_brackets() {
        let listener = |advertise| settings::Listener {
            scheme: settings::Scheme::SipUdp,
            address: "[::]:5060".parse().unwrap(),
            advertise: Some(advertise),
        };
        let public: Vec<IpAddr> = vec!["203.0.113.10".parse().unwrap(), "2001:db8::10".parse().unwrap()];
        assert_eq!(
            advertised(&listener(settings::AdvertisedHost::Public), &public).as_deref(),
            Some("[2001:db8::10]")
        );
        let host = settings::AdvertisedHost::Host("sip.example.com".to_owned());
        assert_eq!(
            advertised(&listener(host), &public).as_deref(),
            Some("sip.example.com")
        );
    }
}
