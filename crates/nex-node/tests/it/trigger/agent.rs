//! An agent that does what its calls say: the node meets agents that are late, silent, dead or
//! lying, without a function that could be any of it.
//!
//! A call's payload is a line of words: `sleep MS`, `fail CODE TEXT`, `headers`, `silence`, `die`,
//! `ran NANOS`; anything else is answered as it is.

use std::env;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nex_protocol::agent::{DeployResponse, Handshake, env as names};
use nex_protocol::nats::{
    ConnectOptions, Decoder, Delivery, HeaderMap, Limits, PONG, ServerOp, encode_connect,
    encode_pub, encode_sub,
};

/// Where the agent writes.
#[derive(Clone)]
struct Node(Arc<Mutex<UnixStream>>);

impl Node {
    fn write(&self, bytes: &[u8]) {
        // A node that is gone is noticed by reading.
        let _ = self.0.lock().unwrap().write_all(bytes);
    }

    fn answer(&self, call: &Delivery, headers: Option<&HeaderMap>, payload: &[u8]) {
        let Some(reply) = &call.reply else { return };
        let mut out = BytesMut::new();
        encode_pub(&mut out, reply, None, headers, payload).unwrap();
        self.write(&out);
    }
}

/// No test: what the node starts.
#[test]
#[ignore = "an agent, which a node starts"]
fn serve() {
    let Ok(id) = env::var(names::WORKLOAD_ID) else { return };
    let stream = UnixStream::connect(env::var(names::NODE_SOCKET).unwrap()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let node = Node(Arc::new(Mutex::new(stream)));
    let mut out = BytesMut::new();
    let options = ConnectOptions {
        user: Some(id.clone()),
        pass: env::var(names::AGENT_SECRET).ok(),
        headers: true,
        ..ConnectOptions::default()
    };
    encode_connect(&mut out, &options).unwrap();
    for (sid, what) in [("deploy", "deploy"), ("undeploy", "undeploy"), ("trigger", "trigger")] {
        encode_sub(&mut out, &format!("agentint.{id}.{what}"), None, sid).unwrap();
    }
    encode_sub(&mut out, "_INBOX.agent.>", None, "inbox").unwrap();
    let hello = Handshake { id: id.clone(), start_time: None, message: "a test".to_owned() };
    let subject = format!("agentint.{id}.handshake");
    encode_pub(&mut out, &subject, Some("_INBOX.agent.1"), None, &hello.encode()).unwrap();
    node.write(&out);

    let mut decoder = Decoder::new(Limits { max_payload: 64 << 20, ..Limits::default() });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = reader.read(&mut buffer) {
        decoder.buffer_mut().extend_from_slice(&buffer[..read]);
        while let Some(op) = decoder.next_server_op().unwrap() {
            match op {
                ServerOp::Ping => node.write(PONG),
                ServerOp::Message(message) => match message.sid.as_str() {
                    "deploy" => node.answer(&message, None, &DeployResponse::accepted("").encode()),
                    "undeploy" => {
                        node.answer(&message, None, b"");
                        std::process::exit(0);
                    }
                    "trigger" => {
                        let node = node.clone();
                        thread::spawn(move || obey(&node, &message));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
    std::process::exit(0);
}

fn obey(node: &Node, call: &Delivery) {
    let text = String::from_utf8_lossy(&call.payload).into_owned();
    let mut words = text.splitn(3, ' ');
    match words.next().unwrap_or_default() {
        "sleep" => {
            thread::sleep(Duration::from_millis(words.next().unwrap().parse().unwrap()));
            node.answer(call, None, b"slept");
        }
        "fail" => {
            let mut headers = HeaderMap::new();
            headers.append("x-nex-error-code", words.next().unwrap()).unwrap();
            headers.append("x-nex-error", words.next().unwrap()).unwrap();
            node.answer(call, Some(&headers), b"what counts for nothing");
        }
        "headers" => {
            let headers = call.headers.clone().unwrap_or_default();
            let mut lines: Vec<String> =
                headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            lines.sort();
            node.answer(call, None, lines.join("\n").as_bytes());
        }
        "silence" => {}
        "die" => std::process::abort(),
        "ran" => {
            let mut headers = HeaderMap::new();
            headers.append("x-nex-runtime-ns", words.next().unwrap()).unwrap();
            node.answer(call, Some(&headers), b"ran");
        }
        _ => node.answer(call, None, &Bytes::clone(&call.payload)),
    }
}
