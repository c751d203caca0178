//! What a configuration depends on besides its text. The node reads its environment here only.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::ConfigError;

/// The state directory of a node that runs as root, when none is configured.
const ROOT_STATE_DIR: &str = "/var/lib/nex/node";

/// The facts of the machine and its user that defaults are made of.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// The user's home directory.
    pub(super) home: Option<PathBuf>,
    /// Where programs are searched.
    pub(super) search_path: Vec<PathBuf>,
}

impl Surroundings {
    pub(super) fn read() -> Self {
        let path = search_path().unwrap_or_default();
        Self { home: directory("HOME"), search_path: std::env::split_paths(&path).collect() }
    }
}

/// An absolute path in a variable; others count as not set, as XDG demands.
fn directory(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A variable of the environment, for those who look for programs and folders in several.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Where programs are looked up, for agents that need it.
pub(crate) fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}

/// The folder for sockets of this user's programs, where the system has one.
pub(crate) fn runtime_dir() -> Option<PathBuf> {
    directory("XDG_RUNTIME_DIR")
}

/// Where a node keeps its state when nobody says: `/var/lib/nex/node` for root,
/// else under `XDG_STATE_HOME` or `~/.local/state`.
///
/// # Errors
/// [`ConfigError::NoHome`].
pub fn default_state_dir() -> Result<PathBuf, ConfigError> {
    state_dir_of(
        rustix::process::geteuid().is_root(),
        directory("XDG_STATE_HOME").as_deref(),
        directory("HOME").as_deref(),
    )
    .ok_or(ConfigError::NoHome)
}

fn state_dir_of(root: bool, state_home: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    if root {
        return Some(PathBuf::from(ROOT_STATE_DIR));
    }
    let base = state_home.map(Path::to_owned).or_else(|| Some(home?.join(".local/state")))?;
    Some(base.join("nex/node"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_where_each_user_expects_it() {
        let (xdg, home) = (Path::new("/xdg"), Path::new("/home/ada"));
        let dir = |root, xdg, home| state_dir_of(root, xdg, home);
        assert_eq!(dir(true, Some(xdg), Some(home)), Some(ROOT_STATE_DIR.into()));
        assert_eq!(dir(false, Some(xdg), Some(home)), Some("/xdg/nex/node".into()));
        assert_eq!(dir(false, None, Some(home)), Some("/home/ada/.local/state/nex/node".into()));
        assert_eq!(dir(false, None, None), None);
    }
}
