//! The keys a user deploys with, in files that the Go CLI shares.
//!
//! ```text
//! ~/.nex/issuer.nk        seed of an account key (SA…): signs workloads
//! ~/.nex/publisher.xk     seed of a curve key (SX…): seals environments
//! ```
//!
//! A file that is there is used and never written. One that is missing is
//! created with a new key, readable by its owner only, in one step: nobody ever
//! sees half a seed, and of two programs that create it at once one wins and
//! both use its key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nex_protocol::key::{CurveKey, KeyError, KeyKind, SigningKey, read_seed_text};
use thiserror::Error;

use crate::secret::Secret;

/// Name of the file with the issuer's seed.
const ISSUER_FILE: &str = "issuer.nk";

/// Name of the file with the publisher's seed.
const PUBLISHER_FILE: &str = "publisher.xk";

/// Largest seed file that is read, in bytes. A seed has 58.
const MAX_FILE_BYTES: u64 = 4096;

/// The folder that the keys lie in.
#[derive(Clone, Debug)]
pub struct KeyFolder(PathBuf);

/// The keys of a user.
#[derive(Debug)]
#[non_exhaustive]
pub struct Keys {
    /// Signs workloads.
    pub issuer: SigningKey,
    /// Seals environments.
    pub publisher: CurveKey,
    /// What the user should know.
    pub warnings: Vec<KeyWarning>,
}

/// Something about a key file that is worth a warning.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyWarning {
    /// The file is not for its owner only.
    #[error("others can read {path}: run `chmod 600 {path}`")]
    ReadableByOthers {
        /// The file.
        path: String,
    },
}

