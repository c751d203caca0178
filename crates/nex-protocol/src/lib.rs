//! The wire types of Nex: what nodes, clients and agents say to each other over NATS.
//!
//! Everything here is plain data: no runtime, no connection. What is decoded comes from the
//! network and is taken to be hostile, so every reader bounds its input and answers with an error
//! that says what to do, never with a panic.

pub mod claims;
pub mod digest;
pub mod environment;
pub mod key;
pub mod location;
pub mod name;
pub mod subject;

mod text_serde;
