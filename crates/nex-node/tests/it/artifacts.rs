//! The artifact cache through the front door: eviction, restarts, damage, full
//! disks, other JetStream domains.

use std::{path::Path, process::Command};

use nex_client::deploy::{Artifact, Workload};
use nex_node::{Node, config::Config, config::SandboxChoice};
use nex_protocol::{control::WorkloadType, digest::Digest};
use nex_testkit::{DEADLINE, TestNats};

use crate::world::{World, compile};

/// A program that is about `kilobytes` large and unlike the others.
fn program(dir: &Path, number: usize, kilobytes: usize) -> std::path::PathBuf {
    let source = format!(
        "#include <unistd.h>\nstatic const volatile char ballast[{kilobytes} << 10] = {{ {number} }};\n\
         int main(void) {{ if (ballast[0] != {number}) return 1; for (;;) pause(); }}"
    );
    compile(dir, &format!("program-{number}"), &source)
}

fn cached(world: &World) -> Vec<String> {
    let folder = world.dir.path().join("state/artifacts/sha256");
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_forgets_what_nobody_uses_and_refuses_what_has_no_room() {
    // Static programs with 1 MiB of ballast are below 2 MiB: two fit, three do not.
    let world = World::with(|config| config.cache_bytes(4 << 20)).await;
    let mut running = Vec::new();
    for number in 1..=2 {
        let file = program(world.dir.path(), number, 1024);
        let name = format!("program-{number}");
        let id = world.run(world.service(&name, &file).await).await;
        running.push((id, name));
    }
    let third = program(world.dir.path(), 3, 1024);
    let full = world.deploy(world.service("third", &third).await).await.unwrap_err();
    assert!(full.to_string().contains("artifact_cache.max_bytes"), "{full}");
    let (first, name) = running.remove(0);
    world.stop_workload(first, &name).await;
    world.run(world.service("third", &third).await).await;
    assert_eq!(cached(&world).len(), 2, "the stopped program's artifact is still there");
    assert!(std::fs::read_dir(world.dir.path().join("state/artifacts/tmp")).unwrap().count() == 0);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_artifacts_survive_a_restart_and_damaged_ones_are_fetched_again() {
    let mut world = World::start().await;
    let file = program(world.dir.path(), 1, 16);
    let digest = Digest::of(&std::fs::read(&file).unwrap()).to_string();
    world.run(world.service("one", &file).await).await;
    assert_eq!(cached(&world), std::slice::from_ref(&digest));

    // Damage what is on disk while no node runs.
    let state = world.dir.path().join("state");
    let config = Config::builder().sandbox(SandboxChoice::Process).state_dir(&state);
    let stopped = world.node.stop(DEADLINE).await;
    assert!(stopped.clean);
    let path = state.join("artifacts/sha256").join(&digest);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();

    let nats = world.nats.client().await;
    world.node = Node::start(config.build().unwrap(), nats).await.unwrap();
    world.run(world.service("one", &file).await).await;
    assert_eq!(Digest::of(&std::fs::read(&path).unwrap()).to_string(), digest);
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_of_another_jetstream_domain() {
    let nats = TestNats::options().jetstream_domain("shop").start().await;
    let world = World::on(nats, |config| config).await;
    let file = program(world.dir.path(), 1, 16);
    let artifact = world.upload("one", &file).await;
    let there = Artifact { jetstream_domain: Some("shop".to_owned()), ..artifact.clone() };
    world.run(Workload::builder("one".parse().unwrap(), WorkloadType::Elf, there)).await;
    let nowhere = Artifact { jetstream_domain: Some("nowhere".to_owned()), ..artifact };
    let builder = Workload::builder("two".parse().unwrap(), WorkloadType::Elf, nowhere);
    let error = world.deploy(builder).await.unwrap_err().to_string();
    assert!(error.contains("ARTIFACTS"), "{error}");
    assert!(world.end().await.clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_larger_than_the_limit_is_refused_before_it_is_fetched() {
    let world = World::with(|config| config.max_artifact_bytes(100_000)).await;
    let file = program(world.dir.path(), 1, 512);
    let error = world.deploy(world.service("one", &file).await).await.unwrap_err().to_string();
    assert!(error.contains("max_artifact_bytes"), "{error}");
    assert!(cached(&world).is_empty());
    assert!(world.end().await.clean);
}

/// A file system of its own, unmounted when it is dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(kilobytes: usize) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            println!("SKIPPED: a full disk: mounting a tmpfs needs root");
        }
        mounted.then_some(Self(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_the_deploy_and_recovers() {
    let Some(disk) = Tmpfs::mount(3 * 1024) else { return };
    let dir = disk.0.path().to_owned();
    let world = World::with(|config| config.cache_dir(&dir)).await;
    let large = program(world.dir.path(), 1, 4096);
    let error = world.deploy(world.service("large", &large).await).await.unwrap_err().to_string();
    assert!(error.contains("full") && error.contains(dir.to_str().unwrap()), "{error}");
    let small = program(world.dir.path(), 2, 16);
    world.run(world.service("small", &small).await).await;
    assert_eq!(std::fs::read_dir(dir.join("tmp")).unwrap().count(), 0);
    assert!(world.end().await.clean);
}
