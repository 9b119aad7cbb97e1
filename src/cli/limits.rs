//! `limits`: who is limited most just now.

use super::{client::Gateway, say, status::table};
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;

/// Show which limits refuse most just now, and which clients they refuse.
#[derive(Debug, Args)]
pub(super) struct Limits {
    #[command(flatten)]
    gateway: Gateway,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Limits {
    pub(super) fn execute(self) -> ExitCode {
        let limits = match self.gateway.ask("GET", "/limits", None) {
            Ok(limits) => limits,
            Err(code) => return code,
        };
        if self.json {
            return say(&format!("{limits:#}"));
        }
        let rows: Vec<[String; 4]> = limits.as_array().into_iter().flatten().map(row).collect();
        if rows.is_empty() {
            return say(&"nobody was limited in the last seconds");
        }
        let header = ["REFUSED", "LIMIT", "OF", "CLIENT"].map(str::to_owned);
        say(&table(std::iter::once(header).chain(rows)))
    }
}

fn row(limit: &Value) -> [String; 4] {
    let text = |key: &str| match limit[key].as_str() {
        None | Some("") => "-".to_owned(),
        Some(text) => text.to_owned(),
    };
    [
        limit["refused"].to_string(),
        text("limit"),
        text("of"),
        text("client"),
    ]
}

#[cfg(test)]
mod tests {
    use super::row;
    use serde_json::json;

    #[test]
    fn rows() {
        let limit = json!({
            "scope": "route", "limit": "route-address", "of": "shop/prod GET /a",
            "client": "192.0.2.1", "refused": 7,
        });
        let expected = ["7", "route-address", "shop/prod GET /a", "192.0.2.1"];
        assert_eq!(row(&limit), expected);
        let together = json!({ "limit": "gateway", "of": "", "client": "", "refused": 1 });
        assert_eq!(row(&together), ["1", "gateway", "-", "-"]);
    }
}
