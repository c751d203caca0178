//! The same tests as somebody who is not root. Run by root, this test starts the others once more
//! as the user nobody; run by anybody else it has nothing to do.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

/// `nobody` on every Linux.
const NOBODY: u32 = 65534;

/// What is run as this user: everything that happens in namespace sandboxes.
const TESTS: [&str; 2] = ["on_namespace", "isolation"];

#[test]
fn everything_holds_for_an_ordinary_user_too() {
    if !rustix::process::geteuid().is_root() || !crate::world::has_namespaces() {
        return;
    }
    // Where nobody can get at it: root's own folders are closed.
    let home = tempfile::tempdir_in("/tmp").unwrap();
    let inside = |name: &str| home.path().join(name);
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    };
    copy(&std::env::current_exe().unwrap(), &inside("tests"));
    copy(nex_testkit::nats_server_binary(), &inside("nats-server"));
    for path in [home.path().to_owned(), inside("tests"), inside("nats-server")] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let output = Command::new(inside("tests"))
        .args(TESTS)
        .args(["--skip", "ordinary_user", "--test-threads", "2"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("NEX_TEST_NATS_SERVER", inside("nats-server"))
        .current_dir(home.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("isolation::escape::"), "{text}");
}
