//! What went wrong, in words: from what the guest said and how it ended.

use nex_protocol::agent::CallFailure;
use nex_quickjs::failure;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use super::excerpt;
use super::memory::Violation;
use super::state::{Outcome, State, TimedOut};
use crate::provider::function::{CallError, PrepareError};

/// What the engine says when it gets no memory: an exception; none, where there is no memory for one
/// either; or one for whose text there is none.
const OUT_OF_MEMORY: [&str; 3] = ["out of memory", "Uncaught null", "cannot be shown"];

/// How a run of the guest ended without an answer.
pub(super) enum Ended {
    /// It was stopped: a trap, the deadline, a violation.
    Stopped(wasmtime::Error),
    /// It said so: a number of `nex_quickjs::failure`, and a text.
    Said(i32, String),
    /// It answered with this many bytes, too many.
    TooLarge(usize),
    /// It returned without a word.
    Silent,
}

impl Ended {
    pub(super) fn of(outcome: Option<Outcome>) -> Self {
        match outcome {
            Some(Outcome::Failed(kind, text)) => Self::Said(kind, text),
            Some(Outcome::TooLarge(size)) => Self::TooLarge(size),
            Some(Outcome::Answered(_)) | None => Self::Silent,
        }
    }
}

/// The failure of a call.
pub(super) fn of_call(ended: &Ended, state: &State) -> CallError {
    let (failure, text) = match ended {
        Ended::Stopped(error) if error.is::<TimedOut>() => {
            let taken = state.deadline.saturating_duration_since(state.began);
            (CallFailure::Timeout, format!("no answer within {} ms", taken.as_millis()))
        }
        Ended::Stopped(_) if state.limiter.refused => (CallFailure::OutOfMemory, memory(state)),
        Ended::Stopped(error) => (CallFailure::Failed, stopped(error)),
        Ended::Said(_, text) if is_out_of_memory(text, state) => {
            (CallFailure::OutOfMemory, format!("{}\n{text}", memory(state)))
        }
        Ended::Said(failure::UNSETTLED, _) => (CallFailure::Failed, unsettled("answer")),
        Ended::Said(_, text) => (CallFailure::Failed, text.clone()),
        Ended::TooLarge(size) => (
            CallFailure::OutputTooLarge,
            format!("the answer has {size} bytes; {} are allowed", state.limits.max_output_bytes),
        ),
        Ended::Silent => (CallFailure::Failed, "the engine gave no answer".to_owned()),
    };
    CallError { failure, text }
}

/// Why a call got no instance.
pub(super) fn of_instance(error: &wasmtime::Error) -> CallError {
    if error.is::<PoolConcurrencyLimitError>() {
        let text = "too many calls at the same time".to_owned();
        return CallError { failure: CallFailure::Busy, text };
    }
    CallError { failure: CallFailure::Failed, text: stopped(error) }
}

/// Why a script cannot be run.
pub(super) fn of_script(ended: &Ended, state: &State, script: &str) -> PrepareError {
    PrepareError(match ended {
        Ended::Stopped(error) if error.is::<TimedOut>() => format!(
            "the script was not evaluated within {} ms: what stands outside of the function runs \
             once, at deploy",
            state.limits.call_timeout.as_millis()
        ),
        Ended::Stopped(_) if state.limiter.refused => {
            format!("the script cannot be evaluated: {}", memory(state))
        }
        Ended::Stopped(error) => format!("the script cannot be evaluated: {}", stopped(error)),
        Ended::Said(failure::SYNTAX, text) => excerpt::of(text, script),
        Ended::Said(failure::NO_FUNCTION, _) => "the script's value is not a function: end the \
            script with one, such as `(subject, payload) => payload`, or write `export default` \
            before it"
            .to_owned(),
        Ended::Said(failure::UNSETTLED, _) => unsettled("value of the script"),
        Ended::Said(_, text) if is_out_of_memory(text, state) => {
            format!("the script cannot be evaluated: {}\n{text}", memory(state))
        }
        Ended::Said(_, text) => format!("the script failed when it was evaluated: {text}"),
        Ended::TooLarge(_) | Ended::Silent => "the engine did not evaluate the script".to_owned(),
    })
}

fn is_out_of_memory(text: &str, state: &State) -> bool {
    state.limiter.refused && OUT_OF_MEMORY.iter().any(|said| text.contains(said))
}

fn memory(state: &State) -> String {
    format!("out of memory: {} bytes are allowed", state.limits.max_memory_bytes)
}

fn unsettled(what: &str) -> String {
    format!("the {what} is a promise that nothing can settle: no timer and no job is left")
}

fn stopped(error: &wasmtime::Error) -> String {
    if let Some(violation) = error.downcast_ref::<Violation>() {
        return format!("the engine broke the rules: {violation}");
    }
    match error.downcast_ref::<Trap>() {
        // The engine's own check is meant to come first.
        Some(Trap::StackOverflow | Trap::MemoryOutOfBounds) => {
            "RangeError: Maximum call stack size exceeded (the engine was stopped)".to_owned()
        }
        Some(trap) => format!("the engine stopped: {trap}"),
        None => format!("the engine cannot run: {error}"),
    }
}
