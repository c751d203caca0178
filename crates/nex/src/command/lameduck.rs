//! `nex lameduck`: a node that takes no new work.

use crate::args::{GlobalArgs, LameduckArgs};
use crate::exit::Exit;
use crate::output::Printer;
use crate::session;

pub(crate) async fn run(
    global: &GlobalArgs,
    args: &LameduckArgs,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let client = session::connect(global).await?;
    let node = client.resolve_node(args.node.as_deref()).await?;
    let answer = client.lame_duck(node.id).await?;
    if printer.wants_json() {
        printer.document(&answer)?;
    } else {
        printer.line(&format!("{} takes no new workloads; what runs goes on", node.id))?;
    }
    Ok(Exit::Ok)
}
