//! Commands for API keys and what they have used: `keys`, `usage`.

use super::{
    client::{Gateway, segment},
    csv, fail, say,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

/// Bytes of keys that are sent at once: the admin API takes 128 KiB.
const BATCH_BYTES: usize = 96 * 1024;

/// Make API keys, and change what they are good for.
///
/// A change is on the disk, and known to all workers, before the command ends.
#[derive(Debug, Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    gateway: Gateway,
    /// The reason, for the key's history.
    #[arg(
        long = "message",
        short = 'm',
        global = true,
        default_value = "",
        hide_default_value = true,
        value_name = "WHY"
    )]
    why: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key, and tell its value: once, as it is not kept.
    Create {
        /// Its name.
        name: String,
        /// The plans that it is in.
        #[arg(long = "plan", value_name = "PLAN")]
        plans: Vec<String>,
        /// For people.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Its value: 20 to 128 printable characters. Left out: 40 are made.
        #[arg(long, value_name = "VALUE")]
        value: Option<String>,
        /// It may not be used yet.
        #[arg(long)]
        disabled: bool,
    },
    /// List all keys.
    List,
    /// Show a key, and what was done to it.
    Show {
        /// Its id, or its name.
        key: String,
    },
    /// Let a key be used.
    Enable {
        /// Its id, or its name.
        key: String,
    },
    /// Let a key not be used.
    Disable {
        /// Its id, or its name.
        key: String,
    },
    /// Give a key another value, and tell it. The one before is good for nothing from then on.
    Rotate {
        /// Its id, or its name.
        key: String,
        /// The value. Left out: 40 characters are made.
        #[arg(long, value_name = "VALUE")]
        value: Option<String>,
    },
    /// Remove a key, and the count of its present period.
    Delete {
        /// Its id, or its name.
        key: String,
    },
    /// Put a key into a plan.
    Assign {
        /// Its id, or its name.
        key: String,
        /// The plan's name.
        plan: String,
    },
    /// Take a key out of a plan.
    Unassign {
        /// Its id, or its name.
        key: String,
        /// The plan's name.
        plan: String,
    },
    /// Take up keys from a file in Amazon's form: columns `Name` and `Key`, and if need be
    /// `Description`, `Enabled` and `UsagePlanIds`. A value that is known changes its key.
    Import {
        /// The file.
        file: PathBuf,
    },
}

impl Keys {
    pub(super) fn execute(self) -> ExitCode {
        let of = |key: &str, what: &str| format!("/keys/{}/{what}", segment(key));
        let (path, mut body) = match &self.action {
            Action::List => return self.list(),
            Action::Show { key } => return self.show(key),
            Action::Import { file } => return self.import(file),
            Action::Create {
                name,
                plans,
                description,
                value,
                disabled,
            } => {
                let key = json!({ "name": name, "plans": plans, "description": description,
                    "value": value, "enabled": !disabled });
                ("/keys".to_owned(), json!({ "key": key }))
            }
            Action::Enable { key } => (of(key, "enable"), json!({})),
            Action::Disable { key } => (of(key, "disable"), json!({})),
            Action::Rotate { key, value } => (of(key, "rotate"), json!({ "value": value })),
            Action::Delete { key } => (of(key, "delete"), json!({})),
            Action::Assign { key, plan } => (of(key, "assign"), json!({ "plan": plan })),
            Action::Unassign { key, plan } => (of(key, "unassign"), json!({ "plan": plan })),
        };
        body["why"] = json!(self.why);
        match self.gateway.ask("POST", &path, Some(&body)) {
            Ok(page) => match (page["value"].as_str(), text(&page["message"])) {
                (Some(value), message) => say(&format!("{message}\n{value}")),
                (None, message) if matches!(self.action, Action::Delete { .. }) => {
                    say(&format!("removed: {message}"))
                }
                (None, message) => say(&message),
            },
            Err(code) => code,
        }
    }

    fn list(&self) -> ExitCode {
        match self.gateway.ask("GET", "/keys", None) {
            Ok(page) => {
                let keys = page.as_array().into_iter().flatten();
                let lines: Vec<String> = keys.map(line).collect();
                match lines.is_empty() {
                    true => say(&"no keys"),
                    false => say(&lines.join("\n")),
                }
            }
            Err(code) => code,
        }
    }

    fn show(&self, key: &str) -> ExitCode {
        let path = format!("/keys/{}", segment(key));
        match self.gateway.ask("GET", &path, None) {
            Ok(page) => {
                let mut lines = vec![line(&page)];
                let description = text(&page["description"]);
                if !description.is_empty() {
                    lines.push(format!("  {description}"));
                }
                for deed in page["history"].as_array().into_iter().flatten() {
                    let (action, actor) = (text(&deed["action"]), text(&deed["actor"]));
                    let why = text(&deed["why"]);
                    let at = super::status::time(&deed["at_ms"]);
                    lines.push(
                        format!("  {at}  {action} by {actor}  {why}")
                            .trim_end()
                            .to_owned(),
                    );
                }
                say(&lines.join("\n"))
            }
            Err(code) => code,
        }
    }

