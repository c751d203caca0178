//! Settings of the kernel that forbid namespaces.

use std::{fs, path::Path};

/// What to do so that namespaces work here, as the settings suggest.
pub(crate) fn remedy_for_namespaces() -> String {
    let setting = |name: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    namespaces_remedy(
        setting("user/max_user_namespaces"),
        setting("kernel/unprivileged_userns_clone"),
        setting("kernel/apparmor_restrict_unprivileged_userns"),
    )
    .to_owned()
}

/// As [`remedy_for_namespaces`], for these settings.
fn namespaces_remedy(most: Option<u64>, debian: Option<u64>, ubuntu: Option<u64>) -> &'static str {
    match (most, debian, ubuntu) {
        (None, _, _) => "this kernel has no user namespaces; use one built with CONFIG_USER_NS",
        (Some(0), _, _) => "allow user namespaces: sysctl -w user.max_user_namespaces=10000",
        (_, Some(0), _) => "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1",
        (_, _, Some(1..)) => {
            "allow user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, \
             or give nex an AppArmor profile with `userns,`"
        }
        _ => {
            "start the node outside of a container, or in one that may make namespaces and mount \
             /proc"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_that_forbids_is_named() {
        assert!(namespaces_remedy(None, None, None).contains("CONFIG_USER_NS"));
        assert!(namespaces_remedy(Some(0), Some(1), None).contains("user.max_user_namespaces"));
        assert!(namespaces_remedy(Some(9), Some(0), None).contains("unprivileged_userns_clone"));
        assert!(namespaces_remedy(Some(9), None, Some(1)).contains("apparmor"));
        assert!(namespaces_remedy(Some(9), None, Some(0)).contains("container"));
    }
}
