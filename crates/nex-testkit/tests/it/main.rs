//! Integration tests of nex-testkit.
mod nats;
