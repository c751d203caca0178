//! `--logger nats`: the node's own log, as the log of a workload `nex` in the
//! namespace `system`.

use nex_protocol::log::LogLine;
use nex_protocol::name::{Namespace, NodeId, WorkloadId};
use nex_protocol::subject::LogSubject;

use crate::logging::WaitingLines;

/// Publishes each line, until the log ends.
pub(super) async fn relay(mut lines: WaitingLines, nats: async_nats::Client, node: NodeId) {
    let Ok(workload) = "nex".parse() else { return };
    let id = WorkloadId::generate();
    let subject = LogSubject { namespace: Namespace::system(), node, workload, id }.to_string();
    while let Some(line) = lines.recv().await {
        let record = LogLine { level: line.level, text: line.text, id: id.to_string() };
        let Ok(payload) = serde_json::to_vec(&record) else { continue };
        // With NATS away there is nobody to tell; the library keeps some lines.
        let _ = nats.publish(subject.clone(), payload.into()).await;
    }
}
