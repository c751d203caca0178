//! The memory of a guest, read and written with every pointer checked. Pointers and sizes come from
//! the guest as `i32` and mean unsigned numbers.

use std::ops::Range;

use wasmtime::Caller;

use super::state::State;

/// A guest broke the rules of the interface: a pointer beyond its memory, or a size that is too
/// large.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Violation(pub(super) &'static str);

/// The memory of the calling guest, and its state.
pub(super) fn split<'a>(
    caller: &'a mut Caller<'_, State>,
) -> Result<(&'a mut [u8], &'a mut State), Violation> {
    let memory = caller.data().memory.ok_or(Violation("a call before the instance is made"))?;
    Ok(memory.data_and_store_mut(caller))
}

/// The place that a pointer and a size of the guest mean.
pub(super) fn place(pointer: i32, size: i32) -> Range<usize> {
    let start = pointer.cast_unsigned() as usize;
    start..start.saturating_add(size.cast_unsigned() as usize)
}

/// Bytes of the guest.
pub(super) fn bytes(memory: &[u8], pointer: i32, size: i32) -> Result<&[u8], Violation> {
    memory.get(place(pointer, size)).ok_or(Violation("bytes beyond the memory"))
}

/// Bytes of the guest, to be written.
pub(super) fn bytes_mut(
    memory: &mut [u8],
    pointer: i32,
    size: i32,
) -> Result<&mut [u8], Violation> {
    memory.get_mut(place(pointer, size)).ok_or(Violation("bytes beyond the memory"))
}

/// A text of the guest, at most `most` bytes of it. What is no UTF-8 is replaced.
pub(super) fn text(
    memory: &[u8],
    pointer: i32,
    size: i32,
    most: usize,
) -> Result<String, Violation> {
    let bytes = bytes(memory, pointer, size)?;
    let Some(cut) = bytes.get(..most).filter(|_| bytes.len() > most) else {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    };
    // Not in the middle of a character.
    let start = (0..4).rev().find_map(|back| {
        let at = cut.len().checked_sub(back)?;
        cut.get(..at).filter(|part| std::str::from_utf8(part).is_ok())
    });
    Ok(String::from_utf8_lossy(start.unwrap_or(cut)).into_owned() + "…")
}
