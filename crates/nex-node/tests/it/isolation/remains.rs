//! What is left when sandboxes are gone: nothing.

use std::{collections::BTreeMap, fs, path::Path};

use nex_client::deploy::Workload;
use nex_node::config::SandboxChoice;
use nex_protocol::control::WorkloadType;
use nex_testkit::{DEADLINE, process, wait_until};

use crate::world::{World, compile};

const SLEEPER: &str = "#include <unistd.h>\nint main(void) { for (;;) pause(); }";

/// What this node's sandboxes hold on the machine, counted.
fn holdings(state: &Path) -> BTreeMap<&'static str, usize> {
    let agents = agents_of(state);
    let own = std::process::id();
    let namespaces: std::collections::BTreeSet<_> = agents
        .iter()
        .flat_map(|pid| {
            ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"].map(|kind| (*pid, kind))
        })
        .filter_map(|(pid, kind)| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok())
        .collect();
    BTreeMap::from([
        ("agents", agents.len()),
        ("namespaces", namespaces.len()),
        ("mounts", fs::read_to_string(format!("/proc/{own}/mountinfo")).unwrap().lines().count()),
        ("folders", fs::read_dir(state.join("sandboxes")).unwrap().count()),
        ("cgroups", cgroups_of(state)),
    ])
}

/// Launchers, agents and keepers whose command line names a folder of this node.
fn agents_of(state: &Path) -> Vec<u32> {
    let mark = format!("sandbox {}/", state.join("sandboxes").display());
    let pids = fs::read_dir("/proc").unwrap().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| process::command_line(*pid).is_some_and(|line| line.contains(&mark)))
        .collect()
}

/// Folders below this node's mark, in every hierarchy.
fn cgroups_of(state: &Path) -> usize {
    let mut mark =
        nex_protocol::digest::Digest::of(state.as_os_str().as_encoded_bytes()).to_string();
    mark.truncate(16);
    let mut folders = vec![Path::new("/sys/fs/cgroup").to_owned()];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        let below = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let path = entry.path();
            count += usize::from(folder.file_name().is_some_and(|name| *name == *mark));
            folders.push(path);
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sandboxes_leave_nothing() {
    let Some(world) = super::world().await else { return };
    let sleeper = compile(world.dir.path(), "sleeper", SLEEPER);
    let artifact = world.upload("sleeper", &sleeper).await;
    let state = world.node.state_dir();
    let once = async || {
        let name = "sleeper".parse().unwrap();
        let id = world.run(Workload::builder(name, WorkloadType::Elf, artifact.clone())).await;
        world.stop_workload(id, "sleeper").await;
    };
    once().await;
    let settled = async || {
        world.node.warm().await.unwrap();
        wait_until(DEADLINE, "one warm sandbox and no more", || {
            let held = holdings(&state);
            held["folders"] == 1 && held["agents"] <= 2
        })
        .await;
        holdings(&state)
    };
    let before = settled().await;
    for _ in 0..200 {
        once().await;
    }
    assert_eq!(settled().await, before);

    let mounts = before["mounts"];
    let World { node, dir: _dir, .. } = world;
    assert!(node.stop(DEADLINE).await.clean);
    let none = BTreeMap::from([
        ("agents", 0),
        ("namespaces", 0),
        ("mounts", mounts),
        ("folders", 0),
        ("cgroups", 0),
    ]);
    wait_until(DEADLINE, "nothing to be left", || holdings(&state) == none).await;
}

/// A node that is killed is a test of `nex` itself; this one loses its handles.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_nodes_sandboxes_are_gone_when_the_next_one_is_up() {
    if !crate::world::has_namespaces() {
        return;
    }
    let world = World::of(SandboxChoice::Namespace).await;
    let sleeper = compile(world.dir.path(), "sleeper", SLEEPER);
    let id = world.run(world.service("sleeper", &sleeper).await).await;
    let state = world.node.state_dir();
    assert!(!agents_of(&state).is_empty());
    assert!(world.node.workloads().get(id).is_some());
    let World { node, nats, dir, .. } = world;
    drop(node);
    wait_until(DEADLINE, "the agents to notice", || agents_of(&state).is_empty()).await;
    let config = nex_node::config::Config::builder()
        .sandbox(SandboxChoice::Namespace)
        .state_dir(dir.path().join("state"))
        .build()
        .unwrap();
    let next = nex_node::Node::start(config, nats.client().await).await.unwrap();
    next.warm().await.unwrap();
    let held = holdings(&state);
    assert_eq!(held["folders"], 1, "{held:?}");
    assert!(held["cgroups"] <= 3, "{held:?}");
    assert!(next.stop(DEADLINE).await.clean);
    wait_until(DEADLINE, "nothing to be left", || {
        let held = holdings(&state);
        (held["agents"], held["folders"], held["cgroups"]) == (0, 0, 0)
    })
    .await;
}
