//! The memory of a guest, as its pointers see it.

use wasmtime::Caller;

use super::{Errno, World};

/// The memory of the calling instance.
pub(super) struct Guest<'a> {
    memory: &'a mut [u8],
}

/// Runs a host function on the guest's memory; answers its number for the guest, 0 when it did
/// what it was asked for.
pub(super) fn enter(
    caller: &mut Caller<'_, World>,
    run: impl FnOnce(&mut Guest<'_>, &mut World) -> Result<(), Errno>,
) -> i32 {
    let memory = match caller.data().memory {
        Some(memory) => memory,
        // A start function, before the instance is made.
        None => match caller.get_export("memory").and_then(wasmtime::Extern::into_memory) {
            Some(memory) => memory,
            None => return Errno::Fault as i32,
        },
    };
    let (memory, world) = memory.data_and_store_mut(caller);
    match run(&mut Guest { memory }, world) {
        Ok(()) => 0,
        Err(errno) => errno as i32,
    }
}

impl Guest<'_> {
    pub(super) fn slice(&self, at: u32, length: u32) -> Result<&[u8], Errno> {
        let at = at as usize;
        let end = at.checked_add(length as usize).ok_or(Errno::Fault)?;
        self.memory.get(at..end).ok_or(Errno::Fault)
    }

    pub(super) fn slice_mut(&mut self, at: u32, length: u32) -> Result<&mut [u8], Errno> {
        let at = at as usize;
        let end = at.checked_add(length as usize).ok_or(Errno::Fault)?;
        self.memory.get_mut(at..end).ok_or(Errno::Fault)
    }

    fn array<const N: usize>(&self, at: u32) -> Result<[u8; N], Errno> {
        let bytes = self.memory.get(at as usize..).and_then(<[u8]>::first_chunk);
        bytes.copied().ok_or(Errno::Fault)
    }

    pub(super) fn u8(&self, at: u32) -> Result<u8, Errno> {
        self.array(at).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&self, at: u32) -> Result<u16, Errno> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, at: u32) -> Result<u32, Errno> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: u32) -> Result<u64, Errno> {
        self.array(at).map(u64::from_le_bytes)
    }

    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice_mut(at, length)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn put_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }

    pub(super) fn put_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }
}

/// A pointer some bytes further.
pub(super) fn offset(at: u32, bytes: u32) -> Result<u32, Errno> {
    at.checked_add(bytes).ok_or(Errno::Fault)
}
