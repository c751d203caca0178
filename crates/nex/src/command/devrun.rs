//! `nex devrun`: from a file on this machine to a running workload.

mod file_changes;
mod watch;

use nex_client::Client;
use nex_client::deploy::workload_name_of;
use nex_client::discovery::ResolvedNode;
use nex_protocol::name::WorkloadId;

use super::launch::Launch;
use super::source::Source;
use crate::args::{DevrunArgs, GlobalArgs};
use crate::exit::Exit;
use crate::identity::Identity;
use crate::output::Printer;
use crate::{identity, session};

/// What the Go CLI says of such workloads, unless told otherwise.
const DESCRIPTION: &str = "Workload published in devmode";

/// Everything a deploy takes.
struct Project {
    source: Source,
    launch: Launch,
    identity: Identity,
    client: Client,
    node: ResolvedNode,
}

pub(crate) async fn run(
    global: &GlobalArgs,
    args: DevrunArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let stops_first = args.stops_first();
    let source = Source::new(args.file, args.bucketmaxbytes)?;
    let name = args.name.clone().unwrap_or_else(|| workload_name_of(source.file()));
    let launch = Launch::new(
        name,
        global.namespace(),
        source.workload_type(),
        &args.environment,
        args.launch,
        DESCRIPTION,
    )?;
    launch.workload(source.placeholder()?)?;
    let identity = identity::for_deploying(None, None, printer)?;
    let client = session::connect(global).await?;
    let node = client.resolve_node(args.node.as_deref()).await?;
    let project = Project { source, launch, identity, client, node };
    if args.watch {
        return watch::run(&project, stops_first, args.keep, printer).await;
    }
    let artifact = project.source.upload(&project.client, printer).await?;
    // Only now: the old one serves until the new one can take over.
    if stops_first {
        for id in project.namesakes().await? {
            project.stop(id, printer).await?;
        }
    }
    let Project { launch, identity, client, node, .. } = &project;
    launch.deploy(client, node, artifact, identity, printer).await?;
    Ok(Exit::Ok)
}

impl Project {
    /// What runs on the node under the name of the workload.
    async fn namesakes(&self) -> anyhow::Result<Vec<WorkloadId>> {
        self.launch.namesakes(&self.client, self.node.id).await
    }

    /// Stops one of them.
    async fn stop(&self, id: WorkloadId, printer: &mut Printer) -> anyhow::Result<()> {
        let Self { launch, identity, client, node, .. } = self;
        launch.stop(client, node.id, id, &identity.issuer).await.map_err(|error| {
            anyhow::Error::new(error).context(format!(
                "cannot stop the running {} ({id}); keep it with --no-stop, or choose another --name",
                launch.name
            ))
        })?;
        printer.message(&format!("stopped the running {} ({id})", launch.name));
        Ok(())
    }
}
