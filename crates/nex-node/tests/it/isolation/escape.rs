//! A program that means harm, in a sandbox.

use std::{
    io::Write as _,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use nex_protocol::log::LogLine;
use nex_testkit::Collector;

use crate::world::compile;

/// The issue asks for 40.
const LEAST_TRIES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_hostile_program_tries_works() {
    let Some(world) = super::world().await else { return };
    let program = compile(world.dir.path(), "escape", include_str!("escape.c"));
    // What a bad sandbox would let it find.
    let secret = world.dir.path().join("secret");
    std::fs::File::create(&secret).unwrap().write_all(b"of the host").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("nex-escape-{}", std::process::id());
    let _hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let state = world.node.state_dir();

    let nats = world.nats.client().await;
    let mut logs = Collector::new(&nats, "$NEX.logs.default.*.escape.*").await;
    let service = world.service("escape", &program).await;
    let service = service
        .variable("SECRET_FILE", secret.to_str().unwrap())
        .variable("STATE", state.to_str().unwrap())
        .variable("BUS", state.join("bus.sock").to_str().unwrap())
        .variable("ABSTRACT", &name)
        .variable("PORT", listener.local_addr().unwrap().port().to_string())
        .variable("NODE_PID", std::process::id().to_string())
        .variable("SHM_KEY", "123456")
        .variable("QUEUE", "/nex-escape");
    world.run(service).await;
    let text = |message: &async_nats::Message| {
        LogLine::decode(&message.payload).unwrap().text.trim_end().to_owned()
    };
    let end = loop {
        // Each line has the usual time; all of them have more.
        let line = logs.next().await;
        if text(&line).starts_with("tried ") {
            break line;
        }
    };
    let lines: Vec<String> = logs.seen().iter().map(text).collect();
    let worked: Vec<&String> = lines.iter().filter(|line| line.starts_with("WORKED")).collect();
    assert!(worked.is_empty(), "{worked:#?}");
    let held = lines.iter().filter(|line| line.starts_with("held")).count();
    assert!(held >= LEAST_TRIES, "{held} tries");
    assert_eq!(text(&end), format!("tried {held} worked 0"), "{lines:#?}");

    // The node is as well as before.
    let well = compile(world.dir.path(), "well", "int main(void) { return 0; }");
    world.run(world.service("well", &well).await).await;
    assert!(world.end().await.clean);
}
