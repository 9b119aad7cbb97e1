//! What is asked about API keys, and the answers.

use super::{DayUsed, Record};
use crate::deploy::By;
use serde::{Deserialize, Serialize};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(in crate::control) struct KeyRequest {
    /// What.
    pub ask: Ask,
    /// Who, when and why.
    pub by: By,
}

/// What is asked. A key is meant by its id, or by its name where no other has it.
#[derive(Clone, Debug)]
pub(in crate::control) enum Ask {
    /// All keys.
    List,
    /// One key.
    Show(String),
    /// A new key.
    Create(Row),
    /// The key may be used.
    Enable(String),
    /// The key may not be used.
    Disable(String),
    /// The key gets another value: this one, or one that is made.
    Rotate(String, Option<String>),
    /// The key goes.
    Delete(String),
    /// The key is in this plan, too.
    Assign(String, String),
    /// The key is no longer in this plan.
    Unassign(String, String),
    /// Keys by their values, all or none.
    Import(Vec<Row>),
    /// What was used, on the days from one to another (since 1970), by one key or all, of one plan
    /// or all.
    Usage {
        key: Option<String>,
        plan: Option<String>,
        from: u64,
        to: u64,
    },
    /// So many requests are left to the key in the present period.
    Extend {
        key: String,
        plan: String,
        remaining: u64,
    },
}

/// A key as somebody writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Row {
    /// For people.
    pub name: String,
    /// The value; absent: one is made.
    #[serde(default)]
    pub value: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Whether it may be used; absent: it may.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// The plans that it is in.
    #[serde(default)]
    pub plans: Option<Vec<String>>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(in crate::control) enum Answer {
    /// All keys, by their ids.
    Keys(Vec<Record>),
    /// The key as it is now, or was.
    Key(Record),
    /// The key, and its value, which is not told again.
    Told(Record, String),
    /// So many keys were made, so many changed.
    Imported { made: usize, changed: usize },
    /// What was used on which day, and what is left by key and plan.
    Usage {
        days: Vec<DayUsed>,
        left: Vec<(String, String, u64)>,
    },
    /// So many requests are left.
    Extended(u64),
}

impl Ask {
    /// Whether it may change what workers look keys up in.
    pub(in crate::control) const fn changes_keys(&self) -> bool {
        !matches!(
            self,
            Self::List | Self::Show(_) | Self::Usage { .. } | Self::Extend { .. }
        )
    }
}
