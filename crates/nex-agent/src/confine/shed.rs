//! Giving up every right, for good.

use std::fs;
use std::io;

use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, set_capabilities,
    set_capabilities_secure_bits, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::kernel;

/// How every process inside sees its user and its group: anybody but root.
pub(super) const INSIDE_ID: u32 = 1000;

/// There are fewer kinds of capabilities than this in any kernel.
const CAPABILITIES: libc::c_ulong = 64;

/// Becomes `id` of the host if one is given, moves into a user namespace that owns nothing else,
/// and gives up all capabilities and the chance of any.
pub(super) fn give_up(id: Option<u32>) -> io::Result<()> {
    if let Some(id) = id {
        // Keeps the right to make a user namespace where only root has it.
        set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
        let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
    }
    let outside = (rustix::process::geteuid(), rustix::process::getegid());
    kernel::unshare(libc::CLONE_NEWUSER)?;
    write_map(outside)?;
    drop_capabilities()?;
    set_no_new_privs(true)?;
    // Last: every change of identity decides about it anew.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Maps a user and a group of the namespace above into the one that this process is in.
pub(super) fn write_map((user, group): (Uid, Gid)) -> io::Result<()> {
    // A process that changed its user may not write its own files in /proc else.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{INSIDE_ID} {} 1", user.as_raw()))?;
    fs::write("/proc/self/gid_map", format!("{INSIDE_ID} {} 1", group.as_raw()))
}

fn drop_capabilities() -> io::Result<()> {
    for capability in 0..CAPABILITIES {
        if !kernel::drop_from_bounding_set(capability) {
            break;
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}
