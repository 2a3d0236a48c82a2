//! From the keys of the file to settings that are ready for use: secrets are read, tables are loaded, and what is
//! left out is taken from where the documentation says.

mod trunks;

use std::collections::BTreeMap;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Place, quoted};
use crate::environment::Environment;
use crate::form::choice::Choice;
use crate::positions::Positions;
use crate::secret::Secret;
use crate::source::{Reporter, looks_secret};

use super::service::ChallengeSettings;
use super::table::{self, Row};
use super::user_source::UserSource;
use super::users::{Credentials, Transport, User, UserKeys, password};
use super::{GatewayFile, GatewaySettings};

/// The finished settings. What is wrong goes to `reporter`; the settings are of no use then.
pub(super) fn run(
    file: GatewayFile,
    positions: &Positions,
    environment: &dyn Environment,
    reporter: &mut Reporter,
) -> GatewaySettings {
    let user_source = file
        .user_source
        .as_ref()
        .and_then(|keys| keys.resolve(positions, environment, reporter));
    let users = Users {
        file: &file,
        positions,
        environment,
        reporter,
        list: BTreeMap::new(),
    }
    .resolve(user_source.as_ref());
    let hook = file.hook.resolve(positions, environment, reporter);
    let trunks = trunks::resolve(&file, positions, environment, reporter);
    let control_socket = file
        .admin
        .socket
        .unwrap_or_else(|| format!("{}/control.sock", file.site.state_dir.trim_end_matches('/')));
    GatewaySettings {
        site: file.site,
        listen: file.listen.into_iter().map(|(_, listener)| listener).collect(),
        tls: file.tls,
        trusted_proxies: file.trusted_proxies,
        users,
        user_source,
        hook,
        routes: file.routes.into_iter().map(|(_, route)| route).collect(),
        trunks,
        numbers: file.numbers,
        forking: file.forking,
        foreign_domains: file.foreign_domains,
        udp_to_tcp: file.udp_to_tcp,
        dns: file.dns,
        media_policy: file.media_policy,
        relay: file.relay,
        limits: file.limits,
        registrar: file.registrar,
        registrations: file.registrations,
        timers: file.timers,
        auth: file.auth,
        control_socket,
        metrics: file.metrics,
        log: file.log,
    }
}

struct Users<'a> {
    file: &'a GatewayFile,
    positions: &'a Positions,
    environment: &'a dyn Environment,
    reporter: &'a mut Reporter,
    list: BTreeMap<String, User>,
}

/// The keys of which a user needs one.
const SECRET_KEYS: [&str; 4] = ["secret_file", "secret_env", "secret", "ha1"];

