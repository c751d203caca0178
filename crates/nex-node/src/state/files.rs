//! Small files of the state directory: read whole, written atomically, 0600.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use super::StateError;

/// No file of the state directory is larger, bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// The text of a file, `None` when there is none.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, StateError> {
    let unreadable = |source| StateError::Unreadable { path: path.to_owned(), source };
    let corrupt = || StateError::Corrupt { path: path.to_owned(), what: "a short text" };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        // Opening a pipe would wait for somebody to write into it.
        Ok(metadata) if !metadata.is_file() => return Err(corrupt()),
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(corrupt());
    }
    String::from_utf8(bytes).map(Some).map_err(|_| corrupt())
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
    // The new name is only safe once the folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)
}
