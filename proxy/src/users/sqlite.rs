//! Users in an SQLite database.
//!
//! One thread has the database open, for reading only. It opens it again when another file has taken its place, and
//! after a failure.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use tokio::sync::oneshot;
use viaduct_settings::{User, UserDefaults};

/// Steps of the database between two looks at the clock.
const STEPS: i32 = 10_000;

/// The way to the database's thread.
#[derive(Debug)]
pub(crate) struct SqliteUsers {
    queue: SyncSender<Question>,
}

#[derive(Debug)]
struct Question {
    name: String,
    realm: String,
    until: Instant,
    answer: oneshot::Sender<anyhow::Result<Option<Columns>>>,
}

/// Names and texts of one row.
type Columns = Vec<(String, String)>;

/// The database as it was opened.
struct Open {
    connection: Connection,
    /// Which file it is: device and number.
    file: (u64, u64),
}

struct Desk {
    path: PathBuf,
    query: String,
    open: Option<Open>,
}

impl SqliteUsers {
    /// Opens the database and looks whether the query makes sense. Up to `at_once` questions wait.
    pub(crate) fn open(path: &Path, query: &str, at_once: usize) -> anyhow::Result<Self> {
        let mut desk = Desk {
            path: path.to_owned(),
            query: query.to_owned(),
            open: None,
        };
        desk.connection()?
            .prepare(query)
            .with_context(|| format!("the user database {} and the query `{query}`", path.display()))?;
        let (queue, questions) = sync_channel(at_once);
        std::thread::Builder::new()
            .name("users".to_owned())
            .spawn(move || desk.run(&questions))
            .context("starting the thread of the user database")?;
        Ok(Self { queue })
    }

    /// Asks for one user. `None` when there is none of this name.
    pub(crate) async fn ask(
        &self,
        (name, realm): (&str, &str),
        patience: Duration,
        defaults: &UserDefaults,
    ) -> anyhow::Result<Option<User>> {
        let (sender, receiver) = oneshot::channel();
        let question = Question {
            name: name.to_owned(),
            realm: realm.to_owned(),
            until: Instant::now() + patience,
            answer: sender,
        };
        if self.queue.try_send(question).is_err() {
            bail!("too many questions wait for the database");
        }
        let columns = receiver
            .await
            .context("the thread of the user database ended")??;
        columns
            .map(|columns| defaults.user_of_row(name, &columns).map_err(anyhow::Error::msg))
            .transpose()
    }
}

impl Desk {
    fn run(mut self, questions: &Receiver<Question>) {
        while let Ok(question) = questions.recv() {
            // Whoever asked has given up by then.
            if question.until <= Instant::now() {
                continue;
            }
            let found = self.find(&question);
            if found.is_err() {
                self.open = None;
            }
            let _ = question.answer.send(found);
        }
    }

    fn find(&mut self, question: &Question) -> anyhow::Result<Option<Columns>> {
        let query = self.query.clone();
        let connection = self.connection()?;
        let until = question.until;
        connection.progress_handler(STEPS, Some(move || Instant::now() >= until))?;
        connection.busy_timeout(until.saturating_duration_since(Instant::now()))?;
        let mut statement = connection.prepare_cached(&query)?;
        for (parameter, value) in [(":user", &question.name), (":realm", &question.realm)] {
            if let Some(index) = statement.parameter_index(parameter)? {
                statement.raw_bind_parameter(index, value)?;
            }
        }
        let mut rows = statement.raw_query();
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let columns = columns_of(row)?;
        if rows.next()?.is_some() {
            bail!("the database has more than one row for `{}`", question.name);
        }
        Ok(Some(columns))
    }

    /// The database, opened if it is not, or if it is another file now.
    fn connection(&mut self) -> anyhow::Result<&mut Connection> {
        let path = &self.path;
        let metadata = std::fs::metadata(path)
            .with_context(|| format!("the user database {} cannot be opened", path.display()))?;
        let file = (metadata.dev(), metadata.ino());
        let open = match self.open.take().filter(|open| open.file == file) {
            Some(open) => open,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(path, flags)
                    .with_context(|| format!("the user database {} cannot be opened", path.display()))?;
                Open { connection, file }
            }
        };
        Ok(&mut self.open.insert(open).connection)
    }
}

