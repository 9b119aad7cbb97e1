//! The options of a subcommand: `--name value` pairs, each read once by the command that knows it.
//!
//! It never guesses: an unknown shape or an unreadable value is an error with the option's name.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

/// What stood on the command line after the subcommand.
pub struct Arguments {
    /// Option name without its dashes, to its value.
    values: HashMap<String, String>,
}

impl Arguments {
    /// Reads `--name value` pairs; anything else is an error.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut values = HashMap::new();
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("not an option: {word}"))?;
            let value = words
                .next()
                .ok_or_else(|| format!("--{name} needs a value"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Self { values })
    }

    /// The value of an option that must be there.
    pub fn required<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self
            .values
            .get(name)
            .ok_or_else(|| format!("--{name} is missing"))?;
        text.parse()
            .map_err(|_| format!("--{name} {text}: not readable"))
    }

    /// The value of an option, or what it is when left out.
    pub fn or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        if self.values.contains_key(name) {
            self.required(name)
        } else {
            Ok(default)
        }
    }

    /// A comma-separated list of addresses that must be there.
    pub fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, String> {
        let text: String = self.required(name)?;
        text.split(',')
            .map(|one| {
                one.parse()
                    .map_err(|_| format!("--{name} {one}: not an address"))
            })
            .collect()
    }
}
