//! Trunks with their passwords.

use std::time::Duration;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, quoted};
use crate::environment::Environment;
use crate::gateway::GatewayFile;
use crate::gateway::trunks::{Account, Trunk, TrunkHashes, TrunkKeys};
use crate::gateway::users::{Credentials, Ha1};
use crate::positions::Positions;
use crate::secret::Secret;
use crate::source::Reporter;

use super::read_secret;

/// The trunks of a file; what is wrong with their passwords goes to `reporter`.
pub(super) fn resolve(
    file: &GatewayFile,
    positions: &Positions,
    environment: &dyn Environment,
    reporter: &mut Reporter,
) -> Vec<Trunk> {
    let trunks = file.trunks.iter().map(|(name, keys)| Trunk {
        name: name.clone(),
        keys: keys.clone(),
        account: keys
            .login_keys()
            .and_then(|login| login.resolve(name, positions, environment, reporter)),
    });
    trunks.collect()
}

/// `register` or `login`, whichever is there.
struct Login<'a> {
    section: &'static str,
    user: &'a str,
    auth_user: Option<&'a String>,
    realm: Option<&'a String>,
    secret_file: Option<&'a String>,
    secret_env: Option<&'a String>,
    ha1: Option<&'a TrunkHashes>,
    register: Option<Duration>,
    unregister: Option<Duration>,
}

impl TrunkKeys {
    fn login_keys(&self) -> Option<Login<'_>> {
        if let Some(keys) = &self.register {
            return Some(Login {
                section: "register",
                user: &keys.user,
                auth_user: keys.auth_user.as_ref(),
                realm: keys.realm.as_ref(),
                secret_file: keys.secret_file.as_ref(),
                secret_env: keys.secret_env.as_ref(),
                ha1: keys.ha1.as_ref(),
                register: Some(keys.expires),
                unregister: keys.unregister,
            });
        }
        let keys = self.login.as_ref()?;
        Some(Login {
            section: "login",
            user: &keys.user,
            auth_user: keys.auth_user.as_ref(),
            realm: keys.realm.as_ref(),
            secret_file: keys.secret_file.as_ref(),
            secret_env: keys.secret_env.as_ref(),
            ha1: keys.ha1.as_ref(),
            register: None,
            unregister: None,
        })
    }
}

impl Login<'_> {
    fn resolve(
        &self,
        trunk: &str,
        positions: &Positions,
        environment: &dyn Environment,
        reporter: &mut Reporter,
    ) -> Option<Account> {
        let given = [
            ("secret_file", self.secret_file.is_some()),
            ("secret_env", self.secret_env.is_some()),
            ("ha1", self.ha1.is_some()),
        ];
        let given: Vec<&str> = given
            .iter()
            .filter_map(|(key, is_given)| is_given.then_some(*key))
            .collect();
        if let [first, second, ..] = *given {
            let message = format!("trunk {} has both `{first}` and `{second}`", quoted(trunk));
            let diagnostic = Diagnostic::new(Code::Exclusive, message)
                .at(positions.key(&["trunks", trunk, self.section, second]))
                .help("delete one of the two".to_owned());
            reporter.report_consequence(diagnostic);
            return None;
        }
        let credentials = match self.ha1 {
            Some(ha1) => Credentials::Ha1(self.hashes(trunk, ha1, positions, reporter)?),
            None => Credentials::Password(self.password(trunk, positions, environment, reporter)?),
        };
        Some(Account {
            user: self.user.to_owned(),
            auth_user: self.auth_user.map_or(self.user, String::as_str).to_owned(),
            realm: self.realm.cloned(),
            credentials,
            register: self.register,
            unregister: self.unregister,
        })
    }

    /// The password from where it is.
    fn password(
        &self,
        trunk: &str,
        positions: &Positions,
        environment: &dyn Environment,
        reporter: &mut Reporter,
    ) -> Option<Secret> {
        let at = |key: &str| positions.value(&["trunks", trunk, self.section, key]);
        let (read, what, place) = match (self.secret_file, self.secret_env) {
            (Some(path), _) => {
                let read = environment.read_file(path).map_err(|error| error.reason);
                (read, format!("the file {}", quoted(path)), at("secret_file"))
            }
            (None, Some(name)) => {
                let read = environment.variable(name);
                let what = format!("the environment variable {}", quoted(name));
                (
                    read.ok_or_else(|| "it is not set".to_owned()),
                    what,
                    at("secret_env"),
                )
            }
            (None, None) => {
                let written: Vec<&str> = positions.names(&["trunks", trunk, self.section]).collect();
                // A misspelt or wrong one has been reported.
                if !written.iter().any(|key| crate::source::looks_secret(key)) {
                    let message = format!("trunk {} has no password", quoted(trunk));
                    let diagnostic = Diagnostic::new(Code::SecretMissing, message)
                        .at(positions.key(&["trunks", trunk, self.section]))
                        .help("add `secret_file: …` or `secret_env: …`".to_owned());
                    reporter.report_consequence(diagnostic);
                }
                return None;
            }
        };
        read_secret(reporter, read, &what, place)
    }

    /// Hashes of the password. They are worth nothing without the realm that they were made for.
    fn hashes(
        &self,
        trunk: &str,
        keys: &TrunkHashes,
        positions: &Positions,
        reporter: &mut Reporter,
    ) -> Option<Ha1> {
        let path = ["trunks", trunk, self.section, "ha1"];
        let ha1 = Ha1::from(keys);
        if ha1.is_empty() {
            // A hash that was given and is wrong has been reported.
            if positions.names(&path).next().is_none() {
                let message = format!("trunk {} has no hash", quoted(trunk));
                let diagnostic = Diagnostic::new(Code::SecretMissing, message)
                    .at(positions.key(&path))
                    .help("add `MD5: …` or `SHA-256: …`".to_owned());
                reporter.report_consequence(diagnostic);
            }
            return None;
        }
        if self.realm.is_none() {
            let written: Vec<&str> = positions.names(&path[..3]).collect();
            // A wrong one has been reported.
            if !written.contains(&"realm") {
                let message = format!(
                    "the hashes of trunk {} are for a realm that is not given",
                    quoted(trunk)
                );
                let diagnostic = Diagnostic::new(Code::MissingKey, message)
                    .at(positions.key(&path))
                    .help("add `realm: …`, as the trunk names it in its challenges".to_owned());
                reporter.report_consequence(diagnostic);
            }
            return None;
        }
        Some(ha1)
    }
}
