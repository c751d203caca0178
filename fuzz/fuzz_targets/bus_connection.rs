//! A hostile agent at the bus: whatever it says, the endpoint answers in the protocol, its
//! neighbour hears nothing, and it is nobody but itself.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use nex_node::bus::{BusConfig, BusLimits, Endpoint, Inbound};
use nex_protocol::name::WorkloadId;
use nex_protocol::nats::{ConnectOptions, Decoder, Limits, encode_connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MINE: &str = "aaaaaaaaaaaaaaaaaaa0";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbb0";

struct Fixture {
    runtime: tokio::runtime::Runtime,
    endpoint: Endpoint,
    _folder: tempfile::TempDir,
}

thread_local! {
    static FIXTURE: Fixture = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let endpoint = runtime.block_on(async {
            Endpoint::start(BusConfig {
                unix: folder.path().join("bus.sock"),
                tcp: None,
                legacy: None,
                limits: BusLimits { max_payload: 4096, ..BusLimits::default() },
            })
            .await
            .unwrap()
        });
        Fixture { runtime, endpoint, _folder: folder }
    };
}

async fn converse(endpoint: &Endpoint, data: &[u8]) {
    let (mine, other): (WorkloadId, WorkloadId) = (MINE.parse().unwrap(), OTHER.parse().unwrap());
    let mut mine = endpoint.register(mine).unwrap();
    let mut other = endpoint.register(other).unwrap();
    let artifact = std::env::current_exe().unwrap();
    let digest = nex_protocol::digest::Digest::of(b"");
    mine.offer_artifact(&"echo".parse().unwrap(), artifact, digest, 300_000);
    let (agent, node) = tokio::io::duplex(64 * 1024);
    endpoint.serve(node).unwrap();
    let (mut reader, mut writer) = tokio::io::split(agent);

    let (stranger, data) = data.split_first().unwrap_or((&0, data));
    let mut said = bytes::BytesMut::new();
    if stranger & 1 == 0 {
        let options = ConnectOptions {
            user: Some(MINE.to_owned()),
            pass: Some(mine.secret().to_owned()),
            headers: true,
            no_responders: true,
            verbose: stranger & 2 != 0,
            ..ConnectOptions::default()
        };
        encode_connect(&mut said, &options).unwrap();
    }
    said.extend_from_slice(data);
    let talk = async {
        let _ = writer.write_all(&said).await;
        let _ = writer.shutdown().await;
    };
    let hear = async {
        let mut decoder = Decoder::new(Limits::default());
        while reader.read_buf(decoder.buffer_mut()).await.is_ok_and(|read| read > 0) {
            while decoder.next_server_op().unwrap().is_some() {}
        }
        assert_eq!(decoder.buffered(), 0, "cut off in the middle of an operation");
    };
    let node = async {
        loop {
            match mine.recv().await {
                Some(Inbound::Handshake { reply, .. } | Inbound::Rpc { reply, .. }) => {
                    let _ = reply.respond(None, bytes::Bytes::from_static(b"answer"));
                }
                Some(_) => assert_eq!(stranger & 1, 0, "a stranger is somebody"),
                None => break,
            }
        }
    };
    tokio::select! {
        ended = tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(talk, hear) }) => {
            ended.expect("the endpoint hangs");
        }
        () = node => {}
    }
    assert!(other.try_recv().is_none());
}

fuzz_target!(|data: &[u8]| {
    FIXTURE.with(|fixture| fixture.runtime.block_on(converse(&fixture.endpoint, data)));
});
