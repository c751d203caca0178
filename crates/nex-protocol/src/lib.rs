//! Wire types of Nex.

pub mod nats;
