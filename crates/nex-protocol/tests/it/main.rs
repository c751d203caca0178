//! The wire types against what Go peers write and read.

mod agent;
mod control;
mod envelope;
mod events;
mod logs;
mod requests;
mod round_trip;
mod surface;
mod uptime;
mod vectors;
