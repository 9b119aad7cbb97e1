//! What is deployed to each stage, in a running process, and how it changes.
//!
//! A change is prepared (which deployment, which state follows on the present one), compiled by
//! the caller, and then committed: first to the disk, then here. It belongs to the compiler's
//! thread, which does one thing at a time.

use super::{
    compile::{Deployed, Sources},
    failure::Failure,
};
use crate::{
    bounds,
    deploy::{Action, By, CanaryPlan, Deployment, DeploymentId, StageState, Store, StoreError},
    model::{Checked, Definition, checked::Follows},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

/// The names of an API and one of its stages.
pub(super) type StageKey = (String, String);

/// The states of all stages that anything was deployed to.
pub(super) type StageStates = BTreeMap<StageKey, StageState>;

/// A change of a stage that somebody asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChangeRequest {
    /// The API's name.
    pub api: String,
    /// The stage's name.
    pub stage: String,
    /// What is to change.
    pub change: Change,
    /// The state that is meant: its sequence. Absent: whichever it is.
    pub sequence: Option<u64>,
    /// Who asks, when and why.
    pub by: By,
}

/// What is to change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// The API's definition as it stands is frozen and served.
    Deploy,
    /// What another stage serves is served here, too.
    Promote {
        /// The other stage.
        from: String,
    },
    /// An earlier deployment is served again.
    Rollback {
        /// The beginning of its name; absent: the one before.
        to: Option<String>,
    },
    /// A second deployment gets a share.
    Canary {
        /// The beginning of its name; absent: the running canary's, or the stage's own.
        deployment: Option<String>,
        /// How requests are shared.
        plan: CanaryPlan,
    },
    /// The canary becomes the stage's own.
    CanaryPromote,
    /// The canary is taken back.
    CanaryAbort,
}

/// A change that is not committed yet.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Whose.
    key: StageKey,
    /// The state that follows.
    state: StageState,
    /// A deployment that is new, with its bytes.
    frozen: Option<(Deployment, Vec<u8>)>,
    /// What the stage is compiled of.
    pub(super) sources: Sources,
}

/// What is deployed.
#[derive(Debug)]
pub(super) struct Deployments {
    store: Store,
    stages: StageStates,
    /// Every deployment that a state points at.
    kept: HashMap<DeploymentId, Arc<Deployment>>,
}

impl Deployments {
    /// What lies in `state_dir`, which this process has claimed, for the stages of `checked`.
    ///
    /// # Errors
    /// Something there cannot be read, or is not what was written.
    pub(super) fn open(state_dir: &Path, checked: &Checked) -> Result<Self, Failure> {
        let mut this = Self {
            store: Store::open(state_dir)?,
            stages: StageStates::new(),
            kept: HashMap::new(),
        };
        this.follow(checked)?;
        Ok(this)
    }

    /// Reads what is deployed to stages of `checked` that were not known.
    ///
    /// # Errors
    /// As [`Self::open`]; then nothing has changed.
    pub(super) fn follow(&mut self, checked: &Checked) -> Result<(), Failure> {
        let (mut new, mut kept) = (StageStates::new(), Vec::new());
        for api in &checked.apis {
            for stage in &api.stages {
                let key = (api.name.clone(), stage.name.clone());
                if self.stages.contains_key(&key) {
                    continue;
                }
                let Some(state) = self.store.stage(&key.0, &key.1)? else {
                    continue;
                };
                for id in state.referenced() {
                    kept.push(self.deployment(&key.0, id)?);
                }
                new.insert(key, state);
            }
        }
        self.stages.extend(new);
        self.kept.extend(
            kept.into_iter()
                .map(|deployment| (deployment.id, deployment)),
        );
        Ok(())
    }

    /// The states of all stages.
    pub(super) fn stages(&self) -> &StageStates {
        &self.stages
    }

    /// What stages are compiled of.
    pub(super) fn sources(&self) -> Sources {
        let all = self.stages.iter();
        all.map(|(key, state)| (key.clone(), self.deployed(state, None)))
            .collect()
    }

    fn deployed(&self, state: &StageState, new: Option<&Arc<Deployment>>) -> Deployed {
        let find = |id: &DeploymentId| {
            let kept = self
                .kept
                .get(id)
                .or_else(|| new.filter(|new| new.id == *id));
            kept.map(Arc::clone)
        };
        Deployed {
            own: state.deployment.as_ref().and_then(find),
            canary: state
                .canary
                .as_ref()
                .and_then(|canary| Some((canary.clone(), find(&canary.deployment)?))),
            variables: state.variables.clone(),
        }
    }

    fn deployment(&self, api: &str, id: DeploymentId) -> Result<Arc<Deployment>, StoreError> {
        match self.kept.get(&id) {
            Some(kept) => Ok(Arc::clone(kept)),
            None => self.store.deployment(api, id).map(Arc::new),
        }
    }