fn columns_of(row: &Row<'_>) -> anyhow::Result<Columns> {
    let statement: &rusqlite::Statement<'_> = row.as_ref();
    let mut columns = Vec::with_capacity(statement.column_count());
    for (index, name) in statement.column_names().enumerate() {
        let text = match row.get_ref(index)? {
            ValueRef::Null => continue,
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            // Nothing that a user has is of this kind.
            ValueRef::Blob(_) => continue,
        };
        columns.push((name.to_owned(), text));
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use viaduct_settings::{Algorithm, ChallengeSettings};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("viaduct-sqlite-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn fill(path: &Path, sql: &str) {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    async fn ask(users: &SqliteUsers, name: &str) -> anyhow::Result<Option<User>> {
        let defaults = UserDefaults {
            devices: 3,
            challenge: ChallengeSettings::default(),
        };
        let patience = Duration::from_secs(5);
        users.ask((name, "example.com"), patience, &defaults).await
    }

    const TABLE: &str = "CREATE TABLE users (user TEXT, secret TEXT, devices INTEGER, note BLOB);
        INSERT INTO users VALUES ('alice', 'apple pie', 2, x'00'), ('bob', NULL, NULL, NULL), ('twin', 'a', 1, NULL),
        ('twin', 'b', 1, NULL), ('o''hara', 'x', NULL, NULL);";

    #[tokio::test]
    async fn a_row_is_a_user() {
        let folder = folder("row");
        let path = folder.join("users.db");
        fill(&path, TABLE);
        let users = SqliteUsers::open(&path, "SELECT * FROM users WHERE user = :user", 4).unwrap();
        assert_eq!(ask(&users, "alice").await.unwrap().unwrap().devices, 2);
        assert_eq!(ask(&users, "o'hara").await.unwrap().unwrap().devices, 3);
        assert!(ask(&users, "nobody").await.unwrap().is_none());
        assert!(ask(&users, "x' OR '1'='1").await.unwrap().is_none());
        let error = ask(&users, "bob").await.unwrap_err().to_string();
        assert!(error.contains("no `secret`"), "{error}");
        let error = ask(&users, "twin").await.unwrap_err().to_string();
        assert!(error.contains("more than one row"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_table_of_another_server_is_read_with_a_query() {
        let folder = folder("query");
        let path = folder.join("kamailio.db");
        fill(
            &path,
            "CREATE TABLE subscriber (username, domain, ha1);
             INSERT INTO subscriber VALUES ('alice', 'example.com', '5c9a1d9ff2b3ae5d2d0e0cf3a9f0b7c1'),
             ('alice', 'example.org', 'x');",
        );
        let query = "SELECT ha1 AS ha1_md5 FROM subscriber WHERE username = :user AND domain = :realm";
        let users = SqliteUsers::open(&path, query, 4).unwrap();
        let alice = ask(&users, "alice").await.unwrap().unwrap();
        assert!(alice.credentials.supports(Algorithm::Md5) && !alice.credentials.supports(Algorithm::Sha256));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn another_file_in_its_place_is_opened() {
        let folder = folder("replaced");
        let (path, other) = (folder.join("users.db"), folder.join("new.db"));
        fill(&path, TABLE);
        let users = SqliteUsers::open(&path, "SELECT * FROM users WHERE user = :user", 4).unwrap();
        assert!(ask(&users, "alice").await.unwrap().is_some());
        fill(
            &other,
            "CREATE TABLE users (user, secret); INSERT INTO users VALUES ('dave', 'x');",
        );
        std::fs::rename(&other, &path).unwrap();
        assert!(ask(&users, "alice").await.unwrap().is_none());
        assert!(ask(&users, "dave").await.unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(ask(&users, "dave").await.is_err());
        fill(&path, TABLE);
        assert!(ask(&users, "alice").await.unwrap().is_some());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_work_is_found_at_the_start() {
        let folder = folder("wrong");
        let path = folder.join("users.db");
        assert!(SqliteUsers::open(&path, "SELECT 1", 4).is_err());
        assert!(!path.exists(), "a database is not made");
        fill(&path, TABLE);
        let error = format!(
            "{:#}",
            SqliteUsers::open(&path, "SELECT * FROM accounts", 4).unwrap_err()
        );
        assert!(error.contains("no such table"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
