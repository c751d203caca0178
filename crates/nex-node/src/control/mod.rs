//! The control API: what clients ask a node on `$NEX.…`.
//!
//! The listener only dispatches. Questions are answered from what is known at
//! once; deploys and stops run in tasks of their own, so many at a time, and
//! what finds no place is refused. Every path ends in one reply: a handler
//! returns it, and [`listener`] alone sends.

mod handler;
mod listener;
mod refusal;

pub(crate) use handler::{Handler, NodeFacts};
pub(crate) use listener::Listener;