    /// Works out what `request` comes to. `definition` is the API's as it now stands, for a deploy.
    /// Nothing has changed yet.
    ///
    /// Cost: a deploy freezes the definition, which is linear in it.
    ///
    /// # Errors
    /// There is no such stage or deployment, or the stage's state does not permit it.
    pub(super) fn prepare(
        &self,
        checked: &Checked,
        request: ChangeRequest,
        definition: Option<&Arc<Definition>>,
    ) -> Result<Prepared, Failure> {
        let ChangeRequest {
            api,
            stage,
            change,
            sequence,
            by,
        } = request;
        known(checked, &api, &stage)?;
        let key = (api, stage);
        let before = self
            .stages
            .get(&key)
            .cloned()
            .unwrap_or_else(StageState::new);
        before.expect(sequence)?;
        let (mut frozen, mut new) = (None, None);
        let mut find = |id: DeploymentId| -> Result<DeploymentId, Failure> {
            new = Some(self.deployment(&key.0, id)?);
            Ok(id)
        };
        let named = |prefix: String| self.store.named(&key.0, &prefix);
        let state = match change {
            Change::Deploy => {
                let definition = definition.ok_or(Failure::Draining)?;
                let made = Deployment::freeze(&key.0, definition);
                let (deployment, bytes) = made.map_err(Failure::DefinitionTooLong)?;
                let id = deployment.id;
                new = Some(Arc::new(deployment.clone()));
                frozen = Some((deployment, bytes));
                before.serve(Action::Deploy, id, by)?
            }
            Change::Promote { from } => {
                known(checked, &key.0, &from)?;
                let other = self.stages.get(&(key.0.clone(), from.clone()));
                let id = other.and_then(|other| other.deployment);
                let id = id.ok_or(Failure::NothingToPromote { stage: from })?;
                before.serve(Action::Promote, find(id)?, by)?
            }
            Change::Rollback { to } => {
                let to = to.map(named).transpose()?;
                let state = before.roll_back(to, by)?;
                state.deployment.map(&mut find).transpose()?;
                state
            }
            Change::Canary { deployment, plan } => {
                let deployment = deployment.map(named).transpose()?;
                let state = before.canary(deployment, plan, by)?;
                let id = state.canary.as_ref().map(|canary| canary.deployment);
                id.map(&mut find).transpose()?;
                state
            }
            Change::CanaryPromote => before.promote_canary(by)?,
            Change::CanaryAbort => before.abort_canary(by)?,
        };
        let deployed = self.deployed(&state, new.as_ref());
        Ok(Prepared {
            sources: Sources::from([(key.clone(), deployed)]),
            key,
            state,
            frozen,
        })
    }

    /// Makes a change last: on the disk first, then here. Once it returns, nothing takes the change
    /// back but another change.
    ///
    /// # Errors
    /// The disk does not take it; then the old state stands.
    pub(super) fn commit(&mut self, prepared: Prepared) -> Result<(), Failure> {
        let Prepared {
            key,
            state,
            frozen,
            sources,
        } = prepared;
        if let Some((deployment, bytes)) = &frozen {
            self.store.put_deployment(deployment, bytes)?;
        }
        self.store.put_stage(&key.0, &key.1, &state)?;
        let is_due = state.sequence % bounds::DEPLOYMENTS_COUNTED_EVERY == 0;
        let api = key.0.clone();
        self.stages.insert(key, state);
        for deployed in sources.into_values() {
            let canary = deployed.canary.map(|(_, deployment)| deployment);
            let both = deployed.own.into_iter().chain(canary);
            self.kept
                .extend(both.map(|deployment| (deployment.id, deployment)));
        }
        let used: HashSet<DeploymentId> = self
            .stages
            .values()
            .flat_map(StageState::referenced)
            .collect();
        self.kept.retain(|id, _| used.contains(id));
        if is_due && let Err(failure) = self.collect(&api, bounds::DEPLOYMENTS_MAX) {
            // The change stands; the next look may fare better.
            tracing::warn!(%failure, api, "old deployments cannot be removed");
        }
        Ok(())
    }

    /// Removes the deployments of `api` that no stage points at, but the newest `keep`; how many.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn collect(&self, api: &str, keep: usize) -> Result<usize, Failure> {
        let used: HashSet<DeploymentId> = self
            .stages
            .values()
            .flat_map(StageState::referenced)
            .collect();
        let mut removed = 0;
        for stored in self.store.deployments(api)?.into_iter().skip(keep) {
            if !used.contains(&stored.id) {
                self.store.remove_deployment(api, stored.id)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// What a stage serves as its own, by its definition; `None`: nothing was deployed.
    pub(super) fn definition(&self, key: &StageKey) -> Option<Arc<Definition>> {
        let id = self.stages.get(key)?.deployment?;
        Some(Arc::clone(&self.kept.get(&id)?.definition))
    }
}

/// Whether `checked` has the stage, and lets it be deployed to.
fn known(checked: &Checked, api: &str, stage: &str) -> Result<(), Failure> {
    let names = |names: Vec<&str>| names.join(", ");
    let Some(known) = checked.apis.iter().find(|known| known.name == api) else {
        let apis = checked
            .apis
            .iter()
            .take(20)
            .map(|api| api.name.as_str())
            .collect();
        return Err(Failure::Unknown {
            what: "API",
            name: api.to_owned(),
            known: names(apis),
        });
    };
    let Some(found) = known.stages.iter().find(|known| known.name == stage) else {
        let stages = known
            .stages
            .iter()
            .take(20)
            .map(|stage| stage.name.as_str())
            .collect();
        return Err(Failure::Unknown {
            what: "stage",
            name: stage.to_owned(),
            known: names(stages),
        });
    };
    match found.follows {
        Follows::Reload => Err(Failure::StageFollows {
            stage: stage.to_owned(),
        }),
        Follows::Deployment | Follows::ReloadUntilDeployed => Ok(()),
    }
}
