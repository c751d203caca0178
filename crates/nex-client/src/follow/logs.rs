//! Log lines of workloads.

use async_nats::Message;
use nex_protocol::log::{LogLevel, LogLine};
use nex_protocol::name::{Namespace, NodeId, WorkloadId, WorkloadName};
use nex_protocol::subject::{LogFilter, LogSubject};
use time::OffsetDateTime;

use super::{FollowError, Following};
use crate::client::Client;

/// Which log lines to follow.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is followed before `Client::logs`"]
pub struct LogQuery {
    filter: LogFilter,
    min_level: Option<LogLevel>,
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRecord {
    /// Namespace of the workload.
    pub namespace: Namespace,
    /// The node it runs on.
    pub node: NodeId,
    /// Name of the workload.
    pub workload: WorkloadName,
    /// Id of the workload.
    pub id: WorkloadId,
    /// How important the line is.
    pub level: LogLevel,
    /// The line, without the line break at its end. It is what a workload
    /// printed: escape control characters before they reach a terminal.
    pub text: String,
    /// When it came here, in UTC. Lines carry no time of their own.
    pub received: OffsetDateTime,
}

impl LogQuery {
    /// Everything on every node.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only this namespace.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.filter.namespace = Some(namespace);
        self
    }

    /// Only this node.
    pub fn node(mut self, node: NodeId) -> Self {
        self.filter.node = Some(node);
        self
    }

    /// Only workloads of this name.
    pub fn workload(mut self, name: WorkloadName) -> Self {
        self.filter.workload = Some(name);
        self
    }

    /// Only this workload.
    pub fn id(mut self, id: WorkloadId) -> Self {
        self.filter.id = Some(id);
        self
    }

    /// Only lines that are at least this important.
    pub fn min_level(mut self, level: LogLevel) -> Self {
        self.min_level = Some(level);
        self
    }

    fn read(&self, message: &Message) -> Option<LogRecord> {
        // Reads both orders of name and id: Go nodes swap them.
        let subject: LogSubject = message.subject.parse().ok()?;
        if !self.filter.matches(&subject) {
            return None;
        }
        let line = LogLine::decode(&message.payload).ok()?;
        if self.min_level.is_some_and(|least| line.level < least) {
            return None;
        }
        let mut text = line.text;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Some(LogRecord {
            namespace: subject.namespace,
            node: subject.node,
            workload: subject.workload,
            id: subject.id,
            level: line.level,
            text,
            received: OffsetDateTime::now_utc(),
        })
    }
}

impl Client {
    /// Follows log lines. When this returns, no line published from now on is
    /// missed.
    ///
    /// ```no_run
    /// # async fn run(client: nex_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::StreamExt as _;
    /// use nex_client::follow::LogQuery;
    ///
    /// let mut lines = client.logs(LogQuery::all().workload("echo".parse()?)).await?;
    /// while let Some(line) = lines.next().await {
    ///     println!("{} {} {}", line.workload, line.level, line.text);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn logs(&self, query: LogQuery) -> Result<Following<LogRecord>, FollowError> {
        self.follow(query.filter.patterns(), move |message| query.read(message)).await
    }
}
