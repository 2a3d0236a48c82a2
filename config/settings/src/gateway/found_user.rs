//! Users as a database or a service gives them, one at a time.

use crate::code::Code;
use crate::decode::Decoder;
use crate::diagnostic::Diagnostics;
use crate::positions::Positions;
use crate::source::{FileLimits, Reporter, Source};
use crate::tree;

use super::service::ChallengeSettings;
use super::table::{self, COLUMNS};
use super::users::{Credentials, Transport, User, UserKeys};

/// What holds for a user where its source says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDefaults {
    /// Contacts that may be registered at the same time.
    pub devices: u32,
    /// Algorithms that users are challenged with.
    pub challenge: ChallengeSettings,
}

/// Largest user as JSON, in bytes.
const JSON_MAX: usize = 64 << 10;

impl UserDefaults {
    /// The user in a row of a database: `columns` are names, as in a user table, and texts; others are passed over.
    ///
    /// # Errors
    ///
    /// What is wrong with the row, in one line that shows no secret.
    pub fn user_of_row(&self, login: &str, columns: &[(String, String)]) -> Result<User, String> {
        let is_known = |name: &str| COLUMNS.iter().any(|(known, _)| *known == name);
        let given = columns
            .iter()
            .filter(|(name, text)| name != "user" && is_known(name) && !text.is_empty());
        let (mut names, mut cells) = (vec!["user"], vec![cell(login)]);
        for (name, text) in given {
            names.push(name);
            cells.push(cell(text));
        }
        if !names
            .iter()
            .any(|name| name.starts_with("ha1") || *name == "secret")
        {
            return Err(NO_SECRET.to_owned());
        }
        let text = format!("{}\n{}\n", names.join(","), cells.join(","));
        let mut reporter = Reporter::new(Vec::new());
        let rows = table::read("row", &text, &mut reporter);
        let row = match <[table::Row; 1]>::try_from(rows) {
            Ok([row]) if !reporter.has_errors() => row,
            _ => return Err(in_one_line(&reporter.finish())),
        };
        let credentials = match (row.secret, row.ha1) {
            (Some(secret), ha1) if ha1.is_empty() => Credentials::Password(secret),
            (Some(_), _) => return Err("it has both a password and a hash".to_owned()),
            (None, ha1) => Credentials::Ha1(ha1),
        };
        Ok(User {
            login: row.login,
            name: row.name,
            credentials,
            devices: row.devices.unwrap_or(self.devices),
            transports: row.transports,
            codecs: lower(&row.codecs),
            challenge: self.challenge.clone(),
            aliases: row.aliases,
            profile: row.profile,
        })
    }

    /// The user in a JSON object with the keys of a user in the configuration file. The secret is `secret` or `ha1`:
    /// what is not in the answer itself is not looked for.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, in one line that shows no secret.
    pub fn user_of_json(&self, login: &str, text: &str) -> Result<User, String> {
        if text.len() > JSON_MAX {
            return Err(format!("it has {} bytes; {JSON_MAX} are allowed", text.len()));
        }
        // JSON has escapes that YAML does not know.
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        if !value.is_object() {
            return Err("it is not a JSON object".to_owned());
        }
        let mut reporter = Reporter::new(vec![Source::new("answer", &value.to_string())]);
        let tree = tree::build(&mut reporter, 0, &FileLimits::default());
        let positions = Positions::of(&tree.root, &reporter.sources[0]);
        let keys: Option<UserKeys> = Decoder::new(&mut reporter, 0).section(&tree.root);
        let keys = match keys {
            Some(keys) if tree.complete && !reporter.has_errors() => keys,
            _ => return Err(in_one_line(&reporter.finish())),
        };
        if let Some(key) = ["secret_file", "secret_env"]
            .into_iter()
            .find(|key| positions.key(&[key]).is_some())
        {
            return Err(format!(
                "`{key}` is a matter of this machine: the answer must hold the secret"
            ));
        }
        let credentials = match (keys.secret, keys.ha1) {
            (Some(secret), None) => Credentials::Password(secret),
            (None, Some(ha1)) if !ha1.is_empty() => Credentials::Ha1(ha1.into()),
            (Some(_), Some(_)) => return Err("it has both a password and a hash".to_owned()),
            (None, _) => return Err(NO_SECRET.to_owned()),
        };
        let own = keys.challenge;
        let (ws, other) = own.map_or((None, None), |own| (own.ws, own.other));
        Ok(User {
            login: login.to_owned(),
            name: keys.name,
            credentials,
            devices: keys.devices.unwrap_or(self.devices),
            transports: keys.transports.unwrap_or_else(|| Transport::ALL.to_vec()),
            codecs: lower(&keys.codecs),
            challenge: ChallengeSettings {
                ws: ws.unwrap_or_else(|| self.challenge.ws.clone()),
                other: other.unwrap_or_else(|| self.challenge.other.clone()),
            },
            aliases: keys.aliases,
            profile: keys.profile,
        })
    }
}

