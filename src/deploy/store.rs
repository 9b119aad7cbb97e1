//! Deployments and stages in the state folder.
//!
//! ```text
//! deployments/API/HASH.json    a deployment, written once
//! stages/API/STAGE.json        a stage's state, replaced whole
//! ```
//!
//! A file is written under another name, synced, given its own name, and its folder synced: at any
//! moment there is the old one or the new one. What is acknowledged is on the disk. Left-overs of
//! a crash are removed when the store is opened. One process writes at a time: the one that has
//! claimed the state folder.

use super::{Deployment, DeploymentId, StageState, ThawError};
use crate::bounds;
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

const DEPLOYMENTS: &str = "deployments";
const STAGES: &str = "stages";
const ENDING: &str = ".json";
/// The ending of a file that is not whole yet.
const UNFINISHED: &str = ".unfinished";
/// The fewest digits by which a deployment is named.
const PREFIX_MIN: usize = 4;

/// The deployments and stages of one state folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A deployment that lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which.
    pub id: DeploymentId,
    /// When it was first deployed, as far as the disk knows.
    pub at: SystemTime,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// Why the store did not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The system refuses.
    Io {
        /// Of which file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A deployment is not what it was.
    Deployment {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        error: ThawError,
    },
    /// A stage's state is not what was written.
    Stage {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No deployment of the API has a name that begins so, or more than one.
    Unknown {
        /// The API.
        api: String,
        /// What was asked for.
        prefix: String,
        /// How many there are.
        count: usize,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Deployment { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Stage { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Unknown {
                api,
                prefix,
                count: 0,
            } => {
                write!(
                    f,
                    "the API {api:?} has no deployment {prefix:?}; `sluice history {api}` lists them"
                )
            }
            Self::Unknown { api, prefix, count } => write!(
                f,
                "{count} deployments of the API {api:?} begin with {prefix:?}: write more of it"
            ),
        }
    }
}

impl std::error::Error for StoreError {}

/// The error of an operation on `path`.
fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    |error| StoreError::Io {
        path: path.to_owned(),
        error,
    }
}

impl Store {
    /// Opens the store in `state_dir`, which this process has claimed; removes what a crash left
    /// half-written.
    ///
    /// # Errors
    /// The folders cannot be read.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let store = Self {
            root: state_dir.to_owned(),
        };
        for folder in [DEPLOYMENTS, STAGES] {
            // They are made when the first file is written.
            for api in entries(&state_dir.join(folder))? {
                for file in entries(&api)? {
                    if file
                        .extension()
                        .is_some_and(|ending| ending == &UNFINISHED[1..])
                    {
                        fs::remove_file(&file).map_err(at(&file))?;
                    }
                }
            }
        }
        Ok(store)
    }

    /// What lies in `state_dir`, for who only reads beside the process that has claimed it.
    pub fn beside(state_dir: &Path) -> Self {
        Self {
            root: state_dir.to_owned(),
        }
    }

    /// The state of a stage; `None`: nothing was ever deployed to it.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn stage(&self, api: &str, stage: &str) -> Result<Option<StageState>, StoreError> {
        let path = self.stage_path(api, stage);
        let Some(bytes) = read(&path, bounds::STAGE_STATE_BYTES_MAX)? else {
            return Ok(None);
        };
        let wrong = |what: String| StoreError::Stage {
            path: path.clone(),
            what,
        };
        let state: StageState =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        match state.is_known() {
            true => Ok(Some(state)),
            false => Err(wrong("it is of another version".to_owned())),
        }
    }

    /// Replaces the state of a stage. Once it returns, the new state is on the disk.
    ///
    /// # Errors
    /// It cannot be written; then the old state stands.
    pub fn put_stage(&self, api: &str, stage: &str, state: &StageState) -> Result<(), StoreError> {
        let json = serde_json::to_vec(state).expect("a state's keys are all strings");
        write(&self.stage_path(api, stage), &json, &mut |_| {})
    }

    /// A deployment.
    ///
    /// # Errors
    /// It is not there, or not what it was.
    pub fn deployment(&self, api: &str, id: DeploymentId) -> Result<Deployment, StoreError> {
        let path = self.deployment_path(api, id);
        let unknown = || StoreError::Unknown {
            api: api.to_owned(),
            prefix: id.short(),
            count: 0,
        };
        let bytes = read(&path, bounds::DEPLOYMENT_BYTES_MAX)?.ok_or_else(unknown)?;
        Deployment::thaw(id, &bytes).map_err(|error| StoreError::Deployment { path, error })
    }

    /// Keeps a deployment. One that is there already stays, unless it was altered.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_deployment(&self, deployment: &Deployment, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.deployment_path(&deployment.api, deployment.id);
        if read(&path, bounds::DEPLOYMENT_BYTES_MAX)?.is_some_and(|kept| kept == bytes) {
            return Ok(());
        }
        write(&path, bytes, &mut |_| {})
    }

    /// The deployments of an API, the newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn deployments(&self, api: &str) -> Result<Vec<Stored>, StoreError> {
        let folder = self.root.join(DEPLOYMENTS).join(file_name(api));
        let mut all = Vec::new();
        for path in entries(&folder)? {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let Some(id) = name.strip_suffix(ENDING).and_then(|id| id.parse().ok()) else {
                continue;
            };
            let metadata = fs::metadata(&path).map_err(at(&path))?;
            all.push(Stored {
                id,
                at: metadata.modified().map_err(at(&path))?,
                bytes: metadata.len(),
            });
        }
        all.sort_by(|a, b| b.at.cmp(&a.at).then(a.id.cmp(&b.id)));
        Ok(all)
    }

    /// The one deployment of an API whose name begins with `prefix`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn named(&self, api: &str, prefix: &str) -> Result<DeploymentId, StoreError> {
        let fits = |stored: &Stored| stored.id.to_string().starts_with(prefix);
        let ids: Vec<_> = match prefix.len() >= PREFIX_MIN {
            true => self.deployments(api)?.into_iter().filter(fits).collect(),
            false => Vec::new(),
        };
        match ids.as_slice() {
            [one] => Ok(one.id),
            more => Err(StoreError::Unknown {
                api: api.to_owned(),
                prefix: prefix.to_owned(),
                count: more.len(),
            }),
        }
    }

    /// Removes a deployment that nothing points at.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_deployment(&self, api: &str, id: DeploymentId) -> Result<(), StoreError> {
        let path = self.deployment_path(api, id);
        fs::remove_file(&path).map_err(at(&path))
    }

    fn deployment_path(&self, api: &str, id: DeploymentId) -> PathBuf {
        let folder = self.root.join(DEPLOYMENTS).join(file_name(api));
        folder.join(format!("{id}{ENDING}"))
    }

    fn stage_path(&self, api: &str, stage: &str) -> PathBuf {
        let folder = self.root.join(STAGES).join(file_name(api));
        folder.join(format!("{}{ENDING}", file_name(stage)))
    }
}

