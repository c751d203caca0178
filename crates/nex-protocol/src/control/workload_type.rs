//! The types of workloads.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What kind of program a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadType {
    /// A native program that runs until it is stopped.
    Elf,
    /// A JavaScript function.
    V8,
    /// A WebAssembly function.
    Wasm,
    /// A container image that runs until it is stopped.
    Oci,
}

/// A type of workload that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown type of workload; use elf, v8, wasm or oci")]
pub struct UnknownWorkloadType;

impl WorkloadType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Elf, Self::V8, Self::Wasm, Self::Oci];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Elf => "elf",
            Self::V8 => "v8",
            Self::Wasm => "wasm",
            Self::Oci => "oci",
        }
    }

    /// Whether workloads of this type are functions: called by triggers, one call at a time. The
    /// others are services, which run until they are stopped.
    #[must_use]
    pub const fn is_function(self) -> bool {
        match self {
            Self::V8 | Self::Wasm => true,
            Self::Elf | Self::Oci => false,
        }
    }
}

impl fmt::Display for WorkloadType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for WorkloadType {
    type Err = UnknownWorkloadType;

    /// Reads a name in any case. Later Go nodes say `native` for `elf`; `js` and `javascript`
    /// are taken for `v8`.
    fn from_str(text: &str) -> Result<Self, UnknownWorkloadType> {
        const NAMES: [(&str, WorkloadType); 7] = [
            ("elf", WorkloadType::Elf),
            ("native", WorkloadType::Elf),
            ("v8", WorkloadType::V8),
            ("js", WorkloadType::V8),
            ("javascript", WorkloadType::V8),
            ("wasm", WorkloadType::Wasm),
            ("oci", WorkloadType::Oci),
        ];
        NAMES
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, kind)| kind)
            .ok_or(UnknownWorkloadType)
    }
}

impl Serialize for WorkloadType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for WorkloadType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
