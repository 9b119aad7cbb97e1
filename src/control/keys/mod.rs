//! API keys in a running process: who they are, what they are good for, how they change.
//!
//! A change is worked out, written to the disk, and only then put into the ring that workers look
//! keys up in. It belongs to the compiler's thread, which does one thing at a time. A key's value
//! is told once, when it is made; its hash alone is kept.

mod ledger;
mod record;
mod refusal;
mod request;
mod store;
mod value;

pub(super) use ledger::Keeper;
pub(in crate::control) use record::Record;
pub(in crate::control) use refusal::Refusal;
pub(super) use request::{Answer, Ask, KeyRequest, Row};
pub(in crate::control) use store::DayUsed;
pub(in crate::control) use store::KeyStoreError;

use super::{compile, failure::Failure};
use crate::{
    bounds,
    deploy::By,
    guard::{Key, KeyRing, Membership},
    model::{Checked, checked::UsagePlan},
};
use ledger::Ledger;
use record::Hash;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::Arc,
};
use store::{Days, Store};

/// The API keys of a process.
#[derive(Debug)]
pub(super) struct Keys {
    store: Arc<Store>,
    ledger: Arc<Ledger>,
    /// By id.
    records: BTreeMap<String, Record>,
    /// The ids by the hashes of the values.
    ids: HashMap<Hash, String>,
    /// What workers look keys up in. Says the same as `records`.
    ring: Arc<KeyRing>,
    /// The names of plans, each once.
    names: HashMap<String, Arc<str>>,
}

