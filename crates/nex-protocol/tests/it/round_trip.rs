//! What is written is read again as the same, and nothing that is read can do harm.

use nex_protocol::agent::{
    AgentDeployRequest, AgentLevel, AgentLog, DeployExtensions, DeployResponse, Handshake,
    MachineMetadata,
};
use nex_protocol::control::{
    DeployRequest, InfoResponse, MachineSummary, Memory, PingResponse, RunResponse, StopRequest,
    WorkloadPingResponse, WorkloadSummary, WorkloadType,
};
use nex_protocol::envelope::{Envelope, EnvelopeError, MessageType};
use nex_protocol::environment::Environment;
use nex_protocol::event::{CloudEvent, RawEvent, WorkloadStopped};
use nex_protocol::key::{CurveKey, KeyKind, SigningKey};
use nex_protocol::location::ArtifactLocation;
use nex_protocol::log::{LogLevel, LogLine};
use nex_protocol::timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use time::{OffsetDateTime, UtcOffset};

/// Texts with everything in them that JSON or Go writes in a special way.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        Just("<b>&\u{2028}\u{2029}\0\u{1b}\"\\é✓😀".to_owned()),
        Just(String::new())
    ]
}

/// Texts that can be handed to a program, and are not all there is when empty.
fn argument() -> impl Strategy<Value = String> {
    "[^\\x00]{1,20}"
}

fn time() -> impl Strategy<Value = OffsetDateTime> {
    // The years 1 to 9998, and offsets in minutes.
    (-62_135_510_400_i64..253_370_764_800, 0..1_000_000_000_i64, -23 * 60..=23 * 60_i32).prop_map(
        |(seconds, nanoseconds, minutes)| {
            let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap()
                + time::Duration::nanoseconds(nanoseconds);
            at.to_offset(UtcOffset::from_whole_seconds(minutes * 60).unwrap())
        },
    )
}

fn workload_type() -> impl Strategy<Value = WorkloadType> {
    proptest::sample::select(WorkloadType::ALL.as_slice())
}

fn triggers() -> impl Strategy<Value = Vec<String>> {
    vec("[a-z]{1,8}(\\.([a-z0-9]{1,8}|\\*)){0,3}(\\.>)?", 1..5)
}

prop_compose! {
    fn deploy_request()(
        workload_type in workload_type(),
        argv in vec(argument(), 0..5),
        description in text(),
        bucket in "[A-Za-z0-9_-]{1,20}",
        key in "[^/\\x00-\\x1f\\x7f-\\x9f]{1,20}",
        essential in any::<bool>(),
        workload_jwt in "[A-Za-z0-9._-]{1,80}",
        environment in "[A-Za-z0-9+/]{1,80}={0,2}",
        jsdomain in option::of("[a-z0-9_-]{1,20}"),
        triggers in triggers(),
        call_timeout_ms in option::of(any::<u64>()),
        retry_count in option::of(any::<u64>()),
        retried_at in option::of(time()),
    ) -> DeployRequest {
        let function = workload_type.is_function();
        DeployRequest {
            argv,
            description,
            workload_type,
            location: ArtifactLocation::new(&bucket, &key).unwrap(),
            essential: essential && !function,
            workload_jwt,
            environment,
            jsdomain,
            sender: CurveKey::generate().public(),
            target_node: SigningKey::generate(KeyKind::Server).public().try_into().unwrap(),
            trigger_subjects: if function {
                triggers.iter().map(|subject| subject.parse().unwrap()).collect()
            } else {
                Vec::new()
            },
            call_timeout_ms,
            retry_count,
            retried_at,
        }
    }
}

prop_compose! {
    fn extensions()(
        artifact_path in option::of("/[^\\x00]{0,40}"),
        argv0 in option::of(argument()),
        log_lines_per_second in option::of(any::<u32>()),
        log_bytes_per_second in option::of(any::<u64>()),
        stop_grace_ms in option::of(any::<u64>()),
        compiled_path in option::of("/[^\\x00]{0,40}"),
        call_timeout_ms in option::of(any::<u64>()),
        max_concurrent_calls in option::of(any::<u32>()),
        max_memory_bytes in option::of(any::<u64>()),
        max_output_bytes in option::of(any::<u64>()),
        max_script_bytes in option::of(any::<u64>()),
    ) -> DeployExtensions {
        DeployExtensions {
            artifact_path,
            argv0,
            log_lines_per_second,
            log_bytes_per_second,
            stop_grace_ms,
            compiled_path,
            call_timeout_ms,
            max_concurrent_calls,
            max_memory_bytes,
            max_output_bytes,
            max_script_bytes,
        }
    }
}

