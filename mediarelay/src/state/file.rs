//! The database.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition};
use viaduct_session::{CallName, StateChange};

use crate::start_error::StartError;

/// Key: name of the call, number of the row with its highest octet first. Value: what `viaduct_session` says.
const ROWS: TableDefinition<'_, [u8; 20], &[u8]> = TableDefinition::new("rows");

/// Numbers by name: `run` counts the relays that have used the file, `alive` is when the last one was known to run, in
/// milliseconds since 1970.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The database, opened.
#[derive(Debug)]
pub(crate) struct StateFile {
    database: Database,
}

/// A call with its rows.
pub(crate) type SavedCall = (CallName, Vec<(u32, Vec<u8>)>);

/// What an earlier relay has left.
#[derive(Debug)]
pub(crate) struct Saved {
    /// The file.
    pub(crate) path: PathBuf,
    /// Number of this relay among those that have used the file, from 1.
    pub(crate) run: u32,
    /// When the earlier relay was last known to run, since 1970.
    pub(crate) alive: Duration,
    /// Calls with their rows, in the order of their numbers.
    pub(crate) calls: Vec<SavedCall>,
}

impl StateFile {
    /// Opens the file, or makes it, and counts this relay.
    pub(crate) fn open(path: &Path) -> Result<(Self, Saved), StartError> {
        let fail = |error: String| StartError::State {
            path: path.to_owned(),
            error,
        };
        make_private(path).map_err(|error| fail(error.to_string()))?;
        let database = Database::create(path).map_err(|error| fail(error.to_string()))?;
        let file = Self { database };
        let saved = file.begin(path).map_err(|error| fail(error.to_string()))?;
        Ok((file, saved))
    }

    fn begin(&self, path: &Path) -> Result<Saved, redb::Error> {
        let write = self.database.begin_write()?;
        let (run, alive) = {
            write.open_table(ROWS)?;
            let mut numbers = write.open_table(NUMBERS)?;
            let number = |name: &str| Ok::<_, redb::Error>(numbers.get(name)?.map(|number| number.value()));
            let (run, alive) = (number("run")?.unwrap_or(0) + 1, number("alive")?.unwrap_or(0));
            numbers.insert("run", run)?;
            (run, alive)
        };
        // Before anything is sent: no relay may take another one's number.
        write.commit()?;
        Ok(Saved {
            path: path.to_owned(),
            run: u32::try_from(run).unwrap_or(u32::MAX),
            alive: Duration::from_millis(alive),
            calls: self.calls()?,
        })
    }

    fn calls(&self) -> Result<Vec<SavedCall>, redb::Error> {
        let read = self.database.begin_read()?;
        let mut calls: Vec<SavedCall> = Vec::new();
        for entry in read.open_table(ROWS)?.iter()? {
            let (key, octets) = entry?;
            let (call, row) = of_key(key.value());
            let row = (row, octets.value().to_vec());
            match calls.last_mut().filter(|(last, _)| *last == call) {
                Some((_, rows)) => rows.push(row),
                None => calls.push((call, vec![row])),
            }
        }
        Ok(calls)
    }

    /// Makes changes in their order, all or none, and waits for the disk.
    pub(super) fn commit(&self, changes: &[StateChange]) -> Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        {
            let mut rows = write.open_table(ROWS)?;
            for change in changes {
                match change {
                    StateChange::Put { call, row, octets } => {
                        rows.insert(key(*call, *row), &octets[..])?;
                    }
                    StateChange::Append { call, row, of, count } => {
                        for number in 0..*count {
                            let moved = rows.remove(key(*of, number))?;
                            let octets = moved.map(|octets| octets.value().to_vec());
                            if let Some(octets) = octets {
                                rows.insert(key(*call, row.saturating_add(number)), &octets[..])?;
                            }
                        }
                        remove(&mut rows, *of)?;
                    }
                    StateChange::Remove { call } => remove(&mut rows, *call)?,
                }
            }
            let alive = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let alive = alive.unwrap_or_default().as_millis();
            write
                .open_table(NUMBERS)?
                .insert("alive", u64::try_from(alive).unwrap_or(u64::MAX))?;
        }
        write.commit()?;
        Ok(())
    }

    /// Whether there is anything about calls in it.
    pub(super) fn has_calls(&self) -> Result<bool, redb::Error> {
        let read = self.database.begin_read()?;
        Ok(!read.open_table(ROWS)?.is_empty()?)
    }
}

