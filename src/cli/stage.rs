//! Commands that change what a stage serves: `deploy`, `promote`, `rollback`, `canary`, `gc`.
//!
//! Each asks the running gateway for the stage as it is, so that a change that somebody else makes
//! meanwhile is told and not overwritten, and then gives one order.

use super::{
    client::{Gateway, segment},
    fail, say,
};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// A stage of an API.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The API's name.
    api: String,
    /// The stage's name.
    #[arg(long, short, value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    gateway: Gateway,
}

/// Why a change is made.
#[derive(Debug, Args)]
struct Why {
    /// The reason, for the stage's history.
    #[arg(
        long = "message",
        short = 'm',
        default_value = "",
        hide_default_value = true,
        value_name = "WHY"
    )]
    why: String,
}

impl Target {
    pub(super) fn path(&self, rest: &str) -> String {
        format!(
            "/apis/{}/stages/{}{rest}",
            segment(&self.api),
            segment(&self.stage)
        )
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Gives the order, meant for the stage as it is now.
    fn order(&self, rest: &str, why: &Why, mut body: Value) -> ExitCode {
        let sequence = match self.gateway.ask("GET", "/stages", None) {
            Ok(stages) => self.sequence(&stages),
            Err(code) => return code,
        };
        body["why"] = json!(why.why);
        body["sequence"] = json!(sequence);
        match self.gateway.ask("POST", &self.path(rest), Some(&body)) {
            Ok(page) => say(&page["message"].as_str().unwrap_or_default()),
            Err(code) => code,
        }
    }

    /// The state that is meant: none if nothing was ever deployed.
    fn sequence(&self, stages: &Value) -> u64 {
        let mut stages = stages.as_array().into_iter().flatten();
        let found = stages.find(|known| known["api"] == *self.api && known["stage"] == *self.stage);
        found
            .and_then(|stage| stage["sequence"].as_u64())
            .unwrap_or_default()
    }
}

/// Freeze an API's definition as it now stands, and have a stage serve it.
///
/// The definition is read from the configuration file, checked and compiled; then it lies in the
/// state folder under the hash of its content, and no later edit changes what the stage serves.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    why: Why,
}

impl Deploy {
    pub(super) fn execute(self) -> ExitCode {
        self.target.order("/deploy", &self.why, json!({}))
    }
}

/// Have a stage serve what another stage serves.
#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The API's name.
    api: String,
    /// The stage whose deployment is taken.
    #[arg(long, value_name = "STAGE")]
    from: String,
    /// The stage that serves it, too.
    #[arg(long, value_name = "STAGE")]
    to: String,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    why: Why,
}

impl Promote {
    pub(super) fn execute(self) -> ExitCode {
        let target = Target {
            api: self.api,
            stage: self.to,
            gateway: self.gateway,
        };
        target.order("/promote", &self.why, json!({ "from": self.from }))
    }
}

/// Have a stage serve an earlier deployment again.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    target: Target,
    /// The beginning of the deployment's name. Left out: the one before the present one.
    #[arg(long, value_name = "DEPLOYMENT")]
    to: Option<String>,
    #[command(flatten)]
    why: Why,
}

impl Rollback {
    pub(super) fn execute(self) -> ExitCode {
        self.target
            .order("/rollback", &self.why, json!({ "to": self.to }))
    }
}

/// Give a second deployment a share of a stage's requests; change, promote or abort that.
#[derive(Debug, Args)]
pub(super) struct Canary {
    #[command(flatten)]
    target: Target,
    /// The canary's share of the requests.
    #[arg(long, value_name = "SHARE", required_unless_present_any = ["promote", "abort"])]
    percent: Option<f64>,
    /// The beginning of the canary's name. Left out: the running canary's, or the stage's own.
    #[arg(long, value_name = "DEPLOYMENT", conflicts_with_all = ["promote", "abort"])]
    deployment: Option<String>,
    /// A variable that differs there.
    #[arg(long = "var", value_name = "NAME=VALUE", conflicts_with_all = ["promote", "abort"])]
    variables: Vec<String>,
    /// What keeps a client on its side: `cookie:NAME`, `header:NAME` or `address`.
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["promote", "abort"])]
    sticky: Option<String>,
    /// A header field by which a client chooses its side: with this value the canary, with any
    /// other the stage's own.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with_all = ["promote", "abort"])]
    header: Option<String>,
    /// When it is taken back by itself: `5xx > 2% over 1m`, `latency > 1.5x over 5m`.
    #[arg(long, value_name = "CONDITION", conflicts_with_all = ["promote", "abort"])]
    abort_when: Option<String>,
    /// Make the canary the stage's own.
    #[arg(long, conflicts_with_all = ["percent", "abort"])]
    promote: bool,
    /// Take the canary back.
    #[arg(long, conflicts_with = "percent")]
    abort: bool,
    #[command(flatten)]
    why: Why,
}

impl Canary {
    pub(super) fn execute(self) -> ExitCode {
        if self.promote {
            return self.target.order("/canary/promote", &self.why, json!({}));
        }
        if self.abort {
            return self.target.order("/canary/abort", &self.why, json!({}));
        }
        match self.plan() {
            Ok(plan) => self.target.order("/canary", &self.why, plan),
            Err(mistake) => fail(&mistake),
        }
    }

    fn plan(&self) -> Result<Value, String> {
        let mut plan = json!({
            "percent": self.percent,
            "deployment": self.deployment,
            "abort_when": self.abort_when,
        });
        for variable in &self.variables {
            let (name, value) = pair("--var", variable)?;
            plan["variables"][name] = json!(value);
        }
        if let Some(header) = &self.header {
            let (name, value) = pair("--header", header)?;
            plan["force"] = json!({ "header": name, "value": value });
        }
        if let Some(sticky) = &self.sticky {
            plan["sticky"] = match sticky.split_once(':') {
                None if sticky == "address" => json!("address"),
                Some((kind @ ("cookie" | "header"), name)) if !name.is_empty() => {
                    json!({ kind: name })
                }
                _ => {
                    let forms = "cookie:NAME, header:NAME or address";
                    return Err(format!("--sticky {sticky:?}: write {forms}"));
                }
            };
        }
        Ok(plan)
    }
}

fn pair<'t>(option: &str, text: &'t str) -> Result<(&'t str, &'t str), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.ok_or_else(|| format!("{option} {text:?}: write NAME=VALUE"))
}

/// Remove the deployments of an API that no stage points at.
#[derive(Debug, Args)]
pub(super) struct Gc {
    /// The API's name.
    api: String,
    /// How many of the newest stay all the same.
    #[arg(long, value_name = "COUNT", default_value_t = crate::bounds::DEPLOYMENTS_KEPT)]
    keep: usize,
    #[command(flatten)]
    gateway: Gateway,
}

impl Gc {
    pub(super) fn execute(self) -> ExitCode {
        let path = format!("/apis/{}/gc", segment(&self.api));
        match self
            .gateway
            .ask("POST", &path, Some(&json!({ "keep": self.keep })))
        {
            Ok(page) => say(&page["message"].as_str().unwrap_or_default()),
            Err(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pair;

    #[test]
    fn pairs() {
        assert_eq!(pair("--var", "a=b=c"), Ok(("a", "b=c")));
        assert_eq!(pair("--var", "a="), Ok(("a", "")));
        assert!(pair("--var", "=a").is_err());
        assert!(pair("--var", "a").is_err());
    }
}
