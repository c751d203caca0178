//! The kernel, its security modules, devices, disk and clock.

use std::{
    fs,
    os::unix::fs::FileTypeExt as _,
    time::{Duration, SystemTime},
};

use super::Finding;
use crate::{config::Config, sandbox::namespace::has_own_users};

/// The oldest kernel with everything that a namespace sandbox uses: mount attributes for whole
/// trees (5.12) and process counts for each user namespace (5.14).
const OLDEST_KERNEL: (u32, u32) = (5, 14);

/// Less room than this is soon full, bytes.
const LITTLE_ROOM: u64 = 1 << 30;

pub(super) fn kernel() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let (major, minor) = OLDEST_KERNEL;
    match version(&release) {
        Some(found) if found >= OLDEST_KERNEL => Finding::good("kernel", release),
        _ => Finding::missing("kernel", release, format!("use Linux {major}.{minor} or newer")),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

pub(super) fn users() -> Finding {
    let subject = "users";
    if has_own_users() {
        return Finding::good(subject, "each sandbox has two users of the host of its own");
    }
    let root = rustix::process::geteuid().is_root();
    let found = if root {
        "this root has not all users of the host; sandboxes share its own"
    } else {
        "sandboxes share the user of the node, mapped to one without rights"
    };
    Finding::weak(subject, found, "run the node as root of the machine for users of their own")
}

pub(super) fn seccomp() -> Finding {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let subject = "seccomp";
    if actions.split_ascii_whitespace().any(|action| action == "errno") {
        return Finding::good(subject, "system calls can be restricted");
    }
    let remedy = "use a kernel built with CONFIG_SECCOMP_FILTER";
    Finding::missing(subject, "this kernel cannot restrict system calls", remedy)
}

/// `status` is what an agent said that restricted itself.
pub(super) fn landlock(status: Option<&str>) -> Finding {
    let subject = "landlock";
    let remedy = "use a newer kernel, with landlock in CONFIG_LSM or on its command line (lsm=)";
    match status {
        Some("full") => Finding::good(subject, "files, signals and abstract sockets"),
        Some("partial") => {
            Finding::weak(subject, "this kernel knows a part of it; the file tree holds", remedy)
        }
        _ => Finding::weak(subject, "not in this kernel; the file tree holds alone", remedy),
    }
}

pub(super) fn kvm() -> Finding {
    let subject = "kvm";
    let device = fs::metadata("/dev/kvm");
    if !device.is_ok_and(|device| device.file_type().is_char_device()) {
        return Finding::weak(
            subject,
            "there is no /dev/kvm",
            "nothing, for namespace sandboxes; else load kvm_intel or kvm_amd, or use a machine \
             with (nested) virtualisation",
        );
    }
    match fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Finding::good(
            subject,
            "/dev/kvm can be opened; this version has no virtual machines and does not try one",
        ),
        Err(error) => Finding::weak(
            subject,
            format!("/dev/kvm cannot be opened: {error}"),
            "nothing, for namespace sandboxes; else add the node's user to the group kvm",
        ),
    }
}

pub(super) fn disk(config: &Config) -> Finding {
    let subject = "disk";
    let wanted = config.state_dir.clone().or_else(|| crate::config::default_state_dir().ok());
    // The nearest folder that is there already.
    let there = wanted.iter().flat_map(|path| path.ancestors()).find(|path| path.is_dir());
    let Some(folder) = there else {
        let remedy = "set state_dir, or HOME";
        return Finding::missing(subject, "there is no folder for the node's state", remedy);
    };
    let free = rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    let found = format!("{} MiB free at {}", free >> 20, folder.display());
    if free >= LITTLE_ROOM {
        return Finding::good(subject, found);
    }
    let remedy = "make room, or set state_dir or artifact_cache.dir to a larger disk";
    Finding::weak(subject, found, remedy)
}

/// A clock that is wrong makes claims expire, or not be valid yet.
pub(super) fn clock() -> Finding {
    let subject = "clock";
    let program = std::env::current_exe().and_then(fs::metadata).and_then(|file| file.modified());
    let now = SystemTime::now();
    match program {
        Ok(made) if made > now + Duration::from_secs(60) => Finding::missing(
            subject,
            "it is earlier than the date of this program",
            "set the clock, and keep it right with a time service such as chrony",
        ),
        _ => Finding::good(subject, nex_protocol::timestamp::format(now.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        assert_eq!(version("6.18.44-fc-v782"), Some((6, 18)));
        assert_eq!(version("5.10.0-8-amd64"), Some((5, 10)));
        assert_eq!(version("custom"), None);
    }
}
