//! One hop from the node to an agent and back, against a bare Unix socket in the same run.
//!
//! `cargo bench -p nex-node --bench bus`. Node and agent each have a thread. Machines are shared
//! and noisy: compare the ratios, not the microseconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nex_node::bus::{AgentLink, AgentRequest, BusConfig, BusLimits, Endpoint};
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{
    ConnectOptions, Decoder, Limits, PONG, ServerOp, encode_connect, encode_pub, encode_sub,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const WARM_UP: usize = 2_000;
const CALLS: usize = 20_000;
const LARGE: usize = 64 * 1024;
const CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn on_a_thread<F: Future<Output = ()>>(task: impl FnOnce() -> F + Send + 'static) {
    std::thread::spawn(move || runtime().block_on(task()));
}

/// An agent that answers every trigger with its payload.
async fn agent(path: PathBuf, id: String, secret: String) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let mut out = BytesMut::new();
    let options = ConnectOptions {
        user: Some(id.clone()),
        pass: Some(secret),
        headers: true,
        ..ConnectOptions::default()
    };
    encode_connect(&mut out, &options).unwrap();
    encode_sub(&mut out, &format!("agentint.{id}.trigger"), None, "1").unwrap();
    let mut decoder = Decoder::new(Limits::default());
    loop {
        while let Some(op) = decoder.next_server_op().unwrap() {
            match op {
                ServerOp::Message(call) => {
                    let reply = call.reply.unwrap();
                    encode_pub(&mut out, &reply, None, None, &call.payload).unwrap();
                }
                ServerOp::Ping => out.extend_from_slice(PONG),
                _ => {}
            }
        }
        if !out.is_empty() {
            stream.write_all_buf(&mut out).await.unwrap();
        }
        decoder.reserve(LARGE);
        if stream.read_buf(decoder.buffer_mut()).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// Sends what comes back.
async fn mirror(listener: UnixListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut buffer = vec![0; LARGE];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 || stream.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

async fn bare(path: &Path, size: usize, calls: usize) -> (Duration, Duration) {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let (out, mut back) = (vec![1; size], vec![0; size]);
    let mut times = Vec::with_capacity(calls);
    for call in 0..WARM_UP + calls {
        let started = Instant::now();
        let (mut reader, mut writer) = stream.split();
        let (written, read) = tokio::join!(writer.write_all(&out), reader.read_exact(&mut back));
        written.unwrap();
        read.unwrap();
        if call >= WARM_UP {
            times.push(started.elapsed());
        }
    }
    median(times)
}

async fn call(link: &AgentLink, payload: &Bytes) -> Duration {
    let started = Instant::now();
    let reply = link.request(AgentRequest::Trigger, None, payload.clone(), PATIENCE).await;
    assert_eq!(reply.unwrap().payload.len(), payload.len());
    started.elapsed()
}

async fn hop(link: &AgentLink, size: usize, calls: usize) -> (Duration, Duration) {
    let payload = Bytes::from(vec![1; size]);
    let mut times = Vec::with_capacity(calls);
    for number in 0..WARM_UP + calls {
        let time = call(link, &payload).await;
        if number >= WARM_UP {
            times.push(time);
        }
    }
    median(times)
}

async fn throughput(link: &AgentLink) -> f64 {
    let payload = Bytes::from_static(&[1; 16]);
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|_| async {
        for _ in 0..CALLS / CLIENTS * 4 {
            call(link, &payload).await;
        }
    });
    futures_util::future::join_all(clients).await;
    (CALLS * 4) as f64 / started.elapsed().as_secs_f64()
}

fn show(what: &str, bare: (Duration, Duration), hop: (Duration, Duration)) {
    println!(
        "{what:<12} bare p50 {:>9.1?} p99 {:>9.1?}   hop p50 {:>9.1?} p99 {:>9.1?}   ratio {:.2}",
        bare.0,
        bare.1,
        hop.0,
        hop.1,
        hop.0.as_secs_f64() / bare.0.as_secs_f64()
    );
}

async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start(BusConfig {
        unix: folder.path().join("bus.sock"),
        tcp: None,
        legacy: None,
        limits: BusLimits::default(),
    })
    .await
    .unwrap();
    let mut seat = endpoint.register(WorkloadId::generate()).unwrap();
    let (path, id, secret) =
        (endpoint.socket().to_owned(), seat.id().to_string(), seat.secret().to_owned());
    on_a_thread(move || agent(path, id, secret));
    seat.recv().await;
    let link = seat.link();
    while link.request(AgentRequest::Trigger, None, Bytes::new(), PATIENCE).await.is_err() {
        tokio::task::yield_now().await;
    }
    for (what, size, calls) in [("16 bytes", 16, CALLS), ("64 KiB", LARGE, CALLS / 10)] {
        let socket = folder.path().join(format!("bare-{size}"));
        let path = socket.clone();
        let (ready, listening) = tokio::sync::oneshot::channel();
        on_a_thread(move || async move {
            let listener = UnixListener::bind(path).unwrap();
            ready.send(()).unwrap();
            mirror(listener).await;
        });
        listening.await.unwrap();
        let bare = bare(&socket, size, calls).await;
        let hop = hop(&link, size, calls).await;
        show(what, bare, hop);
    }
    println!("{CLIENTS} clients   {:.0} calls/s", throughput(&link).await);
}

fn main() {
    runtime().block_on(run());
}
