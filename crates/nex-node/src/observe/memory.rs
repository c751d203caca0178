//! The machine's memory, for INFO.

use nex_protocol::control::Memory;

/// What `/proc/meminfo` says, in kB; `None` where it cannot be read.
pub(crate) fn memory() -> Option<Memory> {
    parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse(meminfo: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(':')?.split_ascii_whitespace().next()?.parse().ok()
    };
    Some(Memory {
        total: field("MemTotal")?,
        free: field("MemFree")?,
        available: field("MemAvailable")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let text = "MemTotal:       24658768 kB\nMemFree:          100 kB\nMemAvailable:    7 kB\nSwapTotal: 0 kB\n";
        let memory = Memory { total: 24_658_768, free: 100, available: 7 };
        assert_eq!(parse(text), Some(memory));
        assert_eq!(parse("MemTotal: x kB"), None);
        assert!(super::memory().is_some_and(|memory| memory.total >= memory.available));
    }
}
