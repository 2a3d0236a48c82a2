//! `user_source`: users beside those of the configuration file, in a table, a database or a service.

use std::time::Duration;

use crate::code::Code;
use crate::decode::{Decoder, Fault, Form, TextForm, section};
use crate::diagnostic::{Diagnostic, quoted};
use crate::environment::Environment;
use crate::form::time::{DAY, MILLISECOND, MINUTE, SECOND};
use crate::form::url::{http_url, is_exposed};
use crate::form::{count, duration, path, section_form, text, token, variable};
use crate::positions::Positions;
use crate::secret::Secret;
use crate::shape::Shape;
use crate::source::Reporter;
use crate::tree::{Kind, Node};

/// Where further users are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSource {
    /// A table (CSV), read at start and at reload.
    File(String),
    /// Asked for each user when that user is needed.
    Lookup(UserLookup),
}

/// A place that is asked for one user at a time, and how long its answers are good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserLookup {
    /// Who is asked.
    pub place: LookupPlace,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long a user that was found is let in without asking again.
    pub ttl: Duration,
    /// How long somebody is refused without asking again.
    pub negative_ttl: Duration,
    /// How much longer a user is let in while the place cannot be asked.
    pub stale: Duration,
    /// Answers that are remembered.
    pub entries: u32,
    /// Questions at the same time.
    pub at_once: u32,
}

/// Who is asked for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupPlace {
    /// An SQLite database.
    Sqlite {
        /// Its file.
        path: String,
        /// A query that gives one row; `:user` and `:realm` stand for whom it is about.
        query: String,
    },
    /// An HTTP service.
    Http {
        /// Its URL, to which `user` and `realm` are added.
        url: String,
        /// What is sent as `Authorization: Bearer`.
        token: Option<Secret>,
    },
}

section! {
    /// Further users: a table (`file`), a database (`sqlite`) or a service (`http`). The last two are asked when a user
    /// registers, calls or is called; the keys from `timeout` on say how.
    pub(crate) struct UserSourceKeys {
        /// CSV file with a header line; its columns are described below.
        file: Option<String> = absent(path(), "one of `file`, `sqlite` and `http` is needed");
        /// SQLite database. It is opened for reading only, and again when another file has taken its place.
        sqlite: Option<String> = absent(path(), "one of `file`, `sqlite` and `http` is needed");
        /// Table of the database with the columns of the CSV file; the column `user` finds the row.
        table: Option<String> = absent(table_name(), "`users`");
        /// Query instead of `table`, with the names of those columns: `:user` and `:realm` stand for whom it is about.
        /// An example for a table of Kamailio or OpenSIPS:
        /// `SELECT ha1 AS ha1_md5 FROM subscriber WHERE username = :user AND domain = :realm`.
        query: Option<String> = absent(query(), "a query of `table`");
        /// URL of the service: `GET URL?user=NAME&realm=DOMAIN`. It answers 200 with a user as JSON, with the keys that
        /// a user has in this file, such as `{ "ha1": { "MD5": "…" }, "devices": 2 }`, or 404.
        http: Option<String> = absent(http_url(), "one of `file`, `sqlite` and `http` is needed");
        /// File with the token for the service on one line; it is sent as `Authorization: Bearer`.
        token_file: Option<String> = absent(path(), "no token");
        /// Environment variable with the token.
        token_env: Option<String> = absent(variable(), "no token");
        /// How long an answer may take; a request that waits longer gets 503.
        timeout: Duration = default(duration(10 * MILLISECOND, 30 * SECOND), "2s");
        /// How long a user that was found may register and call without the source being asked again.
        ttl: Duration = default(duration(SECOND, DAY), "5m");
        /// How long an answer may be used to refuse somebody: an unknown user, or a wrong password. A changed password
        /// is known after this time.
        negative_ttl: Duration = default(duration(100 * MILLISECOND, 10 * MINUTE), "10s");
        /// How long after `ttl` a user is still let in while the source cannot be asked.
        stale: Duration = default(duration(Duration::ZERO, 7 * DAY), "1h");
        /// Answers that are remembered; beyond, the ones that were used longest ago are forgotten.
        entries: u32 = default(count(100..=10_000_000), "100000");
        /// Questions at the same time; further ones wait for their turn.
        at_once: u32 = default(count(1..=1_000), "32");
    }
}

