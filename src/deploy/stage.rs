//! What a stage serves, and how it came to that.
//!
//! A change makes a new state of an old one or refuses; nothing is changed in place, and the
//! history is part of the state, so that whoever writes the state writes both or neither. Pure:
//! time and actor are arguments.

use super::{Condition, DeploymentId};
use crate::bounds;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The format of a stage's state on disk.
const FORMAT: u32 = 1;

/// A stage's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageState {
    /// The format.
    format: u32,
    /// How many changes there were: who changes a state says which one was meant.
    pub sequence: u64,
    /// What it serves; absent: nothing was ever deployed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// A second deployment that gets a share of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Variables that promoted canaries brought: they go before the configuration's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The latest changes, oldest first; at most [`bounds::HISTORY_MAX`].
    pub history: Vec<Entry>,
}

/// A second deployment that gets a share of a stage's requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// Which.
    pub deployment: DeploymentId,
    /// How it was planned.
    #[serde(flatten)]
    pub plan: CanaryPlan,
    /// When it began: milliseconds since 1970.
    pub since_ms: u64,
}

/// How requests are shared between a stage's deployment and its canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CanaryPlan {
    /// The canary's share of the requests in percent: 0 to 100.
    pub percent: f64,
    /// Variables that differ there; they may be new ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// What keeps a client on its side; absent: every request is drawn anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// A field by which a client chooses its side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<Force>,
    /// When it is taken back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_when: Option<Condition>,
}

/// What keeps a client on its side. A request without it is drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// The value of this cookie.
    Cookie(String),
    /// The value of this header field.
    Header(String),
    /// The client's address.
    Address,
}

/// A header field by which a client chooses its side: this value is the canary, any other the
/// stage's own deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Force {
    /// The field's name in lower case.
    pub header: String,
    /// The value.
    pub value: String,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which change: the state's sequence after it.
    pub sequence: u64,
    /// When: milliseconds since 1970.
    pub at_ms: u64,
    /// Who made it.
    pub actor: String,
    /// What was done.
    pub action: Action,
    /// The deployment that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// What the stage served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<DeploymentId>,
    /// Why, in the words of who made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The definition was frozen and is served.
    Deploy,
    /// Another stage's deployment is served.
    Promote,
    /// An earlier deployment is served again.
    Rollback,
    /// A canary began, or its plan changed.
    Canary,
    /// The canary's deployment is the stage's own now.
    CanaryPromote,
    /// The canary was taken back.
    CanaryAbort,
}

impl Action {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Canary => "canary",
            Self::CanaryPromote => "canary promote",
            Self::CanaryAbort => "canary abort",
        }
    }
}

/// Who makes a change, when and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// A peer's user, or a token's name.
    pub actor: String,
    /// The reason given; may be empty.
    pub why: String,
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The state is not the one that was meant: somebody else changed it.
    Overtaken {
        /// The change that came before.
        last: Box<Entry>,
    },
    /// A canary runs.
    CanaryRuns,
    /// No canary runs.
    CanaryAbsent,
    /// Nothing was deployed to the stage yet.
    Undeployed,
    /// There is no earlier deployment in the history.
    NoEarlier,
    /// A share that is none.
    Percent(f64),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overtaken { last } => write!(
                f,
                "somebody else was first: change {} ({} by {}); look at what is served now, and try again",
                last.sequence,
                last.action.name(),
                last.actor
            ),
            Self::CanaryRuns => {
                f.write_str("a canary runs on this stage: promote or abort it first")
            }
            Self::CanaryAbsent => f.write_str("no canary runs on this stage"),
            Self::Undeployed => {
                f.write_str("nothing has been deployed to this stage yet: deploy first")
            }
            Self::NoEarlier => f.write_str("there is no earlier deployment to go back to"),
            Self::Percent(percent) => write!(f, "{percent} is no share: 0 to 100 percent"),
        }
    }
}

impl std::error::Error for Refusal {}

impl StageState {
    /// A stage that nothing was deployed to.
    pub fn new() -> Self {
        Self {
            format: FORMAT,
            ..Self::default()
        }
    }

    /// Whether this build knows the format.
    pub const fn is_known(&self) -> bool {
        self.format == FORMAT
    }

    /// Holds the state against the one that was meant.
    ///
    /// # Errors
    /// It is another.
    pub fn expect(&self, sequence: Option<u64>) -> Result<(), Refusal> {
        match (sequence, self.history.last()) {
            (Some(meant), Some(last)) if meant != self.sequence => Err(Refusal::Overtaken {
                last: Box::new(last.clone()),
            }),
            _ => Ok(()),
        }
    }

