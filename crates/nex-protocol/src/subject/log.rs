//! The subjects of log lines: `$NEX.logs.{namespace}.{node}.{workload}.{id}`.

use std::fmt;
use std::str::FromStr;

use super::{NEX_TOKEN, SubjectError, SubjectPattern, exact_tokens};
use crate::name::{NameError, Namespace, NodeId, WorkloadId, WorkloadName};
use crate::text_serde::text_serde;

const LOGS: &str = "logs";

/// The subject on which a line of a workload's log is published.
///
/// Prints the documented order, name before id. A Go node publishes the output of workloads with
/// the two swapped, so both orders are read. Where both tokens could be either, the documented
/// order is taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogSubject {
    /// Where the workload belongs.
    pub namespace: Namespace,
    /// The node it runs on.
    pub node: NodeId,
    /// Its name.
    pub workload: WorkloadName,
    /// Its id.
    pub id: WorkloadId,
}

impl FromStr for LogSubject {
    type Err = SubjectError;

    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        let [NEX_TOKEN, LOGS, namespace, node, first, second] = exact_tokens(subject)? else {
            return Err(SubjectError::Unknown);
        };
        let (workload, id) = name_and_id(first, second)?;
        Ok(Self { namespace: namespace.parse()?, node: node.parse()?, workload, id })
    }
}

fn name_and_id(first: &str, second: &str) -> Result<(WorkloadName, WorkloadId), NameError> {
    let in_order = |name: &str, id: &str| Ok((name.parse()?, id.parse()?));
    in_order(first, second).or_else(|error| in_order(second, first).map_err(|_| error))
}

impl fmt::Display for LogSubject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, node, workload, id } = self;
        write!(formatter, "{NEX_TOKEN}.{LOGS}.{namespace}.{node}.{workload}.{id}")
    }
}

text_serde!(LogSubject, "the subject of a log line");

/// Which log lines to receive. None means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogFilter {
    /// Those of this namespace.
    pub namespace: Option<Namespace>,
    /// Those of this node.
    pub node: Option<NodeId>,
    /// Those of workloads with this name.
    pub workload: Option<WorkloadName>,
    /// Those of this workload.
    pub id: Option<WorkloadId>,
}

impl LogFilter {
    /// The patterns to subscribe to: one, or two where the filter names a workload, since a Go
    /// node swaps name and id. A line may match both; use [`LogFilter::matches`] as well.
    #[must_use]
    pub fn patterns(&self) -> Vec<SubjectPattern> {
        let namespace = self.namespace.as_ref().map_or("*", Namespace::as_str);
        let node = self.node.as_ref().map(ToString::to_string);
        let node = node.as_deref().unwrap_or("*");
        let name = self.workload.as_ref().map_or("*", WorkloadName::as_str);
        let id = self.id.as_ref().map_or("*", WorkloadId::as_str);
        let pattern = |first: &str, second: &str| {
            SubjectPattern::from_parts(&[&NEX_TOKEN, &LOGS, &namespace, &node, &first, &second])
        };
        if name == id {
            vec![pattern("*", "*")]
        } else {
            vec![pattern(name, id), pattern(id, name)]
        }
    }

    /// Whether a line on this subject passes the filter.
    #[must_use]
    pub fn matches(&self, subject: &LogSubject) -> bool {
        self.namespace.as_ref().is_none_or(|wanted| *wanted == subject.namespace)
            && self.node.is_none_or(|wanted| wanted == subject.node)
            && self.workload.as_ref().is_none_or(|wanted| *wanted == subject.workload)
            && self.id.is_none_or(|wanted| wanted == subject.id)
    }
}