/// Keys that only a source has which is asked for one user at a time.
const LOOKUP_KEYS: [&str; 6] = ["timeout", "ttl", "negative_ttl", "stale", "entries", "at_once"];

/// The name of a table, as it stands in a query.
fn table_name() -> crate::form::text::Text {
    token(
        "the name of a table",
        64,
        |text| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !text.starts_with(|c: char| c.is_ascii_digit())
        },
        "letters, digits and `_`; for anything else write a `query`",
    )
}

fn query() -> crate::form::text::Text {
    text("a query in SQL, on one line", 4_096)
}

/// `none`, or a map with `file`, `sqlite` or `http`.
pub(crate) struct UserSourceForm;

/// The word form of [`UserSourceForm`].
struct UserSourceWord;

impl Form for UserSourceForm {
    type Value = Option<UserSourceKeys>;

    fn decode(&self, node: &Node, decoder: &mut Decoder<'_>) -> Option<Option<UserSourceKeys>> {
        match &node.kind {
            Kind::Map(_) => decoder.section::<UserSourceKeys>(node).map(Some),
            Kind::Scalar { .. } | Kind::Null | Kind::Refused | Kind::List(_) => {
                UserSourceWord.decode(node, decoder)
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::OneOf(vec![
            Shape::Word("none"),
            section_form::<UserSourceKeys>().shape(),
        ])
    }
}

impl TextForm for UserSourceWord {
    type Value = Option<UserSourceKeys>;

    fn parse(&self, text: &str) -> Result<Option<UserSourceKeys>, Fault> {
        match text {
            "none" => Ok(None),
            _ if text.starts_with("http") => {
                Err(Fault::bad().help(format!("write `{{ http: \"{text}\" }}`")))
            }
            _ => Err(Fault::bad().help(format!("write `{{ file: {text} }}`"))),
        }
    }

    fn shape(&self) -> Shape {
        Form::shape(&UserSourceForm)
    }
}

impl UserSourceKeys {
    /// The source that the keys describe; what is wrong with them is reported.
    pub(crate) fn resolve(
        &self,
        positions: &Positions,
        environment: &dyn Environment,
        reporter: &mut Reporter,
    ) -> Option<UserSource> {
        self.exclusive(positions, reporter)?;
        let at = |key: &str| positions.key(&["user_source", key]);
        let mut unused = |keys: &[&str], only: &str| {
            for key in keys.iter().filter(|key| at(key).is_some()) {
                let message = format!("user_source.{key} has no effect without `{only}`");
                let diagnostic = Diagnostic::new(Code::Unused, message)
                    .at(at(key))
                    .help("delete it".to_owned());
                reporter.report_consequence(diagnostic);
            }
        };
        if self.sqlite.is_none() {
            unused(&["table", "query"], "sqlite");
        }
        if self.http.is_none() {
            unused(&["token_file", "token_env"], "http");
        }
        if let Some(file) = &self.file {
            unused(&LOOKUP_KEYS, "sqlite` or `http");
            return Some(UserSource::File(file.clone()));
        }
        let place = match (&self.sqlite, &self.http) {
            (Some(path), _) => LookupPlace::Sqlite {
                path: path.clone(),
                query: self.query(),
            },
            (None, Some(url)) => {
                warn_if_exposed(url, at("http"), reporter);
                LookupPlace::Http {
                    url: url.clone(),
                    token: self.token(positions, environment, reporter)?,
                }
            }
            (None, None) => return None,
        };
        Some(UserSource::Lookup(UserLookup {
            place,
            timeout: self.timeout,
            ttl: self.ttl,
            negative_ttl: self.negative_ttl,
            stale: self.stale,
            entries: self.entries,
            at_once: self.at_once,
        }))
    }

    /// Of keys that say the same thing, at most one may be given, and one of the places must.
    fn exclusive(&self, positions: &Positions, reporter: &mut Reporter) -> Option<()> {
        let at = |key: &str| positions.key(&["user_source", key]);
        for keys in [
            &["file", "sqlite", "http"][..],
            &["table", "query"],
            &["token_file", "token_env"],
        ] {
            let mut given = keys.iter().filter(|key| at(key).is_some());
            if let (Some(first), Some(second)) = (given.next(), given.next()) {
                let message = format!("user_source has both `{first}` and `{second}`");
                let diagnostic = Diagnostic::new(Code::Exclusive, message)
                    .at(at(second))
                    .help("delete one of the two".to_owned());
                reporter.report_consequence(diagnostic);
                return None;
            }
        }
        if self.file.is_none() && self.sqlite.is_none() && self.http.is_none() {
            if !["file", "sqlite", "http"].iter().any(|key| at(key).is_some()) {
                let diagnostic = Diagnostic::new(Code::MissingKey, "user_source names no source")
                    .at(positions.nearest(&["user_source"]))
                    .expected("`file`, `sqlite` or `http`");
                reporter.report_consequence(diagnostic);
            }
            return None;
        }
        Some(())
    }

    fn query(&self) -> String {
        self.query.clone().unwrap_or_else(|| {
            let table = self.table.as_deref().unwrap_or("users");
            format!("SELECT * FROM \"{table}\" WHERE user = :user")
        })
    }

    fn token(
        &self,
        positions: &Positions,
        environment: &dyn Environment,
        reporter: &mut Reporter,
    ) -> Option<Option<Secret>> {
        read_token(
            "user_source",
            self.token_file.as_deref(),
            self.token_env.as_deref(),
            positions,
            environment,
            reporter,
        )
    }
}

/// Warns when passwords or calls are told to a service that anybody on the way can hear.
pub(crate) fn warn_if_exposed(url: &str, place: Option<crate::diagnostic::Place>, reporter: &mut Reporter) {
    if !is_exposed(url) {
        return;
    }
    let diagnostic = Diagnostic::new(
        Code::InTheClear,
        format!("{} is asked without encryption", quoted(url)),
    )
    .at(place)
    .help("write `https://…`".to_owned());
    reporter.report_consequence(diagnostic);
}

/// The token of `section`, from a file or a variable. `None` after reporting why it cannot be read.
pub(crate) fn read_token(
    section: &str,
    file: Option<&str>,
    variable: Option<&str>,
    positions: &Positions,
    environment: &dyn Environment,
    reporter: &mut Reporter,
) -> Option<Option<Secret>> {
    let (read, what, key) = match (file, variable) {
        (Some(path), _) => (
            environment.read_file(path).map_err(|error| error.reason),
            format!("the file {}", quoted(path)),
            "token_file",
        ),
        (None, Some(name)) => (
            environment
                .variable(name)
                .ok_or_else(|| "it is not set".to_owned()),
            format!("the environment variable {}", quoted(name)),
            "token_env",
        ),
        (None, None) => return Some(None),
    };
    let token = read.and_then(|text| {
        let token = text.trim_end_matches(['\r', '\n']);
        let good =
            !token.is_empty() && token.len() <= TOKEN_MAX && token.bytes().all(|b| b.is_ascii_graphic());
        if good {
            Ok(Secret::new(token))
        } else {
            Err("it is not one word of ASCII characters".to_owned())
        }
    });
    token
        .map(Some)
        .map_err(|reason| {
            let diagnostic = Diagnostic::new(Code::SecretUnreadable, format!("{what} gives no token"))
                .at(positions.value(&[section, key]))
                .help(reason)
                .expected(format!("one line with the token, up to {TOKEN_MAX} bytes"));
            reporter.report_consequence(diagnostic);
        })
        .ok()
}

/// Longest token, in bytes.
const TOKEN_MAX: usize = 4_096;
