//! Calls of functions against a bare NATS request and reply in the same run.
//!
//! `cargo bench -p nex-node --bench functions [-- NAME…]` starts a real nats-server and a node in
//! this process, with the agent that the node really runs. NATS, node, function and clients share
//! the machine, and machines are noisy: compare the ratios, not the microseconds. With names, only
//! those parts run: `sequential`, `clients`, `large`, `deploy`, `overload`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use nex_client::Client;
use nex_client::deploy::{Artifact, Workload};
use nex_node::Node;
use nex_node::config::{Config, SandboxChoice};
use nex_protocol::config::{CompiledCacheFile, FunctionsFile};
use nex_protocol::control::WorkloadType;
use nex_protocol::digest::Digest;
use nex_protocol::key::{CurveKey, CurvePublicKey, KeyKind, SigningKey};
use nex_protocol::location::ArtifactLocation;
use nex_protocol::name::{Namespace, NodeId, WorkloadId};
use nex_testkit::TestNats;
use tokio::sync::oneshot;

const WARM_UP: usize = 500;
const CALLS: usize = 4_000;
const ROUNDS: usize = 5;
const CLIENTS: usize = 16;
const CALLS_OF_CLIENTS: usize = 16_000;
const LARGE: usize = 64 * 1024;
const DEPLOYS: usize = 30;

/// Copies standard input to standard output.
const ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (func (export "_start")
    (local $n i32)
    (loop $again
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $n (i32.load (i32.const 8)))
      (if (local.get $n)
        (then
          (i32.store (i32.const 4) (local.get $n))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (br $again))))))"#;

/// Computes for about a millisecond.
const BUSY: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "_start")
    (local $n i32)
    (local.set $n (i32.const 1000000))
    (loop $again
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $again (local.get $n)))))"#;

const SCRIPT: &str = "(subject, payload) => payload";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What the node says when it is up, and how it is told to end.
struct Running {
    node: NodeId,
    xkey: CurvePublicKey,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

/// A node on a thread of its own, as `nex node up` runs it.
fn start_node(config: Config, options: async_nats::ConnectOptions, url: String) -> Running {
    let (up, ready) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async move {
            let nats = options.connect(url).await.unwrap();
            let node = Node::start(config, nats).await.unwrap();
            up.send((node.id(), node.xkey())).unwrap();
            let _ = stopped.await;
            node.stop(Duration::from_secs(10)).await;
        });
    });
    let (node, xkey) = ready.recv().unwrap();
    Running { node, xkey, stop, thread }
}

struct Bench {
    nats: TestNats,
    client: Client,
    issuer: SigningKey,
    publisher: CurveKey,
    node: NodeId,
    xkey: CurvePublicKey,
}

#[derive(Clone, Copy)]
struct Spread {
    p50: f64,
    p99: f64,
}

/// In microseconds.
fn spread(times: &mut [Duration]) -> Spread {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
    Spread { p50: at(50), p99: at(99) }
}

async fn request(nats: &async_nats::Client, subject: &str, payload: &Bytes) -> (Duration, bool) {
    let started = Instant::now();
    let reply = nats.request(subject.to_owned(), payload.clone()).await.unwrap();
    (started.elapsed(), reply.headers.is_none())
}

impl Bench {
    async fn upload(&self, key: &str, bytes: &[u8]) -> Artifact {
        let context = jetstream::new(self.client.nats().clone());
        let store = context.get_object_store("BENCH").await.unwrap();
        let mut content = bytes;
        store.put(key, &mut content).await.unwrap();
        Artifact {
            location: ArtifactLocation::new("BENCH", key).unwrap(),
            digest: Digest::of(bytes),
            jetstream_domain: None,
        }
    }

    async fn deploy(
        &self,
        name: &str,
        kind: WorkloadType,
        artifact: &Artifact,
    ) -> Result<WorkloadId, String> {
        let workload = Workload::builder(name.parse().unwrap(), kind, artifact.clone())
            .trigger(format!("bench.{name}").parse().unwrap())
            .build()
            .unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        let deployment = workload
            .sign_and_seal(self.node, &self.xkey, &self.issuer, &self.publisher, now)
            .unwrap();
        let reply = self.client.deploy(&deployment).await.map_err(|error| error.to_string())?;
        Ok(reply.id.parse().unwrap())
    }

