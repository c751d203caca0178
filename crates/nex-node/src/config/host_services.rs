//! What functions may use of the node, checked.

use std::{path::PathBuf, time::Duration};

use nex_protocol::config::{
    ByteSize, HostHttpFile, HostKvFile, HostMessagingFile, HostObjectStoreFile, HostServicesFile,
};

use super::{
    check::Checker,
    host_rules::{HostRule, SubjectTemplate},
    subnet::Subnet,
};

/// What functions may use of the node. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostServicesConfig {
    /// Calls under way of one workload; more are refused.
    pub max_concurrent_calls: usize,
    /// Replicas of each bucket that is made.
    pub bucket_replicas: usize,
    /// Key-value stores.
    pub kv: HostKvConfig,
    /// Object stores.
    pub object_store: HostObjectStoreConfig,
    /// Messages.
    pub messaging: HostMessagingConfig,
    /// HTTP requests.
    pub http: HostHttpConfig,
}

/// The key-value store of each workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKvConfig {
    /// Whether functions have it.
    pub enabled: bool,
    /// Limit of one call.
    pub timeout: Duration,
    /// Size of one value.
    pub max_value_bytes: usize,
    /// Size of a bucket, for those that are made from now on.
    pub max_bucket_bytes: u64,
}

/// The object store of each workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostObjectStoreConfig {
    /// Whether functions have it.
    pub enabled: bool,
    /// Limit of one call.
    pub timeout: Duration,
    /// Size of one object.
    pub max_object_bytes: usize,
    /// Size of a bucket, for those that are made from now on.
    pub max_bucket_bytes: u64,
}

/// Messages that functions send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMessagingConfig {
    /// Whether functions have it.
    pub enabled: bool,
    /// How long a request waits for its reply.
    pub request_timeout: Duration,
    /// How long replies of one request for many are collected.
    pub request_many_timeout: Duration,
    /// How long after a reply the next one is waited for.
    pub request_many_stall: Duration,
    /// Replies of one request for many.
    pub max_replies: usize,
    /// Size of them together.
    pub max_reply_bytes: usize,
    /// Where functions may send; empty: anywhere.
    pub allow: Vec<SubjectTemplate>,
    /// Where they may not, whatever `allow` says.
    pub deny: Vec<SubjectTemplate>,
}

/// HTTP requests that functions make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostHttpConfig {
    /// Whether functions have it.
    pub enabled: bool,
    /// Limit of one call, redirects included.
    pub timeout: Duration,
    /// Size of a request's body.
    pub max_request_bytes: usize,
    /// Size of a response's body.
    pub max_response_bytes: usize,
    /// Redirects that are followed.
    pub max_redirects: usize,
    /// Hosts that may be private.
    pub allow_hosts: Vec<HostRule>,
    /// Networks that may be reached although they are private.
    pub allow_networks: Vec<Subnet>,
    /// The only hosts; empty: any.
    pub only_hosts: Vec<HostRule>,
    /// Certificate authorities beside those built in (PEM).
    pub ca_file: Option<PathBuf>,
}

/// The value of every key of the section that nobody sets.
pub(super) fn fill(file: HostServicesFile) -> HostServicesFile {
    let kv = file.kv.unwrap_or_default();
    let objects = file.object_store.unwrap_or_default();
    let messaging = file.messaging.unwrap_or_default();
    let http = file.http.unwrap_or_default();
    let kibibytes = |kibibytes: u64| Some(ByteSize::bytes(kibibytes << 10));
    HostServicesFile {
        max_concurrent_calls: file.max_concurrent_calls.or(Some(32)),
        bucket_replicas: file.bucket_replicas.or(Some(1)),
        kv: Some(HostKvFile {
            enabled: kv.enabled.or(Some(true)),
            timeout_ms: kv.timeout_ms.or(Some(2_000)),
            max_value_bytes: kv.max_value_bytes.or(kibibytes(512)),
            max_bucket_bytes: kv.max_bucket_bytes.or(kibibytes(8 << 10)),
        }),
        object_store: Some(HostObjectStoreFile {
            enabled: objects.enabled.or(Some(true)),
            timeout_ms: objects.timeout_ms.or(Some(5_000)),
            max_object_bytes: objects.max_object_bytes.or(kibibytes(960)),
            max_bucket_bytes: objects.max_bucket_bytes.or(kibibytes(64 << 10)),
        }),
        messaging: Some(HostMessagingFile {
            enabled: messaging.enabled.or(Some(true)),
            request_timeout_ms: messaging.request_timeout_ms.or(Some(500)),
            request_many_timeout_ms: messaging.request_many_timeout_ms.or(Some(3_000)),
            request_many_stall_ms: messaging.request_many_stall_ms.or(Some(300)),
            max_replies: messaging.max_replies.or(Some(256)),
            max_reply_bytes: messaging.max_reply_bytes.or(kibibytes(4 << 10)),
            allow: messaging.allow.or_else(|| Some(Vec::new())),
            deny: messaging.deny.or_else(|| Some(Vec::new())),
        }),
        http: Some(HostHttpFile {
            enabled: http.enabled.or(Some(true)),
            timeout_ms: http.timeout_ms.or(Some(5_000)),
            max_request_bytes: http.max_request_bytes.or(kibibytes(960)),
            max_response_bytes: http.max_response_bytes.or(kibibytes(512)),
            max_redirects: http.max_redirects.or(Some(5)),
            allow_hosts: http.allow_hosts.or_else(|| Some(Vec::new())),
            allow_networks: http.allow_networks.or_else(|| Some(Vec::new())),
            only_hosts: http.only_hosts.or_else(|| Some(Vec::new())),
            ca_file: http.ca_file,
        }),
    }
}

