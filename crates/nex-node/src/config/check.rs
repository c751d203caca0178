//! The rules that a schema cannot express.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use nex_protocol::{
    config::{
        ByteSize, FunctionsFile, NamespaceNetwork, NodeConfigFile, PublicNatsServerFile,
        SandboxChoice, TokenBucketFile,
    },
    control::WorkloadType,
};

use super::{
    ArtifactCacheConfig, CompiledCacheConfig, Config, FunctionsConfig, Limits, LogLimits,
    NamespaceSettings, PublicNatsServer, Settings, defaults,
    document::describe_text,
    paths,
    problem::{Origin, Place, Problem, ProblemKind, Warning, WarningKind},
    shape::join,
    subnet::Subnet,
    surroundings::Surroundings,
};

/// Tags of this prefix are the node's own.
const OWN_TAGS: &str = "nex.";

/// The tag that Go nodes carry their name in.
const NAME_TAG: &str = "node_name";

/// Every answer to a ping carries the tags; these bounds keep it far below what NATS takes.
const MAX_TAGS: usize = 64;
const MAX_TAG_BYTES: usize = 128;
const MAX_TAG_VALUE_BYTES: usize = 1024;

/// A smaller folder for a workload's files is of no use, bytes.
const MIN_SCRATCH_BYTES: u64 = 64 << 10;

/// Longest name of a node or a server, bytes.
const MAX_NAME_BYTES: usize = 64;

/// What became of a file whose keys have the right types.
pub(super) struct Checked {
    /// Only to be used if there are no problems.
    pub(super) config: Config,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
}

/// Checks a file whose keys have the right types. `document` says that there is one, or a value
/// that stands for one, and not only flags or a program's builder.
pub(super) fn check(
    mut file: NodeConfigFile,
    places: BTreeMap<String, Place>,
    document: bool,
    surroundings: &Surroundings,
) -> Checked {
    let mut checker = Checker { places: &places, problems: Vec::new(), warnings: Vec::new() };
    for key in paths::tidy(&mut file, surroundings.home.as_deref()) {
        checker.unexpected(&key, "~", "an absolute path, since HOME is not set");
    }
    file.sandbox = Some(checker.sandbox(&file, document));
    file.no_sandbox = None;
    checker.node_name(&mut file);
    let mut file = defaults::fill(file, surroundings);
    checker.artifact_sizes(&mut file);
    checker.host_store_sizes(file.host_services.get_or_insert_default());
    checker.call_timeouts(&mut file);
    checker.virtual_machines(&mut file);
    let settings = checker.settings(&mut file);
    let Checker { problems, warnings, .. } = checker;
    Checked { config: Config::new(settings, file, places), problems, warnings }
}

