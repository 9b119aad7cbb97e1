//! `sluice export`: an API as an OpenAPI document, as the file has it or as a stage serves it.

use super::{fail, say};
use crate::{
    control,
    deploy::Store,
    model::{
        Definition,
        checked::Api,
        openapi::{self, About, Version},
    },
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode, sync::Arc};

/// Print an API as an OpenAPI document with Amazon's extensions.
///
/// What the format cannot say stands in extensions of Sluice's own, so that an import gives the
/// same API again.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The API's name.
    api: String,
    /// The stage whose deployment is printed. Left out: the API as the file has it.
    #[arg(long, short, value_name = "STAGE")]
    stage: Option<String>,
    /// As OpenAPI 3.0; this is what is printed anyway.
    #[arg(long, conflicts_with = "swagger")]
    oas30: bool,
    /// As Swagger 2.0.
    #[arg(long)]
    swagger: bool,
    /// The configuration file.
    #[arg(long, short, default_value = super::CONFIG, value_name = "FILE")]
    config: PathBuf,
}

impl Export {
    pub(super) fn execute(self) -> ExitCode {
        let checked = match control::load(&self.config) {
            Ok(checked) => checked,
            Err(failure) => return fail(&failure),
        };
        let Some(api) = checked.apis.iter().find(|api| api.name == self.api) else {
            return fail(&format!("there is no API called {:?}", self.api));
        };
        let (definition, about) = match self.stage.as_deref() {
            None => (Arc::clone(&api.definition), About::default()),
            Some(name) => match served(api, name, &Store::beside(&checked.state_dir)) {
                Ok(served) => served,
                Err(why) => return fail(&why),
            },
        };
        let about = About {
            name: api.name.clone(),
            ..about
        };
        let version = match self.swagger {
            true => Version::Swagger20,
            false => Version::Oas30,
        };
        say(&format!(
            "{:#}",
            openapi::export(&definition, &about, version)
        ))
    }
}

/// What a stage serves, by what lies in the state folder.
fn served(api: &Api, name: &str, store: &Store) -> Result<(Arc<Definition>, About), String> {
    let stage = api.stages.iter().find(|stage| stage.name == name);
    let stage = stage.ok_or_else(|| format!("the API has no stage called {name:?}"))?;
    let about = About {
        stage: Some(stage.name.clone()),
        variables: stage.variables.clone(),
        ..About::default()
    };
    let state = store
        .stage(&api.name, name)
        .map_err(|error| error.to_string())?;
    let Some(id) = state.and_then(|state| state.deployment) else {
        return Ok((Arc::clone(&api.definition), about));
    };
    let deployment = store
        .deployment(&api.name, id)
        .map_err(|error| error.to_string())?;
    Ok((deployment.definition, about))
}