/// Why a key cannot be loaded or created.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// There is no place for keys.
    #[error("cannot tell where keys are kept: set HOME, or name the key files")]
    NoHome,
    /// The file is there and cannot be read.
    #[error("cannot read the key file {path}: check that you may read it")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is there and holds no such seed.
    #[error(
        "{path} does not hold the seed of {expected}: restore it, or move it away to get a new one"
    )]
    NotASeed {
        /// The file.
        path: String,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// The file is missing and cannot be created.
    #[error(
        "cannot create the key file {path}: check that its folder is yours and the disk has room"
    )]
    NotCreated {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl KeyFolder {
    /// `~/.nex`.
    pub fn of_user() -> Result<Self, KeyFileError> {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        Ok(Self(home.ok_or(KeyFileError::NoHome)?.join(".nex")))
    }

    /// Another folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The file with the issuer's seed.
    #[must_use]
    pub fn issuer_file(&self) -> PathBuf {
        self.0.join(ISSUER_FILE)
    }

    /// The file with the publisher's seed.
    #[must_use]
    pub fn publisher_file(&self) -> PathBuf {
        self.0.join(PUBLISHER_FILE)
    }

    /// Loads both keys; creates what is missing.
    pub fn load_or_create(&self) -> Result<Keys, KeyFileError> {
        let mut warnings = Vec::new();
        let issuer = load_or_create(&self.issuer_file(), &mut warnings)?;
        let publisher = load_or_create(&self.publisher_file(), &mut warnings)?;
        Ok(Keys { issuer, publisher, warnings })
    }
}

/// Loads the seed of a signing key from a file of the user's choice.
pub fn load_issuer(path: &Path) -> Result<(SigningKey, Vec<KeyWarning>), KeyFileError> {
    let mut warnings = Vec::new();
    Ok((load(path, &mut warnings)?, warnings))
}

/// Loads the seed of a curve key from a file of the user's choice.
pub fn load_publisher(path: &Path) -> Result<(CurveKey, Vec<KeyWarning>), KeyFileError> {
    let mut warnings = Vec::new();
    Ok((load(path, &mut warnings)?, warnings))
}

/// A key that can be kept in a seed file.
trait SeedFile: Sized {
    const EXPECTED: &'static str;
    fn generate() -> Self;
    fn from_seed_text(seed: &str) -> Result<Self, KeyError>;
    fn seed_text(&self) -> Secret;
}

impl SeedFile for SigningKey {
    const EXPECTED: &'static str = "an account key (SA…)";

    fn generate() -> Self {
        Self::generate(KeyKind::Account)
    }

    fn from_seed_text(seed: &str) -> Result<Self, KeyError> {
        Self::from_seed(seed)
    }

    fn seed_text(&self) -> Secret {
        Secret::from(self.seed())
    }
}

impl SeedFile for CurveKey {
    const EXPECTED: &'static str = "a curve key (SX…)";

    fn generate() -> Self {
        Self::generate()
    }

    fn from_seed_text(seed: &str) -> Result<Self, KeyError> {
        Self::from_seed(seed)
    }

    fn seed_text(&self) -> Secret {
        Secret::from(self.seed())
    }
}

fn load_or_create<K: SeedFile>(
    path: &Path,
    warnings: &mut Vec<KeyWarning>,
) -> Result<K, KeyFileError> {
    match load(path, warnings) {
        Err(KeyFileError::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::NotFound => {}
        loaded => return loaded,
    }
    let key = K::generate();
    match create(path, &key.seed_text()) {
        Ok(()) => Ok(key),
        // Another program was faster: its key is the key.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path, warnings),
        Err(source) => Err(KeyFileError::NotCreated { path: path.display().to_string(), source }),
    }
}

fn load<K: SeedFile>(path: &Path, warnings: &mut Vec<KeyWarning>) -> Result<K, KeyFileError> {
    let name = || path.display().to_string();
    let unreadable = |source| KeyFileError::Unreadable { path: name(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    let mut contents = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut contents).map_err(unreadable)?;
    let contents = Secret::from(contents);
    let key = K::from_seed_text(read_seed_text(contents.expose()))
        .map_err(|source| KeyFileError::NotASeed { path: name(), expected: K::EXPECTED, source })?;
    if mode & 0o077 != 0 {
        warnings.push(KeyWarning::ReadableByOthers { path: name() });
    }
    Ok(key)
}

/// Writes a new file that appears under its name only when it is whole, and
/// never replaces one.
fn create(path: &Path, seed: &Secret) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unique = nex_protocol::name::WorkloadId::generate();
    let draft = folder.join(format!(".{unique}.draft"));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(seed.expose().as_bytes())?;
            file.sync_all()
        })
        // Unlike a rename, a link fails where there is a file already.
        .and_then(|()| fs::hard_link(&draft, path));
    // Left over only if the program is killed right here.
    let _ = fs::remove_file(&draft);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn creates_once_and_loads_ever_after() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeyFolder::at(home.path().join(".nex"));
        let made = folder.load_or_create().unwrap();
        assert!(made.warnings.is_empty());
        assert_eq!(mode(&folder.0), 0o700);
        assert_eq!(mode(&folder.issuer_file()), 0o600);
        assert_eq!(mode(&folder.publisher_file()), 0o600);
        assert!(fs::read_to_string(folder.issuer_file()).unwrap().starts_with("SA"));
        assert!(fs::read_to_string(folder.publisher_file()).unwrap().starts_with("SX"));
        let loaded = folder.load_or_create().unwrap();
        assert_eq!(loaded.issuer.public(), made.issuer.public());
        assert_eq!(loaded.publisher.public(), made.publisher.public());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2, "no drafts stay behind");
    }

    #[test]
    fn never_overwrites_what_it_cannot_use() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeyFolder::at(home.path());
        fs::write(folder.issuer_file(), "SECRET rubbish").unwrap();
        let error = folder.load_or_create().unwrap_err();
        assert!(matches!(error, KeyFileError::NotASeed { .. }), "{error}");
        assert!(!format!("{error:?}").contains("SECRET"));
        assert_eq!(fs::read_to_string(folder.issuer_file()).unwrap(), "SECRET rubbish");
    }

    #[test]
    fn warns_of_files_that_others_can_read() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeyFolder::at(home.path());
        let seed = SigningKey::generate(KeyKind::Account).seed();
        fs::write(folder.issuer_file(), format!("\n {seed}\n")).unwrap();
        fs::set_permissions(folder.issuer_file(), fs::Permissions::from_mode(0o644)).unwrap();
        let keys = folder.load_or_create().unwrap();
        assert_eq!(
            keys.warnings,
            [KeyWarning::ReadableByOthers { path: folder.issuer_file().display().to_string() }]
        );
    }

    #[test]
    fn many_at_once_agree_on_one_key() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeyFolder::at(home.path().join("a/b"));
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| folder.load_or_create().unwrap().issuer.public()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn says_why_it_cannot_create() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        let folder = KeyFolder::at(home.path().join("file/.nex"));
        let error = folder.load_or_create().unwrap_err();
        assert!(
            matches!(error, KeyFileError::NotCreated { .. } | KeyFileError::Unreadable { .. }),
            "{error}"
        );
    }
}
