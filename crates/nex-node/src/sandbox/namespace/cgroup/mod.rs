//! Cgroups: the kernel's accounts and limits of a sandbox as a whole. Version 2 where the node
//! has controllers of its own there, else version 1, else none, and why.
//!
//! ```text
//! v2  <mount>/<where>/nex/<mark>/<sandbox>
//! v1  <mount of each controller>/<where>/nex/<mark>/<sandbox>
//! ```
//!
//! `<where>` is the root for a node that is root and under version 2, else the node's own group.
//! `<mark>` names the state directory, so whoever holds that directory's lock owns what is below:
//! what is there at start was left by a node that is gone.

mod place;
mod v1;
mod v2;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use nex_protocol::{agent::namespaces::SandboxCgroup, digest::Digest};
use rustix::process::{Pid, Signal, kill_process};

use crate::config::NamespaceSettings;
use place::Mounts;

/// What is asked of processors is counted over this time, microseconds.
const CPU_PERIOD: u64 = 100_000;

/// Beyond the workload's processes a sandbox has agent and keeper, and the agent has threads for
/// functions, some for each processor.
const OWN_TASKS: u32 = 256;

/// Beyond the workload's memory a sandbox has the agent's, bytes.
const OWN_MEMORY: u64 = 16 << 20;

/// Looks for processes that were forked while others were being killed.
const KILL_ROUNDS: usize = 16;

/// Which accounts there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupSupport {
    /// Version 2, with these controllers.
    V2(Vec<String>),
    /// Version 1, with these controllers.
    V1(Vec<String>),
    /// None; limits hold for single processes, and the agent watches the memory.
    None {
        /// Why, in words.
        why: String,
    },
}

/// The place of this node's groups.
#[derive(Debug)]
pub struct Cgroups {
    support: CgroupSupport,
    kind: Kind,
    /// Groups that still held something when they were to be removed.
    remnants: Arc<Mutex<Vec<PathBuf>>>,
}

#[derive(Debug)]
enum Kind {
    None,
    V1(v1::Place),
    V2(v2::Place),
}

impl Cgroups {
    /// Finds the place and makes it. `state_dir` is what the node has a lock on. Groups of an
    /// earlier node are emptied of their processes, which are killed, and removed.
    pub fn open(state_dir: &Path) -> Self {
        let mut mark = Digest::of(state_dir.as_os_str().as_encoded_bytes()).to_string();
        mark.truncate(16);
        let (support, kind) = match find(&Path::new("nex").join(&mark)) {
            Ok(found) => found,
            Err(why) => (CgroupSupport::None { why }, Kind::None),
        };
        let cgroups = Self { support, kind, remnants: Arc::default() };
        for folder in cgroups.bases().iter().flat_map(|base| groups_in(base)) {
            tracing::info!(group = %folder.display(), "left by an earlier run, removing it");
            kill_all(&folder);
            cgroups.remove(folder);
        }
        cgroups
    }

    /// No accounts at all, whatever the machine has.
    pub fn none(why: &str) -> Self {
        let support = CgroupSupport::None { why: why.to_owned() };
        Self { support, kind: Kind::None, remnants: Arc::default() }
    }

    /// Which accounts there are.
    pub fn support(&self) -> &CgroupSupport {
        &self.support
    }

    /// A group for one sandbox, with its limits. `None` where there are no accounts.
    ///
    /// # Errors
    /// When it cannot be made or limited; nothing of it is left then.
    pub(super) fn group(
        &self,
        name: &str,
        settings: &NamespaceSettings,
    ) -> io::Result<Option<Group>> {
        self.sweep();
        let (folders, version) = match &self.kind {
            Kind::None => return Ok(None),
            Kind::V1(place) => (place.folders(name), Version::One),
            Kind::V2(place) => (vec![place.folder(name)], Version::Two),
        };
        let memory_limit = settings.memory_bytes;
        let mut group = Group {
            folders,
            version,
            memory_limit,
            remnants: Arc::clone(&self.remnants),
            oom_kills: None,
        };
        let limits = Limits {
            memory: settings.memory_bytes.saturating_add(OWN_MEMORY),
            cpu_quota: u64::from(settings.cpus).saturating_mul(CPU_PERIOD),
            tasks: settings.max_processes.saturating_add(OWN_TASKS),
        };
        let made = match &self.kind {
            Kind::None => Ok(()),
            Kind::V1(place) => place.make(name, limits),
            Kind::V2(place) => place.make(name, limits),
        };
        made.inspect_err(|_| group.remove())?;
        Ok(Some(group))
    }

