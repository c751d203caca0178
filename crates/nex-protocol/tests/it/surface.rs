//! The wire surface, frozen: every message, event and subject as live types print it.
//!
//! A change of the snapshot is a change of the protocol. Review it as one: peers of other versions
//! are out there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use nex_protocol::agent::{
    AgentDeployRequest, AgentLevel, AgentLog, CACHE_BUCKET, DeployExtensions, DeployResponse,
    HANDSHAKE_RESPONSE, Handshake, MachineMetadata, env, header,
};
use nex_protocol::control::{
    DeployRequest, InfoResponse, LameDuckResponse, MachineSummary, Memory, NodeTag, PingResponse,
    RunResponse, StopRequest, StopResponse, WorkloadPingMachine, WorkloadPingResponse,
    WorkloadSummary, WorkloadType,
};
use nex_protocol::envelope::{Envelope, MessageType};
use nex_protocol::event::{
    AgentStarted, AgentStopped, CloudEvent, EnteredLameDuck, EventBody, FunctionFailed,
    FunctionSucceeded, Heartbeat, NodeStarted, NodeStopped, WorkloadStarted, WorkloadStopped,
};
use nex_protocol::location::ArtifactLocation;
use nex_protocol::log::{LogLevel, LogLine};
use nex_protocol::name::{Namespace, NodeId, WorkloadId, WorkloadName};
use nex_protocol::subject::{
    AgentSubject, AgentSubjectKind, ControlSubject, EventFilter, EventSubject, LogFilter,
    LogSubject, WorkloadPingScope,
};
use nex_protocol::timestamp;
use nex_protocol::uptime::{format_runtime, format_uptime};
use time::OffsetDateTime;

const NODE: &str = "NCJELP4G66Z6RXDFXWO7JZYJLEYHJS2AR66TKRJUXBH3UANR5I56VDE7";
const XKEY: &str = "XC3CSPHMTEJEL3ZJ7ZK35ORFKFMH5MY5276ICL72PXIUP3GJH3JCNZTN";
const ISSUER: &str = "ABQ7O7Y3FPQOJAQ4T43MTOWYHEGNTX754KKKJIFQCLZVGJXG5YN6BVKO";
const ID: &str = "cohvl8bl5c0s73b2rcs0";
const HASH: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

fn node() -> NodeId {
    NODE.parse().unwrap()
}

fn id() -> WorkloadId {
    ID.parse().unwrap()
}

fn name() -> WorkloadName {
    "echo".parse().unwrap()
}

fn noon() -> OffsetDateTime {
    timestamp::parse("2024-04-26T12:00:00.754387202Z").unwrap()
}

fn tags() -> BTreeMap<String, String> {
    NodeTag::ALL.into_iter().map(|tag| (tag.to_string(), format!("<{tag}>"))).collect()
}

fn argv() -> Vec<String> {
    ["-v", "two words", ""].map(str::to_owned).to_vec()
}

/// Lines of the form `title: bytes`.
#[derive(Default)]
struct Surface(String);

impl Surface {
    fn message(&mut self, title: &str, bytes: &[u8]) {
        writeln!(self.0, "{title}\n    {}", std::str::from_utf8(bytes).unwrap()).unwrap();
    }

    fn line(&mut self, line: impl std::fmt::Display) {
        writeln!(self.0, "{line}").unwrap();
    }

    fn event<T: EventBody>(&mut self, source: &str, data: T) {
        let event = CloudEvent {
            id: "5cd41bc4-f970-4f15-9dad-47266258a3a4".parse().unwrap(),
            time: noon(),
            ..CloudEvent::now(source, data)
        };
        let subject = EventSubject {
            namespace: Namespace::default(),
            kind: event.kind().as_str().parse().unwrap(),
        };
        self.message(&subject.to_string(), &event.encode());
    }
}

fn deploy_request() -> DeployRequest {
    DeployRequest {
        argv: argv(),
        description: "An echo".to_owned(),
        workload_type: WorkloadType::Elf,
        location: ArtifactLocation::new("BUCKET", "key").unwrap(),
        essential: true,
        workload_jwt: "header.claims.signature".to_owned(),
        environment: "eGt2MQ==".to_owned(),
        jsdomain: Some("hub".to_owned()),
        sender: XKEY.parse().unwrap(),
        target_node: node(),
        trigger_subjects: Vec::new(),
        call_timeout_ms: Some(5000),
        retry_count: Some(3),
        retried_at: Some(noon()),
    }
}

