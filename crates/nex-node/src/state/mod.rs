//! The state directory: what survives a restart of the node.
//!
//! ```text
//! <dir>/lock        held while a node runs here; holds its pid
//!       version     version of this layout
//!       node.nk     seed of the node's server key      0600
//!       node.xk     seed of the node's curve key       0600
//!       node.name   the name it made for itself
//!       artifacts/  the artifact cache
//!       compiled/   compiled functions, by engine and digest
//!       agents/     the built-in agent, by digest
//!       sandboxes/  one folder for each sandbox; emptied at start
//!       bus.sock    the agents' endpoint
//! ```

mod error;
mod files;
mod identity;
mod lock;
mod name;
mod socket;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

pub use error::StateError;
pub use identity::NodeIdentity;

use crate::config;
use lock::Lock;

/// Version of the layout above. A newer one is refused, an older one migrated.
const LAYOUT_VERSION: u32 = 1;

/// Nodes of one user with no state directory of their own: `node`, `node-2`, …
const MAX_SLOTS: usize = 16;

/// An open state directory. No other node can open it while this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    identity: NodeIdentity,
    node_name: String,
    /// A runtime folder of its own, when the path is too long for a socket.
    socket: socket::SocketPath,
    _lock: Lock,
}

impl StateDir {
    /// Opens `wanted`, or, when nothing is wanted, the first free one of the
    /// user's own: a second node on a machine gets a directory beside the first's.
    ///
    /// # Errors
    /// A [`StateError`] that names the file and the next step.
    pub fn open(wanted: Option<&Path>) -> Result<Self, StateError> {
        if let Some(path) = wanted {
            return Self::open_at(path);
        }
        let first = config::default_state_dir().map_err(|_| StateError::NoHome)?;
        Self::open_first_free(&first)
    }

    fn open_first_free(first: &Path) -> Result<Self, StateError> {
        for slot in 1..MAX_SLOTS {
            match Self::open_at(&slot_of(first, slot)) {
                Err(StateError::InUse { path, pid }) => {
                    tracing::info!(path = %path.display(), pid, "in use by another node, trying the next");
                }
                opened => return opened,
            }
        }
        Self::open_at(&slot_of(first, MAX_SLOTS))
    }

    fn open_at(path: &Path) -> Result<Self, StateError> {
        make_folder(path)?;
        let path = fs::canonicalize(path)
            .map_err(|source| StateError::Folder { path: path.to_owned(), source })?;
        if fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & 0o022 != 0) {
            tracing::warn!(path = %path.display(), "others can write to this directory; run chmod go-w on it");
        }
        let lock = Lock::take(&path)?;
        check_version(&path)?;
        let identity = NodeIdentity::load_or_create(&path)?;
        let node_name = name::load_or_create(&path)?;
        for folder in ["artifacts", "compiled", "agents", "sandboxes"] {
            make_folder(&path.join(folder))?;
        }
        empty(&path.join("sandboxes"));
        let socket = socket::SocketPath::in_dir(&path)?;
        Ok(Self { path, identity, node_name, socket, _lock: lock })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The node's keys.
    pub fn identity(&self) -> &NodeIdentity {
        &self.identity
    }

    /// The two words that the node calls itself.
    pub fn node_name(&self) -> &str {
        &self.node_name
    }

    /// Folder of the artifact cache.
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// Folder of compiled functions.
    pub fn compiled(&self) -> PathBuf {
        self.path.join("compiled")
    }

    /// Folder of the built-in agent.
    pub fn agents(&self) -> PathBuf {
        self.path.join("agents")
    }

    /// Folder of the sandboxes' folders.
    pub fn sandboxes(&self) -> PathBuf {
        self.path.join("sandboxes")
    }

    /// Path of the agents' socket, short enough for one.
    pub fn bus_socket(&self) -> &Path {
        self.socket.path()
    }
}

fn slot_of(first: &Path, slot: usize) -> PathBuf {
    if slot == 1 {
        return first.to_owned();
    }
    let mut name = first.file_name().unwrap_or_default().to_owned();
    name.push(format!("-{slot}"));
    first.with_file_name(name)
}

fn make_folder(path: &Path) -> Result<(), StateError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StateError::Folder { path: path.to_owned(), source })
}

fn check_version(dir: &Path) -> Result<(), StateError> {
    let path = dir.join("version");
    match files::read_text(&path)? {
        None => files::write(&path, &format!("{LAYOUT_VERSION}\n")),
        Some(text) => match text.trim().parse::<u32>() {
            Ok(LAYOUT_VERSION) => Ok(()),
            Ok(found) if found > LAYOUT_VERSION => Err(StateError::Newer { path, found }),
            _ => Err(StateError::Corrupt { path, what: "a version number" }),
        },
    }
}

/// Removes what sandboxes of an earlier run left. The lock says that none runs.
fn empty(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let removed = remove(&path).or_else(|_| {
            // A workload may have taken its own folders' permissions away.
            open_folders(&path);
            remove(&path)
        });
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "left by an earlier run, cannot be removed");
        }
    }
}

/// Removes a folder with all that is in it, or a file; follows no links.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