fn count(number: Option<u32>) -> usize {
    number.map_or(usize::MAX, |number| number as usize)
}

fn memory(size: Option<ByteSize>) -> usize {
    size.map_or(usize::MAX, |size| usize::try_from(size.as_u64()).unwrap_or(usize::MAX))
}

fn milliseconds(ms: Option<u32>) -> Duration {
    Duration::from_millis(ms.unwrap_or_default().into())
}

impl Checker<'_> {
    /// Reads the section with its defaults.
    pub(super) fn host_services(&mut self, file: &HostServicesFile) -> HostServicesConfig {
        let kv = file.kv.clone().unwrap_or_default();
        let objects = file.object_store.clone().unwrap_or_default();
        let messaging = file.messaging.clone().unwrap_or_default();
        let http = file.http.clone().unwrap_or_default();
        // What NATS counts bytes in.
        let bucket = |size: Option<ByteSize>| {
            size.map_or(u64::MAX, ByteSize::as_u64).min(i64::MAX.unsigned_abs())
        };
        HostServicesConfig {
            max_concurrent_calls: count(file.max_concurrent_calls),
            bucket_replicas: count(file.bucket_replicas),
            kv: HostKvConfig {
                enabled: kv.enabled.unwrap_or_default(),
                timeout: milliseconds(kv.timeout_ms),
                max_value_bytes: memory(kv.max_value_bytes),
                max_bucket_bytes: bucket(kv.max_bucket_bytes),
            },
            object_store: HostObjectStoreConfig {
                enabled: objects.enabled.unwrap_or_default(),
                timeout: milliseconds(objects.timeout_ms),
                max_object_bytes: memory(objects.max_object_bytes),
                max_bucket_bytes: bucket(objects.max_bucket_bytes),
            },
            messaging: HostMessagingConfig {
                enabled: messaging.enabled.unwrap_or_default(),
                request_timeout: milliseconds(messaging.request_timeout_ms),
                request_many_timeout: milliseconds(messaging.request_many_timeout_ms),
                request_many_stall: milliseconds(messaging.request_many_stall_ms),
                max_replies: count(messaging.max_replies),
                max_reply_bytes: memory(messaging.max_reply_bytes),
                allow: self.subjects("allow", messaging.allow.as_deref()),
                deny: self.subjects("deny", messaging.deny.as_deref()),
            },
            http: HostHttpConfig {
                enabled: http.enabled.unwrap_or_default(),
                timeout: milliseconds(http.timeout_ms),
                max_request_bytes: memory(http.max_request_bytes),
                max_response_bytes: memory(http.max_response_bytes),
                max_redirects: count(http.max_redirects),
                allow_hosts: self.hosts("allow_hosts", http.allow_hosts.as_deref()),
                allow_networks: self.list(
                    "host_services.http.allow_networks",
                    http.allow_networks.as_deref(),
                    "a network, such as \"10.20.0.0/16\"",
                ),
                only_hosts: self.hosts("only_hosts", http.only_hosts.as_deref()),
                ca_file: http.ca_file.map(PathBuf::from),
            },
        }
    }

    /// One of a store has to fit into the whole. What nobody set is made to.
    pub(super) fn host_store_sizes(&mut self, file: &mut HostServicesFile) {
        let kv = file.kv.get_or_insert_default();
        let key = "host_services.kv.max_value_bytes";
        self.fits(key, &mut kv.max_value_bytes, "kv", kv.max_bucket_bytes);
        let objects = file.object_store.get_or_insert_default();
        let key = "host_services.object_store.max_object_bytes";
        self.fits(key, &mut objects.max_object_bytes, "object_store", objects.max_bucket_bytes);
    }

    fn fits(&mut self, key: &str, one: &mut Option<ByteSize>, store: &str, all: Option<ByteSize>) {
        let (Some(size), Some(all)) = (*one, all) else { return };
        if size > all && self.is_given(key) {
            let other = format!("host_services.{store}.max_bucket_bytes is {all}");
            self.contradiction(key, size.to_string(), other, "it must fit into the bucket");
        } else if size > all {
            *one = Some(all);
        }
    }

    fn subjects(&mut self, key: &str, texts: Option<&[String]>) -> Vec<SubjectTemplate> {
        let key = format!("host_services.messaging.{key}");
        self.list(&key, texts, "a subject, such as \"orders.>\" or \"{namespace}.>\"")
    }

    fn hosts(&mut self, key: &str, texts: Option<&[String]>) -> Vec<HostRule> {
        let key = format!("host_services.http.{key}");
        let what = "a host, such as \"api.internal\", \"*.svc.local\" or \"10.1.2.3:8080\"";
        self.list(&key, texts, what)
    }
}