const NO_SECRET: &str = "it has no `secret` and no hash";

/// A cell of a table with any text in it.
fn cell(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn lower(codecs: &[String]) -> Vec<String> {
    codecs.iter().map(|codec| codec.to_ascii_lowercase()).collect()
}

/// The first mistake, for a log. Its text shows no secret.
fn in_one_line(found: &Diagnostics) -> String {
    let first = found.iter().find(|diagnostic| diagnostic.code.is_error());
    first.map_or_else(
        || Code::BadValue.title().to_owned(),
        |diagnostic| match &diagnostic.help {
            Some(help) => format!("{} ({help})", diagnostic.message),
            None => diagnostic.message.clone(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::users::{Algorithm, Profile};

    fn defaults() -> UserDefaults {
        UserDefaults {
            devices: 3,
            challenge: ChallengeSettings::default(),
        }
    }

    fn row(columns: &[(&str, &str)]) -> Result<User, String> {
        let columns: Vec<_> = columns
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        defaults().user_of_row("alice", &columns)
    }

    #[test]
    fn a_row_is_a_user_and_other_columns_are_passed_over() {
        let user = row(&[
            ("id", "17"),
            ("user", "ALICE"),
            ("ha1_md5", "5C9A1D9FF2B3AE5D2D0E0CF3A9F0B7C1"),
            ("ha1_sha256", ""),
            ("name", "Alice, \"A\""),
            ("codecs", "PCMA opus"),
            ("devices", ""),
            ("profile", "phone"),
        ])
        .unwrap();
        assert_eq!((&*user.login, user.devices), ("alice", 3));
        assert!(user.credentials.supports(Algorithm::Md5) && !user.credentials.supports(Algorithm::Sha256));
        assert_eq!(user.name.as_deref(), Some("Alice, \"A\""));
        assert_eq!(user.codecs, ["pcma", "opus"]);
        assert_eq!((user.profile, user.transports.len()), (Profile::Phone, 5));
    }

    #[test]
    fn json_has_the_keys_of_the_configuration_file() {
        let text = r#"{"ha1": {"MD5": "5c9a1d9ff2b3ae5d2d0e0cf3a9f0b7c1"}, "name": "J\u00fcrgen \ud83d\ude00",
            "devices": 2, "transports": ["wss"], "codecs": ["opus"], "aliases": ["+4930"],
            "challenge": {"ws": ["MD5"]}}"#;
        let user = defaults().user_of_json("alice", text).unwrap();
        assert_eq!(user.name.as_deref(), Some("Jürgen 😀"));
        assert_eq!((user.devices, &*user.transports), (2, &[Transport::Wss][..]));
        assert_eq!(user.challenge.ws, [Algorithm::Md5]);
        assert_eq!(user.challenge.other, ChallengeSettings::default().other);
        let user = defaults()
            .user_of_json("alice", r#"{"secret": "apple \"pie"}"#)
            .unwrap();
        assert!(
            matches!(user.credentials, Credentials::Password(secret) if secret.expose() == "apple \"pie")
        );
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_without_the_secret() {
        for (text, said) in [
            ("[]", "not a JSON object"),
            ("{", "not JSON"),
            ("{}", "no `secret`"),
            (r#"{"secret": "hunter2", "devices": "many"}"#, "devices"),
            (r#"{"secret": "hunter2", "sercet": 1}"#, "unknown key"),
            (r#"{"secret_file": "/etc/shadow"}"#, "secret_file"),
            (
                r#"{"secret": "hunter2", "ha1": {"MD5": "5c9a1d9ff2b3ae5d2d0e0cf3a9f0b7c1"}}"#,
                "both",
            ),
            (r#"{"ha1": {"MD5": "hunter2"}}"#, "MD5"),
            (r#"{"ha1": {}}"#, "no `secret`"),
        ] {
            let error = defaults().user_of_json("alice", text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
        }
        let long = "x".repeat(JSON_MAX + 1);
        assert!(defaults().user_of_json("alice", &long).is_err());
        assert_eq!(row(&[("name", "A")]), Err(NO_SECRET.to_owned()));
        let error = row(&[("secret", "hunter2"), ("transports", "smoke")]).unwrap_err();
        assert!(error.contains("smoke") && !error.contains("hunter2"), "{error}");
        assert!(row(&[("secret", "x"), ("ha1_md5", "5c9a1d9ff2b3ae5d2d0e0cf3a9f0b7c1")]).is_err());
    }
}
