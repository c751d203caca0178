//! Lists the nodes and what runs on them.
//!
//! ```sh
//! cargo run -p nex-client --example list_nodes                         # the selected NATS context
//! cargo run -p nex-client --example list_nodes -- nats://127.0.0.1:4222
//! ```
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use futures_util::StreamExt as _;
use nex_client::discovery::WorkloadFilter;
use nex_client::{Client, ConnectOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = ConnectOptions::new().connection_name("list_nodes");
    if let Some(server) = std::env::args().nth(1) {
        options = options.server(server);
    }
    let client = Client::connect(options).await?;

    // Nodes are printed as they answer; the stream ends when no more do.
    let mut nodes = client.ping().await?;
    let mut count = 0;
    while let Some(node) = nodes.next().await {
        println!("{}  {}  up {}", node.node_id, node.version, node.uptime);
        count += 1;
    }
    println!("{count} nodes at {}", client.server());

    for workload in client.workloads(&WorkloadFilter::all()).await? {
        println!(
            "{}/{}  {}  {}  on {}",
            workload.namespace,
            workload.name,
            workload.workload_type,
            workload.id,
            workload.node_id.chars().take(8).collect::<String>(),
        );
    }
    Ok(())
}
