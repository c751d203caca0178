//! The request to deploy a workload: `$NEX.DEPLOY.{namespace}.{node}`.

use serde::Serialize;
use time::OffsetDateTime;

use super::{RequestError, WorkloadType};
use crate::claims::MAX_TOKEN_CHARACTERS;
use crate::environment::MAX_SEALED_CHARACTERS;
use crate::json::{self, FieldError, Texts, read_like_go};
use crate::key::CurvePublicKey;
use crate::location::ArtifactLocation;
use crate::name::NodeId;
use crate::subject::TriggerSubject;
use crate::timestamp;

/// Largest request that is read, in bytes: what NATS carries unless told otherwise.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Most arguments of a workload.
pub const MAX_ARGUMENTS: usize = 1024;
/// Most bytes of all arguments of a workload together.
pub const MAX_ARGUMENT_BYTES: usize = 128 << 10;
/// Most trigger subjects of a function.
pub const MAX_TRIGGER_SUBJECTS: usize = 64;
/// Most bytes of all trigger subjects of a function together.
pub const MAX_TRIGGER_SUBJECT_BYTES: usize = 16 << 10;
/// Longest description of a workload, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4 << 10;
/// Longest name of a JetStream domain, in bytes.
pub const MAX_DOMAIN_BYTES: usize = 64;
/// Longest public key, in bytes of its text; all of them have 56.
const MAX_KEY_TEXT_BYTES: usize = 64;

/// A request to deploy a workload, with every field checked.
///
/// The claims and the environment stay texts: verifying the one takes the time of day, opening
/// the other the node's key.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployRequest {
    /// Arguments of the program, without its name.
    pub argv: Vec<String>,
    /// What the workload's owner says about it.
    pub description: String,
    /// What kind of program it is.
    pub workload_type: WorkloadType,
    /// Where its artifact is.
    pub location: ArtifactLocation,
    /// Whether the service is started again when it fails.
    pub essential: bool,
    /// The signed claims.
    pub workload_jwt: String,
    /// The environment, sealed by [`Self::sender`] for the node.
    pub environment: String,
    /// The JetStream domain of the object store that holds the artifact.
    pub jsdomain: Option<String>,
    /// Who sealed the environment.
    pub sender: CurvePublicKey,
    /// The node that is meant; a node refuses requests for another.
    pub target_node: NodeId,
    /// The subjects that trigger the function.
    pub trigger_subjects: Vec<TriggerSubject>,
    /// Ours: how long one call of the function may take, in milliseconds; the node's default if
    /// absent, and never more than the node allows.
    pub call_timeout_ms: Option<u64>,
    /// How often an essential workload has been started again.
    pub retry_count: Option<u64>,
    /// When it was started again the last time.
    pub retried_at: Option<OffsetDateTime>,
}

/// The fields as they stand on the wire.
#[derive(Default)]
struct Fields {
    argv: Option<Texts<MAX_ARGUMENTS, MAX_ARGUMENT_BYTES>>,
    description: Option<String>,
    workload_type: Option<String>,
    location: Option<ArtifactLocation>,
    essential: Option<bool>,
    workload_jwt: Option<String>,
    environment: Option<String>,
    jsdomain: Option<String>,
    sender_public_key: Option<String>,
    target_node: Option<String>,
    trigger_subjects: Option<Texts<MAX_TRIGGER_SUBJECTS, MAX_TRIGGER_SUBJECT_BYTES>>,
    call_timeout_ms: Option<u64>,
    retry_count: Option<u64>,
    retried_at: Option<String>,
}
read_like_go!(Fields {
    values: [],
    options: [
        argv => "argv",
        description => "description",
        workload_type => "type",
        location => "location",
        essential => "essential",
        workload_jwt => "workload_jwt",
        environment => "environment",
        jsdomain => "jsdomain",
        sender_public_key => "sender_public_key",
        target_node => "target_node",
        trigger_subjects => "trigger_subjects",
        call_timeout_ms => "call_timeout_ms",
        retry_count => "retry_count",
        retried_at => "retried_at",
    ],
});

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    argv: &'a [String],
    // A Go node that was sent none crashes when it is asked about its workloads.
    description: &'a str,
    #[serde(rename = "type")]
    workload_type: WorkloadType,
    location: &'a ArtifactLocation,
    // A Go node crashes without this one,
    essential: bool,
    workload_jwt: &'a str,
    environment: &'a str,
    // and without this one.
    jsdomain: &'a str,
    sender_public_key: String,
    target_node: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trigger_subjects: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retried_at: Option<String>,
}

