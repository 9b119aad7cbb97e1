//! The configuration file: read within its bound, and checked.

use super::failure::Failure;
use crate::{
    bounds::CONFIG_BYTES_MAX,
    model::{self, Checked},
};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Reads and checks the file at `path`. Relative paths in it start from its folder.
///
/// # Errors
/// It cannot be read, is no text, is too long, or is wrong.
pub fn load(path: &Path) -> Result<Checked, Failure> {
    let text = read(path).map_err(|error| Failure::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    // Sockets and files must stay where they are wherever the process goes.
    let folder = std::path::absolute(folder.join(".")).unwrap_or_else(|_| PathBuf::from(folder));
    Ok(model::read(&path.display().to_string(), &text, &folder)?)
}

fn read(path: &Path) -> io::Result<String> {
    let limit = CONFIG_BYTES_MAX as u64;
    let mut text = String::new();
    let read = File::open(path)?
        .take(limit + 1)
        .read_to_string(&mut text)?;
    match read as u64 > limit {
        true => Err(io::Error::other(format!("longer than {limit} bytes"))),
        false => Ok(text),
    }
}
