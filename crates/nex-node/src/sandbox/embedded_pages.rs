//! Gives the memory back that reading a large constant of the program takes.
#![allow(unsafe_code, reason = "madvise is given an address")]

use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

/// Lets go of the pages of `bytes`: they are the program's file, and are read from there again
/// when somebody looks at them. Only whole pages inside; a wish, so a refusal does not matter.
pub(super) fn release(bytes: &'static [u8]) {
    let page = page_size();
    let start = bytes.as_ptr().addr().next_multiple_of(page);
    let end = (bytes.as_ptr().addr() + bytes.len()) / page * page;
    let Some(length) = end.checked_sub(start).filter(|length| *length > 0) else { return };
    let first = bytes.as_ptr().with_addr(start).cast_mut();
    // SAFETY: the range lies inside of a `'static` constant, so in a private mapping of the
    // program's file that nobody has written to: it holds no relocation, being plain bytes. After
    // the call the kernel reads the same bytes from the file.
    let _ = unsafe { madvise(first.cast(), length, Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    use super::*;

    static LARGE: [u8; 3 * 65536 + 5] = [7; 3 * 65536 + 5];

    #[test]
    fn what_was_let_go_is_still_there() {
        for part in [&LARGE[..], &LARGE[1..], &LARGE[..10], &[]] {
            release(part);
            assert!(part.iter().all(|byte| *byte == 7));
        }
    }
}
