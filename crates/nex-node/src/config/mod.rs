//! The node's configuration: raw JSON in, checked and immutable [`Config`] out.
//!
//! ```text
//! file ──parse──▶ document ─┐
//! program's value ─────────▶├─ by schema ─▶ known keys ─ merge ─ tidy ─ defaults ─ check ─▶ Config
//! flags ───────────────────▶┘               + findings                              + findings
//! ```
//!
//! Everything that is wrong is found in one go: an error holds every [`Problem`] with file, line,
//! column and key. What is merely odd, an unknown key above all, is a [`Warning`].
//!
//! This room is the only one of the node that reads the environment. What the keys mean is in
//! `docs/CONFIGURATION.md`, which a test keeps equal to the schema.

mod builder;
mod check;
mod defaults;
mod document;
mod effective;
mod host_rules;
mod host_services;
mod load;
mod paths;
mod problem;
mod settings;
mod shape;
mod subnet;
mod surroundings;
#[cfg(test)]
mod tests;

pub use builder::ConfigBuilder;
pub use host_rules::{HostRule, NotAHost, NotASubject, SubjectTemplate};
pub use host_services::{
    HostHttpConfig, HostKvConfig, HostMessagingConfig, HostObjectStoreConfig, HostServicesConfig,
};
pub use load::{Overrides, from_text, from_value, load};
pub use nex_protocol::config::{NamespaceNetwork, SandboxChoice};
pub use problem::{
    ConfigError, Origin, Place, Position, Problem, ProblemKind, Problems, SyntaxError, Warning,
    WarningKind,
};
pub use settings::{
    ArtifactCacheConfig, CompiledCacheConfig, Config, FunctionsConfig, Limits, LogLimits,
    NamespaceSettings, PublicNatsServer, SandboxKind, Settings,
};
pub use subnet::Subnet;
pub use surroundings::default_state_dir;
pub(crate) use surroundings::{runtime_dir, search_path, variable};
