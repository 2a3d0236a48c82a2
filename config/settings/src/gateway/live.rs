//! What a running gateway can change without a restart, and in what two configurations differ.

use crate::load::Loaded;
use crate::written::Difference;

use super::limits::LimitSettings;
use super::service::{AuthSettings, LogSettings};
use super::tls::TlsSettings;
use super::users::User;
use super::{GatewayFile, GatewaySettings};

/// Keys that a running gateway keeps until it is started again, with everything below them. All others it takes over.
pub const RESTART_KEYS: [&str; 13] = [
    "version",
    "site",
    "listen",
    "tls.trust",
    "relay",
    "registrations",
    "limits.messages_in_flight",
    "limits.shard_queue",
    "limits.nonces",
    "auth.nonce_lifetime",
    "admin",
    "metrics",
    "log.format",
];

impl GatewaySettings {
    /// These settings with everything from `wanted` that a running gateway takes over.
    #[must_use]
    pub fn with_live_part_of(&self, wanted: &Self) -> Self {
        // Every field is named, so that nobody adds one without deciding about it.
        let Self {
            site,
            listen,
            tls,
            trusted_proxies: _,
            users: _,
            user_source: _,
            hook: _,
            routes: _,
            trunks: _,
            numbers: _,
            forking: _,
            foreign_domains: _,
            udp_to_tcp: _,
            dns: _,
            media_policy: _,
            relay,
            limits,
            registrar: _,
            registrations,
            timers: _,
            auth,
            control_socket,
            metrics,
            log,
        } = self.clone();
        Self {
            site,
            listen,
            relay,
            registrations,
            control_socket,
            metrics,
            tls: TlsSettings {
                trust: tls.trust,
                ..wanted.tls.clone()
            },
            limits: LimitSettings {
                messages_in_flight: limits.messages_in_flight,
                shard_queue: limits.shard_queue,
                nonces: limits.nonces,
                ..wanted.limits.clone()
            },
            auth: AuthSettings {
                nonce_lifetime: auth.nonce_lifetime,
                ..wanted.auth.clone()
            },
            log: LogSettings {
                format: log.format,
                ..wanted.log.clone()
            },
            ..wanted.clone()
        }
    }
}

impl Difference {
    /// Whether a running gateway takes it over.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !RESTART_KEYS.iter().any(|key| self.is_within(key))
    }
}

impl Loaded<GatewaySettings> {
    /// In what `wanted` differs, key by key; passwords and the user table by what they are and not by where they stand.
    #[must_use]
    pub fn differences(&self, wanted: &Self) -> Vec<Difference> {
        let mut found = self.written.differences::<GatewayFile>(&wanted.written);
        let is_told = |login: &str| {
            let key = format!("users.{login}");
            found.iter().any(|difference| difference.is_within(&key))
        };
        let (old, new) = (&self.settings.users, &wanted.settings.users);
        let shown = |user: &User| Some(user.name.clone().unwrap_or_else(|| user.login.clone()));
        let mut of_users = Vec::new();
        for (login, user) in old {
            let key = format!("users.{login}");
            match new.get(login) {
                _ if is_told(login) => {}
                None => of_users.push(Difference {
                    from: shown(user),
                    ..Difference::unseen(key)
                }),
                Some(other) if other.credentials != user.credentials => {
                    of_users.push(Difference::unseen(format!("{key} (password)")));
                }
                Some(other) if is_otherwise_different(user, other) => of_users.push(Difference::unseen(key)),
                Some(_) => {}
            }
        }
        let came = new
            .iter()
            .filter(|(login, _)| !old.contains_key(*login) && !is_told(login));
        of_users.extend(came.map(|(login, user)| Difference {
            to: shown(user),
            ..Difference::unseen(format!("users.{login}"))
        }));
        found.extend(of_users);
        let trunks = wanted.settings.trunks.iter().filter_map(|trunk| {
            let old = self.settings.trunks.iter().find(|old| old.name == trunk.name)?;
            let is_other = old.account.as_ref().map(|account| &account.credentials)
                != trunk.account.as_ref().map(|account| &account.credentials);
            let key = format!("trunks.{}", trunk.name);
            let is_told = found.iter().any(|difference| difference.is_within(&key));
            (is_other && !is_told).then(|| Difference::unseen(format!("{key} (password)")))
        });
        let trunks: Vec<Difference> = trunks.collect();
        found.extend(trunks);
        found
    }
}

