//! API keys and their usage on the disk: one file in the state folder, `keys.redb`.
//!
//! A write is a transaction that is synced before it is acknowledged; one that fails leaves what
//! was there. After a failure the file is closed and opened anew for the next, which finds the last
//! state that was acknowledged. Until there is a first key there is no file.

use super::record::Record;
use crate::guard::Used;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError,
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const FILE: &str = "keys.redb";

/// By id: the key as JSON.
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");

/// By the ids of key and plan: the three numbers of [`Used`].
const USED: TableDefinition<'_, (&str, &str), (u64, u64, u64)> = TableDefinition::new("used");

/// By day since 1970, key and plan: requests.
const DAYS: TableDefinition<'_, (u64, &str, &str), u64> = TableDefinition::new("days");

/// What was used by whom: the ids of key and plan.
pub(super) type Member = (String, String);

/// Everything that is kept in memory as well.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) keys: BTreeMap<String, Record>,
    pub(super) used: Vec<(Member, Used)>,
}

/// What a day's requests were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct DayUsed {
    /// Days since 1970.
    pub day: u64,
    /// The key's id.
    pub key: String,
    /// The plan's name.
    pub plan: String,
    /// Requests.
    pub count: u64,
}

/// Which days of whom are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Days {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) key: Option<String>,
    pub(super) plan: Option<String>,
}

/// Why the store did not do what it was asked.
#[derive(Debug)]
pub struct KeyStoreError {
    path: PathBuf,
    error: redb::Error,
}

impl fmt::Display for KeyStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for KeyStoreError {}

/// The store of one state folder.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Absent while there is no file, and after a failure.
    database: Mutex<Option<Database>>,
}

/// What one transaction changes.
pub(super) struct Change<'t> {
    keys: Table<'t, &'static str, &'static [u8]>,
    used: Table<'t, (&'static str, &'static str), (u64, u64, u64)>,
    days: Table<'t, (u64, &'static str, &'static str), u64>,
}

impl Change<'_> {
    /// Keeps a key.
    pub(super) fn put(&mut self, record: &Record) -> Result<(), redb::Error> {
        let json = serde_json::to_vec(record).expect("a record's keys are strings");
        self.keys.insert(&*record.id, &*json)?;
        Ok(())
    }

    /// Removes a key, and what it has used.
    pub(super) fn remove(&mut self, id: &str, plans: &[String]) -> Result<(), redb::Error> {
        self.keys.remove(id)?;
        for plan in plans {
            self.used.remove((id, &**plan))?;
        }
        Ok(())
    }

    /// Keeps what was used.
    pub(super) fn used(&mut self, member: &Member, used: Used) -> Result<(), redb::Error> {
        let numbers = (used.word, used.before, used.extended);
        self.used.insert((&*member.0, &*member.1), numbers)?;
        Ok(())
    }

    /// Adds to a day's requests.
    pub(super) fn add(&mut self, day: u64, member: &Member, count: u64) -> Result<(), redb::Error> {
        let key = (day, &*member.0, &*member.1);
        let before = self.days.get(key)?.map_or(0, |guard| guard.value());
        self.days.insert(key, before + count)?;
        Ok(())
    }

    /// Forgets the days before `first`.
    pub(super) fn forget_before(&mut self, first: u64) -> Result<(), redb::Error> {
        self.days.retain_in(..(first, "", ""), |_, _| false)?;
        Ok(())
    }
}

impl Store {
    /// The store in `state_dir`, which this process has claimed, and what lies in it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(state_dir: &Path) -> Result<(Self, Kept), KeyStoreError> {
        let this = Self {
            path: state_dir.join(FILE),
            database: Mutex::new(None),
        };
        if !this.path.exists() {
            return Ok((this, Kept::default()));
        }
        let kept = this.with(read_all)?;
        Ok((this, kept))
    }

    /// Makes a change last.
    ///
    /// # Errors
    /// The disk does not take it; then nothing has changed.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&mut Change<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), KeyStoreError> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            let mut tables = Change {
                keys: transaction.open_table(KEYS)?,
                used: transaction.open_table(USED)?,
                days: transaction.open_table(DAYS)?,
            };
            let changed = change(&mut tables);
            drop(tables);
            changed?;
            transaction.commit()?;
            Ok(())
        })
    }

    /// What was used on which day, in the order of days.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn days(&self, wanted: &Days) -> Result<Vec<DayUsed>, KeyStoreError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        self.with(|database| {
            let days = match database.begin_read()?.open_table(DAYS) {
                Ok(days) => days,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let mut found = Vec::new();
            for entry in days.range((wanted.from, "", "")..(wanted.to + 1, "", ""))? {
                let (key, count) = entry?;
                let (day, key, plan) = key.value();
                let is = |wanted: &Option<String>, id| wanted.as_ref().is_none_or(|w| w == id);
                if is(&wanted.key, key) && is(&wanted.plan, plan) {
                    found.push(DayUsed {
                        day,
                        key: key.to_owned(),
                        plan: plan.to_owned(),
                        count: count.value(),
                    });
                }
            }
            Ok(found)
        })
    }

    /// Does `work` with the database, which is opened first where it is not. A failure closes it:
    /// after one of the disk it would answer with failures only.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, KeyStoreError> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match held.take() {
            Some(database) => Ok(database),
            None => Database::create(&self.path).map_err(redb::Error::from),
        };
        let done = opened.and_then(|database| {
            let done = work(&database)?;
            *held = Some(database);
            Ok(done)
        });
        done.map_err(|error| KeyStoreError {
            path: self.path.clone(),
            error,
        })
    }
}

fn read_all(database: &Database) -> Result<Kept, redb::Error> {
    let transaction = database.begin_read()?;
    let mut kept = Kept::default();
    let keys = match transaction.open_table(KEYS) {
        Ok(keys) => keys,
        // The process ended between the file's making and its first transaction.
        Err(TableError::TableDoesNotExist(_)) => return Ok(kept),
        Err(error) => return Err(error.into()),
    };
    for entry in keys.iter()? {
        let (id, json) = entry?;
        let record = serde_json::from_slice(json.value())
            .map_err(|error| redb::Error::Corrupted(format!("the key {}: {error}", id.value())))?;
        kept.keys.insert(id.value().to_owned(), record);
    }
    for entry in transaction.open_table(USED)?.iter()? {
        let (member, numbers) = entry?;
        let (key, plan) = member.value();
        let (word, before, extended) = numbers.value();
        let used = Used {
            word,
            before,
            extended,
        };
        kept.used.push(((key.to_owned(), plan.to_owned()), used));
    }
    Ok(kept)
}
