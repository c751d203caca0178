//! The program's own pages, of which an agent that waits needs few.
//!
//! Starting reads relocations, touches code that never runs again, and the kernel maps what lies
//! around it. All of that stays in the page cache, where it is shared, but counts as this
//! process's memory while it is mapped. Given back, only what is used again comes back.

use std::ffi::{c_int, c_void};

/// Gives back the pages of code and constants that can be read again from the program's file.
/// What is still needed is mapped again when it is touched.
pub fn release() {
    for (start, length) in unchanging() {
        give_back(start, length);
    }
}

/// Start and length of the loaded parts of the program that nobody can have written to.
#[allow(unsafe_code)]
fn unchanging() -> Vec<(usize, usize)> {
    extern "C" fn collect(
        object: *mut libc::dl_phdr_info,
        _size: usize,
        found: *mut c_void,
    ) -> c_int {
        // SAFETY: the C library passes a valid object, and what was passed to it.
        let (object, found) = unsafe { (&*object, &mut *found.cast::<Vec<(usize, usize)>>()) };
        // SAFETY: the object has that many program headers there, which live as long as it.
        let headers =
            unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
        for header in headers {
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
                let start = (object.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
                found.push((start, header.p_memsz as usize));
            }
        }
        // The first object is the program; no more of them.
        1
    }
    let mut found: Vec<(usize, usize)> = Vec::new();
    // SAFETY: the callback has the right form, and the list outlives the call.
    unsafe {
        libc::dl_iterate_phdr(Some(collect), (&raw mut found).cast());
    }
    found
}

/// Only whole pages that belong to the part alone.
#[allow(unsafe_code)]
fn give_back(start: usize, length: usize) {
    let page = page_size();
    let first = start.next_multiple_of(page);
    let end = start.saturating_add(length) / page * page;
    if end <= first {
        return;
    }
    // SAFETY: the range is a part of the program's own private mapping of its file that is not
    // writable, so that its pages hold what the file holds: reading them again changes nothing.
    // A failure, too, changes nothing.
    unsafe {
        libc::madvise(first as *mut c_void, end - first, libc::MADV_DONTNEED);
    }
}

#[allow(unsafe_code)]
fn page_size() -> usize {
    // SAFETY: a call without pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // There is no machine without an answer; a size that is too large gives back less.
    usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(64 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_goes_on_after_it() {
        let parts = unchanging();
        assert!(parts.iter().map(|(_, length)| length).sum::<usize>() > 1 << 20, "{parts:?}");
        let here = the_program_goes_on_after_it as *const () as usize;
        assert!(parts.iter().any(|(start, length)| (*start..start + length).contains(&here)));
        release();
        assert_eq!(unchanging(), parts);
    }
}