#[test]
fn control_requests() {
    let mut surface = Surface::default();
    surface.message("deploy, everything set", &deploy_request().encode());
    let least = DeployRequest {
        argv: Vec::new(),
        description: String::new(),
        essential: false,
        workload_type: WorkloadType::Wasm,
        jsdomain: None,
        trigger_subjects: vec!["echo.*".parse().unwrap()],
        call_timeout_ms: None,
        retry_count: None,
        retried_at: None,
        ..deploy_request()
    };
    surface.message("deploy, a function with nothing but what it needs", &least.encode());
    let stop = StopRequest {
        workload_id: ID.to_owned(),
        workload_jwt: "header.claims.signature".to_owned(),
        target_node: node(),
    };
    surface.message("stop", &stop.encode());
    insta::assert_snapshot!(surface.0);
}

#[test]
fn control_replies() {
    let mut surface = Surface::default();
    let texts = || (NODE.to_owned(), "0.2.0".to_owned(), "3h0m1s".to_owned());
    let (node_id, version, uptime) = texts();
    let ping = PingResponse { node_id, version, uptime, tags: tags(), running_machines: 2 };
    surface.message("ping", &Envelope::encode_success(MessageType::Ping, &ping));
    let (node_id, version, uptime) = texts();
    let machine = WorkloadPingMachine {
        id: ID.to_owned(),
        namespace: "default".to_owned(),
        name: "echo".to_owned(),
        workload_type: "v8".to_owned(),
    };
    let workloads = WorkloadPingResponse {
        node_id,
        version,
        tags: tags(),
        uptime,
        running_machines: vec![machine],
    };
    surface.message("workload ping", &Envelope::encode_success(MessageType::Ping, &workloads));
    let (_, version, uptime) = texts();
    let machine = MachineSummary {
        id: ID.to_owned(),
        healthy: true,
        uptime: "2m5s".to_owned(),
        namespace: "default".to_owned(),
        sandbox: Some("namespace".to_owned()),
        workload: WorkloadSummary {
            name: "echo".to_owned(),
            description: "An echo".to_owned(),
            runtime: "37ms".to_owned(),
            workload_type: "v8".to_owned(),
            hash: HASH.to_owned(),
        },
    };
    let info = InfoResponse {
        version,
        uptime,
        public_xkey: XKEY.to_owned(),
        tags: tags(),
        memory: Some(Memory { total: 3, free: 1, available: 2 }),
        machines: vec![machine],
        supported_workload_types: WorkloadType::ALL.iter().map(ToString::to_string).collect(),
    };
    surface.message("info", &Envelope::encode_success(MessageType::Info, &info));
    let empty = InfoResponse::default();
    surface.message("info, nothing set", &Envelope::encode_success(MessageType::Info, &empty));
    let (id, issuer, name) = (ID.to_owned(), ISSUER.to_owned(), "echo".to_owned());
    let run = RunResponse { started: true, id, issuer, name };
    surface.message("run", &Envelope::encode_success(MessageType::Run, &run));
    let RunResponse { id, issuer, name, .. } = run;
    let stop = StopResponse { stopped: true, id, issuer, name };
    surface.message("stop", &Envelope::encode_success(MessageType::Stop, &stop));
    let lame_duck = LameDuckResponse { node_id: NODE.to_owned(), success: true };
    surface.message("lame duck", &Envelope::encode_success(MessageType::LameDuck, &lame_duck));
    for kind in MessageType::ALL {
        surface.message("failure", &Envelope::encode_failure(kind, "No such workload"));
    }
    insta::assert_snapshot!(surface.0);
}

