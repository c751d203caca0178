//! Whole paths of services, against a bare NATS echo in the same run.
//!
//! `make bench` (or `cargo bench -p nex --bench services`) starts a real
//! nats-server and the real `nex node up`, and prints medians with their ratios.
//! Machines are shared and noisy: compare the ratios, not the microseconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use nex_client::{
    Client,
    artifact::Upload,
    deploy::{Artifact, Workload},
};
use nex_protocol::{
    control::WorkloadType,
    key::{CurveKey, KeyKind, SigningKey},
    name::{Namespace, NodeId, WorkloadId},
};
use nex_testkit::{Collector, DEADLINE, TestNats, process, wait::wait_for_async};

const PINGS: usize = 2_000;
const DEPLOYS: usize = 40;
const STARTS: usize = 5;
const SERVICES: usize = 20;
/// Tells the large program from the others.
const LARGE_BALLAST: usize = 2;

/// A program of about 680 KB that says a line, and ends at SIGTERM.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <unistd.h>
static const volatile char ballast[BALLAST] = { 1 };
int main(void) {
    printf("up %d\n", ballast[sizeof ballast - 1]);
    fflush(stdout);
    for (;;) pause();
}
"#;

struct Bench {
    nats: TestNats,
    client: Client,
    issuer: SigningKey,
    publisher: CurveKey,
    node: NodeId,
    child: Child,
    dir: tempfile::TempDir,
}

