//! The agent's own watch over memory, for machines where the kernel keeps no account of the
//! sandbox. It is late where a cgroup is exact: what is taken between two looks is taken.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Watches the memory of everything in the agent's pid namespace but the agent.
#[derive(Debug)]
pub struct MemoryWatch {
    limit: u64,
    due: Instant,
    exceeded: bool,
}

impl MemoryWatch {
    /// A watch that lets `limit` bytes pass.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, due: Instant::now(), exceeded: false }
    }

    /// When to look next.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Looks, and says whether there is too much. Stays with a yes.
    pub fn look(&mut self) -> bool {
        self.due = Instant::now() + INTERVAL;
        self.exceeded = self.exceeded || used() > self.limit;
        self.exceeded
    }

    /// What to say of a workload that was ended for it.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        self.exceeded.then(|| format!("out of memory, limit {} MiB", self.limit >> 20))
    }
}

/// Memory of every process but this one, bytes. What they share counts for each.
fn used() -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let own = std::process::id();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| *pid != own).filter_map(memory_of).sum()
}

/// Anonymous and shared memory of a process; its files are the page cache's.
fn memory_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kibibytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let sum = kibibytes("RssAnon:").unwrap_or(0) + kibibytes("RssShmem:").unwrap_or(0);
    Some(sum << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_a_yes_stays() {
        assert!(memory_of(std::process::id()).unwrap() > 0);
        let mut watch = MemoryWatch::new(u64::MAX);
        assert!(!watch.look());
        assert_eq!(watch.words(), None);
        watch.limit = 0;
        assert!(watch.look());
        watch.limit = 256 << 20;
        assert!(watch.look());
        assert_eq!(watch.words().as_deref(), Some("out of memory, limit 256 MiB"));
    }
}