/// Finds problems and knows where things are.
pub(super) struct Checker<'a> {
    places: &'a BTreeMap<String, Place>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Checker<'_> {
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    fn place(&self, key: &str) -> Place {
        self.places.get(key).cloned().unwrap_or(Place::of(Origin::Default))
    }

    fn problem(&mut self, key: &str, kind: ProblemKind) {
        self.problems.push(Problem { place: self.place(key), key: key.to_owned(), kind });
    }

    fn unexpected(&mut self, key: &str, found: &str, expected: &str) {
        let (found, expected) = (describe_text(found), expected.to_owned());
        self.problem(key, ProblemKind::Unexpected { found, expected });
    }

    pub(super) fn contradiction(
        &mut self,
        key: &str,
        found: String,
        other: String,
        remedy: &'static str,
    ) {
        self.problem(key, ProblemKind::Contradiction { found, other, remedy });
    }

    fn warn(&mut self, key: &str, kind: WarningKind) {
        self.warnings.push(Warning { place: self.place(key), key: key.to_owned(), kind });
    }

    /// Parses every text of a list; `what` says what each must be.
    pub(super) fn list<T: FromStr>(
        &mut self,
        key: &str,
        texts: Option<&[String]>,
        what: &str,
    ) -> Vec<T> {
        let mut parsed = Vec::new();
        for (index, text) in texts.unwrap_or_default().iter().enumerate() {
            match text.trim().parse() {
                Ok(value) => parsed.push(value),
                Err(_) => self.unexpected(&format!("{key}[{index}]"), text, what),
            }
        }
        parsed
    }

    fn address(&mut self, key: &str, text: &str) -> IpAddr {
        const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if text.eq_ignore_ascii_case("localhost") {
            return LOOPBACK;
        }
        text.parse().unwrap_or_else(|_| {
            self.unexpected(key, text, "an IP address, such as \"127.0.0.1\"");
            LOOPBACK
        })
    }

    fn sandbox(&mut self, file: &NodeConfigFile, document: bool) -> SandboxChoice {
        match (file.sandbox, file.no_sandbox) {
            (Some(sandbox), Some(none)) if none != (sandbox == SandboxChoice::Process) => {
                let other = format!("sandbox is \"{sandbox}\"");
                self.contradiction("no_sandbox", none.to_string(), other, "remove no_sandbox");
                sandbox
            }
            (Some(sandbox), _) => sandbox,
            (None, Some(true)) => SandboxChoice::Process,
            // What a file of the Go node means that says nothing.
            (None, None) if document => SandboxChoice::Firecracker,
            (None, Some(false)) => SandboxChoice::Firecracker,
            (None, None) => SandboxChoice::Auto,
        }
    }

    /// The key and the tag of the Go node are the same thing; a flag counts more than a file.
    fn node_name(&mut self, file: &mut NodeConfigFile) {
        let tag = file.tags.as_mut().and_then(|tags| tags.remove(NAME_TAG));
        let tag_key = join("tags", NAME_TAG);
        let (key, name) = match (file.node_name.take(), tag) {
            (None, None) => return,
            (Some(name), None) => ("node_name", name),
            (None, Some(tag)) => (tag_key.as_str(), tag),
            (Some(name), Some(tag)) => {
                let (place, tag_place) = (self.place("node_name"), self.place(&tag_key));
                if name != tag && place.origin == tag_place.origin {
                    let other = format!("{tag_key} is {}", describe_text(&tag));
                    let remedy = "leave one of them out";
                    self.contradiction("node_name", describe_text(&name), other, remedy);
                }
                if tag_place.origin == Origin::Flag && place.origin != Origin::Flag {
                    (tag_key.as_str(), tag)
                } else {
                    ("node_name", name)
                }
            }
        };
        self.name(key, &name);
        file.node_name = Some(name);
    }

    fn name(&mut self, key: &str, name: &str) {
        let printable = name.chars().all(|c| !c.is_control());
        if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || !printable {
            let expected = format!("a name of at most {MAX_NAME_BYTES} bytes on one line");
            self.unexpected(key, name, &expected);
        }
    }

    fn tags(&mut self, tags: &mut BTreeMap<String, String>) {
        if tags.len() > MAX_TAGS {
            let expected = format!("at most {MAX_TAGS} tags");
            let found = format!("{} tags", tags.len());
            self.problem("tags", ProblemKind::Unexpected { found, expected });
        }
        let mut own = Vec::new();
        for (tag, value) in tags.iter() {
            let key = join("tags", tag);
            if tag.starts_with(OWN_TAGS) {
                own.push(key);
            } else if tag.is_empty() || tag.len() > MAX_TAG_BYTES {
                let expected = format!("a name of 1 to {MAX_TAG_BYTES} bytes");
                self.problem(&key, ProblemKind::Unexpected { found: describe_text(tag), expected });
            } else if value.len() > MAX_TAG_VALUE_BYTES {
                self.unexpected(&key, value, &format!("at most {MAX_TAG_VALUE_BYTES} bytes long"));
            }
        }
        for key in own {
            self.warn(&key, WarningKind::ReservedTag);
        }
        tags.retain(|tag, _| !tag.starts_with(OWN_TAGS));
    }

    fn workload_types(&mut self, texts: Option<&[String]>) -> Vec<WorkloadType> {
        const RUN: [WorkloadType; 3] = [WorkloadType::Elf, WorkloadType::V8, WorkloadType::Wasm];
        let types: Vec<WorkloadType> =
            self.list("workload_types", texts, "one of \"elf\", \"v8\", \"wasm\", \"oci\"");
        if types.iter().any(|kind| !RUN.contains(kind)) {
            self.warn("workload_types", WarningKind::NoImages);
        }
        RUN.into_iter().filter(|kind| types.contains(kind)).collect()
    }

    /// A deploy that does not say how long a call may take has to be one that is allowed.
    fn call_timeouts(&mut self, file: &mut NodeConfigFile) {
        let functions = file.functions.get_or_insert_default();
        let (Some(usual), Some(longest)) =
            (functions.call_timeout_ms, functions.max_call_timeout_ms)
        else {
            return;
        };
        if usual <= longest {
            return;
        }
        if self.is_given("functions.max_call_timeout_ms") {
            let other = format!("functions.call_timeout_ms is {usual}");
            let remedy = "no call may take longer than the longest";
            let key = "functions.max_call_timeout_ms";
            self.contradiction(key, longest.to_string(), other, remedy);
        } else {
            functions.max_call_timeout_ms = Some(usual);
        }
    }

    fn functions(file: &FunctionsFile) -> FunctionsConfig {
        let bytes = |size: Option<ByteSize>| size.map_or(u64::MAX, ByteSize::as_u64);
        let milliseconds = |ms: Option<u32>| Duration::from_millis(ms.unwrap_or_default().into());
        let cache = file.compiled_cache.clone().unwrap_or_default();
        FunctionsConfig {
            call_timeout: milliseconds(file.call_timeout_ms),
            max_call_timeout: milliseconds(file.max_call_timeout_ms),
            max_concurrent_calls: file.max_concurrent_calls.unwrap_or(u32::MAX),
            max_concurrent_calls_node: file.max_concurrent_calls_node.unwrap_or(u32::MAX),
            queue_length: file.queue_length.unwrap_or_default() as usize,
            queue_wait: milliseconds(file.queue_wait_ms),
            max_memory_bytes: bytes(file.max_memory_bytes),
            max_output_bytes: bytes(file.max_output_bytes),
            max_script_bytes: bytes(file.max_script_bytes),
            compile_timeout: milliseconds(file.compile_timeout_ms),
            compile_memory_bytes: bytes(file.compile_memory_bytes),
            compiled_cache: CompiledCacheConfig {
                max_bytes: bytes(cache.max_bytes),
                dir: cache.dir.map(PathBuf::from),
            },
        }
    }

    /// An artifact has to fit into the cache.
    fn artifact_sizes(&mut self, file: &mut NodeConfigFile) {
        let limits = file.limits.get_or_insert_default();
        let cache = file.artifact_cache.get_or_insert_default();
        let (Some(artifact), Some(all)) = (limits.max_artifact_bytes, cache.max_bytes) else {
            return;
        };
        if artifact <= all {
            return;
        }
        if self.is_given("limits.max_artifact_bytes") {
            let other = format!("artifact_cache.max_bytes is {all}");
            let remedy = "an artifact must fit into the cache";
            self.contradiction("limits.max_artifact_bytes", artifact.to_string(), other, remedy);
        } else {
            limits.max_artifact_bytes = Some(all);
        }
    }

    /// What only virtual machines use is checked for all, so that a mistake is not found later.
    fn virtual_machines(&mut self, file: &mut NodeConfigFile) {
        let sandbox = file.sandbox.unwrap_or(SandboxChoice::Auto);
        let limiters = file.rate_limiters.clone().unwrap_or_default();
        self.token_bucket("rate_limiters.bandwidth", limiters.bandwidth.as_ref());
        self.token_bucket("rate_limiters.iops", limiters.iops.as_ref());
        let subnet = file.cni.as_ref().and_then(|cni| cni.subnet.clone()).unwrap_or_default();
        let Ok(network) = subnet.parse::<Subnet>() else {
            self.unexpected("cni.subnet", &subnet, "a network, such as \"192.168.127.0/24\"");
            return;
        };
        if !sandbox.is_virtual_machine() {
            return;
        }
        let Some(host) = &file.internal_node_host else {
            file.internal_node_host = Some(network.gateway().to_string());
            return;
        };
        // What is no address at all is reported where the address is read.
        if host.parse().is_ok_and(|host| !network.contains(host)) {
            let (found, other) = (describe_text(host), format!("cni.subnet is \"{subnet}\""));
            let remedy = "virtual machines reach the node only inside their subnet";
            self.contradiction("internal_node_host", found, other, remedy);
        }
    }

    fn token_bucket(&mut self, key: &str, bucket: Option<&TokenBucketFile>) {
        let Some(bucket) = bucket else { return };
        if bucket.size.is_none() {
            self.problem(key, ProblemKind::Missing { needs: "size" });
        }
        if bucket.refill_time.is_none() {
            self.problem(key, ProblemKind::Missing { needs: "refill_time" });
        }
    }

    fn bus_tcp(&mut self, file: &mut NodeConfigFile) -> Option<SocketAddr> {
        let explicit = self.is_given("internal_node_host") || self.is_given("internal_node_port");
        let sandbox = file.sandbox.unwrap_or(SandboxChoice::Auto);
        let wanted = explicit || file.legacy_agents == Some(true) || sandbox.is_virtual_machine();
        if !wanted {
            // So that the effective configuration shows no address where there is none.
            (file.internal_node_host, file.internal_node_port) = (None, None);
            return None;
        }
        let host = file.internal_node_host.get_or_insert_with(|| Ipv4Addr::LOCALHOST.to_string());
        let host = self.address("internal_node_host", host);
        Some(SocketAddr::new(host, file.internal_node_port.unwrap_or_default()))
    }

    fn nats_server(&mut self, server: &PublicNatsServerFile) -> PublicNatsServer {
        let host = server.addr.as_deref().unwrap_or("127.0.0.1");
        if let Some(name) = &server.server_name {
            let key = "public_nats_server.server_name";
            self.name(key, name);
            // The Go node's own example has spaces in it, which nats-server does not take.
            if name.contains(' ') {
                self.warn(key, WarningKind::Spaces);
            }
        }
        PublicNatsServer {
            host: self.address("public_nats_server.addr", host),
            port: server.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
            jetstream: server.jetstream.unwrap_or(true),
            store_dir: server.store_dir.clone().map(PathBuf::from),
            server_name: server.server_name.as_ref().map(|name| name.trim().replace(' ', "-")),
        }
    }

    /// What a namespace sandbox is made of.
    fn namespace(&mut self, file: &NodeConfigFile) -> NamespaceSettings {
        let namespace = file.namespace.clone().unwrap_or_default();
        let size = file.machine_template.clone().unwrap_or_default();
        let scratch_bytes = namespace.scratch_bytes.map_or(0, ByteSize::as_u64);
        if scratch_bytes < MIN_SCRATCH_BYTES {
            let found = ByteSize::bytes(scratch_bytes).to_string();
            let expected = format!("at least {}", ByteSize::bytes(MIN_SCRATCH_BYTES));
            let kind = ProblemKind::Unexpected { found, expected };
            self.problem("namespace.scratch_bytes", kind);
        }
        NamespaceSettings {
            network: namespace.network.unwrap_or(NamespaceNetwork::None),
            rootfs: namespace.rootfs.map(PathBuf::from),
            host_libraries: namespace.host_libraries.unwrap_or(true),
            max_processes: namespace.max_processes.unwrap_or(1),
            max_open_files: namespace.max_open_files.unwrap_or(16),
            scratch_bytes,
            memory_bytes: u64::from(size.memsize_mib.unwrap_or(32)) << 20,
            cpus: size.vcpu_count.unwrap_or(1),
        }
    }

    /// Reads a file that has its defaults.
    fn settings(&mut self, file: &mut NodeConfigFile) -> Settings {
        let limits = file.limits.clone().unwrap_or_default();
        let cache = file.artifact_cache.clone().unwrap_or_default();
        let logs = file.logs.clone().unwrap_or_default();
        let host_services = file.host_services.clone().unwrap_or_default();
        let bytes = |size: Option<ByteSize>| size.map_or(u64::MAX, ByteSize::as_u64);
        let count = |number: Option<u32>| number.map_or(usize::MAX, |number| number as usize);
        let milliseconds = |ms: Option<u32>| Duration::from_millis(ms.unwrap_or_default().into());
        self.tags(file.tags.get_or_insert_default());
        let bus_tcp = self.bus_tcp(file);
        Settings {
            sandbox: file.sandbox.unwrap_or(SandboxChoice::Auto),
            state_dir: file.state_dir.clone().map(PathBuf::from),
            node_name: file.node_name.clone(),
            tags: file.tags.clone().unwrap_or_default(),
            pool_size: count(file.machine_pool_size),
            handshake_timeout: milliseconds(file.agent_handshake_timeout_ms),
            agent_path: file.agent_path.clone().map(PathBuf::from),
            legacy_agents: file.legacy_agents.unwrap_or_default(),
            bus_tcp,
            valid_issuers: self.list(
                "valid_issuers",
                file.valid_issuers.as_deref(),
                "a public key, such as an account's (A…)",
            ),
            requester_public_keys: self.list(
                "requester_public_keys",
                file.requester_public_keys.as_deref(),
                "a public curve key (X…)",
            ),
            require_artifact_hash: file.require_artifact_hash.unwrap_or_default(),
            workload_types: self.workload_types(file.workload_types.as_deref()),
            limits: Limits {
                max_workloads: count(limits.max_workloads),
                max_concurrent_deploys: count(limits.max_concurrent_deploys),
                max_artifact_bytes: bytes(limits.max_artifact_bytes),
            },
            functions: Self::functions(&file.functions.clone().unwrap_or_default()),
            artifact_cache: ArtifactCacheConfig {
                max_bytes: bytes(cache.max_bytes),
                dir: cache.dir.map(PathBuf::from),
            },
            logs: LogLimits {
                lines_per_second: logs.lines_per_second.unwrap_or(u32::MAX),
                bytes_per_second: bytes(logs.bytes_per_second),
            },
            host_services: self.host_services(&host_services),
            namespace: self.namespace(file),
            stop_grace: milliseconds(file.stop_grace_ms),
            drain_deadline: milliseconds(file.drain_deadline_ms),
            public_nats_server: file
                .public_nats_server
                .as_ref()
                .map(|server| self.nats_server(server)),
        }
    }
}
