//! Version 2: one tree. A group with processes of its own cannot give controllers to groups
//! below it, so a node that is not root moves itself into a leaf of the group it was given.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{CPU_PERIOD, Limits, place::Mounts};

/// Without the first there is no point.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The leaf that the node moves to.
const LEAF: &str = "nex-node";

#[derive(Debug)]
pub(super) struct Place {
    base: PathBuf,
    controllers: Vec<String>,
}

impl Place {
    /// Why there is none, in words, if so.
    pub(super) fn find(mounts: &Mounts, below: &Path) -> Result<Self, String> {
        let (Some(root), Some(own)) = (&mounts.second, mounts.own_second()) else {
            return Err("cgroups are not mounted".to_owned());
        };
        let top = if rustix::process::geteuid().is_root() { root.clone() } else { own };
        let offered = words(&top.join("cgroup.controllers"));
        let has = |name: &&str| offered.iter().any(|offered| offered == name);
        let controllers: Vec<&str> = CONTROLLERS.into_iter().filter(has).collect();
        if controllers.first() != Some(&"memory") {
            return Err(format!("{} has no memory controller to give", top.display()));
        }
        let base = top.join(below);
        let failed = |what: &Path, error: io::Error| {
            format!("cgroup {} is not delegated to this user ({error})", what.display())
        };
        fs::create_dir_all(&base).map_err(|error| failed(&top, error))?;
        if give(&top, &controllers).is_err() {
            leave_for_leaf(&top).map_err(|error| failed(&top, error))?;
            give(&top, &controllers).map_err(|error| failed(&top, error))?;
        }
        // From the top down to the node's own folder.
        let mut folder = top;
        for part in below.components() {
            folder.push(part);
            give(&folder, &controllers).map_err(|error| failed(&folder, error))?;
        }
        Ok(Self { base, controllers: controllers.into_iter().map(str::to_owned).collect() })
    }

    pub(super) fn controllers(&self) -> &[String] {
        &self.controllers
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    pub(super) fn make(&self, name: &str, limits: Limits) -> io::Result<()> {
        let folder = self.folder(name);
        fs::create_dir(&folder)?;
        let set = |file: &str, value: String| fs::write(folder.join(file), value);
        for controller in &self.controllers {
            match controller.as_str() {
                "memory" => {
                    set("memory.max", limits.memory.to_string())?;
                    // Only there where the kernel has swap.
                    let _ = set("memory.swap.max", "0".to_owned());
                }
                "pids" => set("pids.max", limits.tasks.to_string())?,
                _ => set("cpu.max", format!("{} {CPU_PERIOD}", limits.cpu_quota))?,
            }
        }
        Ok(())
    }
}

fn words(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Lets the groups below a group have its controllers.
fn give(folder: &Path, controllers: &[&str]) -> io::Result<()> {
    let file = folder.join("cgroup.subtree_control");
    let given = words(&file);
    let wanted: Vec<String> = controllers
        .iter()
        .filter(|name| given.iter().all(|given| given != *name))
        .map(|name| format!("+{name}"))
        .collect();
    if wanted.is_empty() { Ok(()) } else { fs::write(file, wanted.join(" ")) }
}

fn leave_for_leaf(top: &Path) -> io::Result<()> {
    let leaf = top.join(LEAF);
    fs::create_dir_all(&leaf)?;
    fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())
}
