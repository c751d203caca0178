//! Async client for [Nex](https://github.com/nex-rs/nex): find nodes, upload
//! programs, run and stop them, call functions, follow logs and events.
//!
//! ```no_run
//! use nex_client::{Client, ConnectOptions};
//! use nex_client::artifact::Upload;
//! use nex_client::deploy::{Workload, WorkloadType};
//! use nex_client::keys::KeyFolder;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(ConnectOptions::new()).await?;
//! let node = client.resolve_node(None).await?;
//! let keys = KeyFolder::of_user()?.load_or_create()?;
//!
//! let uploaded = client.upload(&Upload::of_file("./echo", "echo"), |_| {}).await?;
//! let workload = Workload::builder("echo".parse()?, WorkloadType::Elf, uploaded.artifact)
//!     .variable("GREETING", "hello")
//!     .build()?;
//! let started = client.run(&workload, node.id, &keys.issuer, &keys.publisher).await?;
//! println!("{} runs on {} as {}", started.name, node.id, started.id);
//! # Ok(()) }
//! ```
//!
//! | what | where |
//! |---|---|
//! | connect by URL, credentials, TLS or NATS CLI context | [`Client::connect`], [`ConnectOptions`], [`context`] |
//! | find nodes and workloads | [`Client::nodes`], [`Client::workloads`], [`Client::resolve_node`], [`discovery`] |
//! | upload a program | [`Client::upload`], [`artifact`] |
//! | find and call functions | [`Client::functions`], [`Client::call`], [`call`] |
//! | start, stop, lame duck | [`Client::run`], [`Client::stop`], [`Client::lame_duck`], [`deploy`] |
//! | logs and events | [`Client::logs`], [`Client::events`], [`follow`] |
//! | keys in `~/.nex` | [`keys`] |
//!
//! Errors print one line that names the cause and what to do next; their
//! [`source`](std::error::Error::source) says more and is not repeated in that
//! line. Secrets print as `***`.
//!
//! Names, ids, claims and the other types of the wire are those of
//! [`nex_protocol`], which is exported again as [`protocol`].

pub mod artifact;
pub mod call;
mod client;
pub mod connect;
pub mod context;
pub mod deploy;
pub mod discovery;
pub mod follow;
pub mod keys;
mod request;
mod secret;

pub use client::Client;
pub use connect::{ConnectError, ConnectOptions};
pub use nex_protocol as protocol;
pub use request::RequestError;
pub use secret::Secret;

/// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
