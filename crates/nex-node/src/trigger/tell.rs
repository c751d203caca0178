//! What the world is told about calls: events, and a line in the workload's log for failures.

use std::time::Duration;

use nex_protocol::log::LogLevel;
use nex_protocol::subject::TriggerSubject;

use super::outcome::Failure;
use super::tally::Summary;
use crate::observe::{Publisher, WorkloadTag};

/// Tells about calls.
#[derive(Debug)]
pub(super) struct Teller(pub(super) Publisher);

impl Teller {
    /// `count` calls succeeded and ran for `elapsed` each.
    pub(super) fn success(
        &self,
        tag: &WorkloadTag,
        trigger: &TriggerSubject,
        elapsed: Duration,
        count: u64,
    ) {
        self.0.function_succeeded(tag, trigger, elapsed, count);
    }

    /// `count` calls failed, the last of them so.
    pub(super) fn failure(
        &self,
        tag: &WorkloadTag,
        trigger: &TriggerSubject,
        failure: &Failure,
        count: u64,
    ) {
        let text = failure.text.as_ref();
        self.0.function_failed(tag, trigger, text, count);
        let line = if count == 1 {
            format!("a call on {trigger} failed ({}): {text}", failure.kind)
        } else {
            format!("{count} calls on {trigger} failed, the last one ({}): {text}", failure.kind)
        };
        self.0.node_log(tag, LogLevel::WARN, line);
    }

    /// Several calls at once.
    pub(super) fn summary(&self, tag: &WorkloadTag, trigger: &TriggerSubject, summary: &Summary) {
        if summary.successes > 0 {
            let nanos = summary.elapsed.as_nanos() / u128::from(summary.successes);
            let mean = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            self.success(tag, trigger, mean, summary.successes);
        }
        if let Some(last) = &summary.last {
            self.failure(tag, trigger, last, summary.failures);
        }
    }
}
