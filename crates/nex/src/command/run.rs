//! `nex run`: a program that is in an object store already.

use anyhow::Context;
use async_nats::jetstream;
use nex_client::Client;
use nex_client::deploy::{Artifact, workload_name_of};
use nex_protocol::digest::Digest;
use nex_protocol::location::ArtifactLocation;

use super::launch::Launch;
use crate::args::{GlobalArgs, RunArgs};
use crate::exit::{Exit, usage};
use crate::output::Printer;
use crate::{identity, session};

pub(crate) async fn run(
    global: &GlobalArgs,
    args: RunArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let location: ArtifactLocation = args.url.parse().map_err(usage)?;
    let name = match args.name {
        Some(name) => name,
        None => workload_name_of(std::path::Path::new(location.key())),
    };
    // The first of the rest is the node, unless it is a pair already.
    let (node, pairs) = match args.rest.split_first() {
        Some((first, pairs)) if !first.contains('=') => (Some(first.as_str()), pairs),
        _ => (None, args.rest.as_slice()),
    };
    let workload_type = args.workload_type.into();
    let launch = Launch::new(name, global.namespace(), workload_type, pairs, args.launch, "")?;
    let identity = identity::for_deploying(args.issuer.as_deref(), args.xkey.as_deref(), printer)?;
    let mut client = session::connect(global).await?;
    if let Some(domain) = args.jsdomain.filter(|domain| !domain.is_empty()) {
        client = client.with_jetstream_domain(domain);
    }
    let artifact = Artifact {
        digest: digest_of(&client, &location).await?,
        jetstream_domain: client.jetstream_domain().map(str::to_owned),
        location,
    };
    let node = client.resolve_node(node).await?;
    launch.deploy(&client, &node, artifact, &identity, printer).await?;
    Ok(Exit::Ok)
}

/// The digest that the object store keeps of the object: what is signed is
/// what lies there now.
async fn digest_of(client: &Client, location: &ArtifactLocation) -> anyhow::Result<Digest> {
    let nats = client.nats().clone();
    let jetstream = match client.jetstream_domain() {
        Some(domain) => jetstream::with_domain(nats, domain),
        None => jetstream::new(nats),
    };
    let bucket = jetstream.get_object_store(location.bucket()).await.with_context(|| {
        format!(
            "there is no bucket {}; make it with `nats object add`, or upload with `nex devrun`",
            location.bucket()
        )
    })?;
    let info = bucket.info(location.key()).await.with_context(|| {
        format!(
            "there is no object {location}; list the bucket with `nats object ls {}`",
            location.bucket()
        )
    })?;
    let digest = info.digest.with_context(|| {
        format!("the object {location} was stored without a digest; upload it again")
    })?;
    digest.parse().with_context(|| {
        format!("the object {location} has an unknown kind of digest; upload it again")
    })
}