#[test]
fn agent_messages() {
    let mut surface = Surface::default();
    let handshake = Handshake {
        id: ID.to_owned(),
        start_time: Some(noon()),
        message: "Host-supplied metadata".to_owned(),
    };
    surface.message("handshake", &handshake.encode());
    surface.message("handshake, the answer", HANDSHAKE_RESPONSE);
    let request = AgentDeployRequest {
        argv: argv(),
        description: "An echo".to_owned(),
        environment: BTreeMap::from([("FOO".to_owned(), "bar".to_owned())]).try_into().unwrap(),
        essential: true,
        hash: HASH.to_owned(),
        namespace: Namespace::default(),
        retried_at: Some(noon()),
        retry_count: Some(3),
        total_bytes: 93,
        trigger_subjects: Vec::new(),
        workload_name: name(),
        workload_type: WorkloadType::Elf,
        extensions: DeployExtensions {
            artifact_path: Some("/var/lib/nex/artifact".to_owned()),
            argv0: Some("echo".to_owned()),
            log_lines_per_second: Some(1000),
            log_bytes_per_second: Some(1_000_000),
            stop_grace_ms: Some(5000),
            compiled_path: Some("/var/lib/nex/compiled".to_owned()),
            call_timeout_ms: Some(5000),
            max_concurrent_calls: Some(16),
            max_memory_bytes: Some(67_108_864),
            max_output_bytes: Some(1_048_576),
            max_script_bytes: Some(1_048_576),
        },
    };
    surface.message("deploy, everything set", &request.encode());
    let least = AgentDeployRequest {
        argv: Vec::new(),
        essential: false,
        retried_at: None,
        retry_count: None,
        trigger_subjects: vec!["echo.>".parse().unwrap()],
        workload_type: WorkloadType::V8,
        extensions: DeployExtensions::default(),
        ..request
    };
    surface.message("deploy, as to a Go agent", &least.encode());
    surface.message("deploy, accepted", &DeployResponse::accepted("Workload deployed").encode());
    surface.message("deploy, refused", &DeployResponse::refused("no such type").encode());
    let silent = DeployResponse { accepted: false, message: None };
    surface.message("deploy, refused without a reason", &silent.encode());
    for level in AgentLevel::ALL {
        let entry = AgentLog { source: "echo".to_owned(), level, text: format!("{level:?}") };
        surface.message("log", &entry.encode());
    }
    let metadata = MachineMetadata {
        id: id(),
        host: "192.168.127.1".to_owned(),
        port: 9222.try_into().unwrap(),
        message: Some("Host-supplied metadata".to_owned()),
        secret: Some("secret".to_owned()),
    };
    surface.message("metadata", &metadata.encode());
    surface.line("\nheaders");
    for header in [
        header::TRIGGER_SUBJECT,
        header::RUNTIME_NANOSECONDS,
        header::TRACE_PARENT,
        header::HTTP_URL,
        header::KEY_VALUE_KEY,
        header::MESSAGING_SUBJECT,
        header::OBJECT_NAME,
        header::ERROR,
    ] {
        surface.line(format_args!("    {header}"));
    }
    surface.line("environment");
    for variable in [
        env::SANDBOX,
        env::WORKLOAD_ID,
        env::NODE_NATS_HOST,
        env::NODE_NATS_PORT,
        env::NODE_SOCKET,
        env::AGENT_SECRET,
    ] {
        surface.line(format_args!("    {variable}"));
    }
    surface.line(format_args!("bucket\n    {CACHE_BUCKET}"));
    insta::assert_snapshot!(surface.0);
}