/// Makes an empty file that only its owner may read. Of one that exists, the rights of others are taken away.
fn make_private(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(PermissionsExt::from_mode(0o600))
}

fn remove(rows: &mut Table<'_, [u8; 20], &'static [u8]>, call: CallName) -> Result<(), redb::Error> {
    Ok(rows.retain_in(key(call, 0)..=key(call, u32::MAX), |_, _| false)?)
}

fn key(call: CallName, row: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&call.0);
    key[16..].copy_from_slice(&row.to_be_bytes());
    key
}

fn of_key(key: [u8; 20]) -> (CallName, u32) {
    let (mut call, mut row) = ([0; 16], [0; 4]);
    call.copy_from_slice(&key[..16]);
    row.copy_from_slice(&key[16..]);
    (CallName(call), u32::from_be_bytes(row))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::state) fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("viaduct-state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    pub(in crate::state) fn put(call: u8, row: u32, octets: &[u8]) -> StateChange {
        StateChange::Put {
            call: CallName([call; 16]),
            row,
            octets: octets.to_vec(),
        }
    }

    #[test]
    fn rows_come_back_in_order_and_relays_are_counted() {
        let path = path("order");
        let (file, saved) = StateFile::open(&path).unwrap();
        assert_eq!((saved.run, saved.calls), (1, vec![]));
        let gone = StateChange::Remove {
            call: CallName([2; 16]),
        };
        let changes = [
            put(1, u32::MAX, b"media"),
            put(2, 0, b"x"),
            put(1, 0, b"first"),
            put(1, 256, b"late"),
            put(1, 2, b"third"),
            put(1, 2, b"another"),
            gone,
            put(3, 0, b"y"),
        ];
        file.commit(&changes).unwrap();
        assert!(file.has_calls().unwrap());
        drop(file);
        let (_, saved) = StateFile::open(&path).unwrap();
        assert_eq!(saved.run, 2);
        assert!(saved.alive > Duration::from_secs(1_700_000_000));
        let row = |row: u32, octets: &[u8]| (row, octets.to_vec());
        let first = vec![
            row(0, b"first"),
            row(2, b"another"),
            row(256, b"late"),
            row(u32::MAX, b"media"),
        ];
        assert_eq!(
            saved.calls,
            [
                (CallName([1; 16]), first),
                (CallName([3; 16]), vec![row(0, b"y")])
            ]
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn rows_of_a_call_become_another_ones() {
        let path = path("append");
        let (file, _) = StateFile::open(&path).unwrap();
        let append = StateChange::Append {
            call: CallName([2; 16]),
            row: 1,
            of: CallName([1; 16]),
            count: 2,
        };
        let changes = [
            put(1, 0, b"of the other"),
            put(1, 1, b"of the other too"),
            put(1, u32::MAX, b"media"),
            put(2, 0, b"own"),
            put(3, 0, b"somebody else's"),
            append,
        ];
        file.commit(&changes).unwrap();
        drop(file);
        let (_, saved) = StateFile::open(&path).unwrap();
        let row = |row: u32, octets: &[u8]| (row, octets.to_vec());
        let own = vec![
            row(0, b"own"),
            row(1, b"of the other"),
            row(2, b"of the other too"),
        ];
        let others = vec![row(0, b"somebody else's")];
        assert_eq!(
            saved.calls,
            [(CallName([2; 16]), own), (CallName([3; 16]), others)]
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn only_its_owner_reads_it_and_one_relay_at_a_time_uses_it() {
        let path = path("private");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let _file = StateFile::open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = StateFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("does another relay use it?"), "{error}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        let path = path("else");
        std::fs::write(&path, "dear diary").unwrap();
        assert!(StateFile::open(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"dear diary");
        std::fs::remove_file(path).unwrap();
    }
}
