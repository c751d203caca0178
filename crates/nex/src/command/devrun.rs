//! `nex devrun`: from a file on this machine to a running workload.

use nex_client::Client;
use nex_client::artifact::Upload;
use nex_client::deploy::{Artifact, workload_name_of};
use nex_protocol::digest::Digest;
use nex_protocol::key::SigningKey;
use nex_protocol::location::ArtifactLocation;
use nex_protocol::name::NodeId;

use super::launch::Launch;
use crate::args::{DevrunArgs, GlobalArgs};
use crate::exit::Exit;
use crate::input::object_key::object_key;
use crate::input::program;
use crate::output::{Printer, UploadBar};
use crate::{identity, session};

/// What the Go CLI says of such workloads, unless told otherwise.
const DESCRIPTION: &str = "Workload published in devmode";

pub(crate) async fn run(
    global: &GlobalArgs,
    args: DevrunArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let workload_type = program::inspect(&args.file)?;
    let stops_first = args.stops_first();
    let name = args.name.clone().unwrap_or_else(|| workload_name_of(&args.file));
    let launch = Launch::new(
        name,
        global.namespace(),
        workload_type,
        &args.environment,
        args.launch,
        DESCRIPTION,
    )?;
    let key = object_key(&args.file);
    // What no node would take is told before anything is made or sent.
    launch.workload(Artifact {
        location: ArtifactLocation::new("NEXCLIFILES", &key)?,
        digest: Digest::of(&[]),
        jetstream_domain: None,
    })?;
    let identity = identity::for_deploying(None, None, printer)?;
    let client = session::connect(global).await?;
    let node = client.resolve_node(args.node.as_deref()).await?;

    let size = std::fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
    let bar = UploadBar::new(printer.messages_on_terminal() && !printer.wants_json(), size);
    let upload = Upload::of_file(&args.file, key)
        .bucket_bytes(args.bucketmaxbytes)
        .description("uploaded by nex devrun");
    let uploaded = client.upload(&upload, |progress| bar.set(progress.sent)).await?;
    drop(bar);
    printer.message(&format!(
        "{} {} ({} bytes) as {}",
        if uploaded.was_there { "already uploaded:" } else { "uploaded" },
        args.file.display(),
        uploaded.size,
        uploaded.artifact.location
    ));

    // Only now: the old one serves until the new one can take over.
    if stops_first {
        stop_namesakes(&client, node.id, &launch, &identity.issuer, printer).await?;
    }
    launch.deploy(&client, &node, uploaded.artifact, &identity, printer).await?;
    Ok(Exit::Ok)
}

/// Stops what runs on the node under the name of the new workload.
async fn stop_namesakes(
    client: &Client,
    node: NodeId,
    launch: &Launch,
    issuer: &SigningKey,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let info = client.node_info(node, &launch.namespace).await?;
    for machine in info.machines {
        if !launch.name.is_asked_for_by(&machine.workload.name) {
            continue;
        }
        let Ok(id) = machine.id.parse() else { continue };
        client.stop(node, &launch.namespace, id, &launch.name, issuer).await.map_err(|error| {
            anyhow::Error::new(error).context(format!(
                "cannot stop the running {} ({id}); keep it with --no-stop, or choose another --name",
                launch.name
            ))
        })?;
        printer.message(&format!("stopped the running {} ({id})", launch.name));
    }
    Ok(())
}