impl Users<'_> {
    fn resolve(mut self, source: Option<&UserSource>) -> BTreeMap<String, User> {
        let file = self.file;
        for (login, keys) in &file.users {
            if let Some(credentials) = self.credentials(login, keys) {
                let user = self.user(login, keys, credentials);
                let place = self.positions.nearest(&["users", login]);
                self.check(&user, &place);
                self.list.insert(login.clone(), user);
            }
        }
        if let Some(UserSource::File(path)) = source {
            self.table(path);
        }
        self.list
    }

    fn user(&self, login: &str, keys: &UserKeys, credentials: Credentials) -> User {
        let auth = &self.file.auth.challenge;
        let own = keys.challenge.as_ref();
        User {
            login: login.to_owned(),
            name: keys.name.clone(),
            credentials,
            devices: keys.devices.unwrap_or(self.file.limits.contacts_per_user),
            transports: keys
                .transports
                .clone()
                .unwrap_or_else(|| Transport::VARIANTS.to_vec()),
            codecs: keys
                .codecs
                .iter()
                .map(|codec| codec.to_ascii_lowercase())
                .collect(),
            challenge: ChallengeSettings {
                ws: own
                    .and_then(|own| own.ws.clone())
                    .unwrap_or_else(|| auth.ws.clone()),
                other: own
                    .and_then(|own| own.other.clone())
                    .unwrap_or_else(|| auth.other.clone()),
            },
            aliases: keys.aliases.clone(),
            profile: keys.profile,
        }
    }

    /// How the password of `login` is checked; what is wrong is reported.
    fn credentials(&mut self, login: &str, keys: &UserKeys) -> Option<Credentials> {
        let positions = self.positions;
        let at = |key: &str| positions.value(&["users", login, key]);
        let written: Vec<&str> = SECRET_KEYS.into_iter().filter(|key| at(key).is_some()).collect();
        match written.as_slice() {
            // A misspelt key for the secret has been reported.
            [] if positions.names(&["users", login]).any(looks_secret) => return None,
            [] => {
                let user = quoted(login);
                let diagnostic = Diagnostic::new(Code::SecretMissing, format!("user {user} has no secret"))
                    .at(positions.key(&["users", login]))
                    .help("add `secret_file: …` or `secret_env: …`".to_owned())
                    .note("nobody could register as this user");
                self.reporter.report_consequence(diagnostic);
                return None;
            }
            [_] => {}
            [first, second, ..] => {
                let message = format!("user {} has both `{first}` and `{second}`", quoted(login));
                let diagnostic = Diagnostic::new(Code::Exclusive, message)
                    .at(positions.key(&["users", login, second]))
                    .help("delete one of the two".to_owned());
                self.reporter.report_consequence(diagnostic);
                return None;
            }
        }
        if let Some(path) = &keys.secret_file {
            let read = self.environment.read_file(path).map_err(|error| error.reason);
            let what = format!("the file {}", quoted(path));
            return self.secret(read, &what, at("secret_file"));
        }
        if let Some(name) = &keys.secret_env {
            let read = self
                .environment
                .variable(name)
                .ok_or_else(|| "it is not set".to_owned());
            let what = format!("the environment variable {}", quoted(name));
            return self.secret(read, &what, at("secret_env"));
        }
        if let Some(secret) = &keys.secret {
            let message = format!("the password of user {} stands in this file", quoted(login));
            let diagnostic = Diagnostic::new(Code::SecretInFile, message)
                .at(positions.key(&["users", login, "secret"]))
                .help("move it to a file and write `secret_file: …`".to_owned())
                .note("whoever may read this file, a backup or its history knows the password");
            self.reporter.report_consequence(diagnostic);
            return Some(Credentials::Password(secret.clone()));
        }
        // A hash that was given and is wrong has been reported.
        let ha1 = keys.ha1.as_ref()?;
        if ha1.is_empty() {
            if positions.names(&["users", login, "ha1"]).next().is_some() {
                return None;
            }
            let diagnostic =
                Diagnostic::new(Code::SecretMissing, format!("user {} has no hash", quoted(login)))
                    .at(positions.key(&["users", login, "ha1"]))
                    .help("add `MD5: …` or `SHA-256: …`".to_owned());
            self.reporter.report_consequence(diagnostic);
            return None;
        }
        Some(Credentials::Ha1(ha1.clone().into()))
    }

    fn secret(
        &mut self,
        read: Result<String, String>,
        what: &str,
        place: Option<Place>,
    ) -> Option<Credentials> {
        read_secret(self.reporter, read, what, place).map(Credentials::Password)
    }

    fn table(&mut self, path: &str) {
        let place = self.positions.nearest(&["user_source", "file"]);
        let text = match self.environment.read_file(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("the user table {} cannot be read", quoted(path));
                let diagnostic = Diagnostic::new(Code::FileUnreadable, message)
                    .at(place)
                    .help(error.reason);
                self.reporter.report_consequence(diagnostic);
                return;
            }
        };
        let mut first_places: BTreeMap<String, Place> = BTreeMap::new();
        for row in table::read(path, &text, self.reporter) {
            let written = self.positions.key(&["users", &row.login]);
            if let Some(first) = first_places.get(&row.login).cloned().or(written) {
                let message = format!("user {} exists already", quoted(&row.login));
                let diagnostic = Diagnostic::new(Code::UserTwice, message)
                    .at(row.place)
                    .note(format!("first given at {first}"));
                self.reporter.report(diagnostic);
                continue;
            }
            first_places.insert(row.login.clone(), row.place.clone());
            if let Some((user, place)) = self.table_user(row) {
                self.check(&user, &place);
                self.list.insert(user.login.clone(), user);
            }
        }
    }

    fn table_user(&mut self, row: Row) -> Option<(User, Place)> {
        let credentials = match (row.secret, row.ha1) {
            (Some(secret), ha1) if ha1.is_empty() => Credentials::Password(secret),
            (None, ha1) if ha1.is_empty() => {
                let message = format!("user {} has no secret", quoted(&row.login));
                let diagnostic = Diagnostic::new(Code::SecretMissing, message)
                    .at(row.place)
                    .expected("a `secret` or a hash (`ha1_…`) that is not empty");
                self.reporter.report(diagnostic);
                return None;
            }
            (None, ha1) => Credentials::Ha1(ha1),
            (Some(_), _) => {
                let message = format!("user {} has both a password and a hash", quoted(&row.login));
                self.reporter
                    .report(Diagnostic::new(Code::Exclusive, message).at(row.place));
                return None;
            }
        };
        let user = User {
            login: row.login,
            name: row.name,
            credentials,
            devices: row.devices.unwrap_or(self.file.limits.contacts_per_user),
            transports: row.transports,
            codecs: row
                .codecs
                .iter()
                .map(|codec| codec.to_ascii_lowercase())
                .collect(),
            challenge: self.file.auth.challenge.clone(),
            aliases: row.aliases,
            profile: row.profile,
        };
        Some((user, row.place))
    }

    /// What can only be told of a finished user: the hashes fit the challenges, the codecs exist.
    fn check(&mut self, user: &User, place: &Place) {
        for (kind, algorithms) in [
            ("WebSocket", &user.challenge.ws),
            ("UDP, TCP and TLS", &user.challenge.other),
        ] {
            for algorithm in algorithms
                .iter()
                .filter(|algorithm| !user.credentials.supports(**algorithm))
            {
                let login = quoted(&user.login);
                let message = format!(
                    "user {login} is challenged with {algorithm} over {kind}, but has no hash for it"
                );
                let diagnostic = Diagnostic::new(Code::HashMissing, message)
                    .at(self
                        .positions
                        .key(&["users", &user.login, "ha1"])
                        .unwrap_or_else(|| place.clone()))
                    .help(format!("add {algorithm}, or leave it out of `challenge`"))
                    .note("a phone that answers to it could not register");
                self.reporter.report(diagnostic);
            }
        }
        for (index, codec) in user.codecs.iter().enumerate() {
            if KNOWN_CODECS.contains(&codec.as_str()) {
                continue;
            }
            let index = index.to_string();
            let written = self.positions.value(&["users", &user.login, "codecs", &index]);
            let diagnostic = Diagnostic::new(
                Code::UnknownCodec,
                format!("the codec {} is not known", quoted(codec)),
            )
            .at(written.unwrap_or_else(|| place.clone()))
            .help(crate::suggest::did_you_mean(codec, KNOWN_CODECS.iter().copied()))
            .note("a name that no phone uses leaves the user without this codec");
            self.reporter.report_consequence(diagnostic);
        }
    }
}

