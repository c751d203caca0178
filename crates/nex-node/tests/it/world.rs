//! A world for end-to-end tests: a real nats-server, a node in this process, a
//! client, and small programs to deploy.

use std::{path::Path, process::Command, time::Duration};

use async_nats::jetstream;
use nex_client::{
    Client,
    deploy::{Artifact, DeployError, Deployment, Workload, WorkloadBuilder},
};
use nex_node::{
    Node, StopReport,
    config::{Config, ConfigBuilder, SandboxChoice},
};
use nex_protocol::{
    control::{RunResponse, WorkloadType},
    digest::Digest,
    key::{CurveKey, KeyKind, SigningKey},
    location::ArtifactLocation,
    name::WorkloadId,
};
use nex_testkit::TestNats;
use tempfile::TempDir;

/// Bucket of the artifacts.
pub(crate) const BUCKET: &str = "ARTIFACTS";

/// A drain in a test is done in no time, or something is wrong.
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) nats: TestNats,
    pub(crate) node: Node,
    pub(crate) client: Client,
    pub(crate) issuer: SigningKey,
    pub(crate) publisher: CurveKey,
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|config| config).await
    }

    /// A world whose node has a configuration of its own.
    pub(crate) async fn with(configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        Self::on(TestNats::start().await, configure).await
    }

    /// A world whose node puts workloads into sandboxes of this kind.
    pub(crate) async fn of(sandbox: SandboxChoice) -> Self {
        Self::with(|config| config.sandbox(sandbox)).await
    }

    pub(crate) async fn on(
        nats: TestNats,
        configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::builder()
            .sandbox(SandboxChoice::Process)
            .state_dir(dir.path().join("state"))
            .stop_grace(Duration::from_secs(5));
        let config = configure(config).build().unwrap();
        let node = Node::start(config, nats.client().await).await.unwrap();
        let client = Client::from_nats(nats.client().await);
        let store = jetstream::object_store::Config {
            bucket: BUCKET.to_owned(),
            ..jetstream::object_store::Config::default()
        };
        jetstream::new(nats.client().await).create_object_store(store).await.unwrap();
        let (issuer, publisher) = (SigningKey::generate(KeyKind::Account), CurveKey::generate());
        Self { nats, node, client, issuer, publisher, dir }
    }

    /// Uploads a file under `key`.
    pub(crate) async fn upload(&self, key: &str, file: &Path) -> Artifact {
        let bytes = std::fs::read(file).unwrap();
        self.upload_bytes(key, &bytes).await
    }

    pub(crate) async fn upload_bytes(&self, key: &str, bytes: &[u8]) -> Artifact {
        let context = jetstream::new(self.nats.client().await);
        let store = context.get_object_store(BUCKET).await.unwrap();
        let mut content = bytes;
        store.put(key, &mut content).await.unwrap();
        Artifact {
            location: ArtifactLocation::new(BUCKET, key).unwrap(),
            digest: Digest::of(bytes),
            jetstream_domain: None,
        }
    }

    /// A service called `name` made of the program `file`.
    pub(crate) async fn service(&self, name: &str, file: &Path) -> WorkloadBuilder {
        let artifact = self.upload(name, file).await;
        Workload::builder(name.parse().unwrap(), WorkloadType::Elf, artifact)
    }

    /// Signs and seals for this world's node.
    pub(crate) fn sealed(&self, workload: &Workload) -> Deployment {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        workload
            .sign_and_seal(
                self.node.id(),
                &self.node.xkey(),
                &self.issuer,
                &self.publisher,
                i64::try_from(now.as_secs()).unwrap(),
            )
            .unwrap()
    }

    pub(crate) async fn deploy(
        &self,
        workload: WorkloadBuilder,
    ) -> Result<RunResponse, DeployError> {
        self.client.deploy(&self.sealed(&workload.build().unwrap())).await
    }

    pub(crate) async fn run(&self, workload: WorkloadBuilder) -> WorkloadId {
        let reply = self.deploy(workload).await.unwrap();
        assert!(reply.started);
        assert_eq!(reply.issuer, self.issuer.public().to_string());
        reply.id.parse().unwrap()
    }

    pub(crate) async fn stop_workload(&self, id: WorkloadId, name: &str) {
        let namespace = Default::default();
        let name = name.parse().unwrap();
        let node = self.node.id();
        self.client.stop(node, &namespace, id, &name, &self.issuer).await.unwrap();
    }

    pub(crate) async fn end(self) -> StopReport {
        self.node.stop(DRAIN).await
    }
}

/// Compiles a C program, statically, into `dir`.
pub(crate) fn compile(dir: &Path, name: &str, source: &str) -> std::path::PathBuf {
    compile_with(dir, name, source, &["-static"])
}

/// Compiles a C program with these options of the linker's.
pub(crate) fn compile_with(
    dir: &Path,
    name: &str,
    source: &str,
    options: &[&str],
) -> std::path::PathBuf {
    let program = dir.join(name);
    let file = dir.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    let status = Command::new("cc")
        .args(["-O1", "-o"])
        .args([&program, &file])
        .args(options)
        .status()
        .expect("a C compiler (`cc`) is needed by the tests");
    assert!(status.success());
    program
}

/// Runs tests once for each kind of sandbox: `on_process::name`, `on_namespace::name`. Each is an
/// async function that takes the kind.
macro_rules! in_each_sandbox {
    ($($test:ident),* $(,)?) => {
        mod on_process {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(nex_node::config::SandboxChoice::Process).await;
            })*
        }
        mod on_namespace {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                if crate::world::has_namespaces() {
                    super::$test(nex_node::config::SandboxChoice::Namespace).await;
                }
            })*
        }
    };
}
pub(crate) use in_each_sandbox;

/// Whether this machine lets this user make namespaces; says loudly if not.
pub(crate) fn has_namespaces() -> bool {
    let made = Command::new("unshare").args(["-Urmpnf", "true"]).output();
    let works = made.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("SKIPPED: this machine does not let this user make namespaces");
    }
    works
}
