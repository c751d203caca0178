//! A deploy request, checked: what the agent is really going to do.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use nex_protocol::agent::{AgentDeployRequest, DeployExtensions};
use nex_protocol::control::{RequestError, WorkloadType};
use nex_protocol::digest::Digest;
use nex_protocol::environment::Environment;
use nex_protocol::name::{Namespace, WorkloadName};

use crate::output::limit::Rates;
use crate::provider::engine::MAX_INSTANCES;
use crate::provider::function::FunctionLimits;

/// How long a workload may take to end when its deploy does not say.
pub const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(5);
/// Longest grace that is granted; a larger wish gets this.
pub const MAX_STOP_GRACE: Duration = Duration::from_secs(3600);

/// A workload to be started.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// Name of the workload.
    pub name: WorkloadName,
    /// Its namespace.
    pub namespace: Namespace,
    /// What kind of program it is.
    pub kind: Kind,
    /// Its whole environment.
    pub environment: Environment,
    /// Where the program is.
    pub artifact: Artifact,
    /// How long it may take to end after it was asked to.
    pub stop_grace: Duration,
    /// How much it may print.
    pub rates: Rates,
}

/// What kind of program a workload is, and what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A native program, which runs by itself.
    Native {
        /// `argv[0]`.
        argv0: String,
        /// The arguments after it.
        arguments: Vec<String>,
    },
    /// A function, which answers calls.
    Function(FunctionOrder),
}

/// What only a function has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionOrder {
    /// What it is written in.
    pub language: Language,
    /// Machine code that `nex-agent compile` made: of a module, or of the JavaScript engine.
    /// Without it the agent compiles by itself.
    pub compiled: Option<PathBuf>,
    /// What its calls may use.
    pub limits: FunctionLimits,
}

/// What a function is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Anything that was compiled to WebAssembly.
    WebAssembly,
    /// JavaScript.
    JavaScript,
}

/// Where the program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    /// In a file that the node has verified, to be executed where it is.
    File {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// In the node's object store, under the workload's name: what Go nodes offer.
    Cache {
        /// Its size in bytes, the most that is fetched.
        size: u64,
        /// What the deploy request says its SHA-256 is, where that is a digest.
        digest: Option<Digest>,
    },
}

impl fmt::Debug for Order {
    /// Arguments and environment hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("name", &self.name)
            .field("is_function", &matches!(self.kind, Kind::Function(_)))
            .field("artifact", &self.artifact)
            .field("stop_grace", &self.stop_grace)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

/// Why a deploy request cannot be carried out by this agent, before anything was tried.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It is no deploy request, or one that does not fit together.
    #[error("cannot read the deploy request")]
    Request(#[source] RequestError),
    /// A type that this agent has no provider for.
    #[error("this agent cannot run workloads of type {}; it runs elf, v8 and wasm", .0.as_str())]
    Type(WorkloadType),
}

impl OrderError {
    /// The whole chain in one line, for the reply.
    #[must_use]
    pub fn to_line(&self) -> String {
        one_line(self)
    }
}

/// An error and its sources, joined by colons.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

impl Order {
    /// Reads a deploy request.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn decode(message: &[u8]) -> Result<Self, OrderError> {
        let request = AgentDeployRequest::decode(message).map_err(OrderError::Request)?;
        let ours = request.extensions;
        let kind = match request.workload_type {
            WorkloadType::Elf => Kind::Native {
                argv0: ours.argv0.clone().unwrap_or_else(|| request.workload_name.to_string()),
                arguments: request.argv,
            },
            WorkloadType::Wasm => Kind::Function(function(Language::WebAssembly, &ours)),
            WorkloadType::V8 => Kind::Function(function(Language::JavaScript, &ours)),
            other @ WorkloadType::Oci => return Err(OrderError::Type(other)),
        };
        let artifact = match ours.artifact_path {
            Some(path) => Artifact::File { path: path.into(), size: request.total_bytes },
            None => {
                Artifact::Cache { size: request.total_bytes, digest: request.hash.parse().ok() }
            }
        };
        Ok(Self {
            name: request.workload_name,
            namespace: request.namespace,
            kind,
            environment: request.environment,
            artifact,
            stop_grace: ours.stop_grace_ms.map_or(DEFAULT_STOP_GRACE, |milliseconds| {
                Duration::from_millis(milliseconds).min(MAX_STOP_GRACE)
            }),
            rates: Rates::new(
                ours.log_lines_per_second.map_or(Rates::DEFAULT.lines, u64::from),
                ours.log_bytes_per_second.unwrap_or(Rates::DEFAULT.bytes),
            ),
        })
    }
}

