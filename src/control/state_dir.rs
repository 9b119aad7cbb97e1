//! The state folder: one living process each, and how the command line finds it.
//!
//! `sluice.sock` is the admin API for whoever may write to the folder; that somebody answers on it
//! is what "already running" means. `sluice.pid` is for service scripts. Both go at the end.

use super::failure::Failure;
use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// The socket's name in the folder.
pub const SOCKET: &str = "sluice.sock";
const PID: &str = "sluice.pid";

/// A state folder in this process's hands. Dropping it removes the two files.
#[derive(Debug)]
pub(super) struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Takes the folder (made if it is not there) and listens on its socket, which only this user
    /// may use. A socket file that nobody answers on is a leftover and is replaced.
    ///
    /// # Errors
    /// Another process serves from it, or it cannot be used.
    #[allow(clippy::wildcard_enum_match_arm)] // The standard library's kinds grow.
    pub(super) fn claim(path: &Path) -> Result<(Self, UnixListener), Failure> {
        let unusable = |error| Failure::StateDir {
            state_dir: path.to_owned(),
            error,
        };
        fs::create_dir_all(path).map_err(unusable)?;
        let listener = listen(&path.join(SOCKET)).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Failure::AlreadyRunning {
                state_dir: path.to_owned(),
            },
            _ => unusable(error),
        })?;
        let this = Self {
            path: path.to_owned(),
        };
        let pid = format!("{}\n", std::process::id());
        fs::write(path.join(PID), pid).map_err(unusable)?;
        Ok((this, listener))
    }
}

/// Listens on `socket`, which only this user may use. A file that nobody answers on is a leftover
/// and is replaced.
///
/// It is bound under another name, closed to others, and only then given its own: at no time does
/// it stand open.
///
/// # Errors
/// `AddrInUse` if somebody answers on it.
pub(super) fn listen(socket: &Path) -> io::Result<UnixListener> {
    match UnixStream::connect(socket) {
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(socket)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let unnamed = socket.with_extension(format!("{}", std::process::id()));
    let listener = UnixListener::bind(&unnamed)?;
    let named = fs::set_permissions(&unnamed, Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&unnamed, socket));
    if let Err(error) = named {
        let _ = fs::remove_file(&unnamed);
        return Err(error);
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Drop for StateDir {
    fn drop(&mut self) {
        for name in [SOCKET, PID] {
            // What cannot be removed is found to be a leftover at the next start.
            let _ = fs::remove_file(self.path.join(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sluice-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn one_living_process_a_folder() {
        let path = folder("claim");
        let (claimed, listener) = StateDir::claim(&path).unwrap();
        let mode = fs::metadata(path.join(SOCKET)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        assert!(matches!(
            StateDir::claim(&path),
            Err(Failure::AlreadyRunning { .. })
        ));
        drop(listener);
        let (again, _listener) = StateDir::claim(&path).expect("the socket is a leftover");
        drop(claimed);
        drop(again);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made() {
        let found = StateDir::claim(Path::new("/proc/nowhere")).unwrap_err();
        assert!(matches!(found, Failure::StateDir { .. }), "{found}");
    }
}
