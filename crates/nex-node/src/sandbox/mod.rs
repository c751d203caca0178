//! Sandboxes: where workloads run. A [`Driver`] launches machines of one kind,
//! one task per sandbox drives its [`lifecycle`], and everybody else holds a
//! [`SandboxHandle`] and sends it requests.

pub mod agent_image;
mod driver;
mod embedded_pages;
mod files;
mod handle;
mod host_calls;
pub mod lifecycle;
pub mod namespace;
mod process;
pub(crate) mod process_tree;
mod task;

pub use driver::{ArtifactAccess, Boot, Driver, LaunchError, Machine};
pub(crate) use files::WorkloadFiles;
pub use handle::{DeployFailure, Ending, SandboxHandle, StopReason, Stopper, WorkloadExit};
pub use namespace::NamespaceDriver;
pub use process::ProcessDriver;
pub(crate) use task::Launcher;