/// The password that a file or a variable holds.
fn read_secret(
    reporter: &mut Reporter,
    read: Result<String, String>,
    what: &str,
    place: Option<Place>,
) -> Option<Secret> {
    let secret = read.and_then(|text| {
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        password(line).map_err(str::to_owned)
    });
    let told = secret.map_err(|reason| {
        let diagnostic = Diagnostic::new(Code::SecretUnreadable, format!("{what} gives no password"))
            .at(place)
            .help(reason)
            .expected("one line with the password, up to 256 bytes");
        reporter.report_consequence(diagnostic);
    });
    told.ok()
}

/// Codecs that phones and browsers are known to offer, in lower case (IANA RTP payload format names).
const KNOWN_CODECS: &[&str] = &[
    "amr",
    "amr-wb",
    "av1",
    "cn",
    "evs",
    "g722",
    "g722.1",
    "g723",
    "g726-16",
    "g726-24",
    "g726-32",
    "g726-40",
    "g729",
    "g729d",
    "g729e",
    "gsm",
    "gsm-efr",
    "h261",
    "h263",
    "h263-1998",
    "h264",
    "h265",
    "ilbc",
    "isac",
    "l16",
    "lpc",
    "opus",
    "pcma",
    "pcmu",
    "red",
    "silk",
    "speex",
    "t140",
    "telephone-event",
    "vp8",
    "vp9",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codecs_are_in_lower_case() {
        assert!(
            KNOWN_CODECS
                .iter()
                .all(|codec| codec.to_ascii_lowercase() == *codec)
        );
    }

    #[test]
    fn a_secret_is_never_in_debug_output() {
        let credentials = Credentials::Password(Secret::new("hunter2"));
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
