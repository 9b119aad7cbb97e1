//! The configuration file: read within its bound, and checked.

use super::{compile, failure::Failure};
use crate::{
    bounds::CONFIG_BYTES_MAX,
    model::{self, Checked, Mistake, Mistakes, Place, Source},
};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    string::FromUtf8Error,
};

/// Reads and checks the file at `path`. Relative paths in it start from its folder.
///
/// # Errors
/// It cannot be read, is no text, is too long, or is wrong.
pub fn load(path: &Path) -> Result<Checked, Failure> {
    let bytes = read(path).map_err(|error| Failure::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| no_text(&name, &error))?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    // Sockets and files must stay where they are wherever the process goes.
    let folder = std::path::absolute(folder.join(".")).unwrap_or_else(|_| PathBuf::from(folder));
    let files = |path: &Path| {
        let bytes = read(path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())
    };
    Ok(model::read_and(
        &name,
        &text,
        &folder,
        &files,
        compile::refusals,
    )?)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = CONFIG_BYTES_MAX as u64;
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match read as u64 > limit {
        true => Err(io::Error::other(format!("longer than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// The place of the first byte that is no UTF-8, shown as any other mistake.
fn no_text(name: &str, error: &FromUtf8Error) -> Mistakes {
    let valid = error.utf8_error().valid_up_to();
    let shown = String::from_utf8_lossy(error.as_bytes());
    // What is valid stays as long as it was.
    let before = &shown[..valid];
    let line = before.rsplit('\n').next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let place = Place {
        line: count(before.matches('\n').count() + 1),
        column: count(line.chars().count() + 1),
    };
    let what = format!("the byte 0x{:02x} is no UTF-8", error.as_bytes()[valid]);
    let mistake = Mistake::new(place, model::Path::ROOT, what).hint("save the file as UTF-8");
    let mistakes = Mistakes::of(&Source::new(name, &shown), vec![mistake]);
    mistakes.expect("there is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a file of these bytes.
    fn told(bytes: &[u8]) -> String {
        let name = format!("sluice-load-{}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a folder for temporary files");
        let told = load(&path).expect_err("a mistake").to_string();
        std::fs::remove_file(&path).expect("it was written");
        told.replace(&path.display().to_string(), "a.yaml")
    }

    #[test]
    fn mistakes_of_all_steps_are_told_at_once() {
        let bytes = b"lisener: []
listeners: [{ address: 127.0.0.1:1 }]
access_log: { format: '$context.pth $context.status $nothing' }
apis:
  a:
    routes:
      GET /{a}: { integration: { type: mock } }
      GET /{b}: { integration: { type: mock }, throttle: { rate: 0, burst: 1 } }
";
        let told = told(bytes);
        for part in [
            "a.yaml:1:1: unknown key \"lisener\"",
            "a.yaml:3:23: access_log.format: there is no variable $context.pth\n",
            "   = did you mean $context.path?",
            "a.yaml:3:23: access_log.format: there is no variable $nothing\n",
            "a.yaml:8:7: apis.a.routes.\"GET /{b}\": ",
            "a.yaml:8:66: apis.a.routes.\"GET /{b}\".throttle.rate: ",
        ] {
            assert!(told.contains(part), "{part}\n{told}");
        }
    }

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        let expected = "a.yaml:2:6: the byte 0xe9 is no UTF-8\n 2 | # caf\u{fffd} ol\u{e9}\n   |      ^\n   = save the file as UTF-8\n";
        assert_eq!(told(b"a: 1\n# caf\xe9 ol\xc3\xa9\n"), expected);
    }
}
