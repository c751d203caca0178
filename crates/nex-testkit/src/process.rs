//! What processes hold, read from `/proc`: for tests that count before and after.

use std::collections::HashMap;
use std::fs;

/// Whether a process with this id runs (a zombie does not).
#[must_use]
pub fn is_running(pid: u32) -> bool {
    stat_of(pid).is_some_and(|stat| stat.state != 'Z' && stat.state != 'X')
}

/// `pid` and all its descendants that run now, parents before children.
#[must_use]
pub fn tree(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (id, stat) in all_processes() {
        if stat.state != 'Z' {
            children.entry(stat.parent).or_default().push(id);
        }
    }
    let mut found = if is_running(pid) { vec![pid] } else { Vec::new() };
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children.remove(&parent).unwrap_or_default());
        next += 1;
    }
    found
}

/// How many children of `pid` (any depth) run now.
#[must_use]
pub fn count_descendants(pid: u32) -> usize {
    tree(pid).iter().filter(|id| **id != pid).count()
}

/// How many zombies `pid` has not reaped.
#[must_use]
pub fn count_zombies(pid: u32) -> usize {
    all_processes().filter(|(_, stat)| stat.parent == pid && stat.state == 'Z').count()
}

/// Open descriptors of one process; 0 when it is gone.
#[must_use]
pub fn count_descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Open descriptors of one process whose target starts with `prefix`, e.g. `socket:`.
#[must_use]
pub fn count_descriptors_to(pid: u32, prefix: &str) -> usize {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with(prefix))
        .count()
}

/// Open descriptors of `pid` and all its descendants.
#[must_use]
pub fn count_tree_descriptors(pid: u32) -> usize {
    tree(pid).into_iter().map(count_descriptors).sum()
}

/// Proportional set size of one process in bytes (its own memory plus its share
/// of what it maps with others); `None` when it is gone.
#[must_use]
pub fn pss(pid: u32) -> Option<u64> {
    kibibytes_of(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Pss:")
}

/// [`pss`] of `pid` and all its descendants together, in bytes.
#[must_use]
pub fn tree_pss(pid: u32) -> u64 {
    tree(pid).into_iter().filter_map(pss).sum()
}

/// Resident memory of one process in bytes, now and at its highest.
#[must_use]
pub fn resident(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some((kibibytes_of(&status, "VmRSS:")?, kibibytes_of(&status, "VmHWM:")?))
}

/// Command line of a process, arguments joined by spaces; `None` when it is gone.
#[must_use]
pub fn command_line(pid: u32) -> Option<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text: Vec<_> =
        raw.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part)).collect();
    Some(text.join(" ").trim_end().to_owned())
}

fn kibibytes_of(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(value.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

struct Stat {
    state: char,
    parent: u32,
}

fn stat_of(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name is in parentheses and may hold anything, even `)`.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(Stat { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}

fn all_processes() -> impl Iterator<Item = (u32, Stat)> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| Some((pid, stat_of(pid)?)))
}