    fn import(&self, file: &PathBuf) -> ExitCode {
        let read = std::fs::read_to_string(file);
        let rows = read
            .map_err(|error| error.to_string())
            .and_then(|text| csv::keys(&text));
        let rows = match rows {
            Ok(rows) => rows,
            Err(why) => return fail(&format!("{}: {why}", file.display())),
        };
        let (mut made, mut changed) = (0, 0);
        let mut rest = &rows[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch(rest));
            let body = json!({ "keys": batch, "why": self.why });
            match self.gateway.ask("POST", "/keys/import", Some(&body)) {
                Ok(page) => {
                    made += page["made"].as_u64().unwrap_or_default();
                    changed += page["changed"].as_u64().unwrap_or_default();
                }
                Err(code) => {
                    let before = rows.len() - rest.len();
                    fail(&format!("keys before these were taken up: {before}"));
                    return code;
                }
            }
            rest = after;
        }
        say(&format!("{made} keys made, {changed} changed"))
    }
}

/// How many of the rows are sent at once: at least one.
fn batch(rows: &[Value]) -> usize {
    let mut bytes = 0;
    let fits = rows.iter().take_while(|row| {
        bytes += row.to_string().len() + 1;
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn line(key: &Value) -> String {
    let state = match key["enabled"].as_bool() {
        Some(true) => "enabled ",
        _ => "disabled",
    };
    let plans = key["plans"].as_array().into_iter().flatten();
    let plans: Vec<&str> = plans.map(text).collect();
    let plans = match plans.is_empty() {
        true => "-".to_owned(),
        false => plans.join(","),
    };
    format!(
        "{}  {state}  {plans}  {}",
        text(&key["id"]),
        text(&key["name"])
    )
}

/// Say how often API keys were used, by day; or extend what is left to one.
#[derive(Debug, Args)]
pub(super) struct Usage {
    #[command(subcommand)]
    action: Option<UsageAction>,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
struct Wanted {
    /// Of this plan alone.
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// By this key alone: its id, or its name.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// From this day on, in UTC. Left out: today.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<String>,
    /// Up to this day. Left out: today.
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<String>,
}

#[derive(Debug, Subcommand)]
enum UsageAction {
    /// Have at least so many requests be left to a key until its present period ends.
    Extend {
        /// The plan's name.
        #[arg(long, value_name = "PLAN")]
        plan: String,
        /// The key's id, or its name.
        #[arg(long, value_name = "KEY")]
        key: String,
        /// How many.
        #[arg(long, value_name = "COUNT")]
        remaining: u64,
        /// The reason.
        #[arg(
            long = "message",
            short = 'm',
            default_value = "",
            hide_default_value = true,
            value_name = "WHY"
        )]
        why: String,
    },
}

impl Usage {
    pub(super) fn execute(self) -> ExitCode {
        if let Some(UsageAction::Extend {
            plan,
            key,
            remaining,
            why,
        }) = &self.action
        {
            let body = json!({ "plan": plan, "key": key, "remaining": remaining, "why": why });
            return match self.gateway.ask("POST", "/usage/extend", Some(&body)) {
                Ok(page) => say(&text(&page["message"])),
                Err(code) => code,
            };
        }
        match self.gateway.ask("GET", &self.wanted.path(), None) {
            Ok(page) => say(&shown(&page)),
            Err(code) => code,
        }
    }
}

impl Wanted {
    fn path(&self) -> String {
        let all = [
            ("plan", &self.plan),
            ("key", &self.key),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let given = all.iter().filter_map(|(name, value)| {
            let value = value.as_deref()?;
            Some(format!("{name}={}", segment(value)))
        });
        format!("/usage?{}", given.collect::<Vec<_>>().join("&"))
    }
}

fn shown(page: &Value) -> String {
    let days = page["days"].as_array().into_iter().flatten();
    let days = days.map(|used| {
        let (day, key, plan) = (text(&used["day"]), text(&used["key"]), text(&used["plan"]));
        format!("{day}  {key}  {plan}  {}", used["count"])
    });
    let left = page["remaining"].as_array().into_iter().flatten();
    let left = left.map(|left| {
        let (key, plan) = (text(&left["key"]), text(&left["plan"]));
        format!("left        {key}  {plan}  {}", left["remaining"])
    });
    let lines: Vec<String> = days.chain(left).collect();
    match lines.is_empty() {
        true => "nothing was used".to_owned(),
        false => lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_and_never_empty() {
        let row = |length: usize| json!({ "name": "x".repeat(length) });
        assert_eq!(batch(&[row(10), row(10)]), 2);
        assert_eq!(batch(&vec![row(1000); 200]), 97);
        assert_eq!(batch(&[row(200_000), row(1)]), 1);
    }

    #[test]
    fn what_is_wanted_stands_in_the_query() {
        let wanted = Wanted {
            plan: Some("gold".to_owned()),
            key: Some("a b".to_owned()),
            from: None,
            to: Some("2026-12-01".to_owned()),
        };
        assert_eq!(wanted.path(), "/usage?plan=gold&key=a%20b&to=2026-12-01");
    }
}
