//! Where cgroups are mounted, and where in them this process is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What `/proc/self/mountinfo` and `/proc/self/cgroup` say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounts {
    /// Mount points of version 1 with their controllers.
    pub(super) first: Vec<(PathBuf, Vec<String>)>,
    /// Mount point of version 2.
    pub(super) second: Option<PathBuf>,
    /// This process's group: controllers (none for version 2) and path.
    groups: Vec<(Vec<String>, PathBuf)>,
}

impl Mounts {
    pub(super) fn read() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        Ok(Self::parse(&mounts, &groups))
    }

    fn parse(mounts: &str, groups: &str) -> Self {
        let (mut first, mut second) = (Vec::new(), None);
        for line in mounts.lines() {
            // id parent device root point options … - type source super-options
            let Some((left, right)) = line.split_once(" - ") else { continue };
            let (Some(point), mut right) = (left.split(' ').nth(4), right.split(' ')) else {
                continue;
            };
            let (kind, options) =
                (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
            match kind {
                "cgroup" => {
                    let controllers = options.split(',').filter(|option| *option != "rw");
                    first.push((PathBuf::from(point), controllers.map(str::to_owned).collect()));
                }
                "cgroup2" if second.is_none() => second = Some(PathBuf::from(point)),
                _ => {}
            }
        }
        let groups = groups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let controllers = parts.nth(1)?.split(',').filter(|name| !name.is_empty());
            Some((controllers.map(str::to_owned).collect(), PathBuf::from(parts.next()?)))
        });
        let groups = groups.collect();
        Self { first, second, groups }
    }

    /// The folder of this process's own group of a controller of version 1.
    pub(super) fn own_first(&self, controller: &str) -> Option<PathBuf> {
        let has = |list: &[String]| list.iter().any(|name| name == controller);
        let (point, _) = self.first.iter().find(|(_, controllers)| has(controllers))?;
        let (_, path) = self.groups.iter().find(|(controllers, _)| has(controllers))?;
        Some(below(point, path))
    }

    /// The folder of this process's own group of version 2.
    pub(super) fn own_second(&self) -> Option<PathBuf> {
        let point = self.second.as_ref()?;
        let (_, path) = self.groups.iter().find(|(controllers, _)| controllers.is_empty())?;
        Some(below(point, path))
    }
}

fn below(point: &Path, path: &Path) -> PathBuf {
    point.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_both_versions() {
        let mounts = Mounts::parse(
            "35 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             36 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
             22 27 0:21 / /proc rw,relatime - proc proc rw\n",
            "9:name=systemd:/\n4:memory:/api/one\n2:cpu,cpuacct:/\n0::/\n",
        );
        let memory = mounts.own_first("memory").unwrap();
        assert_eq!(memory, Path::new("/sys/fs/cgroup/memory/api/one"));
        assert_eq!(mounts.own_first("cpu").unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mounts.own_first("pids"), None);
        assert_eq!(mounts.own_second().unwrap(), Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn a_user_session_under_systemd() {
        let mounts = Mounts::parse(
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
            "0::/user.slice/user-1000.slice/session-3.scope\n",
        );
        let own = mounts.own_second().unwrap();
        assert!(own.ends_with("user-1000.slice/session-3.scope"), "{own:?}");
    }
}
