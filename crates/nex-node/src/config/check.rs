//! The rules that a schema cannot express.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use nex_protocol::{
    config::{ByteSize, NodeConfigFile, PublicNatsServerFile, SandboxChoice},
    control::WorkloadType,
};

use super::{
    ArtifactCacheConfig, Config, Limits, LogLimits, PublicNatsServer, defaults,
    problem::{Origin, Place, Problem, ProblemKind, Problems, Warning, WarningKind},
};

/// Tags of this prefix are the node's own.
const OWN_TAGS: &str = "nex.";

/// Finds problems and remembers where things are.
struct Checker<'a> {
    places: &'a BTreeMap<String, Place>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Checker<'_> {
    fn place(&self, key: &str) -> Place {
        self.places.get(key).cloned().unwrap_or(Place::program())
    }

    fn problem(&mut self, key: &str, kind: ProblemKind) {
        self.problems.push(Problem { place: self.place(key), key: key.to_owned(), kind });
    }

    fn unexpected(&mut self, key: &str, found: &str, expected: &str) {
        let (found, expected) = (super::document::describe_text(found), expected.to_owned());
        self.problem(key, ProblemKind::Unexpected { found, expected });
    }

    fn warn(&mut self, key: &str, kind: WarningKind) {
        self.warnings.push(Warning { place: self.place(key), key: key.to_owned(), kind });
    }

    /// Parses every text of a list; `what` says what each must be.
    fn list<T: std::str::FromStr>(&mut self, key: &str, texts: &[String], what: &str) -> Vec<T> {
        let mut parsed = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match text.parse() {
                Ok(value) => parsed.push(value),
                Err(_) => self.unexpected(&format!("{key}[{index}]"), text, what),
            }
        }
        parsed
    }

    fn address(&mut self, key: &str, text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| {
            self.unexpected(key, text, "an IP address, such as \"127.0.0.1\"");
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        })
    }

    fn sandbox(&mut self, file: &NodeConfigFile, from_file: bool) -> SandboxChoice {
        match (file.sandbox, file.no_sandbox) {
            (Some(sandbox), Some(none)) if none != (sandbox == SandboxChoice::Process) => {
                let found = none.to_string();
                let other = format!("sandbox is \"{sandbox}\"");
                let remedy = "remove no_sandbox";
                self.problem("no_sandbox", ProblemKind::Contradiction { found, other, remedy });
                sandbox
            }
            (Some(sandbox), _) => sandbox,
            (None, Some(true)) => SandboxChoice::Process,
            // What a file of the Go node means that says nothing.
            (None, None) if from_file => SandboxChoice::Firecracker,
            (None, Some(false)) => SandboxChoice::Firecracker,
            (None, None) => SandboxChoice::Auto,
        }
    }

    fn workload_types(&mut self, texts: &[String]) -> Vec<WorkloadType> {
        let types: Vec<WorkloadType> =
            self.list("workload_types", texts, "one of \"elf\", \"v8\", \"wasm\", \"oci\"");
        if types.iter().any(|kind| *kind != WorkloadType::Elf) {
            self.warn("workload_types", WarningKind::OnlyServices);
        }
        types.into_iter().filter(|kind| *kind == WorkloadType::Elf).take(1).collect()
    }

    fn tags(&mut self, tags: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        for (tag, value) in tags {
            if tag.starts_with(OWN_TAGS) {
                self.warn(&super::shape::join("tags", &tag), WarningKind::ReservedTag);
            } else {
                kept.insert(tag, value);
            }
        }
        kept
    }

    fn bus_tcp(&mut self, file: &NodeConfigFile, sandbox: SandboxChoice) -> Option<SocketAddr> {
        let explicit = self.places.contains_key("internal_node_host")
            || self.places.contains_key("internal_node_port");
        let wanted = explicit || file.legacy_agents == Some(true) || sandbox.is_virtual_machine();
        if !wanted {
            return None;
        }
        let host = match &file.internal_node_host {
            Some(host) => self.address("internal_node_host", host),
            None if sandbox.is_virtual_machine() => IpAddr::V4(Ipv4Addr::new(192, 168, 127, 1)),
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        Some(SocketAddr::new(host, file.internal_node_port.unwrap_or_default()))
    }

    fn nats_server(&mut self, server: PublicNatsServerFile) -> PublicNatsServer {
        let host = server.addr.as_deref().unwrap_or("127.0.0.1");
        PublicNatsServer {
            host: self.address("public_nats_server.addr", host),
            port: server.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
            jetstream: server.jetstream.unwrap_or(true),
            store_dir: server.store_dir.map(PathBuf::from),
            server_name: server.server_name,
        }
    }
}

