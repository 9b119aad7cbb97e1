//! Commands that show what is deployed: `status`, `history`, `diff`.

use super::{
    client::{Gateway, segment},
    say,
    stage::Target,
};
use crate::observe::TimeText;
use clap::Args;
use serde_json::Value;
use std::{fmt::Write as _, process::ExitCode, time::Duration};

/// Show every stage, what it serves, and its canary.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    gateway: Gateway,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn execute(self) -> ExitCode {
        let stages = match self.gateway.ask("GET", "/stages", None) {
            Ok(stages) => stages,
            Err(code) => return code,
        };
        if self.json {
            return say(&format!("{stages:#}"));
        }
        let header = ["STAGE", "SERVES", "ROUTES", "CANARY"].map(str::to_owned);
        let rows = stages.as_array().into_iter().flatten().map(row);
        say(&table(std::iter::once(header).chain(rows)))
    }
}

fn row(stage: &Value) -> [String; 4] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = format!("{}/{}", text(&stage["api"]), text(&stage["stage"]));
    let own = match text(&stage["serves"]).as_str() {
        "its deployment" => short(&stage["deployment"]),
        other => other.to_owned(),
    };
    let canary = &stage["canary"];
    let canary = match canary["percent"].as_f64() {
        Some(percent) => {
            let condition = canary["abort_when"].as_str();
            let condition = condition.map(|text| format!(", aborts when {text}"));
            format!(
                "{percent}% {}{}",
                short(&canary["deployment"]),
                condition.unwrap_or_default()
            )
        }
        None => "-".to_owned(),
    };
    [name, own, stage["routes"].to_string(), canary]
}

/// The first digits of a deployment's name.
fn short(deployment: &Value) -> String {
    let text = deployment.as_str().unwrap_or("-");
    text.get(..12).unwrap_or(text).to_owned()
}

/// Show how a stage came to what it serves, the latest change last; or all deployments of an API.
#[derive(Debug, Args)]
pub(super) struct History {
    /// The API's name.
    api: String,
    /// The stage's name. Left out: the deployments that the API has, the newest first.
    #[arg(long, short, value_name = "STAGE")]
    stage: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn execute(self) -> ExitCode {
        let api = segment(&self.api);
        let path = match &self.stage {
            Some(stage) => format!("/apis/{api}/stages/{}", segment(stage)),
            None => format!("/apis/{api}/deployments"),
        };
        let page = match self.gateway.ask("GET", &path, None) {
            Ok(page) => page,
            Err(code) => return code,
        };
        match (self.json, self.stage) {
            (true, _) => say(&format!("{page:#}")),
            (false, Some(_)) => say(&changes(&page["history"])),
            (false, None) => say(&deployments(&page)),
        }
    }
}

fn changes(history: &Value) -> String {
    let header = ["CHANGE", "WHEN", "WHO", "WHAT", "DEPLOYMENT", "WHY"].map(str::to_owned);
    let rows = history.as_array().into_iter().flatten().map(|entry| {
        [
            entry["sequence"].to_string(),
            time(&entry["at_ms"]),
            entry["actor"].as_str().unwrap_or_default().to_owned(),
            entry["action"]
                .as_str()
                .unwrap_or_default()
                .replace('_', " "),
            short(&entry["deployment"]),
            entry["why"].as_str().unwrap_or_default().to_owned(),
        ]
    });
    table(std::iter::once(header).chain(rows))
}

fn deployments(list: &Value) -> String {
    let header = ["DEPLOYMENT", "WHEN", "BYTES", "STAGES"].map(str::to_owned);
    let rows = list.as_array().into_iter().flatten().map(|stored| {
        let stages = stored["stages"].as_array().into_iter().flatten();
        let stages: Vec<&str> = stages.filter_map(Value::as_str).collect();
        [
            short(&stored["deployment"]),
            time(&stored["at_ms"]),
            stored["bytes"].to_string(),
            stages.join(", "),
        ]
    });
    table(std::iter::once(header).chain(rows))
}

/// Milliseconds since 1970 as a time in UTC.
pub(super) fn time(ms: &Value) -> String {
    let wall = Duration::from_millis(ms.as_u64().unwrap_or_default());
    String::from_utf8_lossy(TimeText::new().rfc3339(wall)).into_owned()
}

/// Show what a deploy to a stage would change, route by route.
#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    target: Target,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn execute(self) -> ExitCode {
        let path = self.target.path("/diff");
        let page = match self.target.gateway().ask("GET", &path, None) {
            Ok(page) => page,
            Err(code) => return code,
        };
        if self.json {
            return say(&format!("{:#}", page["differences"]));
        }
        let mut text = String::new();
        for line in page["lines"].as_array().into_iter().flatten() {
            writeln!(text, "{}", line.as_str().unwrap_or_default()).expect("a String takes all");
        }
        text.push_str(page["message"].as_str().unwrap_or_default());
        say(&text)
    }
}

/// Rows in columns of one width each, the last as it comes.
pub(super) fn table<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "{cell:width$}  ").expect("a String takes all");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{row, table, time};
    use serde_json::json;

    #[test]
    fn tables() {
        let rows = [["A", "LONG"], ["abc", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(rows.into_iter()), "A    LONG\nabc  x");
        assert_eq!(
            time(&json!(1_790_000_000_123_u64)),
            "2026-09-21T14:13:20.123Z"
        );
    }

    #[test]
    fn rows() {
        let id = "ab".repeat(32);
        let stage = json!({
            "api": "orders", "stage": "prod", "routes": 3, "serves": "its deployment",
            "deployment": id,
            "canary": { "percent": 2.5, "deployment": id, "abort_when": "5xx > 2% over 60s" },
        });
        let canary = "2.5% abababababab, aborts when 5xx > 2% over 60s";
        assert_eq!(row(&stage), ["orders/prod", "abababababab", "3", canary]);
        let follows =
            json!({ "api": "a", "stage": "s", "routes": 1, "serves": "nothing", "canary": null });
        assert_eq!(row(&follows), ["a/s", "nothing", "1", "-"]);
    }
}
