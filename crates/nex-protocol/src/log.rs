//! Log lines on the public NATS system: `$NEX.logs.{namespace}.{node}.{workload}.{id}`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::agent::AgentLevel;
use crate::json::{self, FieldError};

/// Largest log message that is read, in bytes.
pub const MAX_LOG_LINE_BYTES: usize = 1 << 20;

/// How important a line is, on the scale of Go's `log/slog`: 4 steps lie between two names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogLevel(i32);

impl LogLevel {
    /// Of interest to who looks for a fault.
    pub const DEBUG: Self = Self(-4);
    /// What a workload prints to its standard output.
    pub const INFO: Self = Self(0);
    /// Something unexpected that does not stop the work.
    pub const WARN: Self = Self(4);
    /// A failure, and what a workload prints to its standard error.
    pub const ERROR: Self = Self(8);

    /// The level of this number on slog's scale.
    #[must_use]
    pub const fn from_slog(value: i32) -> Self {
        Self(value)
    }

    /// The number of this level on slog's scale.
    #[must_use]
    pub const fn slog(self) -> i32 {
        self.0
    }

    /// The nearest named level at or below this one; [`Self::DEBUG`] for everything below that.
    #[must_use]
    pub const fn named(self) -> Self {
        match self.0 {
            ..0 => Self::DEBUG,
            0..4 => Self::INFO,
            4..8 => Self::WARN,
            8.. => Self::ERROR,
        }
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self::INFO
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.named() {
            Self::DEBUG => "DEBUG",
            Self::INFO => "INFO",
            Self::WARN => "WARN",
            _ => "ERROR",
        };
        // Cannot leave i64, whatever the level.
        let offset = i64::from(self.0) - i64::from(self.named().0);
        if offset == 0 { formatter.pad(name) } else { formatter.pad(&format!("{name}{offset:+}")) }
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a log level; use DEBUG, INFO, WARN or ERROR, if need be with an offset as in INFO+2")]
pub struct LogLevelError;

impl FromStr for LogLevel {
    type Err = LogLevelError;

    fn from_str(text: &str) -> Result<Self, LogLevelError> {
        let at = text.find(['+', '-']).unwrap_or(text.len());
        let (name, offset) = text.split_at_checked(at).ok_or(LogLevelError)?;
        let offset: i32 =
            if offset.is_empty() { 0 } else { offset.parse().map_err(|_| LogLevelError)? };
        let named = [
            ("DEBUG", Self::DEBUG),
            ("INFO", Self::INFO),
            ("WARN", Self::WARN),
            ("ERROR", Self::ERROR),
        ];
        let (_, base) = named
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .ok_or(LogLevelError)?;
        base.0.checked_add(offset).map(Self).ok_or(LogLevelError)
    }
}

impl Serialize for LogLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LevelVisitor;

        impl Visitor<'_> for LevelVisitor {
            type Value = LogLevel;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a log level as text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<LogLevel, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(LevelVisitor)
    }
}

impl From<AgentLevel> for LogLevel {
    /// Maps the agent's own scale. (A Go node takes its number for one of slog's, which makes
    /// `INFO` of a panic and `WARN` of plain output.)
    fn from(level: AgentLevel) -> Self {
        match level {
            AgentLevel::Panic => Self(12),
            AgentLevel::Fatal => Self(10),
            AgentLevel::Error => Self::ERROR,
            AgentLevel::Warn => Self::WARN,
            AgentLevel::Info => Self::INFO,
            AgentLevel::Debug => Self::DEBUG,
            AgentLevel::Trace => Self(-8),
        }
    }
}

/// One line of a workload's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// The text, as the workload wrote it; Go nodes keep the new line at its end.
    pub text: String,
    /// How important it is. Written as text: Go clients drop a line whose level is a number.
    pub level: LogLevel,
    /// The id of the workload that wrote it.
    pub id: String,
}

impl json::Object for LogLine {
    const FIELDS: &'static [&'static str] = &["text", "level", "id"];

    fn read_field<'de, A: de::MapAccess<'de>>(
        &mut self,
        field: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match field {
            "text" => self.text = map.next_value::<Option<String>>()?.unwrap_or_default(),
            // Unlike everywhere else, `null` is an error here, as it is for slog.
            "level" => self.level = map.next_value()?,
            _ => self.id = map.next_value::<Option<String>>()?.unwrap_or_default(),
        }
        Ok(())
    }
}

impl LogLine {
    /// Reads a log message. A level that is absent is [`LogLevel::INFO`].
    ///
    /// # Errors
    /// [`FieldError`] when it is no object of texts, or larger than [`MAX_LOG_LINE_BYTES`].
    pub fn decode(message: &[u8]) -> Result<Self, FieldError> {
        json::read(message, MAX_LOG_LINE_BYTES)
    }

    /// Writes a log message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(self)
    }
}
