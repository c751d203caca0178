//! The memory image that every call starts from.
//!
//! ```text
//! 0          stack pointer                    end          heap top       size
//! ├─ stack ──┼─ data ─ heap after evaluation ─┼─ used by a call ┼─ unused ─┤
//!    dead              copied back                  zeroed       untouched,
//!                                                                 but for the allocator's
//!                                                                 mark in the last page
//! ```
//!
//! What lies below the stack pointer is dead when no function of the guest runs, so it need not be
//! copied.

use std::ops::Range;

/// Granularity of what a fresh instance is given: a page that is not written to stays shared with
/// all other instances.
const PAGE: usize = 4096;

/// How far beyond the end of the last block the allocator's own notes may reach.
const SLACK: usize = 64;

/// A copy of an instance's memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Where the stack ends and the image begins.
    start: usize,
    /// From there on.
    bytes: Vec<u8>,
    /// Places of `bytes` that a fresh instance differs in.
    changed: Vec<Range<usize>>,
    /// The last page of the memory.
    last: Vec<u8>,
    /// Size of the memory.
    size: usize,
}

/// The memory is not what an image can be made of, or written back to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's memory is not laid out as it should be")]
pub(super) struct Layout;

impl Image {
    /// Takes the image of `memory`. `stack_pointer` is where its stack begins, `heap_top` where the
    /// highest block of its heap ends; `fresh` is the memory of an instance that has run nothing.
    pub(super) fn take(
        memory: &[u8],
        fresh: &[u8],
        stack_pointer: usize,
        heap_top: usize,
    ) -> Result<Self, Layout> {
        let size = memory.len();
        let last = size.checked_sub(PAGE).ok_or(Layout)?;
        let end = heap_top.checked_add(SLACK).ok_or(Layout)?.next_multiple_of(PAGE).min(last);
        let bytes = memory.get(stack_pointer..end).ok_or(Layout)?;
        let mut changed: Vec<Range<usize>> = Vec::new();
        for (page, ours) in bytes.chunks(PAGE).enumerate() {
            let place = page * PAGE..page * PAGE + ours.len();
            // What a fresh memory does not have yet is 0 when it has grown.
            let there = stack_pointer + place.start..stack_pointer + place.end;
            let same = match fresh.get(there) {
                Some(theirs) => ours == theirs,
                None => ours.iter().all(|byte| *byte == 0),
            };
            if same {
                continue;
            }
            match changed.last_mut().filter(|before| before.end == place.start) {
                Some(before) => before.end = place.end,
                None => changed.push(place),
            }
        }
        let (bytes, last) = (bytes.to_vec(), memory.get(last..).unwrap_or_default().to_vec());
        Ok(Self { start: stack_pointer, bytes, changed, last, size })
    }

    /// Size of the memory that it is of.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Gives a fresh instance the image.
    pub(super) fn apply(&self, fresh: &mut [u8]) -> Result<(), Layout> {
        if fresh.len() != self.size {
            return Err(Layout);
        }
        let ours = fresh.get_mut(self.start..).ok_or(Layout)?;
        for place in &self.changed {
            let to = ours.get_mut(place.clone()).ok_or(Layout)?;
            to.copy_from_slice(self.bytes.get(place.clone()).ok_or(Layout)?);
        }
        self.write_last(fresh)
    }

    /// Makes the memory of an instance that has run a call what it was before. `heap_top` is where
    /// the highest block of its heap ended in that call.
    pub(super) fn restore(&self, memory: &mut [u8], heap_top: usize) -> Result<(), Layout> {
        if memory.len() != self.size {
            return Err(Layout);
        }
        let end = self.start + self.bytes.len();
        memory.get_mut(self.start..end).ok_or(Layout)?.copy_from_slice(&self.bytes);
        let used = heap_top.saturating_add(SLACK).clamp(end, self.size);
        memory.get_mut(end..used).ok_or(Layout)?.fill(0);
        self.write_last(memory)
    }

    fn write_last(&self, memory: &mut [u8]) -> Result<(), Layout> {
        let start = self.size.checked_sub(self.last.len()).ok_or(Layout)?;
        memory.get_mut(start..).ok_or(Layout)?.copy_from_slice(&self.last);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: usize = 16 * PAGE;

    proptest! {
        /// Whatever a script and a call write, restoring and starting afresh give the same world.
        #[test]
        fn restored_and_fresh_are_the_image(
            stack in 0..2 * PAGE,
            static_data in proptest::collection::vec(any::<u8>(), 1..PAGE),
            script in proptest::collection::vec((0..6 * PAGE, any::<u8>()), 0..40),
            call in proptest::collection::vec((0..9 * PAGE, any::<u8>()), 0..40),
        ) {
            let mut fresh = vec![0; SIZE];
            fresh[stack..stack + static_data.len()].copy_from_slice(&static_data);
            let mut memory = fresh.clone();
            let mut top = stack + static_data.len();
            for (at, byte) in script {
                memory[stack + at] = byte;
                top = top.max(stack + at + 1);
            }
            memory[SIZE - 8] = 7;
            let image = Image::take(&memory, &fresh, stack, top).unwrap();
            let evaluated = memory.clone();
            for (at, byte) in call {
                memory[stack + at] = byte;
                top = top.max(stack + at + 1);
            }
            memory[..stack].fill(9);
            memory[SIZE - 3] = 1;
            image.restore(&mut memory, top).unwrap();
            prop_assert_eq!(&memory[stack..], &evaluated[stack..]);
            image.apply(&mut fresh).unwrap();
            prop_assert_eq!(&fresh[stack..], &evaluated[stack..]);
        }

        #[test]
        fn no_numbers_of_a_guest_panic(
            stack in any::<usize>(), top in any::<usize>(), later in any::<usize>(), grown in 0..3_usize,
        ) {
            let mut memory = vec![1; 3 * PAGE];
            for stack in [stack, stack % memory.len()] {
                if let Ok(image) = Image::take(&memory, &[], stack, top) {
                    let _ = image.apply(&mut memory);
                }
                if let Ok(image) = Image::take(&memory.clone(), &memory, stack, top) {
                    let _ = image.restore(&mut memory, later);
                    let mut other = vec![0; 3 * PAGE + grown];
                    let same = image.restore(&mut other, later).is_ok();
                    prop_assert_eq!(same, grown == 0);
                }
            }
        }
    }
}
