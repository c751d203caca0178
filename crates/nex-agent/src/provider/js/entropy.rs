//! Random bytes of the system.

use std::io;

/// Fills all of it.
pub(super) fn fill(mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let filled = rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())?;
        bytes = bytes.get_mut(filled..).unwrap_or_default();
    }
    Ok(())
}

/// A seed for numbers that need not be secret.
pub(super) fn seed() -> io::Result<i64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(i64::from_le_bytes(bytes))
}