/// Limits that the node does not name are the usual ones; zero calls at a time make no sense.
fn function(language: Language, ours: &DeployExtensions) -> FunctionOrder {
    let usual = FunctionLimits::default();
    FunctionOrder {
        language,
        compiled: ours.compiled_path.clone().map(PathBuf::from),
        limits: FunctionLimits {
            call_timeout: ours.call_timeout_ms.map_or(usual.call_timeout, Duration::from_millis),
            max_concurrent_calls: ours
                .max_concurrent_calls
                .unwrap_or(usual.max_concurrent_calls)
                .clamp(1, MAX_INSTANCES),
            max_memory_bytes: ours.max_memory_bytes.unwrap_or(usual.max_memory_bytes),
            max_output_bytes: ours.max_output_bytes.unwrap_or(usual.max_output_bytes),
            max_script_bytes: ours.max_script_bytes.unwrap_or(usual.max_script_bytes),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decode(fields: &serde_json::Value) -> Order {
        let mut request = json!({
            "namespace": "default", "workload_name": "echo", "workload_type": "wasm",
            "hash": "x", "total_bytes": 1, "trigger_subjects": ["a"], "artifact_path": "/a",
        });
        for (name, value) in fields.as_object().unwrap() {
            request[name] = value.clone();
        }
        Order::decode(request.to_string().as_bytes()).unwrap()
    }

    fn limits(fields: &serde_json::Value) -> FunctionLimits {
        match decode(fields).kind {
            Kind::Function(function) => function.limits,
            Kind::Native { .. } => panic!("it is a function"),
        }
    }

    #[test]
    fn what_the_node_does_not_say_is_as_usual() {
        assert_eq!(limits(&json!({})), FunctionLimits::default());
        let given = limits(&json!({
            "call_timeout_ms": 250, "max_concurrent_calls": 3, "max_memory_bytes": 1,
            "max_output_bytes": 2, "max_script_bytes": 4,
        }));
        let expected = FunctionLimits {
            call_timeout: Duration::from_millis(250),
            max_concurrent_calls: 3,
            max_memory_bytes: 1,
            max_output_bytes: 2,
            max_script_bytes: 4,
        };
        assert_eq!(given, expected);
    }

    #[test]
    fn there_is_always_one_place_and_never_more_than_the_engine_has() {
        assert_eq!(limits(&json!({"max_concurrent_calls": 0})).max_concurrent_calls, 1);
        let most = limits(&json!({"max_concurrent_calls": 100_000})).max_concurrent_calls;
        assert_eq!(most, MAX_INSTANCES);
    }

    #[test]
    fn the_type_says_what_it_is() {
        let kind = |name: &str| decode(&json!({"workload_type": name})).kind;
        for (name, expected) in [
            ("wasm", Language::WebAssembly),
            ("v8", Language::JavaScript),
            ("js", Language::JavaScript),
        ] {
            match kind(name) {
                Kind::Function(function) => assert_eq!(function.language, expected, "{name}"),
                Kind::Native { .. } => panic!("{name} is a function"),
            }
        }
        assert!(matches!(kind("elf"), Kind::Native { argv0, .. } if argv0 == "echo"));
    }
}
