//! The limits of one call, as wasmtime asks for them.

use tokio::time::Instant;
use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::FunctionLimits;

/// Most instances, tables and memories of one call: a component is made of several modules.
const MAX_PARTS: usize = 64;

/// Memory and time of one call.
#[derive(Debug)]
pub(super) struct Guard {
    deadline: Instant,
    /// Bytes that may still be taken by memories.
    memory_left: u64,
    /// More memory was asked for than there may be.
    pub(super) refused_memory: bool,
    /// The deadline has passed.
    pub(super) late: bool,
}

/// The call's time is over: raised inside WebAssembly, so that it ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time for this call is over")]
pub(super) struct Late;

impl Guard {
    pub(super) fn new(limits: &FunctionLimits, deadline: Instant) -> Self {
        let memory_left = limits.max_memory_bytes;
        Self { deadline, memory_left, refused_memory: false, late: false }
    }

    /// What happens at a tick of the epoch: the call gives way, or ends.
    pub(super) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        if Instant::now() >= self.deadline {
            self.late = true;
            return Err(Late.into());
        }
        Ok(UpdateDeadline::Yield(1))
    }
}

impl ResourceLimiter for Guard {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = desired.saturating_sub(current) as u64;
        match self.memory_left.checked_sub(wanted) {
            Some(left) => {
                self.memory_left = left;
                Ok(true)
            }
            None => {
                self.refused_memory = true;
                Ok(false)
            }
        }
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused_memory = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= crate::provider::engine::MAX_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}
