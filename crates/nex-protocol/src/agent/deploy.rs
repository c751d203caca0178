//! The request of a node that an agent run a workload, and the answer: `agentint.{id}.deploy`.

use serde::Serialize;
use time::OffsetDateTime;

use crate::control::{
    MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, MAX_DESCRIPTION_BYTES, MAX_REQUEST_BYTES,
    MAX_TRIGGER_SUBJECT_BYTES, MAX_TRIGGER_SUBJECTS, RequestError, WorkloadType, arguments,
    required_text, time_of, triggers,
};
use crate::environment::Environment;
use crate::json::{self, FieldError, Texts, read_like_go};
use crate::name::{Namespace, WorkloadName};
use crate::subject::TriggerSubject;
use crate::timestamp;

/// Largest answer to a deploy request that is read, in bytes.
pub const MAX_DEPLOY_RESPONSE_BYTES: usize = 64 << 10;
/// Longest path of an artifact, in bytes: what Linux allows.
pub const MAX_ARTIFACT_PATH_BYTES: usize = 4096;

const MAX_HASH_BYTES: usize = 256;
const MAX_TYPE_BYTES: usize = 64;
const MAX_NAME_BYTES: usize = 256;
const REFUSED_WITHOUT_REASON: &str = "the agent gave no reason";

/// A node asks an agent to run a workload. Checked: what an agent is sent fits together.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentDeployRequest {
    /// Arguments of the program, without its name.
    pub argv: Vec<String>,
    /// What the workload's owner says about it.
    pub description: String,
    /// The environment of the workload, opened. `Debug` shows its names only.
    pub environment: Environment,
    /// Whether the service is started again when it fails.
    pub essential: bool,
    /// SHA-256 of the artifact in hex.
    pub hash: String,
    /// Namespace of the workload.
    pub namespace: Namespace,
    /// When it was started again the last time.
    pub retried_at: Option<OffsetDateTime>,
    /// How often it has been started again.
    pub retry_count: Option<u64>,
    /// Size of the artifact in bytes; never 0.
    pub total_bytes: u64,
    /// The subjects that trigger the function.
    pub trigger_subjects: Vec<TriggerSubject>,
    /// Name of the workload.
    pub workload_name: WorkloadName,
    /// What kind of program it is.
    pub workload_type: WorkloadType,
    /// What Nex in Rust adds; Go agents do not see it.
    pub extensions: DeployExtensions,
}

/// What a node of ours tells an agent of ours beyond the protocol. Every field may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeployExtensions {
    /// Absolute path, as the agent sees it, of a read-only file that is the artifact: there is no
    /// need to fetch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_path: Option<String>,
    /// What the program sees as its own name; the workload's name when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv0: Option<String>,
    /// Most log lines per second; what is more is dropped and counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lines_per_second: Option<u32>,
    /// Most bytes of log text per second; what is more is dropped and counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes_per_second: Option<u64>,
    /// How long a program may take to end after it was asked to, in milliseconds, before it is
    /// killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace_ms: Option<u64>,
    /// Absolute path, as the agent sees it, of a read-only file with machine code that the agent's
    /// own `compile` command made: of the artifact for `wasm`, of the engine for `v8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compiled_path: Option<String>,
    /// How long one call of a function may take, host calls included, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout_ms: Option<u64>,
    /// Most calls of a function that run at the same time in this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_calls: Option<u32>,
    /// Most memory of one running call of a function, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// Largest answer of a function, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_bytes: Option<u64>,
    /// Largest script of a `v8` function, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_script_bytes: Option<u64>,
}

#[derive(Default)]
struct Fields {
    argv: Option<Texts<MAX_ARGUMENTS, MAX_ARGUMENT_BYTES>>,
    description: Option<String>,
    environment: Option<Environment>,
    essential: Option<bool>,
    hash: Option<String>,
    namespace: Option<String>,
    retried_at: Option<String>,
    retry_count: Option<u64>,
    total_bytes: Option<u64>,
    trigger_subjects: Option<Texts<MAX_TRIGGER_SUBJECTS, MAX_TRIGGER_SUBJECT_BYTES>>,
    workload_name: Option<String>,
    workload_type: Option<String>,
    artifact_path: Option<String>,
    argv0: Option<String>,
    log_lines_per_second: Option<u32>,
    log_bytes_per_second: Option<u64>,
    stop_grace_ms: Option<u64>,
    compiled_path: Option<String>,
    call_timeout_ms: Option<u64>,
    max_concurrent_calls: Option<u32>,
    max_memory_bytes: Option<u64>,
    max_output_bytes: Option<u64>,
    max_script_bytes: Option<u64>,
}
read_like_go!(Fields {
    values: [],
    options: [
        argv => "argv",
        description => "description",
        environment => "environment",
        essential => "essential",
        hash => "hash",
        namespace => "namespace",
        retried_at => "retried_at",
        retry_count => "retry_count",
        total_bytes => "total_bytes",
        trigger_subjects => "trigger_subjects",
        workload_name => "workload_name",
        workload_type => "workload_type",
        artifact_path => "artifact_path",
        argv0 => "argv0",
        log_lines_per_second => "log_lines_per_second",
        log_bytes_per_second => "log_bytes_per_second",
        stop_grace_ms => "stop_grace_ms",
        compiled_path => "compiled_path",
        call_timeout_ms => "call_timeout_ms",
        max_concurrent_calls => "max_concurrent_calls",
        max_memory_bytes => "max_memory_bytes",
        max_output_bytes => "max_output_bytes",
        max_script_bytes => "max_script_bytes",
    ],
});

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    argv: &'a [String],
    description: &'a str,
    environment: &'a Environment,
    essential: bool,
    hash: &'a str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retried_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_count: Option<u64>,
    total_bytes: u64,
    trigger_subjects: Vec<&'a str>,
    workload_name: &'a str,
    workload_type: WorkloadType,
    #[serde(flatten)]
    extensions: &'a DeployExtensions,
}