#[test]
fn events() {
    let mut surface = Surface::default();
    let (node, version) = (|| NODE.to_owned(), || "0.2.0".to_owned());
    let workload_name = || "echo".to_owned();
    surface.event(NODE, NodeStarted { version: version(), id: node() });
    surface.event(NODE, NodeStopped { id: node(), graceful: true });
    surface.event(NODE, EnteredLameDuck { version: version(), id: node() });
    surface.event(
        NODE,
        Heartbeat {
            version: version(),
            node_id: node(),
            uptime: "3h0m1s".to_owned(),
            tags: tags(),
            running_machines: 2,
        },
    );
    surface.event(ID, AgentStarted { agent_version: version() });
    surface.event(ID, AgentStopped { message: "bye".to_owned(), code: 1 });
    surface.event(ID, WorkloadStarted { workload_name: workload_name(), code: 0 });
    let exited = WorkloadStopped {
        workload_name: workload_name(),
        code: 3,
        message: "Exited workload: echo; vm: x; status: 3".to_owned(),
        ..WorkloadStopped::default()
    };
    surface.event(ID, exited.clone());
    surface.event(
        NODE,
        WorkloadStopped {
            name: Some(workload_name()),
            reason: Some("Workload shutdown requested".to_owned()),
            vmid: Some(ID.to_owned()),
            ..exited
        },
    );
    let (trigger_subject, namespace) = (|| "echo.>".to_owned(), || "default".to_owned());
    surface.event(
        NODE,
        FunctionSucceeded {
            workload_name: workload_name(),
            trigger_subject: trigger_subject(),
            elapsed_nanos: 1_325_701,
            namespace: namespace(),
            count: None,
        },
    );
    surface.event(
        NODE,
        FunctionFailed {
            workload_name: workload_name(),
            trigger_subject: trigger_subject(),
            namespace: namespace(),
            error: "nats: timeout".to_owned(),
            count: None,
        },
    );
    surface.event(
        NODE,
        FunctionSucceeded {
            workload_name: workload_name(),
            trigger_subject: trigger_subject(),
            elapsed_nanos: 1_325_701,
            namespace: namespace(),
            count: Some(812),
        },
    );
    insta::assert_snapshot!(surface.0);
}

#[test]
fn logs_and_times() {
    let mut surface = Surface::default();
    let subject =
        LogSubject { namespace: Namespace::default(), node: node(), workload: name(), id: id() };
    for level in [-8, -4, -1, 0, 2, 4, 8, 12].map(LogLevel::from_slog) {
        let line = LogLine { text: "hello\n".to_owned(), level, id: ID.to_owned() };
        surface.message(&subject.to_string(), &line.encode());
    }
    for seconds in [0, 59, 125, 10_801, 356_401, 31_719_601] {
        surface.line(format_uptime(Duration::from_secs(seconds)));
    }
    for nanoseconds in [0, 412, 1_000, 999_999_999, 1_000_000_000] {
        surface.line(format_runtime(Duration::from_nanos(nanoseconds)));
    }
    insta::assert_snapshot!(surface.0);
}

#[test]
fn subjects() {
    let mut surface = Surface::default();
    let namespace = Namespace::default;
    let workload =
        WorkloadPingScope::Workload { namespace: namespace(), workload: "echo".parse().unwrap() };
    for subject in [
        ControlSubject::PingAll,
        ControlSubject::Ping(node()),
        ControlSubject::WorkloadPing(WorkloadPingScope::All),
        ControlSubject::WorkloadPing(WorkloadPingScope::Namespace(namespace())),
        ControlSubject::WorkloadPing(workload),
        ControlSubject::Info { namespace: namespace(), node: node() },
        ControlSubject::Deploy { namespace: namespace(), node: node() },
        ControlSubject::Stop { namespace: namespace(), node: node() },
        ControlSubject::LameDuck(node()),
    ] {
        surface.line(subject);
    }
    surface.line("\nwhat a node subscribes to");
    for pattern in ControlSubject::patterns(node()) {
        surface.line(pattern);
    }
    surface.line("\nevents and logs");
    surface
        .line(EventSubject { namespace: Namespace::system(), kind: "heartbeat".parse().unwrap() });
    surface.line(EventFilter::default().pattern());
    surface.line(LogSubject { namespace: namespace(), node: node(), workload: name(), id: id() });
    for pattern in (LogFilter { id: Some(id()), ..LogFilter::default() }).patterns() {
        surface.line(pattern);
    }
    surface.line("\nagents");
    for kind in [
        AgentSubjectKind::Handshake,
        AgentSubjectKind::Deploy,
        AgentSubjectKind::Undeploy,
        AgentSubjectKind::Event("workload_started".parse().unwrap()),
        AgentSubjectKind::Logs,
        AgentSubjectKind::Trigger,
        AgentSubjectKind::Rpc {
            namespace: namespace(),
            workload: name(),
            service: "kv".parse().unwrap(),
            method: "get".parse().unwrap(),
        },
    ] {
        surface.line(AgentSubject { id: id(), kind });
    }
    surface.line(AgentSubject::pattern(id()));
    insta::assert_snapshot!(surface.0);
}