impl Keys {
    /// What lies in `state_dir`, which this process has claimed.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn open(state_dir: &Path) -> Result<Self, Failure> {
        let (store, kept) = Store::open(state_dir)?;
        let store = Arc::new(store);
        let ids = kept.keys.values();
        let mut this = Self {
            ledger: Arc::new(Ledger::begin(Arc::clone(&store), kept.used)),
            store,
            ids: ids.map(|record| (record.hash, record.id.clone())).collect(),
            records: kept.keys,
            ring: Arc::default(),
            names: HashMap::new(),
        };
        let records: Vec<Record> = this.records.values().cloned().collect();
        let keys = records.iter().map(|record| this.compiled(record));
        let keys: Vec<_> = keys.collect();
        this.ring = Arc::new(KeyRing::of(keys));
        Ok(this)
    }

    /// What workers look keys up in.
    pub(super) fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Starts writing what is used.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn keep(&self) -> io::Result<Keeper> {
        Keeper::start(Arc::clone(&self.ledger))
    }

    /// Does what is asked. Where it changes a key, [`Self::ring`] is another one then.
    ///
    /// # Errors
    /// It is refused, or the disk does not take it; then nothing has changed.
    pub(super) fn obey(
        &mut self,
        request: KeyRequest,
        checked: &Checked,
    ) -> Result<Answer, Failure> {
        let KeyRequest { ask, by } = request;
        if by.why.len() > bounds::REASON_BYTES_MAX {
            return Err(Failure::ReasonTooLong);
        }
        match ask {
            Ask::List => Ok(Answer::Keys(self.records.values().cloned().collect())),
            Ask::Show(key) => Ok(Answer::Key(self.find(&key)?.clone())),
            Ask::Create(row) => self.create(row, &by, checked),
            Ask::Enable(key) => self.change(&key, &by, "enable", |record| {
                record.enabled = true;
                Ok(())
            }),
            Ask::Disable(key) => self.change(&key, &by, "disable", |record| {
                record.enabled = false;
                Ok(())
            }),
            Ask::Assign(key, plan) => {
                let plan = &known(checked, &plan)?.name;
                self.change(&key, &by, &format!("assign {plan}"), |record| {
                    assign(record, plan, checked)
                })
            }
            Ask::Unassign(key, plan) => {
                self.change(&key, &by, &format!("unassign {plan}"), |record| {
                    let at = record.plans.iter().position(|known| *known == plan);
                    let at = at.ok_or_else(|| Refusal::NotInPlan(plan.clone()))?;
                    record.plans.remove(at);
                    Ok(())
                })
            }
            Ask::Rotate(key, value) => self.rotate(&key, value, &by),
            Ask::Delete(key) => self.delete(&key),
            Ask::Import(rows) => self.import(rows, &by, checked),
            Ask::Usage {
                key,
                plan,
                from,
                to,
            } => {
                let key = key.map(|key| self.find(&key).map(|record| record.id.clone()));
                let key = key.transpose()?;
                self.usage(
                    Days {
                        from,
                        to,
                        key,
                        plan,
                    },
                    checked,
                )
            }
            Ask::Extend {
                key,
                plan,
                remaining,
            } => self.extend(&key, &plan, remaining, checked),
        }
    }

    /// The key of this id, or the only one of this name.
    fn find(&self, key: &str) -> Result<&Record, Failure> {
        if let Some(record) = self.records.get(key) {
            return Ok(record);
        }
        let mut named = self.records.values().filter(|record| record.name == key);
        match (named.next(), named.count()) {
            (Some(record), 0) => Ok(record),
            (Some(_), others) => Err(Refusal::NameOfSeveral(key.to_owned(), others + 1).into()),
            (None, _) => Err(Failure::Unknown {
                what: "API key",
                name: key.to_owned(),
                known: String::new(),
            }),
        }
    }

    fn create(&mut self, row: Row, by: &By, checked: &Checked) -> Result<Answer, Failure> {
        if self.records.len() >= bounds::KEYS_MAX {
            return Err(Refusal::KeysTooMany.into());
        }
        let (value, hash) = value::given_or_made(row.value)?;
        if let Some(id) = self.ids.get(&hash) {
            return Err(Refusal::ValueTaken(id.clone()).into());
        }
        let mut record = Record {
            id: self.new_id()?,
            name: row.name,
            description: row.description.unwrap_or_default(),
            enabled: row.enabled.unwrap_or(true),
            hash,
            created_ms: by.at_ms,
            updated_ms: by.at_ms,
            plans: Vec::new(),
            history: Vec::new(),
        };
        check_texts(&record)?;
        for plan in row.plans.unwrap_or_default() {
            assign(&mut record, &known(checked, &plan)?.name, checked)?;
        }
        record.note(by, "create");
        self.commit(vec![record.clone()])?;
        Ok(Answer::Told(record, value))
    }

    /// Changes one key.
    fn change(
        &mut self,
        key: &str,
        by: &By,
        action: &str,
        change: impl FnOnce(&mut Record) -> Result<(), Failure>,
    ) -> Result<Answer, Failure> {
        let mut record = self.find(key)?.clone();
        change(&mut record)?;
        record.note(by, action);
        self.commit(vec![record.clone()])?;
        Ok(Answer::Key(record))
    }

    fn rotate(&mut self, key: &str, value: Option<String>, by: &By) -> Result<Answer, Failure> {
        let mut record = self.find(key)?.clone();
        let (value, hash) = value::given_or_made(value)?;
        if let Some(id) = self.ids.get(&hash) {
            return Err(Refusal::ValueTaken(id.clone()).into());
        }
        record.hash = hash;
        record.note(by, "rotate");
        self.commit(vec![record.clone()])?;
        Ok(Answer::Told(record, value))
    }

    fn delete(&mut self, key: &str) -> Result<Answer, Failure> {
        let record = self.find(key)?.clone();
        let store = Arc::clone(&self.store);
        self.ledger.forget(&record.id, |plans| {
            store.write(|change| change.remove(&record.id, plans))
        })?;
        self.records.remove(&record.id);
        self.ids.remove(&record.hash);
        self.ring = Arc::new(self.ring.changed(Some(&record.hash.0), None));
        Ok(Answer::Key(record))
    }

    /// Takes up keys by their values: all of them, or none.
    fn import(&mut self, rows: Vec<Row>, by: &By, checked: &Checked) -> Result<Answer, Failure> {
        let (mut made, mut changed) = (0, 0);
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        let mut new: HashMap<Hash, String> = HashMap::new();
        for (at, row) in rows.into_iter().enumerate() {
            let in_row = |refusal: Refusal| Refusal::InRow(at + 1, Box::new(refusal));
            let given = row.value.ok_or_else(|| in_row(Refusal::ValueMalformed))?;
            let hash = value::hash_of_given(&given).map_err(in_row)?;
            let known_id = self.ids.get(&hash).or_else(|| new.get(&hash)).cloned();
            let mut record = match known_id {
                Some(id) => {
                    changed += 1;
                    let before = records.get(&id).or_else(|| self.records.get(&id));
                    before.expect("an id leads to a record").clone()
                }
                None => {
                    made += 1;
                    blank(self.new_id()?, hash, by)
                }
            };
            record.name = row.name;
            record.description = row.description.unwrap_or(record.description);
            record.enabled = row.enabled.unwrap_or(record.enabled);
            check_texts(&record).map_err(in_row)?;
            if let Some(plans) = row.plans {
                record.plans.clear();
                for plan in plans {
                    let plan = known(checked, &plan)?;
                    assign(&mut record, &plan.name, checked)?;
                }
            }
            record.note(by, "import");
            new.insert(hash, record.id.clone());
            records.insert(record.id.clone(), record);
        }
        if self.records.len() + made > bounds::KEYS_MAX {
            return Err(Refusal::KeysTooMany.into());
        }
        self.commit(records.into_values().collect())?;
        Ok(Answer::Imported { made, changed })
    }

    fn usage(&self, wanted: Days, checked: &Checked) -> Result<Answer, Failure> {
        let days = self.ledger.days(&wanted)?;
        let today = crate::guard::quota::day_of(crate::clock::wall());
        let is = |wanted: &Option<String>, id: &str| wanted.as_ref().is_none_or(|w| w == id);
        let mut left = Vec::new();
        for record in self.records.values().filter(|r| is(&wanted.key, &r.id)) {
            for plan in record.plans.iter().filter(|plan| is(&wanted.plan, plan)) {
                let quota = plan_named(checked, plan).and_then(|plan| plan.quota);
                let Some(quota) = quota.map(compile::quota) else {
                    continue;
                };
                let used = self.ledger.usage(&record.id, plan).used();
                left.push((
                    record.id.clone(),
                    plan.clone(),
                    used.remaining(&quota, today),
                ));
            }
        }
        Ok(Answer::Usage { days, left })
    }

    fn extend(
        &self,
        key: &str,
        plan: &str,
        remaining: u64,
        checked: &Checked,
    ) -> Result<Answer, Failure> {
        let record = self.find(key)?;
        if !record.plans.iter().any(|known| known == plan) {
            return Err(Refusal::NotInPlan(plan.to_owned()).into());
        }
        let quota = known(checked, plan)?.quota;
        let quota = quota.ok_or_else(|| Refusal::NoQuota(plan.to_owned()))?;
        let member = (record.id.clone(), plan.to_owned());
        let left = self
            .ledger
            .extend(&member, &compile::quota(quota), remaining)?;
        Ok(Answer::Extended(left))
    }

    /// Makes a change last: on the disk first, then here.
    fn commit(&mut self, records: Vec<Record>) -> Result<(), Failure> {
        self.store
            .write(|change| records.iter().try_for_each(|record| change.put(record)))?;
        let mut ring = KeyRing::clone(&self.ring);
        for record in records {
            let key = self.compiled(&record);
            let before = self.records.get(&record.id).map(|before| before.hash);
            let gone = before.filter(|before| *before != record.hash);
            if let Some(gone) = gone {
                self.ids.remove(&gone);
            }
            ring = ring.changed(gone.as_ref().map(|gone| &gone.0), Some(key));
            self.ids.insert(record.hash, record.id.clone());
            self.records.insert(record.id.clone(), record);
        }
        self.ring = Arc::new(ring);
        Ok(())
    }

    fn compiled(&mut self, record: &Record) -> Arc<Key> {
        let plans = record.plans.iter().map(|plan| {
            let name = self.names.entry(plan.clone());
            Membership {
                plan: Arc::clone(name.or_insert_with(|| plan.as_str().into())),
                usage: self.ledger.usage(&record.id, plan),
            }
        });
        Arc::new(Key {
            id: record.id.as_str().into(),
            hash: record.hash.0,
            enabled: record.enabled,
            plans: plans.collect(),
        })
    }

    fn new_id(&self) -> Result<String, Failure> {
        loop {
            let id = value::made(value::ID_LENGTH, value::LOWER)?;
            if !self.records.contains_key(&id) {
                return Ok(id);
            }
        }
    }
}