    async fn stop(&self, id: WorkloadId, name: &str) {
        let namespace = Namespace::default();
        let name = name.parse().unwrap();
        self.client.stop(self.node, &namespace, id, &name, &self.issuer).await.unwrap();
    }

    /// One call after the other, taking turns with the echo, so that both meet the same noise.
    async fn sequential(&self, functions: &[&str], size: usize, calls: usize) {
        let nats = self.client.nats();
        let payload = Bytes::from(vec![b'x'; size]);
        let subjects: Vec<String> = std::iter::once("echo".to_owned())
            .chain(functions.iter().map(|name| format!("bench.{name}")))
            .collect();
        let mut times = vec![Vec::with_capacity(calls); subjects.len()];
        let mut failed = 0;
        for n in 0..WARM_UP + calls {
            for (subject, times) in subjects.iter().zip(&mut times) {
                let (time, ok) = request(nats, subject, &payload).await;
                failed += usize::from(!ok);
                if n >= WARM_UP {
                    times.push(time);
                }
            }
        }
        let spreads: Vec<Spread> = times.iter_mut().map(|times| spread(times)).collect();
        println!("\nsequential, {size} bytes ({failed} failed)");
        for (subject, spread) in subjects.iter().zip(&spreads) {
            println!(
                "  {subject:<14} p50 {:>8.1} µs  p99 {:>8.1} µs  p50 ratio {:.2}",
                spread.p50,
                spread.p99,
                spread.p50 / spreads[0].p50
            );
        }
    }

    /// As many clients as there are connections, each calling as fast as it is answered.
    async fn at_once(
        clients: &[async_nats::Client],
        subject: &str,
        payload: &Bytes,
        calls: usize,
    ) -> (f64, Spread, usize) {
        let started = Instant::now();
        let all = clients.iter().map(|nats| async {
            let mut times = Vec::with_capacity(calls / clients.len());
            let mut failed = 0;
            for _ in 0..calls / clients.len() {
                let (time, ok) = request(nats, subject, payload).await;
                times.push(time);
                failed += usize::from(!ok);
            }
            (times, failed)
        });
        let all = join_all(all).await;
        let took = started.elapsed().as_secs_f64();
        let failed = all.iter().map(|(_, failed)| failed).sum();
        let mut times: Vec<Duration> = all.into_iter().flat_map(|(times, _)| times).collect();
        (times.len() as f64 / took, spread(&mut times), failed)
    }

