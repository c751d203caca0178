//! What a node of its own process holds on to: counted from outside.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nex_client::Client;
use nex_client::artifact::Upload;
use nex_client::deploy::{Artifact, Workload, WorkloadType};
use nex_protocol::key::{CurveKey, KeyKind, SigningKey};
use nex_protocol::name::{Namespace, NodeId, WorkloadId};
use nex_testkit::{DEADLINE, TestNats, process, wait_until};
use serde_json::Value;

use crate::program::{Running, User};

/// A node in a process of its own, and somebody who deploys on it.
struct Scene {
    _nats: TestNats,
    user: User,
    node: Running,
    id: NodeId,
    client: Client,
    issuer: SigningKey,
    publisher: CurveKey,
}

impl Scene {
    async fn new() -> Self {
        let nats = TestNats::start().await;
        let user = User::at(&nats.url());
        let mut node = user.up(&[]);
        let ready: Value = serde_json::from_str(&node.line().await).unwrap();
        let id = ready["node_id"].as_str().unwrap().parse().unwrap();
        let client = Client::from_nats(nats.client().await);
        let issuer = SigningKey::generate(KeyKind::Account);
        Self { _nats: nats, user, node, id, client, issuer, publisher: CurveKey::generate() }
    }

    async fn upload(&self, program: &Path) -> Artifact {
        let upload = Upload::of_file(program, "sleeper").bucket_bytes(2 * LARGE);
        self.client.upload(&upload, |_| {}).await.unwrap().artifact
    }

    async fn deploy(&self, artifact: &Artifact) -> WorkloadId {
        let workload =
            Workload::builder("sleeper".parse().unwrap(), WorkloadType::Elf, artifact.clone())
                .build()
                .unwrap();
        let info = self.client.node_info(self.id, &Namespace::default()).await.unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let deployment = workload
            .sign_and_seal(
                self.id,
                &info.public_xkey.parse().unwrap(),
                &self.issuer,
                &self.publisher,
                now.try_into().unwrap(),
            )
            .unwrap();
        self.client.deploy(&deployment).await.unwrap().id.parse().unwrap()
    }

    async fn stop(&self, id: WorkloadId) {
        let name = "sleeper".parse().unwrap();
        self.client.stop(self.id, &Namespace::default(), id, &name, &self.issuer).await.unwrap();
    }

    async fn end(self) {
        self.node.signal("INT");
        let (code, said) = self.node.end().await;
        assert_eq!(code, Some(0), "{said}");
    }
}

fn sleeper(user: &User) -> PathBuf {
    let source =
        user.file("sleeper.c", "#include <unistd.h>\nint main(void) { for (;;) pause(); }");
    let program = user.home().join("sleeper");
    let built = std::process::Command::new("cc")
        .args(["-static", "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(built.success());
    program
}

#[tokio::test]
async fn two_hundred_deploys_leave_no_descriptor_process_or_file() {
    let scene = Scene::new().await;
    let artifact = scene.upload(&sleeper(&scene.user)).await;
    let (pid, state) = (scene.node.pid(), scene.user.home().join("state"));
    for _ in 0..5 {
        let id = scene.deploy(&artifact).await;
        scene.stop(id).await;
    }
    let count = || {
        let files = |folder: &str| std::fs::read_dir(state.join(folder)).unwrap().count();
        let processes = process::tree(pid).len();
        let counts = (process::count_descriptors(pid), processes, files("sandboxes"));
        (counts, files("artifacts"))
    };
    // The node itself and one warm agent, and no compiler of the JavaScript engine.
    let compiles =
        |pid: &u32| process::command_line(*pid).is_none_or(|line| line.contains(" compile "));
    let settled = || {
        let tree = process::tree(pid);
        tree.len() == 2 && !tree.iter().any(compiles)
    };
    wait_until(DEADLINE, "the pool to be full", settled).await;
    let before = count();
    for _ in 0..200 {
        let id = scene.deploy(&artifact).await;
        scene.stop(id).await;
    }
    // A handful of descriptors come and go with what runs beside (a compiler, a connection); what
    // one deploy of these leaves behind would be two hundred.
    let as_before = || {
        let ((descriptors, processes, sandboxes), artifacts) = count();
        descriptors <= before.0.0 + 8
            && (processes, sandboxes, artifacts) == (before.0.1, before.0.2, before.1)
    };
    wait_until(DEADLINE, "everything to be as before", as_before).await;
    scene.end().await;
}

/// Size of the artifact below, bytes: many times what the node may grow by.
const LARGE: u64 = 192 << 20;

#[tokio::test]
async fn a_large_artifact_passes_through_a_small_node() {
    let scene = Scene::new().await;
    let program = sleeper(&scene.user);
    let small = scene.upload(&program).await;
    let id = scene.deploy(&small).await;
    scene.stop(id).await;
    // A program with a long tail, which is no hole: every page of it is different.
    let file = File::options().write(true).open(&program).unwrap();
    let page = |n: u64| [n.to_le_bytes(); 512].concat();
    let start = file.metadata().unwrap().len();
    for n in 0..LARGE / 4096 {
        file.write_all_at(&page(n), start + n * 4096).unwrap();
    }
    let large = scene.upload(&program).await;
    let (_, before) = process::resident(scene.node.pid()).unwrap();
    let id = scene.deploy(&large).await;
    let (_, after) = process::resident(scene.node.pid()).unwrap();
    let grown = after.saturating_sub(before);
    assert!(grown < 16 << 20, "the node's peak grew by {} KiB", grown >> 10);
    scene.stop(id).await;
    scene.end().await;
}
