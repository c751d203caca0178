//! What the namespace sandbox costs: against `bwrap --unshare-all`, against no sandbox, in memory.
//!
//! `cargo bench -p nex-node --bench sandbox`. Machines are shared and noisy: compare the ratios of
//! one run, not the milliseconds. Needs a C compiler; without `bwrap` its column is left out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    io::BufRead as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use nex_node::{
    bus::{AgentRequest, AgentSeat, BusConfig, BusLimits, Endpoint, Inbound},
    config::Config,
    sandbox::{
        Boot, Driver, Machine, NamespaceDriver, ProcessDriver, agent_image::agent_image,
        namespace::Cgroups,
    },
};
use nex_protocol::{
    agent::{AgentDeployRequest, HANDSHAKE_RESPONSE},
    name::WorkloadId,
};
use nex_testkit::process;
use serde_json::json;

const ROUNDS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(10);

const HELLO: &str = r#"
#include <unistd.h>
int main(void) { write(1, "hello\n", 6); pause(); return 0; }
"#;

struct Bench {
    dir: tempfile::TempDir,
    endpoint: Endpoint,
    program: PathBuf,
    agent: PathBuf,
}

/// A launched agent that waits for its workload.
struct Warm {
    machine: Box<dyn Machine>,
    seat: AgentSeat,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = dir.path().join("artifacts");
        std::fs::create_dir(&artifacts).unwrap();
        std::fs::create_dir(dir.path().join("sandboxes")).unwrap();
        let source = dir.path().join("hello.c");
        std::fs::write(&source, HELLO).unwrap();
        let program = artifacts.join("hello");
        let mut built = Command::new("cc");
        built.args(["-O1", "-static", "-o"]).args([&program, &source]);
        assert!(built.status().expect("a C compiler (`cc`)").success());
        let agent = agent_image().materialize(dir.path()).unwrap();
        let endpoint = Endpoint::start(BusConfig {
            unix: dir.path().join("bus.sock"),
            tcp: None,
            legacy: None,
            limits: BusLimits::default(),
        })
        .await
        .unwrap();
        Self { dir, endpoint, program, agent }
    }

    fn namespace(&self, cgroups: Cgroups) -> NamespaceDriver {
        let settings = Config::builder().build().unwrap().namespace.clone();
        let artifacts = vec![self.dir.path().join("artifacts")];
        NamespaceDriver::new(self.agent.clone(), artifacts, settings, cgroups).unwrap()
    }

    async fn launch(&self, driver: &dyn Driver) -> Warm {
        let id = WorkloadId::generate();
        let mut seat = self.endpoint.register(id).unwrap();
        let boot = Boot {
            id,
            secret: seat.secret().to_owned(),
            socket: self.endpoint.socket().to_owned(),
            tcp: None,
            dir: self.dir.path().join("sandboxes").join(id.to_string()),
        };
        let machine = driver.launch(&boot).await.unwrap();
        loop {
            if let Inbound::Handshake { reply, .. } = next(&mut seat).await {
                reply.respond(None, Bytes::from_static(HANDSHAKE_RESPONSE)).unwrap();
                return Warm { machine, seat };
            }
        }
    }

    fn order(&self) -> Bytes {
        let order = json!({
            "argv": [], "description": "", "environment": {}, "essential": false,
            "hash": "ab".repeat(32), "namespace": "default", "trigger_subjects": [],
            "total_bytes": std::fs::metadata(&self.program).unwrap().len(),
            "workload_name": "hello", "workload_type": "elf", "artifact_path": self.program,
        });
        let order = serde_json::to_vec(&order).unwrap();
        AgentDeployRequest::decode(&order).unwrap();
        order.into()
    }

    /// Until the agent has answered, and until the first line is here.
    async fn deploy(&self, warm: &mut Warm) -> (Duration, Duration) {
        let began = Instant::now();
        let link = warm.seat.link();
        let answer = link.request(AgentRequest::Deploy, None, self.order(), PATIENCE).await;
        let answered = began.elapsed();
        assert!(answer.unwrap().payload.starts_with(b"{\"accepted\":true"));
        loop {
            if let Inbound::Log(_) = next(&mut warm.seat).await {
                return (answered, began.elapsed());
            }
        }
    }

    async fn cold(&self, driver: &dyn Driver) -> Duration {
        let began = Instant::now();
        let mut warm = self.launch(driver).await;
        self.deploy(&mut warm).await;
        let took = began.elapsed();
        warm.machine.kill().await;
        took
    }
}

async fn next(seat: &mut AgentSeat) -> Inbound {
    tokio::time::timeout(PATIENCE, seat.recv()).await.expect("in time").expect("the agent lives")
}

/// From the start of `bwrap` to the program's first line.
fn bwrap(program: &Path) -> Option<Duration> {
    let began = Instant::now();
    let mut child = Command::new("bwrap")
        .args(["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/"])
        .arg(program)
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let took = began.elapsed();
    assert_eq!(line, "hello\n");
    child.kill().unwrap();
    child.wait().unwrap();
    Some(took)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn show(what: &str, mut times: Vec<Duration>, base: Option<Duration>) -> Duration {
    let middle = median(&mut times);
    let ratio = base.map_or(String::new(), |base| {
        format!("   {:.2} ×", middle.as_secs_f64() / base.as_secs_f64())
    });
    println!("{what:<52}{:>9.2} ms{ratio}", middle.as_secs_f64() * 1e3);
    middle
}

async fn run() {
    let bench = Bench::new().await;
    let process = ProcessDriver::new(bench.agent.clone());
    let bare = bench.namespace(Cgroups::none("not measured"));
    let full = bench.namespace(Cgroups::open(bench.dir.path()));

    // Side by side, so that each sees the same noise.
    let mut cold = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        cold[0].extend(bwrap(&bench.program));
        cold[1].push(bench.cold(&bare).await);
        cold[2].push(bench.cold(&full).await);
        cold[3].push(bench.cold(&process).await);
    }
    println!("cold, from nothing to the first line ({ROUNDS} rounds, medians):");
    let [outside, bare_times, full_times, process_times] = cold;
    let base = (!outside.is_empty()).then(|| show("  bwrap --unshare-all", outside, None));
    show("  namespace, without a cgroup", bare_times, base);
    show("  namespace, with its cgroup", full_times, base);
    show("  process", process_times, base);

    let mut warm = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for (index, driver) in [&process as &dyn Driver, &full].into_iter().enumerate() {
            let mut launched = bench.launch(driver).await;
            let (answered, line) = bench.deploy(&mut launched).await;
            warm[2 * index].push(answered);
            warm[2 * index + 1].push(line);
            launched.machine.kill().await;
        }
    }
    println!("warm, from the order:");
    let [process_answer, process_line, answer, line] = warm;
    let base = show("  process: answered", process_answer, None);
    show("  namespace: answered", answer, Some(base));
    let base = show("  process: first line", process_line, None);
    show("  namespace: first line", line, Some(base));

    let mut launched = bench.launch(&full).await;
    bench.deploy(&mut launched).await;
    let own = std::process::id();
    let (mut sandbox, mut workload) = (0, 0);
    for pid in process::tree(own).into_iter().filter(|pid| *pid != own) {
        let line = process::command_line(pid).unwrap_or_default();
        let memory = process::pss(pid).unwrap_or_default();
        if line.contains("nex-agent") { sandbox += memory } else { workload += memory }
    }
    println!(
        "memory (PSS): agent and keeper {} KiB, workload {} KiB",
        sandbox >> 10,
        workload >> 10
    );
    launched.machine.kill().await;
}

fn main() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run());
}