fn main() {
    // `cargo test --benches` asks for a list or a short run; there is nothing to list.
    if std::env::args().any(|arg| arg == "--list" || arg == "--test") {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let nats = TestNats::start().await;
    let dir = tempfile::tempdir().unwrap();
    let ready = starts(&nats, dir.path()).await;
    let (child, node) = start_node(&nats, dir.path()).await;
    let client = Client::from_nats(nats.client().await);
    let bench = Bench {
        client,
        issuer: SigningKey::generate(KeyKind::Account),
        publisher: CurveKey::generate(),
        node,
        child,
        dir,
        nats,
    };
    println!("{:<44} {:>12} {:>8}", "median", "time", "ratio");
    row("node up: start to ready", ready, None);
    bench.pings().await;
    bench.deploys().await;
    bench.discovery().await;
    bench.memory().await;
    bench.large().await;
    bench.end();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn row(what: &str, time: Duration, base: Option<Duration>) {
    let ratio = base
        .map_or(String::new(), |base| format!("{:.2}", time.as_secs_f64() / base.as_secs_f64()));
    println!("{what:<44} {:>9.3} ms {ratio:>8}", time.as_secs_f64() * 1e3);
}

/// `nex node up`, until it answers.
async fn start_node(nats: &TestNats, dir: &Path) -> (Child, NodeId) {
    let child = Command::new(env!("CARGO_BIN_EXE_nex"))
        .args(["node", "up", "--sandbox", "process", "--server", &nats.url(), "--state-dir"])
        .arg(dir.join("state"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = Client::from_nats(nats.client().await);
    let mut events = Collector::new(client.nats(), "$NEX.events.system.node_started").await;
    let started = async {
        if let Some(node) = client.nodes().await.ok().and_then(|nodes| nodes.into_iter().next()) {
            return node.node_id;
        }
        let event = events.next().await;
        let event: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        event["data"]["id"].as_str().unwrap().to_owned()
    };
    let node = started.await.parse().unwrap();
    (child, node)
}

async fn starts(nats: &TestNats, dir: &Path) -> Duration {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let client = nats.client().await;
        let mut events = Collector::new(&client, "$NEX.events.system.node_started").await;
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nex"))
            .args(["node", "up", "--sandbox", "process", "--server", &nats.url(), "--state-dir"])
            .arg(dir.join("state"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        events.next().await;
        times.push(start.elapsed());
        terminate(&mut child);
    }
    median(times)
}

fn terminate(child: &mut Child) {
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    child.wait().unwrap();
}

impl Bench {
    async fn pings(&self) {
        let echo = self.nats.client().await;
        let mut requests = echo.subscribe("bench.echo").await.unwrap();
        let responder = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    echo.publish(reply, request.payload).await.unwrap();
                }
            }
        });
        let nats = self.client.nats();
        let subject = format!("$NEX.PING.{}", self.node);
        let (mut echoes, mut pings) = (Vec::new(), Vec::new());
        for n in 0..PINGS + 200 {
            let start = Instant::now();
            nats.request("bench.echo", "x".into()).await.unwrap();
            let echo = start.elapsed();
            let start = Instant::now();
            nats.request(subject.clone(), "".into()).await.unwrap();
            if n >= 200 {
                echoes.push(echo);
                pings.push(start.elapsed());
            }
        }
        responder.abort();
        let echo = median(echoes);
        row("bare NATS echo", echo, None);
        row("control ping (goal 1.3 echoes)", median(pings), Some(echo));
    }

    fn program(&self, ballast: usize) -> PathBuf {
        let source = self.dir.path().join(format!("program-{ballast}.c"));
        let program = self.dir.path().join(format!("program-{ballast}"));
        std::fs::write(&source, PROGRAM.replace("BALLAST", &ballast.to_string())).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-static", "-o"]).args([&program, &source]);
        assert!(cc.status().unwrap().success());
        program
    }

    async fn upload(&self, ballast: usize) -> Artifact {
        let upload = Upload::of_file(self.program(ballast), format!("bench{ballast}"));
        self.client.upload(&upload, |_| {}).await.unwrap().artifact
    }

    /// Deploys once: time to the reply, to the first log line, and the id.
    async fn deploy(&self, artifact: &Artifact) -> (Duration, Duration, WorkloadId) {
        let mut logs = Collector::new(self.client.nats(), "$NEX.logs.>").await;
        let name = "bench".parse().unwrap();
        let workload =
            Workload::builder(name, WorkloadType::Elf, artifact.clone()).build().unwrap();
        let info = self.client.node_info(self.node, &Namespace::default()).await.unwrap();
        let xkey = info.public_xkey.parse().unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let deployment = workload
            .sign_and_seal(self.node, &xkey, &self.issuer, &self.publisher, now as i64)
            .unwrap();
        let start = Instant::now();
        let reply = self.client.deploy(&deployment).await.unwrap();
        let replied = start.elapsed();
        logs.find("its first line", |line| String::from_utf8_lossy(&line.payload).contains("up "))
            .await;
        (replied, start.elapsed(), reply.id.parse().unwrap())
    }

    async fn stop(&self, id: WorkloadId) -> Duration {
        let start = Instant::now();
        let name = "bench".parse().unwrap();
        let namespace = Namespace::default();
        self.client.stop(self.node, &namespace, id, &name, &self.issuer).await.unwrap();
        start.elapsed()
    }

    async fn deploys(&self) {
        let (mut replies, mut lines, mut stops) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..DEPLOYS / 4 {
            // Another size is another artifact: nothing of it is in the cache.
            let artifact = self.upload(1000 + n).await;
            let (reply, line, id) = self.deploy(&artifact).await;
            replies.push(reply);
            lines.push(line);
            self.stop(id).await;
        }
        row("deploy, cold cache: to reply", median(replies), None);
        row("deploy, cold cache: to first line (goal 6 ms)", median(lines), None);
        let artifact = self.upload(1).await;
        let (mut replies, mut lines) = (Vec::new(), Vec::new());
        for _ in 0..DEPLOYS {
            let (reply, line, id) = self.deploy(&artifact).await;
            replies.push(reply);
            lines.push(line);
            stops.push(self.stop(id).await);
        }
        row("deploy, cached: to reply", median(replies), None);
        row("deploy, cached: to first line (goal 4 ms)", median(lines), None);
        row("stop: to reply (goal 2 ms beyond the exit)", median(stops), None);
    }

    async fn discovery(&self) {
        for (what, args) in [("nex ps", vec!["ps"]), ("nex node ls", vec!["node", "ls"])] {
            let times = (0..5).map(|_| {
                let start = Instant::now();
                let status = Command::new(env!("CARGO_BIN_EXE_nex"))
                    .args(&args)
                    .args(["--server", &self.nats.url()])
                    .stdout(Stdio::null())
                    .status()
                    .unwrap();
                assert!(status.success());
                start.elapsed()
            });
            row(&format!("{what} (goal 400 ms)"), median(times.collect()), None);
        }
    }

    async fn memory(&self) {
        let node = self.child.id();
        let agents = || {
            let tree = process::tree(node);
            tree.into_iter().filter(|pid| *pid != node).collect::<Vec<_>>()
        };
        wait_for_async(DEADLINE, "one warm agent", || async {
            (agents().len() == 1).then_some(())
        })
        .await;
        let kib =
            |pids: &[u32]| pids.iter().filter_map(|pid| process::pss(*pid)).sum::<u64>() / 1024;
        println!();
        println!("{:<44} {:>9} KiB (goal 16384)", "memory (PSS): node", kib(&[node]));
        println!("{:<44} {:>9} KiB (goal 3072)", "warm agent", kib(&agents()));
        let artifact = self.upload(1).await;
        let mut ids = Vec::new();
        for _ in 0..SERVICES {
            ids.push(self.deploy(&artifact).await.2);
        }
        wait_for_async(DEADLINE, "a warm agent again", || async {
            (agents().len() == 2 * SERVICES + 1).then_some(())
        })
        .await;
        let (services, agents): (Vec<u32>, Vec<u32>) = agents().into_iter().partition(|pid| {
            process::command_line(*pid).is_some_and(|line| line.starts_with("bench"))
        });
        assert_eq!(services.len(), SERVICES);
        let each = kib(&agents) / agents.len() as u64;
        println!("{:<44} {each:>9} KiB (goal 2560)", "agent beside each of 20 services");
        println!("{:<44} {:>9} KiB", "node with 20 services", kib(&[node]));
        for id in ids {
            self.stop(id).await;
        }
    }

    /// An artifact of 1 GiB: how long it takes, and what the node grows by.
    async fn large(&self) {
        let program = self.program(LARGE_BALLAST);
        File::options().write(true).open(&program).unwrap().set_len(1 << 30).unwrap();
        let upload = Upload::of_file(program, "large").bucket("LARGE").bucket_bytes(2 << 30);
        let artifact = self.client.upload(&upload, |_| {}).await.unwrap().artifact;
        let peak = || process::resident(self.child.id()).unwrap().1 / 1024;
        let before = peak();
        let (replied, _, id) = self.deploy(&artifact).await;
        let grown = peak() - before;
        println!();
        row("deploy of 1 GiB, cold cache: to reply", replied, None);
        println!("{:<44} {grown:>9} KiB (goal 16384)", "growth of the node's peak meanwhile");
        self.stop(id).await;
    }

    fn end(mut self) {
        terminate(&mut self.child);
    }
}
