//! The wire types of Nex: what clients, nodes and agents say to each other over NATS.
//!
//! This crate speaks both protocols of Nex v1: the control API between clients and nodes on the
//! public NATS system, and the agent protocol between a node and the agents in its sandboxes. It
//! knows no sockets and no async runtime: bytes go in, checked values come out, and the other
//! way round. Whatever is decoded here may come from a stranger, so every reader is bounded in
//! size and depth and answers bad input with a typed error.

pub mod agent;
pub mod claims;
pub mod config;
pub mod control;
pub mod digest;
pub mod envelope;
pub mod environment;
pub mod event;
pub mod json;
pub mod key;
pub mod location;
pub mod log;
pub mod micro;
pub mod name;
pub mod nats;
pub mod subject;
pub mod timestamp;
pub mod uptime;

mod text_serde;
