//! `sluice import`: what an OpenAPI document would become, and a copy of it beside the
//! configuration.
//!
//! It changes no configuration: it writes the document and prints what to put into the file.

use super::{fail, say};
use crate::{
    bounds,
    model::{
        Source,
        openapi::{self, BasePath, ImportOptions, Imported},
    },
};
use clap::{Args, ValueEnum};
use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Show what becomes of every part of an OpenAPI document, and write it beside the configuration.
///
/// Reads Swagger 2.0, OpenAPI 3.0 and 3.1 as JSON or YAML, with Amazon's extensions. What guards or
/// changes a request and is not served yet makes its route answer 501. Exits with 1 if something is
/// wrong.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The document.
    file: PathBuf,
    /// The API's name. Left out: the file's, up to its first dot.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What the document's base path does to its paths.
    #[arg(long, value_enum, default_value_t = BasePathArgument::Ignore)]
    base_path: BasePathArgument,
    /// The upstream for an origin, as in `https://api.example.com=users`. May be repeated.
    #[arg(long = "origin", value_name = "ORIGIN=UPSTREAM", value_parser = origin)]
    origins: Vec<(String, String)>,
    /// Where Lambda functions are invoked. Left out: at AWS.
    #[arg(long, value_name = "URL")]
    lambda_endpoint: Option<String>,
    /// Write the document to apis/NAME.openapi.json or .yaml beside the configuration. Nothing is
    /// overwritten.
    #[arg(long)]
    write: bool,
    /// The configuration file: what --write writes beside.
    #[arg(long, short, default_value = super::CONFIG, value_name = "FILE")]
    config: PathBuf,
    /// Exit with 1 also if something is not served yet.
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BasePathArgument {
    /// Nothing.
    Ignore,
    /// It stands in front of them.
    Prepend,
    /// Its first segment is left to a mapping; the rest stands in front of them.
    Split,
}

impl From<BasePathArgument> for BasePath {
    fn from(argument: BasePathArgument) -> Self {
        match argument {
            BasePathArgument::Ignore => Self::Ignore,
            BasePathArgument::Prepend => Self::Prepend,
            BasePathArgument::Split => Self::Split,
        }
    }
}

fn origin(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((origin, name)) if origin.contains("://") && !name.is_empty() => {
            Ok((origin.to_owned(), name.to_owned()))
        }
        _ => Err("write https://api.example.com=users".to_owned()),
    }
}

impl Import {
    pub(super) fn execute(self) -> ExitCode {
        let text = match read(&self.file) {
            Ok(text) => text,
            Err(error) => return fail(&format!("{}: {error}", self.file.display())),
        };
        let source = Source::new(&self.file.display().to_string(), &text);
        let options = ImportOptions {
            base_path: self.base_path.into(),
            origins: self.origins.iter().cloned().collect(),
            lambda_endpoint: self.lambda_endpoint.clone(),
        };
        let imported = match openapi::import(&source, &options) {
            Ok(imported) => imported,
            Err(mistakes) => return fail(&mistakes),
        };
        let name = match self.name(&imported) {
            Ok(name) => name,
            Err(failure) => return fail(&failure),
        };
        let kept = self.kept(&name, &text);
        if self.write
            && let Err(failure) = write(&self.beside(&kept), &text)
        {
            return fail(&failure);
        }
        let said = say(&format!(
            "{}\n{}",
            imported.report,
            self.snippet(&name, &kept, &imported)
        ));
        let report = &imported.report;
        let wrong = report.wrong().next().is_some();
        let later = self.strict && report.later().next().is_some();
        match wrong || later {
            true => ExitCode::FAILURE,
            false => said,
        }
    }

    /// The API's name.
    fn name(&self, imported: &Imported) -> Result<String, String> {
        let stem = self.file.file_name().and_then(|name| name.to_str());
        let stem = stem
            .and_then(|name| name.split('.').next())
            .unwrap_or_default();
        let name = self.name.as_deref().unwrap_or(stem);
        let known = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let fits = (1..=128).contains(&name.len()) && name.chars().all(known);
        match fits && !name.starts_with('.') {
            true if imported.definition.routes.is_empty() => Err(format!(
                "{}: no operation: nothing to serve",
                self.file.display()
            )),
            true => Ok(name.to_owned()),
            false => Err(format!(
                "{name:?} cannot be the name of an API: choose one by --name"
            )),
        }
    }

    /// Where the document is kept, from the configuration's folder.
    fn kept(&self, name: &str, text: &str) -> String {
        let json = text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .starts_with(['{', '[']);
        let kind = if json { "json" } else { "yaml" };
        format!("apis/{name}.openapi.{kind}")
    }

    fn beside(&self, kept: &str) -> PathBuf {
        match self.config.parent() {
            Some(folder) => folder.join(kept),
            None => PathBuf::from(kept),
        }
    }

    /// What to put into the configuration.
    fn snippet(&self, name: &str, kept: &str, imported: &Imported) -> String {
        let path = self.beside(kept);
        let done = match self.write {
            true => format!("{} is written.", path.display()),
            false => format!("Nothing is written; --write writes {}.", path.display()),
        };
        let mut out = format!("{done} In {}:\n\napis:\n", self.config.display());
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let _ = writeln!(out, "  {}:", quoted(name));
        let word = self.base_path.to_possible_value();
        let word = word.filter(|_| !matches!(self.base_path, BasePathArgument::Ignore));
        if word.is_none() && self.origins.is_empty() && self.lambda_endpoint.is_none() {
            let _ = write!(out, "    openapi: {kept}");
        } else {
            let _ = write!(out, "    openapi:\n      file: {kept}");
            if let Some(word) = word {
                let _ = write!(out, "\n      base_path: {}", word.get_name());
            }
            if !self.origins.is_empty() {
                out.push_str("\n      origins:");
            }
            for (origin, upstream) in &self.origins {
                let _ = write!(out, "\n        {}: {}", quoted(origin), quoted(upstream));
            }
            if let Some(endpoint) = &self.lambda_endpoint {
                let _ = write!(out, "\n      lambda_endpoint: {}", quoted(endpoint));
            }
        }
        if let Some(mapping) = &imported.mapping {
            let _ = write!(out, "\n\nThe base path of its mapping is {mapping}.");
        }
        out
    }
}

/// The text of the document.
fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more, so that a longer one is seen to be longer.
    let most = bounds::OPENAPI_BYTES_MAX as u64 + 1;
    fs::File::open(file)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| match error.kind() == io::ErrorKind::AlreadyExists {
        true => format!("{} is there already: nothing is written", path.display()),
        false => format!("{}: {error}", path.display()),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn origins() {
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(
            origin("https://a.test=users"),
            pair("https://a.test", "users")
        );
        assert_eq!(
            origin("https://a.test/?x=1=users"),
            pair("https://a.test/?x=1", "users")
        );
        assert!(origin("a.test=users").is_err());
        assert!(origin("https://a.test").is_err());
        assert!(origin("https://a.test=").is_err());
    }
}
