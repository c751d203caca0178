//! How a call ended, in words and numbers for its caller.

use std::fmt::Write as _;

use nex_protocol::agent::CallFailure;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use super::Program;
use super::guard::Guard;
use crate::provider::function::{Answer, CallError};

use super::output::Output;

/// The program ended itself with this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exited with code {0}")]
pub(super) struct Exit(pub(super) i32);

/// Most functions of a trap's stack that are shown.
const MAX_FRAMES: usize = 16;

/// What a call's program came to.
pub(super) enum Ended {
    /// It returned, or ended itself with code 0.
    Well,
    /// It ended itself with another code, or a component said that it failed.
    Badly(Option<i32>),
    /// It trapped, or was stopped.
    Stopped(wasmtime::Error),
}

/// Judges the end of a call. A limit that was crossed goes before what came of it.
pub(super) fn judge(
    ended: Ended,
    guard: &Guard,
    output: &mut Output,
    program: &Program,
) -> Result<Answer, CallError> {
    // In any case: it shows the last line of the log.
    let payload = output.finish();
    let error = match ended {
        Ended::Well => return Ok(Answer { payload, afterwards: None }),
        _ if guard.late => {
            let limit = program.limits.call_timeout;
            (CallFailure::Timeout, format!("the function did not answer within {limit:?}"))
        }
        _ if output.too_large => {
            let limit = program.limits.max_output_bytes;
            let text = format!("the function answered with more than {limit} bytes");
            (CallFailure::OutputTooLarge, text)
        }
        ended if guard.refused_memory => {
            let limit = program.limits.max_memory_bytes;
            let end = describe(&ended);
            let text = format!("the function wanted more than {limit} bytes of memory: {end}");
            (CallFailure::OutOfMemory, text)
        }
        Ended::Stopped(error) if error.is::<PoolConcurrencyLimitError>() => {
            let text = "there is no place for another instance; call again".to_owned();
            (CallFailure::Busy, text)
        }
        ended => (CallFailure::Failed, describe(&ended)),
    };
    Err(CallError { failure: error.0, text: error.1 })
}

fn describe(ended: &Ended) -> String {
    match ended {
        Ended::Well => "it ended well".to_owned(),
        Ended::Badly(Some(code)) => Exit(*code).to_string(),
        Ended::Badly(None) => "its run function answered with an error".to_owned(),
        Ended::Stopped(error) => {
            let mut text = match error.downcast_ref::<Trap>() {
                Some(trap) => trap.to_string(),
                None => format!("stopped: {}", error.root_cause()),
            };
            let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames);
            for frame in frames.unwrap_or_default().iter().take(MAX_FRAMES) {
                // Writing to a string cannot fail.
                let _ = match frame.func_name() {
                    Some(name) => write!(text, "\n    at {name}"),
                    None => write!(text, "\n    at function {}", frame.func_index()),
                };
            }
            text
        }
    }
}