/// Checks a file whose keys have the right types.
pub(super) fn check(
    file: NodeConfigFile,
    places: &BTreeMap<String, Place>,
    from_file: bool,
) -> Result<(Config, Vec<Warning>), Problems> {
    let origins = places.iter().map(|(key, place)| (key.clone(), place.origin)).collect();
    let mut checker = Checker { places, problems: Vec::new(), warnings: Vec::new() };
    let sandbox = checker.sandbox(&file, from_file);
    let mut file = defaults::fill(file);
    file.sandbox = Some(sandbox);
    let limits = file.limits.clone().unwrap_or_default();
    let cache = file.artifact_cache.clone().unwrap_or_default();
    let logs = file.logs.clone().unwrap_or_default();
    let bytes = |size: Option<ByteSize>| size.map_or(u64::MAX, ByteSize::as_u64);
    let count = |number: Option<u32>| number.map_or(usize::MAX, |number| number as usize);
    let milliseconds = |ms: Option<u32>| Duration::from_millis(ms.unwrap_or_default().into());
    let config = Config {
        sandbox,
        state_dir: file.state_dir.clone().map(PathBuf::from),
        node_name: file.node_name.clone(),
        tags: checker.tags(file.tags.clone().unwrap_or_default()),
        pool_size: count(file.machine_pool_size),
        handshake_timeout: milliseconds(file.agent_handshake_timeout_ms),
        agent_path: file.agent_path.clone().map(PathBuf::from),
        legacy_agents: file.legacy_agents.unwrap_or_default(),
        bus_tcp: checker.bus_tcp(&file, sandbox),
        valid_issuers: checker.list(
            "valid_issuers",
            file.valid_issuers.as_deref().unwrap_or_default(),
            "a public key, such as an account's (A…)",
        ),
        requester_public_keys: checker.list(
            "requester_public_keys",
            file.requester_public_keys.as_deref().unwrap_or_default(),
            "a public curve key (X…)",
        ),
        require_artifact_hash: file.require_artifact_hash.unwrap_or_default(),
        workload_types: checker.workload_types(file.workload_types.as_deref().unwrap_or_default()),
        limits: Limits {
            max_workloads: count(limits.max_workloads),
            max_concurrent_deploys: count(limits.max_concurrent_deploys),
            max_artifact_bytes: bytes(limits.max_artifact_bytes),
        },
        artifact_cache: ArtifactCacheConfig {
            max_bytes: bytes(cache.max_bytes),
            dir: cache.dir.map(PathBuf::from),
        },
        logs: LogLimits {
            lines_per_second: logs.lines_per_second.unwrap_or(u32::MAX),
            bytes_per_second: bytes(logs.bytes_per_second),
        },
        stop_grace: milliseconds(file.stop_grace_ms),
        drain_deadline: milliseconds(file.drain_deadline_ms),
        public_nats_server: file
            .public_nats_server
            .clone()
            .map(|server| checker.nats_server(server)),
        file,
        origins,
    };
    let Checker { problems, warnings, .. } = checker;
    Problems::none_or(problems)?;
    Ok((config, warnings))
}

impl Place {
    /// A value that a program gave.
    pub(super) const fn program() -> Self {
        Self { origin: Origin::Program, file: None, position: None }
    }
}