    async fn connections(&self, count: usize) -> Vec<async_nats::Client> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            clients.push(self.nats.client().await);
        }
        clients
    }

    async fn clients(&self, functions: &[&str]) {
        let clients = self.connections(CLIENTS).await;
        let payload = Bytes::from_static(&[b'x'; 16]);
        println!("\n{CLIENTS} clients, 16 bytes");
        let subjects: Vec<String> = std::iter::once("echo".to_owned())
            .chain(functions.iter().map(|name| format!("bench.{name}")))
            .collect();
        let mut rounds = vec![Vec::new(); subjects.len()];
        for _ in 0..ROUNDS {
            for (subject, rounds) in subjects.iter().zip(&mut rounds) {
                rounds.push(Self::at_once(&clients, subject, &payload, CALLS_OF_CLIENTS).await);
            }
        }
        let mut base = None;
        for (subject, mut rounds) in subjects.iter().zip(rounds) {
            rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (rate, spread, failed) = rounds[ROUNDS / 2];
            let base = *base.get_or_insert(rate);
            println!(
                "  {subject:<14} {rate:>8.0}/s  p50 {:>8.1} µs  p99 {:>8.1} µs (×{:.1})  ratio {:.2}  failed {failed}",
                spread.p50,
                spread.p99,
                spread.p99 / spread.p50,
                rate / base
            );
        }
    }

    async fn deploys(&self, what: &[(&str, WorkloadType, &Artifact)]) {
        println!("\ncached deploy: to the reply, and to the first answer");
        for (name, kind, artifact) in what {
            let (mut replies, mut answers) = (Vec::new(), Vec::new());
            let name = format!("{name}-deploy");
            for _ in 0..DEPLOYS {
                // The pool has a warm sandbox again.
                tokio::time::sleep(Duration::from_millis(150)).await;
                let started = Instant::now();
                let id = self.deploy(&name, *kind, artifact).await.unwrap();
                replies.push(started.elapsed());
                let subject = format!("bench.{name}");
                let (_, ok) =
                    request(self.client.nats(), &subject, &Bytes::from_static(b"x")).await;
                assert!(ok);
                answers.push(started.elapsed());
                self.stop(id, &name).await;
            }
            let (reply, answer) = (spread(&mut replies), spread(&mut answers));
            println!(
                "  {name:<14} reply p50 {:>6.2} ms   first answer p50 {:>6.2} ms p99 {:>6.2} ms",
                reply.p50 / 1e3,
                answer.p50 / 1e3,
                answer.p99 / 1e3
            );
        }
    }

    /// A function of a millisecond is called at ten times its capacity, while its neighbour is
    /// called now and then.
    async fn overload(&self, neighbour: &str) {
        println!("\noverload: a function of about 1 ms, called at 10× its capacity");
        let payload = Bytes::from_static(b"x");
        let clients = self.connections(8).await;
        Self::at_once(&clients, "bench.busy", &payload, 400).await;
        let (capacity, ..) = Self::at_once(&clients, "bench.busy", &payload, 4_000).await;
        let quiet = self.poke(neighbour, Duration::from_secs(4)).await;

        let load = self.connections(1).await;
        let seconds = 4;
        let flood = flood(load[0].clone(), "bench.busy", capacity * 10.0, seconds);
        let (poked, flooded) =
            tokio::join!(self.poke(neighbour, Duration::from_secs(seconds)), flood);
        let Flooded { answered, late, refused, lost, mut refusals } = flooded;
        let goodput = answered as f64 / seconds as f64;
        let refusals = spread(&mut refusals);
        let started = Instant::now();
        loop {
            let (time, ok) = request(&clients[0], "bench.busy", &payload).await;
            if ok && time < Duration::from_millis(20) {
                break;
            }
        }
        let recovered = started.elapsed();
        println!(
            "  capacity {capacity:.0}/s; under load {goodput:.0}/s answered ({:.2})",
            goodput / capacity
        );
        println!(
            "  refused {refused}, answered after the flood {late}, lost {lost}; refusals p50 {:.1} ms p99 {:.1} ms; recovered in {:.1} ms",
            refusals.p50 / 1e3,
            refusals.p99 / 1e3,
            recovered.as_secs_f64() * 1e3
        );
        println!(
            "  neighbour: p50 {:.0} µs p99 {:.0} µs, undisturbed p50 {:.0} µs p99 {:.0} µs (p99 ×{:.1})",
            poked.p50,
            poked.p99,
            quiet.p50,
            quiet.p99,
            poked.p99 / quiet.p99
        );
    }

    /// Calls now and then.
    async fn poke(&self, name: &str, time: Duration) -> Spread {
        let (nats, subject) = (self.nats.client().await, format!("bench.{name}"));
        let (started, mut times) = (Instant::now(), Vec::new());
        while started.elapsed() < time {
            let (time, ok) = request(&nats, &subject, &Bytes::from_static(b"x")).await;
            assert!(ok, "the neighbour was refused");
            times.push(time);
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        spread(&mut times)
    }
}

struct Flooded {
    answered: usize,
    late: usize,
    refused: usize,
    lost: usize,
    refusals: Vec<Duration>,
}

