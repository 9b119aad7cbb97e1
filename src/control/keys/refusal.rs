//! Why a change of API keys is refused.

use super::value::VALUE_LENGTHS;
use crate::bounds;
use std::fmt;

/// Why a change of API keys is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A value of the wrong length, or with other characters than printable ASCII.
    ValueMalformed,
    /// Another key has the value: its id.
    ValueTaken(String),
    /// A name that is missing, or a text that is too long.
    NameLength,
    /// A control character in a name or description.
    NameControl,
    /// Several keys have the name, this many.
    NameOfSeveral(String, usize),
    /// There are as many keys as there may be.
    KeysTooMany,
    /// The key is in as many plans as it may be.
    PlansTooMany,
    /// The key is in the plan already.
    AlreadyInPlan(String),
    /// The key is not in the plan.
    NotInPlan(String),
    /// The key is in another plan that is good for one of the plan's stages.
    StageTwice {
        /// The other plan.
        plan: String,
        /// The stage's API.
        api: String,
        /// The stage.
        stage: String,
    },
    /// The plan has no quota that could be extended.
    NoQuota(String),
    /// What is wrong with the row of this number of an import.
    InRow(usize, Box<Self>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValueMalformed => write!(
                f,
                "the value of a key has {} to {} printable ASCII characters and no blanks",
                VALUE_LENGTHS.start(),
                VALUE_LENGTHS.end()
            ),
            Self::ValueTaken(id) => write!(f, "the key {id} has this value already"),
            Self::NameLength => write!(
                f,
                "a key has a name; a name or description has {} bytes at most",
                bounds::KEY_NAME_BYTES_MAX
            ),
            Self::NameControl => f.write_str("a name or description has no control characters"),
            Self::NameOfSeveral(name, count) => {
                write!(
                    f,
                    "{count} keys are called {name:?}: name the key by its id"
                )
            }
            Self::KeysTooMany => write!(f, "there are {} keys at most", bounds::KEYS_MAX),
            Self::PlansTooMany => {
                write!(f, "a key is in {} plans at most", bounds::KEY_PLANS_MAX)
            }
            Self::AlreadyInPlan(plan) => write!(f, "the key is in the plan {plan:?} already"),
            Self::NotInPlan(plan) => write!(f, "the key is not in the plan {plan:?}"),
            Self::StageTwice { plan, api, stage } => write!(
                f,
                "the key is in the plan {plan:?} already, which is good for {api}/{stage}, too: a \
                 key has one plan for a stage"
            ),
            Self::NoQuota(plan) => write!(f, "the plan {plan:?} has no quota"),
            Self::InRow(row, refusal) => write!(f, "row {row}: {refusal}"),
        }
    }
}