/// A name as a file's: names hold letters, digits, `_`, `-`, `.` and `$`, and one of dots alone
/// would lead elsewhere.
fn file_name(name: &str) -> String {
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name.to_owned(),
    }
}

/// The paths in a folder; none if it is not there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // A stray file among the folders is nobody's.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(at(folder)(error)),
    };
    read.map(|entry| entry.map(|entry| entry.path()).map_err(at(folder)))
        .collect()
}

/// A file of at most `most` bytes; `None` if it is not there.
fn read(path: &Path, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let mut bytes = Vec::new();
    let most = most as u64;
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    match bytes.len() as u64 > most {
        true => Err(at(path)(io::Error::other(format!(
            "longer than {most} bytes"
        )))),
        false => Ok(Some(bytes)),
    }
}

/// The steps of a write, between which a crash may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The folder is there.
    Folder,
    /// Half of the bytes are written.
    Half,
    /// All are.
    Written,
    /// They are on the disk.
    Synced,
    /// The file has its name.
    Named,
}

/// Writes a file whole or not at all; `reached` is told of each step, for tests.
fn write(path: &Path, bytes: &[u8], reached: &mut dyn FnMut(Step)) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let is_new = !folder.is_dir();
    fs::create_dir_all(folder).map_err(at(folder))?;
    reached(Step::Folder);
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let written = fill(&unfinished, bytes, reached).and_then(|()| fs::rename(&unfinished, path));
    if let Err(error) = written {
        // On a full disk its bytes are needed; if it stays, the next start removes it.
        let _ = fs::remove_file(&unfinished);
        return Err(at(path)(error));
    }
    reached(Step::Named);
    // Without it the name could be lost, with the power, after the change was acknowledged.
    sync(folder)?;
    // The same is true of the name of a folder that is new, and of those above it.
    let above = folder.ancestors().skip(1).take(2).filter(|_| is_new);
    above.filter(|above| above.is_dir()).try_for_each(sync)
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    let opened = File::open(folder);
    opened
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}