impl DeployRequest {
    /// Reads a request and checks everything that can be checked without keys and clock.
    ///
    /// # Errors
    /// [`RequestError`], naming the field at fault.
    pub fn decode(message: &[u8]) -> Result<Self, RequestError> {
        let fields: Fields = json::read(message, MAX_REQUEST_BYTES)?;
        let workload_type = json::filled(
            json::required(fields.workload_type, "type")?,
            "type",
            MAX_KEY_TEXT_BYTES,
        )?
        .parse()
        .map_err(|source| RequestError::WorkloadType { field: "type", source })?;
        let location = json::required(fields.location, "location")?;
        let workload_jwt =
            required_text("workload_jwt", fields.workload_jwt, MAX_TOKEN_CHARACTERS)?;
        let environment = required_text("environment", fields.environment, MAX_SEALED_CHARACTERS)?;
        let sender =
            required_text("sender_public_key", fields.sender_public_key, MAX_KEY_TEXT_BYTES)?
                .parse()
                .map_err(|source| RequestError::Key { field: "sender_public_key", source })?;
        let target_node = target_node(fields.target_node)?;
        let request = Self {
            argv: arguments(fields.argv.unwrap_or_default().within_limits("argv")?)?,
            description: json::within(
                fields.description.unwrap_or_default(),
                "description",
                MAX_DESCRIPTION_BYTES,
            )?,
            workload_type,
            location,
            essential: fields.essential.unwrap_or_default(),
            workload_jwt,
            environment,
            jsdomain: domain(fields.jsdomain)?,
            sender,
            target_node,
            trigger_subjects: triggers(
                fields.trigger_subjects.unwrap_or_default().within_limits("trigger_subjects")?,
            )?,
            call_timeout_ms: fields.call_timeout_ms,
            retry_count: fields.retry_count,
            retried_at: time_of("retried_at", fields.retried_at)?,
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
            workload_type: self.workload_type,
            location: &self.location,
            essential: self.essential,
            workload_jwt: &self.workload_jwt,
            environment: &self.environment,
            jsdomain: self.jsdomain.as_deref().unwrap_or_default(),
            sender_public_key: self.sender.to_string(),
            target_node: self.target_node.to_string(),
            trigger_subjects: self.trigger_subjects.iter().map(AsRef::as_ref).collect(),
            call_timeout_ms: self.call_timeout_ms,
            retry_count: self.retry_count,
            retried_at: self.retried_at.map(timestamp::format),
        })
    }

    /// Checks what a type of workload needs and cannot have.
    fn check_type(&self) -> Result<(), RequestError> {
        let workload_type = self.workload_type;
        if workload_type.is_function() {
            if self.trigger_subjects.is_empty() {
                return Err(RequestError::NoTrigger { workload_type });
            }
            if self.essential {
                return Err(RequestError::EssentialFunction { workload_type });
            }
        } else if !self.trigger_subjects.is_empty() {
            return Err(RequestError::TriggersOnService { workload_type });
        }
        Ok(())
    }
}

/// A text that has to be there, and to hold something.
pub(crate) fn required_text(
    field: &'static str,
    text: Option<String>,
    limit: usize,
) -> Result<String, FieldError> {
    json::filled(json::required(text, field)?, field, limit)
}

/// The node that a request is for.
pub(super) fn target_node(text: Option<String>) -> Result<NodeId, RequestError> {
    required_text("target_node", text, MAX_KEY_TEXT_BYTES)?
        .parse()
        .map_err(|source| RequestError::Name { field: "target_node", source })
}

/// Arguments for a program. Go's `devrun` splits an empty text at its blanks, and sends one
/// empty argument where there is none.
pub(crate) fn arguments(argv: Vec<String>) -> Result<Vec<String>, RequestError> {
    if let Some(index) = argv.iter().position(|argument| argument.contains('\0')) {
        return Err(RequestError::NulInArgument { index });
    }
    match argv.as_slice() {
        [only] if only.is_empty() => Ok(Vec::new()),
        _ => Ok(argv),
    }
}

/// Subjects that trigger a function.
pub(crate) fn triggers(subjects: Vec<String>) -> Result<Vec<TriggerSubject>, RequestError> {
    subjects
        .into_iter()
        .map(|subject| {
            subject.parse().map_err(|source| RequestError::Trigger {
                subject: subject.chars().take(MAX_KEY_TEXT_BYTES).collect(),
                source,
            })
        })
        .collect()
}

/// A time, if there is one.
pub(crate) fn time_of(
    field: &'static str,
    text: Option<String>,
) -> Result<Option<OffsetDateTime>, RequestError> {
    text.map(|text| timestamp::parse(&text))
        .transpose()
        .map_err(|source| RequestError::Time { field, source })
}

/// The domain, if there is one: Go clients send an empty text for none.
fn domain(text: Option<String>) -> Result<Option<String>, RequestError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = json::within(text, "jsdomain", MAX_DOMAIN_BYTES)?;
    // It becomes one token of `$JS.{domain}.API`.
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !b".*>".contains(&byte)) {
        Ok(Some(text))
    } else {
        Err(RequestError::Domain)
    }
}