    /// Serves `deployment`: a deploy or a promotion from another stage.
    ///
    /// # Errors
    /// A canary runs.
    pub fn serve(&self, action: Action, deployment: DeploymentId, by: By) -> Result<Self, Refusal> {
        if self.canary.is_some() {
            return Err(Refusal::CanaryRuns);
        }
        let mut next = self.changed(action, Some(deployment), by);
        next.deployment = Some(deployment);
        Ok(next)
    }

    /// Serves an earlier deployment again: `to`, or the one that was served before the present one.
    ///
    /// # Errors
    /// A canary runs, or there is no earlier one.
    pub fn roll_back(&self, to: Option<DeploymentId>, by: By) -> Result<Self, Refusal> {
        let current = self.deployment.ok_or(Refusal::Undeployed)?;
        let to = to
            .or_else(|| self.before(current))
            .ok_or(Refusal::NoEarlier)?;
        self.serve(Action::Rollback, to, by)
    }

    /// What was served before `deployment` first came, going by the history: so that one rollback
    /// after another goes further back.
    fn before(&self, deployment: DeploymentId) -> Option<DeploymentId> {
        let brought = |entry: &&Entry| {
            matches!(
                entry.action,
                Action::Deploy | Action::Promote | Action::CanaryPromote
            ) && entry.deployment == Some(deployment)
                && entry.previous != Some(deployment)
        };
        self.history.iter().rev().find(brought)?.previous
    }

    /// Begins a canary, or changes the plan of the one that runs. Without a deployment it is the
    /// running canary's, or the stage's own (then only its variables differ).
    ///
    /// # Errors
    /// Nothing was deployed, or the share is none.
    pub fn canary(
        &self,
        deployment: Option<DeploymentId>,
        plan: CanaryPlan,
        by: By,
    ) -> Result<Self, Refusal> {
        let own = self.deployment.ok_or(Refusal::Undeployed)?;
        if !(0.0..=100.0).contains(&plan.percent) {
            return Err(Refusal::Percent(plan.percent));
        }
        let running = self.canary.as_ref();
        let deployment = deployment
            .or_else(|| running.map(|canary| canary.deployment))
            .unwrap_or(own);
        let since_ms = match running {
            Some(canary) if canary.deployment == deployment => canary.since_ms,
            _ => by.at_ms,
        };
        let mut next = self.changed(Action::Canary, Some(deployment), by);
        next.canary = Some(Canary {
            deployment,
            plan,
            since_ms,
        });
        Ok(next)
    }

    /// Makes the canary's deployment and variables the stage's own.
    ///
    /// # Errors
    /// No canary runs.
    pub fn promote_canary(&self, by: By) -> Result<Self, Refusal> {
        let canary = self.canary.clone().ok_or(Refusal::CanaryAbsent)?;
        let mut next = self.changed(Action::CanaryPromote, Some(canary.deployment), by);
        next.deployment = Some(canary.deployment);
        next.variables.extend(canary.plan.variables);
        next.canary = None;
        Ok(next)
    }

    /// Takes the canary back.
    ///
    /// # Errors
    /// No canary runs.
    pub fn abort_canary(&self, by: By) -> Result<Self, Refusal> {
        let canary = self.canary.as_ref().ok_or(Refusal::CanaryAbsent)?;
        let mut next = self.changed(Action::CanaryAbort, Some(canary.deployment), by);
        next.canary = None;
        Ok(next)
    }

    /// Every deployment that the state still points at.
    pub fn referenced(&self) -> impl Iterator<Item = DeploymentId> {
        let canary = self.canary.as_ref().map(|canary| canary.deployment);
        self.deployment.into_iter().chain(canary)
    }

    /// The state with one more change in its history.
    fn changed(&self, action: Action, deployment: Option<DeploymentId>, by: By) -> Self {
        let mut next = self.clone();
        next.sequence += 1;
        next.history.push(Entry {
            sequence: next.sequence,
            at_ms: by.at_ms,
            actor: by.actor,
            action,
            deployment,
            previous: self.deployment,
            why: by.why,
        });
        let surplus = next.history.len().saturating_sub(bounds::HISTORY_MAX);
        next.history.drain(..surplus);
        next
    }
}

#[cfg(test)]
mod tests;