impl AgentDeployRequest {
    /// Reads a request and checks it as a Go agent does, and a little more: names follow our
    /// rules, and the size is positive.
    ///
    /// # Errors
    /// [`RequestError`], naming the field at fault.
    pub fn decode(message: &[u8]) -> Result<Self, RequestError> {
        let fields: Fields = json::read(message, 2 * MAX_REQUEST_BYTES)?;
        let namespace = name("namespace", fields.namespace)?;
        let workload_name = name("workload_name", fields.workload_name)?;
        let workload_type = required_text("workload_type", fields.workload_type, MAX_TYPE_BYTES)?
            .parse()
            .map_err(|source| RequestError::WorkloadType { field: "workload_type", source })?;
        let hash = required_text("hash", fields.hash, MAX_HASH_BYTES)?;
        let total_bytes =
            json::required(fields.total_bytes.filter(|&size| size > 0), "total_bytes")?;
        let request = Self {
            argv: arguments(fields.argv.unwrap_or_default().within_limits("argv")?)?,
            description: json::within(
                fields.description.unwrap_or_default(),
                "description",
                MAX_DESCRIPTION_BYTES,
            )?,
            environment: fields.environment.unwrap_or_default(),
            essential: fields.essential.unwrap_or_default(),
            hash,
            namespace,
            retried_at: time_of("retried_at", fields.retried_at)?,
            retry_count: fields.retry_count,
            total_bytes,
            trigger_subjects: triggers(
                fields.trigger_subjects.unwrap_or_default().within_limits("trigger_subjects")?,
            )?,
            workload_name,
            workload_type,
            extensions: DeployExtensions {
                artifact_path: absolute_path("artifact_path", fields.artifact_path)?,
                argv0: fields
                    .argv0
                    .map(|argv0| json::filled(argv0, "argv0", MAX_ARGUMENT_BYTES))
                    .transpose()?,
                log_lines_per_second: fields.log_lines_per_second,
                log_bytes_per_second: fields.log_bytes_per_second,
                stop_grace_ms: fields.stop_grace_ms,
                compiled_path: absolute_path("compiled_path", fields.compiled_path)?,
                call_timeout_ms: fields.call_timeout_ms,
                max_concurrent_calls: fields.max_concurrent_calls,
                max_memory_bytes: fields.max_memory_bytes,
                max_output_bytes: fields.max_output_bytes,
                max_script_bytes: fields.max_script_bytes,
            },
        };
        request.check_type()?;
        Ok(request)
    }

    /// Writes the request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(&Wire {
            argv: &self.argv,
            description: &self.description,
            environment: &self.environment,
            essential: self.essential,
            hash: &self.hash,
            namespace: self.namespace.as_ref(),
            retried_at: self.retried_at.map(timestamp::format),
            retry_count: self.retry_count,
            total_bytes: self.total_bytes,
            trigger_subjects: self.trigger_subjects.iter().map(AsRef::as_ref).collect(),
            workload_name: self.workload_name.as_ref(),
            workload_type: self.workload_type,
            extensions: &self.extensions,
        })
    }

    /// Checks what a type of workload needs and cannot have. A service may have triggers here,
    /// as for a Go agent: they are the node's affair.
    fn check_type(&self) -> Result<(), RequestError> {
        let workload_type = self.workload_type;
        if workload_type.is_function() && self.trigger_subjects.is_empty() {
            return Err(RequestError::NoTrigger { workload_type });
        }
        if workload_type.is_function() && self.essential {
            return Err(RequestError::EssentialFunction { workload_type });
        }
        Ok(())
    }
}

fn name<T>(field: &'static str, text: Option<String>) -> Result<T, RequestError>
where
    T: std::str::FromStr<Err = crate::name::NameError>,
{
    required_text(field, text, MAX_NAME_BYTES)?
        .parse()
        .map_err(|source| RequestError::Name { field, source })
}

fn absolute_path(
    field: &'static str,
    path: Option<String>,
) -> Result<Option<String>, RequestError> {
    let Some(path) = path else { return Ok(None) };
    let path = json::filled(path, field, MAX_ARTIFACT_PATH_BYTES)?;
    if path.starts_with('/') && !path.contains('\0') {
        Ok(Some(path))
    } else {
        Err(RequestError::Path { field })
    }
}

/// An agent's answer to a deploy request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeployResponse {
    /// Whether the agent runs the workload.
    pub accepted: bool,
    /// What it says about it. Always there in a refusal: a Go node crashes on one without.
    pub message: Option<String>,
}
read_like_go!(DeployResponse {
    values: [accepted => "accepted"],
    options: [message => "message"],
});

impl DeployResponse {
    /// The agent runs the workload.
    #[must_use]
    pub fn accepted(message: impl Into<String>) -> Self {
        Self { accepted: true, message: Some(message.into()) }
    }

    /// The agent does not run the workload, and says why.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { accepted: false, message: Some(reason.into()) }
    }

    /// Why the agent does not run the workload; `None` if it does.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        (!self.accepted).then(|| self.message.as_deref().unwrap_or(REFUSED_WITHOUT_REASON))
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`FieldError`], naming the field at fault.
    pub fn decode(message: &[u8]) -> Result<Self, FieldError> {
        json::read(message, MAX_DEPLOY_RESPONSE_BYTES)
    }

    /// Writes an answer; a refusal without a reason is given one.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.refusal() {
            Some(reason) => json::write(&Self::refused(reason)),
            None => json::write(self),
        }
    }
}
