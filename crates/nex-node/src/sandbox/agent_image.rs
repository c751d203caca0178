//! The agent that travels inside the node's program.
//!
//! `build.rs` makes it. Sandboxes need it as a file, so [`AgentImage::materialize`] writes it once
//! under a name that holds its digest: an upgraded node never runs an older node's agent, and two
//! nodes that share a folder share the file.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use super::embedded_pages;

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nex-agent"));
static DIGEST: OnceLock<[u8; 32]> = OnceLock::new();

/// Readable and executable by all (a sandbox may run as another user), writable by none.
const MODE: u32 = 0o555;

/// How much of an existing file is compared at a time.
const BLOCK: usize = 64 * 1024;

/// The agent embedded in this program.
#[derive(Clone, Copy)]
pub struct AgentImage {
    bytes: &'static [u8],
    digest: [u8; 32],
}

/// Why the embedded agent could not be made a file.
#[derive(Debug, thiserror::Error)]
pub enum AgentImageError {
    /// This program was built without an agent.
    #[error(
        "this build of nex carries no agent; build it without NEX_SKIP_AGENT_BUILD, \
         or with NEX_AGENT_BINARY=/path/to/nex-agent"
    )]
    NotEmbedded,
    /// The folder or the file could not be written.
    #[error("cannot write the agent to {}; check that the folder exists and has room", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The agent embedded in this program; empty in a build without one.
#[must_use]
pub fn agent_image() -> AgentImage {
    AgentImage { bytes: BYTES, digest: *DIGEST.get_or_init(|| Sha256::digest(BYTES).into()) }
}

impl AgentImage {
    /// The program, a static ELF executable. Empty in a build without an agent.
    #[must_use]
    pub fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    /// SHA-256 of [`bytes`](Self::bytes).
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether this build carries an agent at all.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Makes sure that `dir` holds the agent as a file and returns its path.
    ///
    /// The name is `nex-agent-` and the first 16 hex digits of the digest. A file of that name is
    /// used only if it holds exactly these bytes; else it is replaced. Safe against other nodes
    /// doing the same in the same folder. Blocks for the time it takes to read or write some
    /// twenty megabytes.
    ///
    /// # Errors
    /// [`AgentImageError::NotEmbedded`] in a build without an agent, [`AgentImageError::Write`]
    /// when `dir` does not exist or cannot be written.
    pub fn materialize(&self, dir: &Path) -> Result<PathBuf, AgentImageError> {
        if !self.is_embedded() {
            return Err(AgentImageError::NotEmbedded);
        }
        let path = dir.join(self.file_name());
        let there = self.is_at(&path).unwrap_or(false);
        let written = if there { Ok(()) } else { self.write(dir, &path) };
        // Many megabytes that nobody looks at again.
        embedded_pages::release(self.bytes);
        match written {
            Ok(()) => Ok(path),
            Err(source) => Err(AgentImageError::Write { path, source }),
        }
    }

    fn file_name(&self) -> String {
        let mut name = String::from("nex-agent-");
        for byte in self.digest.iter().take(8) {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Whether `path` is a regular file that holds this image and that nobody but its owner can
    /// have changed. Compares the bytes themselves, which is cheaper than hashing them.
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let facts = fs::symlink_metadata(path)?;
        if !facts.is_file()
            || facts.mode() & 0o777 != MODE
            || facts.len() != self.bytes.len() as u64
        {
            return Ok(false);
        }
        let mut file = File::open(path)?;
        let mut block = vec![0; BLOCK];
        for expected in self.bytes.chunks(BLOCK) {
            let Some(part) = block.get_mut(..expected.len()) else { return Ok(false) };
            file.read_exact(part)?;
            if part != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Temporary file, then rename: whoever looks sees the whole program or none. Nothing is
    /// synced: after a crash of the machine the comparison finds a damaged file.
    fn write(&self, dir: &Path, path: &Path) -> io::Result<()> {
        let mut temporary =
            tempfile::Builder::new().prefix(".nex-agent-").make_in(dir, |path| {
                fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)
            })?;
        temporary.as_file_mut().write_all(self.bytes)?;
        temporary.as_file().set_permissions(fs::Permissions::from_mode(MODE))?;
        // Closes the writer before the name is there, else the first start meets ETXTBSY.
        temporary.into_temp_path().persist(path).map_err(|error| error.error)
    }
}

impl fmt::Debug for AgentImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentImage")
            .field("name", &self.file_name())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> AgentImage {
        static TEXT: &[u8] = b"\x7fELF pretend";
        AgentImage { bytes: TEXT, digest: Sha256::digest(TEXT).into() }
    }

    #[test]
    fn written_once_and_then_reused() {
        let dir = tempfile::tempdir().unwrap();
        let path = image().materialize(dir.path()).unwrap();
        let first = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), image().bytes());
        assert_eq!(first.mode() & 0o777, MODE);
        assert_eq!(image().materialize(dir.path()).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.ino());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(image().file_name());
        fs::write(&path, b"\x7fELF Pretend").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).unwrap();
        image().materialize(dir.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), image().bytes());
    }

    #[test]
    fn a_link_in_its_place_is_replaced_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(image().file_name());
        std::os::unix::fs::symlink("/bin/true", &path).unwrap();
        image().materialize(dir.path()).unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_missing_folder_and_a_missing_agent_say_so() {
        let error = image().materialize(Path::new("/nonexistent/agents")).unwrap_err();
        assert!(matches!(error, AgentImageError::Write { .. }));
        let none = AgentImage { bytes: &[], digest: [0; 32] };
        let error = none.materialize(Path::new("/tmp")).unwrap_err();
        assert!(error.to_string().contains("carries no agent"));
    }

    #[test]
    fn the_embedded_agent_is_a_program() {
        let image = agent_image();
        if image.is_embedded() {
            assert!(image.bytes().starts_with(b"\x7fELF"));
        }
    }
}
