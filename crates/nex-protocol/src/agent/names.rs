//! Fixed names of the agent protocol.

/// Bucket of the node's object store that holds the artifact for agents of the old protocol,
/// under the name of the workload.
pub const CACHE_BUCKET: &str = "NEXCACHE";

/// Names of message headers. NATS compares them with regard to case; these are the spellings of
/// Go peers.
pub mod header {
    /// The subject a message was published to that triggered a function.
    pub const TRIGGER_SUBJECT: &str = "x-nex-trigger-subject";
    /// How long a function ran, in nanoseconds, as a decimal number. Go's Wasm replies lack it.
    pub const RUNTIME_NANOSECONDS: &str = "x-nex-runtime-ns";
    /// The W3C trace context of a call.
    pub const TRACE_PARENT: &str = "Traceparent";
    /// The URL of an HTTP call by a host service.
    pub const HTTP_URL: &str = "x-http-url";
    /// Ours: a header of an HTTP call by a host service, as `Name: value`; there may be several.
    pub const HTTP_HEADER: &str = "x-http-header";
    /// The key of a call to the key-value host service.
    pub const KEY_VALUE_KEY: &str = "x-keyvalue-key";
    /// The subject of a call to the messaging host service.
    pub const MESSAGING_SUBJECT: &str = "x-subject";
    /// The object of a call to the object-store host service.
    pub const OBJECT_NAME: &str = "x-object-name";
    /// Ours: marks the reply of a host service, or of a call of a function, as an error, and says
    /// which. The body counts for nothing then (an agent of the old protocol reads it all the
    /// same, so a host service repeats the error there).
    pub const ERROR: &str = "x-nex-error";
    /// Ours: beside [`ERROR`] in the reply to a call, what kind of failure it was, as the number
    /// of a [`CallFailure`](super::super::CallFailure).
    pub const ERROR_CODE: &str = "x-nex-error-code";
    /// Ours: the reply subject of the message that triggered a function. Only shown to the
    /// function: the answer goes through the node.
    pub const REPLY_SUBJECT: &str = "x-nex-reply-subject";
    /// Ours: milliseconds that a call has left when the node hands it over, as a decimal number.
    pub const TIME_LEFT: &str = "x-nex-time-left-ms";
    /// Ours: ends the replies to one `messaging.requestMany`; the message with it has no body and
    /// is none of them. Not sent to agents of the old protocol.
    pub const END: &str = "x-nex-end";
    /// Headers that begin with this, in any case, belong to node and agent. A node takes them off
    /// the messages of callers.
    pub const RESERVED_PREFIX: &str = "x-nex-";
}

/// Names of the environment variables through which an agent without a virtual machine finds
/// its node.
pub mod env {
    /// `false` when the agent runs without a virtual machine.
    pub const SANDBOX: &str = "NEX_SANDBOX";
    /// Id of the workload, and of the agent.
    pub const WORKLOAD_ID: &str = "NEX_WORKLOADID";
    /// Host of the node's endpoint for agents.
    pub const NODE_NATS_HOST: &str = "NEX_NODE_NATS_HOST";
    /// Port of the node's endpoint for agents.
    pub const NODE_NATS_PORT: &str = "NEX_NODE_NATS_PORT";
    /// Ours: path of the Unix socket of the node's endpoint; goes before host and port.
    pub const NODE_SOCKET: &str = "NEX_NODE_SOCKET";
    /// Ours: the secret that proves which agent this is.
    pub const AGENT_SECRET: &str = "NEX_AGENT_SECRET";
    /// Ours: an empty folder for the workload to work in.
    pub const WORKING_DIRECTORY: &str = "NEX_AGENT_WORKDIR";
}