fn fill(path: &Path, bytes: &[u8], reached: &mut dyn FnMut(Step)) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    reached(Step::Half);
    file.write_all(rest)?;
    reached(Step::Written);
    file.sync_all()?;
    reached(Step::Synced);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deploy::{Action, By},
        model::Definition,
    };
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::Arc,
    };

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("sluice-store-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn frozen(description: &str) -> (Deployment, Vec<u8>) {
        let definition = Definition {
            description: description.to_owned(),
            ..Definition::default()
        };
        Deployment::freeze("a", &Arc::new(definition)).unwrap()
    }

    fn state(id: DeploymentId) -> StageState {
        let state = StageState::new();
        state.serve(Action::Deploy, id, By::default()).unwrap()
    }

    #[test]
    fn what_was_put_is_there() {
        let folder = Folder::new("put");
        let store = Store::open(&folder.0).unwrap();
        assert_eq!(store.stage("a", "$default").unwrap(), None);
        let (one, bytes) = frozen("one");
        store.put_deployment(&one, &bytes).unwrap();
        store.put_deployment(&one, &bytes).unwrap();
        store.put_stage("a", "$default", &state(one.id)).unwrap();
        let store = Store::open(&folder.0).unwrap();
        assert_eq!(store.stage("a", "$default").unwrap(), Some(state(one.id)));
        assert_eq!(store.deployment("a", one.id).unwrap(), one);
        assert_eq!(store.deployments("a").unwrap().len(), 1);
        assert_eq!(store.deployments("b").unwrap(), []);
        store.remove_deployment("a", one.id).unwrap();
        assert!(matches!(
            store.deployment("a", one.id),
            Err(StoreError::Unknown { .. })
        ));
    }

    #[test]
    fn a_deployment_is_named_by_enough_of_its_hash() {
        let folder = Folder::new("named");
        let store = Store::open(&folder.0).unwrap();
        let (one, bytes) = frozen("one");
        store.put_deployment(&one, &bytes).unwrap();
        assert_eq!(store.named("a", &one.id.short()).unwrap(), one.id);
        assert_eq!(store.named("a", &one.id.to_string()).unwrap(), one.id);
        for wrong in ["", &one.id.short()[..3], "zzzzz", "../../x"] {
            assert!(store.named("a", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        let store = Store::beside(Path::new("/s"));
        for (api, stage) in [("..", ".."), (".", "."), ("...", ".x")] {
            let path = store.stage_path(api, stage);
            let plain = |part: std::path::Component<'_>| {
                matches!(
                    part,
                    std::path::Component::Normal(_) | std::path::Component::RootDir
                )
            };
            assert!(path.components().all(plain), "{path:?}");
            assert_eq!(path.components().count(), 5, "{path:?}");
        }
    }

    #[test]
    fn altered_files_are_found_out() {
        let folder = Folder::new("altered");
        let store = Store::open(&folder.0).unwrap();
        let (one, bytes) = frozen("one");
        store.put_deployment(&one, &bytes).unwrap();
        let path = store.deployment_path("a", one.id);
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(
            store.deployment("a", one.id),
            Err(StoreError::Deployment { .. })
        ));
        // Deployed again, it is whole again.
        store.put_deployment(&one, &bytes).unwrap();
        assert_eq!(store.deployment("a", one.id).unwrap(), one);
        for text in ["", "{", "{}", r#"{"format":9,"sequence":0,"history":[]}"#] {
            fs::create_dir_all(folder.0.join("stages/a")).unwrap();
            fs::write(store.stage_path("a", "s"), text).unwrap();
            assert!(
                matches!(store.stage("a", "s"), Err(StoreError::Stage { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_crash_at_any_step_leaves_the_old_state_or_the_new_one() {
        let folder = Folder::new("crash");
        let (old, new) = (state(frozen("old").0.id), state(frozen("new").0.id));
        for crash in [
            Step::Folder,
            Step::Half,
            Step::Written,
            Step::Synced,
            Step::Named,
        ] {
            let store = Store::open(&folder.0).unwrap();
            store.put_stage("a", "s", &old).unwrap();
            let path = store.stage_path("a", "s");
            let json = serde_json::to_vec(&new).unwrap();
            let crashed = catch_unwind(AssertUnwindSafe(|| {
                write(&path, &json, &mut |step| {
                    assert_ne!(step, crash, "the crash")
                })
            }));
            assert!(crashed.is_err());
            let store = Store::open(&folder.0).unwrap();
            let expected = if crash == Step::Named { &new } else { &old };
            assert_eq!(
                store.stage("a", "s").unwrap().as_ref(),
                Some(expected),
                "{crash:?}"
            );
            let left = fs::read_dir(folder.0.join("stages/a")).unwrap().count();
            assert_eq!(left, 1, "nothing half-written is left after {crash:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was() {
        let folder = Folder::new("full");
        let store = Store::open(&folder.0).unwrap();
        let old = state(frozen("old").0.id);
        store.put_stage("a", "s", &old).unwrap();
        // Where the new file would be made there is a folder: it cannot be opened for writing.
        let mut blocked = store.stage_path("a", "s").into_os_string();
        blocked.push(UNFINISHED);
        fs::create_dir(&blocked).unwrap();
        let refused = store.put_stage("a", "s", &state(frozen("new").0.id));
        assert!(matches!(refused, Err(StoreError::Io { .. })));
        assert_eq!(store.stage("a", "s").unwrap(), Some(old));
    }
}
