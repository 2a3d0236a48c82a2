//! What survives a restart: registrations and secrets, in one embedded database.

mod writer;

use std::path::{Path, PathBuf};

use anyhow::Context;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use viaduct_routing::{BindingRecord, Change};
use viaduct_sip::{Aor, Uri};

pub(crate) use self::writer::{Store, StoreConfig, StoreCounters, StoreThread};
use crate::private;

/// Key: address of record, NUL, Contact URI. Value: a [`BindingRecord`] as JSON.
const BINDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bindings");

/// Named secrets of 32 octets.
const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");

/// The database, opened.
#[derive(Debug)]
pub(crate) struct StoreFile {
    database: Database,
}

impl StoreFile {
    /// Opens the database in `folder`, or makes it.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path: PathBuf = folder.join("viaduct.redb");
        private::touch(&path)?;
        let database = Database::create(&path).with_context(|| {
            format!(
                "the store {} cannot be opened; does another viaduct run here?",
                path.display()
            )
        })?;
        let write = database.begin_write()?;
        write.open_table(BINDINGS)?;
        write.open_table(SECRETS)?;
        write.commit()?;
        Ok(Self { database })
    }

    /// A secret that is made once and kept.
    pub(crate) fn secret(&self, name: &str, make: impl FnOnce() -> [u8; 32]) -> anyhow::Result<[u8; 32]> {
        let read = self.database.begin_read()?;
        if let Some(stored) = read.open_table(SECRETS)?.get(name)?
            && let Ok(secret) = stored.value().try_into()
        {
            return Ok(secret);
        }
        let secret = make();
        let write = self.database.begin_write()?;
        write.open_table(SECRETS)?.insert(name, &secret[..])?;
        write.commit()?;
        Ok(secret)
    }

    /// Every stored binding. What cannot be read is left out and told.
    pub(crate) fn bindings(&self) -> anyhow::Result<Vec<(Aor, BindingRecord)>> {
        let read = self.database.begin_read()?;
        let table = read.open_table(BINDINGS)?;
        let mut bindings = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            let aor = key
                .value()
                .split_once('\0')
                .and_then(|(aor, _)| aor_from_key(aor));
            match (aor, serde_json::from_slice::<BindingRecord>(value.value())) {
                (Some(aor), Ok(record)) => bindings.push((aor, record)),
                _ => tracing::warn!("a stored registration cannot be read and is left out"),
            }
        }
        Ok(bindings)
    }

    /// Forgets bindings that were not restored.
    pub(crate) fn forget(&self, gone: &[(Aor, String)]) -> anyhow::Result<()> {
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(BINDINGS)?;
            for (aor, uri) in gone {
                table.remove(&*binding_key(aor, uri))?;
            }
        }
        write.commit()?;
        Ok(())
    }

    /// Forgets every binding.
    pub(crate) fn forget_all(&self) -> anyhow::Result<()> {
        let write = self.database.begin_write()?;
        write.delete_table(BINDINGS)?;
        write.open_table(BINDINGS)?;
        write.commit()?;
        Ok(())
    }

    /// Writes changes in their order, all or none, and waits for the disk.
    fn commit<'c>(&self, changes: impl Iterator<Item = &'c Change>) -> anyhow::Result<()> {
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(BINDINGS)?;
            for change in changes {
                match change {
                    Change::Put { aor, record } => {
                        let value = serde_json::to_vec(record)?;
                        table.insert(&*binding_key(aor, &record.uri), &value[..])?;
                    }
                    Change::Delete { aor, uri } => {
                        table.remove(&*binding_key(aor, uri))?;
                    }
                }
            }
        }
        write.commit()?;
        Ok(())
    }
}

fn binding_key(aor: &Aor, uri: &str) -> String {
    format!("{}\0{uri}", aor.as_str())
}

fn aor_from_key(key: &str) -> Option<Aor> {
    let (user, host) = key.rsplit_once('@')?;
    let uri = format!("sip:{}@{host}", viaduct_sip::uri::escape_user(user));
    let aor = Aor::from_uri(&Uri::parse(&uri).ok()?)?;
    (aor.as_str() == key).then_some(aor)
}

#[cfg(test)]
mod tests {
    use viaduct_routing::Flags;

    use super::*;

    pub(super) fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("viaduct-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(super) fn record(uri: &str) -> BindingRecord {
        BindingRecord {
            uri: uri.to_owned(),
            q: 1_000,
            expires_unix: 2_000_000_000,
            since_unix: 1_900_000_000,
            call_id: "c".to_owned(),
            cseq: 7,
            instance: Some("urn:uuid:1".to_owned()),
            reg_id: None,
            path: None,
            transport: "UDP".to_owned(),
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "192.0.2.2:5062".parse().unwrap(),
            flags: Flags::NONE,
            user_agent: None,
        }
    }

    pub(super) fn aor(user: &str) -> Aor {
        Aor::from_uri(&Uri::parse(&format!("sip:{user}@example.com")).unwrap()).unwrap()
    }

    #[test]
    fn bindings_and_secrets_survive() {
        let folder = folder("survive");
        let store = StoreFile::open(&folder).unwrap();
        let secret = store.secret("tokens", || [7; 32]).unwrap();
        let put = |user: &str, uri: &str| Change::Put {
            aor: aor(user),
            record: Box::new(record(uri)),
        };
        let changes = [
            put("alice", "sip:a@h"),
            put("b%20b", "sip:b@h"),
            put("alice", "sip:c@h"),
        ];
        let gone = Change::Delete {
            aor: aor("alice"),
            uri: "sip:c@h".into(),
        };
        store.commit(changes.iter().chain([&gone])).unwrap();
        drop(store);

        let store = StoreFile::open(&folder).unwrap();
        assert_eq!(store.secret("tokens", || [8; 32]).unwrap(), secret);
        let mut bindings = store.bindings().unwrap();
        bindings.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(
            bindings,
            [
                (aor("alice"), record("sip:a@h")),
                (aor("b%20b"), record("sip:b@h"))
            ]
        );
        store.forget(&[(aor("alice"), "sip:a@h".to_owned())]).unwrap();
        assert_eq!(store.bindings().unwrap().len(), 1);
        store.forget_all().unwrap();
        assert_eq!(store.bindings().unwrap(), []);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_store_in_use_says_so() {
        let folder = folder("in-use");
        let _store = StoreFile::open(&folder).unwrap();
        let error = format!("{:#}", StoreFile::open(&folder).unwrap_err());
        assert!(error.contains("does another viaduct run here?"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