    fn bases(&self) -> Vec<PathBuf> {
        match &self.kind {
            Kind::None => Vec::new(),
            Kind::V1(place) => place.bases(),
            Kind::V2(place) => vec![place.base().to_owned()],
        }
    }

    fn remove(&self, folder: PathBuf) {
        if !remove_group(&folder) {
            self.remnants.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
        }
    }

    /// Removes what could not be removed before.
    fn sweep(&self) {
        let mut remnants = self.remnants.lock().unwrap_or_else(PoisonError::into_inner);
        remnants.retain(|folder| !remove_group(folder));
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.sweep();
        for base in self.bases() {
            // The mark, and the common folder unless another node is there.
            let _ = fs::remove_dir(&base);
            let _ = base.parent().map(fs::remove_dir);
        }
    }
}

/// The bounds of a group.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes.
    memory: u64,
    /// Microseconds per [`CPU_PERIOD`].
    cpu_quota: u64,
    /// Processes and threads.
    tasks: u32,
}

fn find(below: &Path) -> Result<(CgroupSupport, Kind), String> {
    let mounts = Mounts::read().map_err(|error| format!("/proc cannot be read: {error}"))?;
    let second = match v2::Place::find(&mounts, below) {
        Ok(place) => {
            return Ok((CgroupSupport::V2(place.controllers().to_vec()), Kind::V2(place)));
        }
        Err(why) => why,
    };
    match v1::Place::find(&mounts, below) {
        Ok(place) => Ok((CgroupSupport::V1(place.controllers()), Kind::V1(place))),
        Err(Some(first)) => Err(first),
        Err(None) => Err(second),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The group of one sandbox.
#[derive(Debug)]
pub(super) struct Group {
    folders: Vec<PathBuf>,
    version: Version,
    memory_limit: u64,
    remnants: Arc<Mutex<Vec<PathBuf>>>,
    /// Kept when the group is gone.
    oom_kills: Option<u64>,
}

impl Group {
    /// What the agent needs to join it.
    pub(super) fn seen_by_agent(&self) -> SandboxCgroup {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        match (self.version, self.folders.first()) {
            (Version::Two, Some(folder)) => SandboxCgroup::V2(text(folder.clone())),
            (Version::One, Some(_)) => SandboxCgroup::V1(
                self.folders.iter().map(|folder| text(folder.join("tasks"))).collect(),
            ),
            (_, None) => SandboxCgroup::None,
        }
    }

    /// What to say of a workload that ended in this group, if the kernel had to kill for memory.
    pub(super) fn out_of_memory(&self) -> Option<String> {
        let kills = self.oom_kills.unwrap_or_else(|| self.read_oom_kills());
        (kills > 0).then(|| format!("out of memory, limit {} MiB", self.memory_limit >> 20))
    }

    fn read_oom_kills(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let texts =
            self.folders.iter().filter_map(|folder| fs::read_to_string(folder.join(file)).ok());
        texts.filter_map(|text| value_of(&text, "oom_kill")).max().unwrap_or(0)
    }

    /// Kills what is still in it, and removes it.
    pub(super) fn remove(&mut self) {
        self.oom_kills = Some(self.read_oom_kills());
        for folder in self.folders.drain(..) {
            if remove_group(&folder) {
                continue;
            }
            // The end of the sandbox's first process ended all of it; this is the second lock.
            kill_all(&folder);
            if !remove_group(&folder) {
                self.remnants.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
            }
        }
    }
}

/// The number behind a word, in a file of `word number` lines.
fn value_of(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == word).then(|| value.trim().parse().ok())?
    })
}

fn groups_in(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn kill_all(folder: &Path) {
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for _ in 0..KILL_ROUNDS {
        let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        let mut any = false;
        for pid in text.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
            any = true;
            let _ = kill_process(pid, Signal::KILL);
        }
        if !any {
            return;
        }
    }
}

/// Whether it is gone.
fn remove_group(folder: &Path) -> bool {
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_by_their_word() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(value_of(text, "oom_kill"), Some(3));
        assert_eq!(value_of("low 0\noom_group_kill 1\n", "oom_kill"), None);
    }
}
