//! What functions may use of the node: the section `host_services`.

use serde::{Deserialize, Serialize};

use super::ByteSize;

/// What functions may use of the node: key-value and object stores, messaging and HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostServicesFile {
    /// Calls of host services that one workload may have under way at the same time. More are refused at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000), extend("x-unit" = "calls")))]
    pub max_concurrent_calls: Option<u32>,
    /// How many servers of a NATS cluster keep each bucket that is made for a workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 5), extend("x-unit" = "replicas")))]
    pub bucket_replicas: Option<u32>,
    /// The key-value store of each workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv: Option<HostKvFile>,
    /// The object store of each workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_store: Option<HostObjectStoreFile>,
    /// Messages that functions send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messaging: Option<HostMessagingFile>,
    /// HTTP requests that functions make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HostHttpFile>,
}

/// The key-value store of each workload: bucket `hs_{namespace}_{workload}_kv`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostKvFile {
    /// Whether functions have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long one call may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600_000), extend("x-unit" = "ms")))]
    pub timeout_ms: Option<u32>,
    /// The size of one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_value_bytes: Option<ByteSize>,
    /// The size of a bucket, for buckets that are made from now on. NATS sets this much of its storage aside for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1024)))]
    pub max_bucket_bytes: Option<ByteSize>,
}

/// The object store of each workload: bucket `hs_{namespace}_{workload}_os`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostObjectStoreFile {
    /// Whether functions have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long one call may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600_000), extend("x-unit" = "ms")))]
    pub timeout_ms: Option<u32>,
    /// The size of one object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_object_bytes: Option<ByteSize>,
    /// The size of a bucket, for buckets that are made from now on. NATS sets this much of its storage aside for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 4096)))]
    pub max_bucket_bytes: Option<ByteSize>,
}

/// Messages that functions send. Subjects that begin with `$`, inboxes and the node's own subjects are never among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostMessagingFile {
    /// Whether functions have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long `messaging.request` waits for its reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600_000), extend("x-unit" = "ms")))]
    pub request_timeout_ms: Option<u32>,
    /// How long `messaging.requestMany` collects replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600_000), extend("x-unit" = "ms")))]
    pub request_many_timeout_ms: Option<u32>,
    /// `messaging.requestMany` ends early when no further reply came for this long after one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600_000), extend("x-unit" = "ms")))]
    pub request_many_stall_ms: Option<u32>,
    /// Replies that one `messaging.requestMany` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000), extend("x-unit" = "replies")))]
    pub max_replies: Option<u32>,
    /// The size of all replies of one `messaging.requestMany` together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 1)))]
    pub max_reply_bytes: Option<ByteSize>,
    /// Subjects to which functions may send, with wildcards. `{namespace}` and `{workload}` stand for those of the workload. Empty: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Subjects to which functions may not send, in the same form. It counts more than `allow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<String>>,
}

/// HTTP requests that functions make. Only public addresses are reached, unless allowed here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostHttpFile {
    /// Whether functions have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long one call may take, redirects included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 600_000), extend("x-unit" = "ms")))]
    pub timeout_ms: Option<u32>,
    /// The size of a request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_request_bytes: Option<ByteSize>,
    /// The size of a response's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_response_bytes: Option<ByteSize>,
    /// Redirects that are followed; 0 hands the first one to the function.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 20), extend("x-unit" = "redirects")))]
    pub max_redirects: Option<u32>,
    /// Hosts that may be reached even at private addresses: `api.internal`, `*.svc.local`, `10.1.2.3`, each with a port if you like (`127.0.0.1:8080`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_hosts: Option<Vec<String>>,
    /// Networks that may be reached although they are private: `10.20.0.0/16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_networks: Option<Vec<String>>,
    /// The only hosts that may be reached, in the form of `allow_hosts`. Empty: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_hosts: Option<Vec<String>>,
    /// A PEM file of certificate authorities that are trusted beside those built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("x-default" = "none")))]
    pub ca_file: Option<String>,
}