prop_compose! {
    fn agent_deploy_request()(
        request in deploy_request(),
        variables in btree_map("[^=\\x00]{1,10}", "[^\\x00]{0,20}", 0..5),
        hash in "[0-9a-f]{64}",
        namespace in "[A-Za-z0-9_-]{1,64}",
        workload_name in "[a-z][a-z0-9-]{0,62}",
        total_bytes in 1..u64::MAX,
        extensions in extensions(),
    ) -> AgentDeployRequest {
        AgentDeployRequest {
            argv: request.argv,
            description: request.description,
            environment: Environment::try_from(variables).unwrap(),
            essential: request.essential,
            hash,
            namespace: namespace.parse().unwrap(),
            retried_at: request.retried_at,
            retry_count: request.retry_count,
            total_bytes,
            trigger_subjects: request.trigger_subjects,
            workload_name: workload_name.parse().unwrap(),
            workload_type: request.workload_type,
            extensions,
        }
    }
}

prop_compose! {
    fn info_response()(
        (version, uptime, public_xkey) in (text(), text(), text()),
        tags in btree_map(text(), text(), 0..4),
        memory in option::of(any::<(u64, u64, u64)>()),
        machines in vec((text(), any::<bool>(), text(), text(), text(), text()), 0..4),
        supported_workload_types in vec(text(), 0..4),
    ) -> InfoResponse {
        InfoResponse {
            version,
            uptime,
            public_xkey,
            tags,
            memory: memory.map(|(total, free, available)| Memory { total, free, available }),
            machines: machines
                .into_iter()
                .map(|(id, healthy, uptime, namespace, name, description)| MachineSummary {
                    id,
                    healthy,
                    uptime,
                    sandbox: (!namespace.is_empty()).then(|| name.clone()),
                    namespace,
                    workload: WorkloadSummary { name, description, ..WorkloadSummary::default() },
                })
                .collect(),
            supported_workload_types,
        }
    }
}

