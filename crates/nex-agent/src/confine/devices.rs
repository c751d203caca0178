//! `/dev`: five devices, and links to a process's own descriptors.

use std::path::Path;

use super::ConfineError;
use super::tree::{Tree, attribute};

/// Devices that give nothing away and take anything.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    // Named shared memory is bounded with the other files.
    ("/dev/shm", "/tmp"),
];

/// Those of the host are bound: a user namespace may make none.
pub(super) fn fill(tree: &Tree) -> Result<(), ConfineError> {
    for device in DEVICES {
        let device = Path::new(device);
        // Read-only is the file's name and mode, not what is written to the device.
        let attributes = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_EXEC;
        tree.bind_with(device, device, attributes)?;
    }
    for (link, target) in LINKS {
        tree.link(Path::new(link), Path::new(target))?;
    }
    Ok(())
}