fn blank(id: String, hash: Hash, by: &By) -> Record {
    Record {
        id,
        name: String::new(),
        description: String::new(),
        enabled: true,
        hash,
        created_ms: by.at_ms,
        updated_ms: by.at_ms,
        plans: Vec::new(),
        history: Vec::new(),
    }
}

fn check_texts(record: &Record) -> Result<(), Refusal> {
    let plain = |text: &str| !text.chars().any(char::is_control);
    if record.name.is_empty() || record.name.len() > bounds::KEY_NAME_BYTES_MAX {
        return Err(Refusal::NameLength);
    }
    if record.description.len() > bounds::KEY_NAME_BYTES_MAX {
        return Err(Refusal::NameLength);
    }
    match plain(&record.name) && plain(&record.description) {
        true => Ok(()),
        false => Err(Refusal::NameControl),
    }
}

/// Puts the key into the plan, if it may be in it beside those that it is in.
fn assign(record: &mut Record, plan: &str, checked: &Checked) -> Result<(), Failure> {
    if record.plans.iter().any(|known| known == plan) {
        return Err(Refusal::AlreadyInPlan(plan.to_owned()).into());
    }
    if record.plans.len() >= bounds::KEY_PLANS_MAX {
        return Err(Refusal::PlansTooMany.into());
    }
    let stages = |plan: &str| plan_named(checked, plan).map(|plan| &plan.stages[..]);
    for at in stages(plan).unwrap_or_default() {
        let same = |other: &&String| {
            let stages = stages(other).unwrap_or_default();
            stages
                .iter()
                .any(|known| (known.api, known.stage) == (at.api, at.stage))
        };
        if let Some(other) = record.plans.iter().find(same) {
            let api = &checked.apis[at.api];
            return Err(Refusal::StageTwice {
                plan: other.clone(),
                api: api.name.clone(),
                stage: api.stages[at.stage].name.clone(),
            }
            .into());
        }
    }
    record.plans.push(plan.to_owned());
    Ok(())
}

fn plan_named<'c>(checked: &'c Checked, name: &str) -> Option<&'c UsagePlan> {
    checked.usage_plans.iter().find(|plan| plan.name == name)
}

fn known<'c>(checked: &'c Checked, name: &str) -> Result<&'c UsagePlan, Failure> {
    plan_named(checked, name).ok_or_else(|| {
        let names = checked.usage_plans.iter().take(20);
        let names: Vec<&str> = names.map(|plan| plan.name.as_str()).collect();
        Failure::Unknown {
            what: "usage plan",
            name: name.to_owned(),
            known: names.join(", "),
        }
    })
}
