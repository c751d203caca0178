//! Uploads a program, runs it on the only node there is, prints its first log
//! lines and stops it.
//!
//! ```sh
//! nex node up --with-nats --sandbox process &
//! cargo run -p nex-client --example deploy_service -- target/release/echo-service --some argument
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what it is for")]

use std::path::PathBuf;

use futures_util::StreamExt as _;
use nex_client::artifact::Upload;
use nex_client::deploy::{Workload, WorkloadType, workload_name_of};
use nex_client::follow::LogQuery;
use nex_client::keys::KeyFolder;
use nex_client::{Client, ConnectOptions};

/// How many log lines are shown before the service is stopped.
const LINES: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file: PathBuf =
        arguments.next().ok_or("name a program: deploy_service <file> [argument…]")?.into();
    let name = workload_name_of(&file);

    let client = Client::connect(ConnectOptions::new()).await?;
    let node = client.resolve_node(None).await?;
    let keys = KeyFolder::of_user()?.load_or_create()?;
    for warning in &keys.warnings {
        eprintln!("warning: {warning}");
    }

    let upload = Upload::of_file(&file, name.as_str());
    let uploaded = client
        .upload(&upload, |step| eprintln!("uploaded {} of {} bytes", step.sent, step.total))
        .await?;

    // Followed before the deploy, so that the first line is not missed.
    let mut lines = client.logs(LogQuery::all().node(node.id).workload(name.clone())).await?;
    let workload = Workload::builder(name.clone(), WorkloadType::Elf, uploaded.artifact)
        .description("Deployed by an example")
        .arguments(arguments)
        .build()?;
    let started = client.run(&workload, node.id, &keys.issuer, &keys.publisher).await?;
    println!("{} runs as {}", started.name, started.id);

    for _ in 0..LINES {
        let Some(line) = lines.next().await else { break };
        println!("{} {}", line.level, line.text.escape_debug());
    }
    let id = started.id.parse()?;
    client.stop(node.id, workload.namespace(), id, &name, &keys.issuer).await?;
    println!("{name} is stopped");
    Ok(())
}