proptest! {
    #[test]
    fn deploy_requests(request in deploy_request()) {
        prop_assert_eq!(DeployRequest::decode(&request.encode()).unwrap(), request);
    }

    #[test]
    fn stop_requests(workload_id in text(), workload_jwt in "[A-Za-z0-9._-]{1,80}") {
        let target_node = SigningKey::generate(KeyKind::Server).public().try_into().unwrap();
        prop_assume!(workload_id.len() <= 64);
        let request = StopRequest { workload_id, workload_jwt, target_node };
        prop_assert_eq!(StopRequest::decode(&request.encode()).unwrap(), request);
    }

    #[test]
    fn agent_deploy_requests(request in agent_deploy_request()) {
        prop_assert_eq!(AgentDeployRequest::decode(&request.encode()).unwrap(), request);
    }

    #[test]
    fn handshakes(id in "[0-9a-v]{20}", start_time in option::of(time()), message in text()) {
        let handshake = Handshake { id, start_time, message };
        prop_assert_eq!(Handshake::decode(&handshake.encode()).unwrap(), handshake);
    }

    #[test]
    fn deploy_responses(accepted in any::<bool>(), message in text()) {
        let response = DeployResponse { accepted, message: Some(message) };
        prop_assert_eq!(DeployResponse::decode(&response.encode()).unwrap(), response);
    }

    #[test]
    fn machine_metadata(
        id in "[0-9a-v]{20}",
        host in "[a-z0-9.:]{1,40}",
        port in any::<std::num::NonZeroU16>(),
        message in option::of(text()),
        secret in option::of("[A-Za-z0-9]{1,40}"),
    ) {
        let metadata = MachineMetadata { id: id.parse().unwrap(), host, port, message, secret };
        prop_assert_eq!(MachineMetadata::decode(&metadata.encode()).unwrap(), metadata);
    }

    #[test]
    fn logs(source in text(), text in text(), number in any::<i32>(), id in text()) {
        let entry = AgentLog { source, level: AgentLevel::from_wire(number), text: text.clone() };
        prop_assert_eq!(AgentLog::decode(&entry.encode()).unwrap(), entry);
        let line = LogLine { text, level: LogLevel::from_slog(number), id };
        prop_assert_eq!(LogLine::decode(&line.encode()).unwrap(), line);
    }

    #[test]
    fn events(
        source in "[a-zA-Z0-9:/._~-]{1,40}",
        time in time(),
        (workload_name, message) in (text(), text()),
        code in any::<i64>(),
        (name, reason, vmid) in (option::of(text()), option::of(text()), option::of(text())),
    ) {
        let data = WorkloadStopped { workload_name, code, message, name, reason, vmid };
        let event = CloudEvent { time, ..CloudEvent::now(source, data) };
        let read = RawEvent::decode(&event.encode()).unwrap();
        prop_assert_eq!(read.kind(), Some(event.kind()));
        prop_assert_eq!(&read.id, &event.id.to_string());
        prop_assert_eq!(&read.source, &event.source);
        prop_assert_eq!(read.time, Some(event.time));
        prop_assert_eq!(&read.data_as::<WorkloadStopped>().unwrap(), &event.data);
        prop_assert_eq!(RawEvent::decode(&read.encode()).unwrap(), read);
    }

    #[test]
    fn envelopes(info in info_response(), error in text()) {
        let success = Envelope::encode_success(MessageType::Info, &info);
        prop_assert_eq!(Envelope::decode::<InfoResponse>(&success).unwrap(), info);
        let failure = Envelope::encode_failure(MessageType::Info, &error);
        match Envelope::decode::<InfoResponse>(&failure) {
            Err(EnvelopeError::Refused(read)) => prop_assert_eq!(read, error),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn times(at in time()) {
        prop_assert_eq!(timestamp::parse(&timestamp::format(at)).unwrap(), at);
    }

    #[test]
    fn levels(value in any::<i32>()) {
        let level = LogLevel::from_slog(value);
        prop_assert_eq!(level.to_string().parse::<LogLevel>().unwrap(), level);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn broken_messages_do_no_harm(
        request in deploy_request(),
        agent_request in agent_deploy_request(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for mut bytes in [request.encode(), agent_request.encode()] {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            read_everything(&bytes);
            bytes.truncate(at);
            read_everything(&bytes);
        }
    }
}

/// Hands bytes to every reader. What is read has to be writable, and readable as the same.
fn read_everything(bytes: &[u8]) {
    if let Ok(read) = DeployRequest::decode(bytes) {
        assert_eq!(DeployRequest::decode(&read.encode()).unwrap(), read);
    }
    if let Ok(read) = StopRequest::decode(bytes) {
        assert_eq!(StopRequest::decode(&read.encode()).unwrap(), read);
    }
    if let Ok(read) = AgentDeployRequest::decode(bytes) {
        assert_eq!(AgentDeployRequest::decode(&read.encode()).unwrap(), read);
    }
    if let Ok(read) = Handshake::decode(bytes) {
        assert_eq!(Handshake::decode(&read.encode()).unwrap(), read);
    }
    if let Ok(read) = RawEvent::decode(bytes) {
        assert_eq!(RawEvent::decode(&read.encode()).unwrap(), read);
    }
    if let Ok(read) = AgentLog::decode(bytes) {
        assert_eq!(AgentLog::decode(&read.encode()).unwrap(), read);
    }
    if let Ok(read) = LogLine::decode(bytes) {
        assert_eq!(LogLine::decode(&read.encode()).unwrap(), read);
    }
    let _ = DeployResponse::decode(bytes);
    let _ = MachineMetadata::decode(bytes);
    let _ = Envelope::decode::<PingResponse>(bytes);
    let _ = Envelope::decode::<WorkloadPingResponse>(bytes);
    let _ = Envelope::decode::<InfoResponse>(bytes);
    let _ = Envelope::decode::<RunResponse>(bytes);
}