/// Whether what is a user's own differs, and not only what all users are given.
fn is_otherwise_different(user: &User, other: &User) -> bool {
    let own = |user: &User| User {
        devices: 0,
        challenge: super::service::ChallengeSettings::default(),
        ..user.clone()
    };
    own(user) != own(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Key, Shape};
    use crate::{FixedEnvironment, load_gateway};

    fn load(text: &str, table: &str) -> Loaded<GatewaySettings> {
        let environment = FixedEnvironment::default()
            .with_variable("A", "apple")
            .with_file("secret", table)
            .with_file("users.csv", table);
        load_gateway("test.yaml", text, &environment, &|_| Vec::new()).unwrap()
    }

    fn told(old: &Loaded<GatewaySettings>, new: &Loaded<GatewaySettings>) -> Vec<String> {
        old.differences(new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_password_that_changed_in_its_file_is_told_and_not_shown() {
        let text = "users: { a: { secret_file: secret } }";
        assert_eq!(
            told(&load(text, "pear"), &load(text, "plum")),
            ["users.a (password): changed"]
        );
        assert_eq!(told(&load(text, "pear"), &load(text, "pear")), [""; 0]);
    }

    #[test]
    fn a_trunks_password_that_changed_is_told_and_not_shown() {
        let text = "users: { a: { secret_env: A } }\n\
                    trunks: { t: { proxy: 'sip:192.0.2.9', login: { user: u, secret_file: secret } } }";
        let (old, new) = (load(text, "pear"), load(text, "plum"));
        assert_eq!(told(&old, &new), ["trunks.t (password): changed"]);
        assert_eq!(told(&old, &old), [""; 0]);
    }

    #[test]
    fn rows_of_the_user_table_come_go_and_change() {
        let text = "user_source: { file: users.csv }";
        let old = load(text, "user,secret,name\na,1,Ann\nb,2,\nc,3,\n");
        let new = load(text, "user,secret,name\nb,5,\nc,3,Cy\nd,4,Dan\n");
        assert_eq!(
            told(&old, &new),
            [
                "users.a: removed Ann",
                "users.b (password): changed",
                "users.c: changed",
                "users.d: added Dan"
            ]
        );
    }

    /// What all users are given is told once.
    #[test]
    fn a_limit_of_all_users_is_no_difference_of_each() {
        let users = "users: { a: { secret_env: A }, b: { secret_env: A } }";
        let new = format!("{users}\nlimits: {{ contacts_per_user: 3 }}");
        assert_eq!(
            told(&load(users, ""), &load(&new, "")),
            ["limits.contacts_per_user: 10 → 3"]
        );
    }

    /// A value for every key that needs a restart, none of them the default.
    const RESTART: &str = "
site: { domain: other.example, public_ip: 203.0.113.9, state_dir: elsewhere }
listen: [sip+udp://127.0.0.1:5070]
tls: { trust: authorities.pem }
relay: { browser_port: 3490 }
registrations: { keep: memory }
limits: { messages_in_flight: 100, shard_queue: 100, nonces: 2000 }
auth: { nonce_lifetime: 1m }
admin: { socket: other.sock }
metrics: { listen: none }
log: { format: json }
";

    #[test]
    fn what_needs_a_restart_is_told_so_and_not_taken_over() {
        let old = load("users: { a: { secret_env: A } }", "");
        let new = load(&format!("users: {{ a: {{ secret_env: A }} }}\n{RESTART}"), "");
        let found = old.differences(&new);
        assert!(found.iter().all(|difference| !difference.is_live()), "{found:#?}");
        for key in RESTART_KEYS.iter().filter(|key| **key != "version") {
            assert!(found.iter().any(|difference| difference.is_within(key)), "{key}");
        }
        assert_eq!(old.settings.with_live_part_of(&new.settings), old.settings);
    }

    /// Every other key of the file, changed.
    const LIVE: &str = "
tls: { min_version: \"1.3\" }
trusted_proxies: { from: [10.0.0.1] }
users: { b: { secret_env: A } }
user_source: { file: users.csv }
hook: { url: 'https://crm.example/calls', cache: 5s }
routes: [{ match: { to: x }, send_to: 'user:b' }]
media_policy: { ws-to-ws: { offer: ICE=force, answer: ICE=force } }
forking: { ring_time: 15s }
trunks: { acme: { proxy: 'sip:192.0.2.9', login: { user: u, secret_env: A } } }
numbers: { country: '49' }
foreign_domains: allow
udp_to_tcp: never
dns: { servers: [127.0.0.1], hosts: { pbx.example: 192.0.2.1 } }
registrar: { min_expires: 70s }
timers: { t1: 400ms }
limits: { calls: 5, sip_message: 32KiB, connection_idle: 1m, handshake: 5s, sources: 5000, requests_per_source: 9/1s }
auth: { origins: any, without_qop: true, challenge: { other: [SHA-256] } }
log: { level: warn }
";

    #[test]
    fn everything_else_is_taken_over() {
        let (old, new) = (
            load("users: { a: { secret_env: A } }", ""),
            load(LIVE, "user,secret\nc,plum\n"),
        );
        let found = old.differences(&new);
        assert!(found.iter().all(Difference::is_live), "{found:#?}");
        assert_eq!(old.settings.with_live_part_of(&new.settings), new.settings);
        // A top-level key is either in this test or needs a restart.
        let keys = <GatewayFile as crate::decode::Section>::keys();
        for Key { name, .. } in &keys {
            let is_restart = RESTART_KEYS.contains(name);
            assert!(
                is_restart || found.iter().any(|difference| difference.is_within(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn every_key_that_needs_a_restart_exists() {
        fn has(keys: &[Key], path: &str) -> bool {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            keys.iter().any(|key| {
                let below = |keys: &[Key]| has(keys, rest);
                key.name == name
                    && (rest.is_empty() || matches!(&key.shape, Shape::Section { keys, .. } if below(keys)))
            })
        }
        let keys = <GatewayFile as crate::decode::Section>::keys();
        for path in RESTART_KEYS {
            assert!(has(&keys, path), "{path}");
        }
    }
}