/// So many calls a second, however they are answered.
async fn flood(nats: async_nats::Client, subject: &str, rate: f64, seconds: u64) -> Flooded {
    let inbox = nats.new_inbox();
    let mut answers = nats.subscribe(format!("{inbox}.*")).await.unwrap();
    let started = Instant::now();
    let sent = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let collector = tokio::spawn({
        let (sent, done) = (Arc::clone(&sent), Arc::clone(&done));
        async move {
            let (mut answered, mut late, mut refused, mut refusals) = (0, 0, 0, Vec::new());
            loop {
                let next = tokio::time::timeout(Duration::from_secs(1), answers.next()).await;
                let Ok(Some(answer)) = next else {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    continue;
                };
                let nanos: u64 = answer.subject.rsplit('.').next().unwrap().parse().unwrap();
                if answer.headers.is_some() {
                    refused += 1;
                    refusals.push(started.elapsed() - Duration::from_nanos(nanos));
                } else if started.elapsed() <= Duration::from_secs(seconds) {
                    answered += 1;
                } else {
                    late += 1;
                }
                let all = answered + late + refused;
                if done.load(Ordering::Relaxed) && all >= sent.load(Ordering::Relaxed) {
                    break;
                }
            }
            (answered, late, refused, refusals)
        }
    });
    let mut pace = tokio::time::interval(Duration::from_millis(2));
    while started.elapsed() < Duration::from_secs(seconds) {
        pace.tick().await;
        let due = (started.elapsed().as_secs_f64() * rate) as usize;
        while sent.load(Ordering::Relaxed) < due {
            let reply = format!("{inbox}.{}", started.elapsed().as_nanos());
            let call = nats.publish_with_reply(subject.to_owned(), reply, "x".into());
            call.await.unwrap();
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
    done.store(true, Ordering::Relaxed);
    let (answered, late, refused, refusals) = collector.await.unwrap();
    let lost = sent.load(Ordering::Relaxed).saturating_sub(answered + late + refused);
    Flooded { answered, late, refused, lost, refusals }
}

async fn run(wanted: Vec<String>) {
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    let nats = TestNats::start().await;
    let dir = tempfile::tempdir().unwrap();
    let cache = CompiledCacheFile {
        // Kept from run to run: compiling is not what is measured here.
        dir: Some(std::env::temp_dir().join("nex-bench-compiled").to_str().unwrap().to_owned()),
        ..CompiledCacheFile::default()
    };
    let config = Config::builder()
        .sandbox(SandboxChoice::Process)
        .state_dir(dir.path().join("state"))
        .functions(FunctionsFile { compiled_cache: Some(cache), ..FunctionsFile::default() })
        .build()
        .unwrap();
    let running = start_node(config, nats.connect_options(), nats.url());
    let bench = Bench {
        client: Client::from_nats(nats.client().await),
        issuer: SigningKey::generate(KeyKind::Account),
        publisher: CurveKey::generate(),
        node: running.node,
        xkey: running.xkey,
        nats,
    };
    let store = jetstream::object_store::Config {
        bucket: "BENCH".to_owned(),
        ..jetstream::object_store::Config::default()
    };
    jetstream::new(bench.client.nats().clone()).create_object_store(store).await.unwrap();
    let (options, url) = (bench.nats.connect_options(), bench.nats.url());
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let nats = options.connect(url).await.unwrap();
            let mut requests = nats.subscribe("echo").await.unwrap();
            while let Some(request) = requests.next().await {
                let _ = nats.publish(request.reply.unwrap(), request.payload).await;
            }
        });
    });
    let wasm = bench.upload("echo", &wat::parse_str(ECHO).unwrap()).await;
    let busy = bench.upload("busy", &wat::parse_str(BUSY).unwrap()).await;
    let script = bench.upload("script", SCRIPT.as_bytes()).await;
    bench.deploy("wasm", WorkloadType::Wasm, &wasm).await.unwrap();
    bench.deploy("busy", WorkloadType::Wasm, &busy).await.unwrap();
    let mut functions = vec!["wasm"];
    let mut cached = vec![("wasm", WorkloadType::Wasm, &wasm)];
    match bench.deploy("js", WorkloadType::V8, &script).await {
        Ok(_) => {
            functions.push("js");
            cached.push(("js", WorkloadType::V8, &script));
        }
        Err(error) => println!("without JavaScript: {error}"),
    }
    if wants("sequential") {
        bench.sequential(&functions, 16, CALLS).await;
    }
    if wants("large") {
        bench.sequential(&functions, LARGE, CALLS / 4).await;
    }
    if wants("clients") {
        bench.clients(&functions).await;
    }
    if wants("deploy") {
        bench.deploys(&cached).await;
    }
    if wants("overload") {
        bench.overload("wasm").await;
    }
    let _ = running.stop.send(());
    running.thread.join().unwrap();
}

fn main() {
    // `cargo test --benches` asks for a list or a short run; there is nothing to list.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let wanted = arguments.into_iter().filter(|argument| !argument.starts_with("--")).collect();
    runtime().block_on(run(wanted));
}
