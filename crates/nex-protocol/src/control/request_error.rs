//! Why a request to a node is refused before anything is done for it.

use crate::json::FieldError;
use crate::key::KeyError;
use crate::subject::TriggerSubjectError;
use crate::timestamp::TimestampError;

use super::{UnknownWorkloadType, WorkloadType};

/// Why a request of the control API, or a deploy request to an agent, cannot be taken. The text
/// names the field and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A field, or the whole message, is of the wrong form.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The type of the workload is unknown.
    #[error("`{field}` names no type of workload")]
    WorkloadType {
        /// Name of the field on the wire.
        field: &'static str,
        /// What types there are.
        #[source]
        source: UnknownWorkloadType,
    },
    /// A key is none, or one of another kind.
    #[error("`{field}` is not a public key of the right kind")]
    Key {
        /// Name of the field on the wire.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A name or an id does not follow the rules.
    #[error("`{field}` is not well-formed")]
    Name {
        /// Name of the field on the wire.
        field: &'static str,
        /// The rule it breaks.
        #[source]
        source: crate::name::NameError,
    },
    /// A trigger subject cannot be subscribed to.
    #[error("`trigger_subjects` holds {subject:?}, which no function may subscribe to")]
    Trigger {
        /// The subject, shortened if it is long.
        subject: String,
        /// What is wrong with it.
        #[source]
        source: TriggerSubjectError,
    },
    /// The JetStream domain is no name of one.
    #[error(
        "`jsdomain` is not the name of a JetStream domain: use one word without dots or blanks"
    )]
    Domain,
    /// The time of the last attempt is none.
    #[error("`{field}` is not a time; write it like 2024-04-26T12:00:00Z")]
    Time {
        /// Name of the field on the wire.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: TimestampError,
    },
    /// An argument cannot be handed to a program.
    #[error("`argv` holds a NUL byte in argument {index}; remove it")]
    NulInArgument {
        /// Which argument, from 0.
        index: usize,
    },
    /// A function that nothing would ever call.
    #[error("`trigger_subjects` is empty; a function of type {workload_type} needs at least one")]
    NoTrigger {
        /// Type of the function.
        workload_type: WorkloadType,
    },
    /// A service that asks to be called.
    #[error("`trigger_subjects` is for functions; a service of type {workload_type} has none")]
    TriggersOnService {
        /// Type of the service.
        workload_type: WorkloadType,
    },
    /// A function that asks to be restarted.
    #[error("`essential` is for services; leave it out for a function of type {workload_type}")]
    EssentialFunction {
        /// Type of the function.
        workload_type: WorkloadType,
    },
    /// A path is not absolute.
    #[error("`{field}` is not an absolute path; give one that starts with /")]
    Path {
        /// The field that holds it.
        field: &'static str,
    },
}

impl RequestError {
    /// The name, on the wire, of the field at fault; `None` when the whole message is.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Field(error) => error.field(),
            Self::WorkloadType { field, .. }
            | Self::Key { field, .. }
            | Self::Name { field, .. }
            | Self::Time { field, .. } => Some(field),
            Self::Trigger { .. } | Self::NoTrigger { .. } | Self::TriggersOnService { .. } => {
                Some("trigger_subjects")
            }
            Self::Domain => Some("jsdomain"),
            Self::NulInArgument { .. } => Some("argv"),
            Self::EssentialFunction { .. } => Some("essential"),
            Self::Path { field } => Some(field),
        }
    }
}
