//! Log lines from an agent to its node: `agentint.{id}.logs`.

use serde::{Serialize, Serializer};

use crate::json::{self, FieldError};

/// Largest log message from an agent that is read, in bytes.
pub const MAX_AGENT_LOG_BYTES: usize = 256 << 10;

/// How important a line is, on the agent's own scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AgentLevel {
    /// Nothing works any more. Also what a line without a level has.
    #[default]
    Panic,
    /// The program ends.
    Fatal,
    /// A failure, and what a workload prints to its standard error.
    Error,
    /// Something unexpected.
    Warn,
    /// What a workload prints to its standard output.
    Info,
    /// Of interest to who looks for a fault.
    Debug,
    /// Every step.
    Trace,
}

impl AgentLevel {
    /// All levels, the most important first; the number of each on the wire is its place here.
    pub const ALL: [Self; 7] =
        [Self::Panic, Self::Fatal, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The level of a number on the wire; numbers beyond either end count as that end.
    #[must_use]
    pub const fn from_wire(number: i32) -> Self {
        match number {
            ..=0 => Self::Panic,
            1 => Self::Fatal,
            2 => Self::Error,
            3 => Self::Warn,
            4 => Self::Info,
            5 => Self::Debug,
            6.. => Self::Trace,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn wire(self) -> i32 {
        match self {
            Self::Panic => 0,
            Self::Fatal => 1,
            Self::Error => 2,
            Self::Warn => 3,
            Self::Info => 4,
            Self::Debug => 5,
            Self::Trace => 6,
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
    fn is_left_out(&self) -> bool {
        *self == Self::Panic
    }
}

impl Serialize for AgentLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(self.wire())
    }
}

/// One line of a log, from an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AgentLog {
    /// Who says it: the name of the workload, or `nex-agent`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// How important it is.
    #[serde(skip_serializing_if = "AgentLevel::is_left_out")]
    pub level: AgentLevel,
    /// The text. Go agents send what the workload wrote at once, which may be several lines or
    /// part of one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl json::Object for AgentLog {
    const FIELDS: &'static [&'static str] = &["source", "level", "text"];

    fn read_field<'de, A: serde::de::MapAccess<'de>>(
        &mut self,
        field: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match field {
            "level" => {
                if let Some(number) = map.next_value()? {
                    self.level = AgentLevel::from_wire(number);
                }
            }
            "source" => self.source = map.next_value::<Option<_>>()?.unwrap_or_default(),
            _ => self.text = map.next_value::<Option<_>>()?.unwrap_or_default(),
        }
        Ok(())
    }
}

impl AgentLog {
    /// Reads a log message from an agent.
    ///
    /// # Errors
    /// [`FieldError`] when it is of the wrong form or larger than [`MAX_AGENT_LOG_BYTES`].
    pub fn decode(message: &[u8]) -> Result<Self, FieldError> {
        json::read(message, MAX_AGENT_LOG_BYTES)
    }

    /// Writes a log message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(self)
    }
}
