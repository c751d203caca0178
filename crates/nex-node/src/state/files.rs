//! Small files of the state directory: read whole, written atomically, 0600.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use super::StateError;

/// No file of the state directory is larger, bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The text of a file, `None` when there is none.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, StateError> {
    let unreadable = |source| StateError::Unreadable { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(StateError::Corrupt { path: path.to_owned(), what: "a short text" });
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(unreadable)
}

/// Replaces a file: nobody ever sees half of it, and it survives a power cut.
pub(super) fn write(path: &Path, text: &str) -> Result<(), StateError> {
    let unwritable = |source| StateError::Unwritable { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    // `tempfile` makes files that nobody else can read.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    file.write_all(text.as_bytes()).map_err(unwritable)?;
    file.as_file().sync_all().map_err(unwritable)?;
    file.persist(path).map_err(|error| unwritable(error.error))?;
    Ok(())
}
