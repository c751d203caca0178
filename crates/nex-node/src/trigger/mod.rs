//! Functions and their triggers.
//!
//! ```text
//!  source ──Call──▶ admission ──place──▶ call ──▶ AgentLink ──▶ agent ──▶ answer to the caller
//!  (subject)           │ full                                              │
//!                      └──▶ queue ──▶ refusal                              └──▶ counters, events
//! ```
//!
//! * A *source* makes calls out of messages: `source`, the subscriptions of a function. A call
//!   knows where it is to be answered and nothing else about its source, so that other sources
//!   (streams, timers, HTTP) need nothing new behind them.
//! * [`admission`](Admission) says whether a call runs, waits or is refused, and who is next. The
//!   place is taken before anything is handed to an agent.
//! * A running call is a task of its own, `call`. It ends in exactly one answer to the caller, if
//!   one is wanted.
//! * What is counted on the way is shown by `micro` (NATS services) and told by `tell` (events and
//!   logs, fewer than calls: see `tally`).
//!
//! A function outlives its sandbox: [`FunctionHandle::attach`] and [`detach`](FunctionHandle::detach)
//! say where it runs now. It is subscribed only while it runs somewhere, so that without a sandbox
//! its calls go to other nodes.

mod admission;
mod call;
mod function;
mod headers;
mod hub;
mod micro;
mod outcome;
mod reply;
mod source;
mod subjects;
mod tally;
mod tell;

pub(crate) use function::{FunctionHandle, FunctionSpec};
pub(crate) use hub::Triggers;
pub(crate) use subjects::{AttachError, TriggerError};

use admission::Admission;