/// Lets us into all folders below and including `path`; follows no links. Nobody makes new ones
/// meanwhile: what ran here is gone.
fn open_folders(path: &Path) {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let is_folder = fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir());
        if is_folder && fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).is_ok() {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.extend(inner.map(|entry| entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_and_name_survive_and_nobody_else_can_read_the_seeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/state");
        let first = StateDir::open(Some(&path)).unwrap();
        let (id, xkey) = (first.identity().node.public(), first.identity().xkey.public());
        let name = first.node_name().to_owned();
        for file in ["node.nk", "node.xk"] {
            let mode = fs::metadata(path.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let held = StateDir::open(Some(&path)).unwrap_err();
        assert!(matches!(held, StateError::InUse { pid, .. } if pid == Some(std::process::id())));
        drop(first);
        let second = StateDir::open(Some(&path)).unwrap();
        assert_eq!(second.identity().node.public(), id);
        assert_eq!(second.identity().xkey.public(), xkey);
        assert_eq!(second.node_name(), name);
    }

    #[test]
    fn a_bad_seed_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        drop(StateDir::open(Some(dir.path())).unwrap());
        let seed = dir.path().join("node.nk");
        fs::write(&seed, "SNOTASEED").unwrap();
        let error = StateDir::open(Some(dir.path())).unwrap_err();
        assert!(matches!(&error, StateError::Corrupt { path, .. } if path.ends_with("node.nk")));
        assert!(!error.to_string().contains("SNOTASEED"));
        assert_eq!(fs::read_to_string(&seed).unwrap(), "SNOTASEED");
    }

    #[test]
    fn a_newer_layout_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("version"), "99").unwrap();
        let error = StateDir::open(Some(dir.path())).unwrap_err();
        assert!(matches!(error, StateError::Newer { found: 99, .. }));
    }

    #[test]
    fn a_path_too_long_for_a_socket_gets_a_short_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(120));
        let state = StateDir::open(Some(&path)).unwrap();
        assert!(state.bus_socket().as_os_str().len() < 100);
        let parent = state.bus_socket().parent().unwrap().to_owned();
        let mode = fs::metadata(&parent).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(state);
        assert!(!parent.exists());
    }

    #[test]
    fn further_nodes_take_the_next_free_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = dir.path().join("node");
        let nodes: Vec<_> =
            (0..MAX_SLOTS).map(|_| StateDir::open_first_free(&first).unwrap()).collect();
        let name = |state: &StateDir| state.path().file_name().unwrap().to_owned();
        assert_eq!(name(&nodes[0]), "node");
        assert_eq!(name(&nodes[1]), "node-2");
        assert_eq!(name(&nodes[MAX_SLOTS - 1]), "node-16");
        let ids: std::collections::BTreeSet<_> =
            nodes.iter().map(|node| node.identity().node.public().to_string()).collect();
        assert_eq!(ids.len(), MAX_SLOTS);
        assert!(matches!(StateDir::open_first_free(&first), Err(StateError::InUse { .. })));
        let second = nodes[1].identity().node.public();
        drop(nodes);
        let again = StateDir::open(Some(&dir.path().join("node-2"))).unwrap();
        assert_eq!(again.identity().node.public(), second);
    }

    #[test]
    fn a_seed_that_others_can_read_still_works() {
        let dir = tempfile::tempdir().unwrap();
        let id = StateDir::open(Some(dir.path())).unwrap().identity().node.public();
        let seed = dir.path().join("node.nk");
        fs::set_permissions(&seed, fs::Permissions::from_mode(0o644)).unwrap();
        // As an editor would leave it.
        let text = fs::read_to_string(&seed).unwrap();
        fs::write(&seed, format!(" {text}\n\n")).unwrap();
        assert_eq!(StateDir::open(Some(dir.path())).unwrap().identity().node.public(), id);
    }

    #[test]
    fn seeds_that_are_no_files_or_no_text_or_of_another_kind_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(StateDir::open(Some(dir.path())).unwrap());
        let open = || StateDir::open(Some(dir.path())).unwrap_err();
        let seed = dir.path().join("node.xk");
        for bytes in [&b""[..], b"\xff\xfe", &vec![b'S'; 100_000]] {
            fs::write(&seed, bytes).unwrap();
            assert!(
                matches!(open(), StateError::Corrupt { path, .. } if path == fs::canonicalize(&seed).unwrap())
            );
            assert_eq!(fs::read(&seed).unwrap(), bytes);
        }
        fs::write(
            &seed,
            nex_protocol::key::SigningKey::generate(nex_protocol::key::KeyKind::User).seed(),
        )
        .unwrap();
        assert!(matches!(open(), StateError::Corrupt { .. }));
        fs::remove_file(&seed).unwrap();
        fs::create_dir(&seed).unwrap();
        assert!(matches!(open(), StateError::Corrupt { .. }));
    }

    #[test]
    fn a_directory_that_cannot_be_one_says_so_in_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("state")] {
            let error = StateDir::open(Some(&path)).unwrap_err();
            assert!(matches!(error, StateError::Folder { .. }));
            assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn leftovers_of_sandboxes_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        let old = dir.path().join("sandboxes/old");
        fs::create_dir_all(old.join("deep/er")).unwrap();
        fs::write(dir.path().join("sandboxes/file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("sandboxes/link")).unwrap();
        std::os::unix::fs::symlink(&outside, old.join("link")).unwrap();
        fs::set_permissions(old.join("deep"), fs::Permissions::from_mode(0o000)).unwrap();
        let state = StateDir::open(Some(dir.path())).unwrap();
        assert_eq!(fs::read_dir(state.sandboxes()).unwrap().count(), 0);
        assert!(outside.join("kept").exists());
    }
}
