//! Version 1: a folder for each controller.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{CPU_PERIOD, Limits, place::Mounts};

/// Without the first there is no point.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

#[derive(Debug)]
pub(super) struct Place {
    /// Controllers with this node's folder.
    bases: Vec<(&'static str, PathBuf)>,
}

impl Place {
    /// `Err(None)` when version 1 is not used here at all.
    pub(super) fn find(mounts: &Mounts, below: &Path) -> Result<Self, Option<String>> {
        if mounts.first.is_empty() {
            return Err(None);
        }
        let mut bases = Vec::new();
        for controller in CONTROLLERS {
            let Some(own) = mounts.own_first(controller) else { continue };
            let base = own.join(below);
            match fs::create_dir_all(&base) {
                Ok(()) => bases.push((controller, base)),
                Err(error) if controller == "memory" => {
                    return Err(Some(format!("{} cannot be made: {error}", base.display())));
                }
                Err(_) => {}
            }
        }
        match bases.first() {
            Some(("memory", _)) => Ok(Self { bases }),
            _ => Err(Some("the memory controller of cgroup version 1 is not mounted".to_owned())),
        }
    }

    pub(super) fn controllers(&self) -> Vec<String> {
        self.bases.iter().map(|(controller, _)| (*controller).to_owned()).collect()
    }

    pub(super) fn bases(&self) -> Vec<PathBuf> {
        self.bases.iter().map(|(_, base)| base.clone()).collect()
    }

    pub(super) fn folders(&self, name: &str) -> Vec<PathBuf> {
        self.bases.iter().map(|(_, base)| base.join(name)).collect()
    }

    pub(super) fn make(&self, name: &str, limits: Limits) -> io::Result<()> {
        for (controller, base) in &self.bases {
            let folder = base.join(name);
            fs::create_dir(&folder)?;
            let set = |file: &str, value: u64| fs::write(folder.join(file), value.to_string());
            match *controller {
                "memory" => {
                    set("memory.limit_in_bytes", limits.memory)?;
                    // Only where swap is accounted for, and pointless without swap.
                    let _ = set("memory.memsw.limit_in_bytes", limits.memory);
                }
                "pids" => set("pids.max", limits.tasks.into())?,
                _ => {
                    set("cpu.cfs_period_us", CPU_PERIOD)?;
                    set("cpu.cfs_quota_us", limits.cpu_quota)?;
                }
            }
        }
        Ok(())
    }
}
