//! The keys of whoever deploys: `issuer.nk` signs workloads, `publisher.xk`
//! seals their environment. Both are shared with the Go CLI, in `~/.nex`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nex_protocol::key::{CurveKey, KeyKind, SigningKey, read_seed_text};

use crate::output::Printer;

/// Names another folder than `~/.nex`.
const FOLDER_VARIABLE: &str = "NEX_HOME";

/// Seeds have 58 characters; more than this is no seed file.
const MAX_SEED_FILE_BYTES: u64 = 4096;

/// The folder of the keys.
#[derive(Debug, Clone)]
pub(crate) struct KeyFolder(PathBuf);

impl KeyFolder {
    /// `$NEX_HOME`, else `~/.nex`.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        if let Some(folder) = std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()) {
            return Ok(Self(folder.into()));
        }
        match std::env::var_os("HOME").filter(|value| !value.is_empty()) {
            Some(home) => Ok(Self(Path::new(&home).join(".nex"))),
            None => bail!("HOME is not set, so there is no ~/.nex for your keys; set HOME or NEX_HOME"),
        }
    }

    /// The account key that signs: from `given`, else `issuer.nk`, made when missing.
    pub(crate) fn issuer(
        &self,
        given: Option<&Path>,
        printer: &mut Printer,
    ) -> anyhow::Result<SigningKey> {
        let path = given.map_or_else(|| self.0.join("issuer.nk"), Path::to_owned);
        let text = match read_seed(&path, printer)? {
            Some(text) => text,
            None if given.is_some() => return Err(missing(&path, "issuer")),
            None => {
                let key = SigningKey::generate(KeyKind::Account);
                self.write_seed(&path, &key.seed())?;
                printer.message(&format!("made a new issuer key: {}", path.display()));
                return Ok(key);
            }
        };
        SigningKey::from_seed(read_seed_text(&text)).with_context(|| {
            format!("{} holds no issuer seed (SA…); make one with `nex devrun` or `nk -gen account`", path.display())
        })
    }

    /// The account key that signed: from `given`, else `issuer.nk`, which must exist.
    pub(crate) fn known_issuer(
        &self,
        given: Option<&Path>,
        printer: &mut Printer,
    ) -> anyhow::Result<SigningKey> {
        let path = given.map_or_else(|| self.0.join("issuer.nk"), Path::to_owned);
        let text = read_seed(&path, printer)?.ok_or_else(|| missing(&path, "issuer"))?;
        SigningKey::from_seed(read_seed_text(&text)).with_context(|| {
            format!("{} holds no issuer seed (SA…); name another file with --issuer", path.display())
        })
    }

    /// The curve key that seals: from `given`, else `publisher.xk`, made when missing.
    pub(crate) fn publisher(
        &self,
        given: Option<&Path>,
        printer: &mut Printer,
    ) -> anyhow::Result<CurveKey> {
        let path = given.map_or_else(|| self.0.join("publisher.xk"), Path::to_owned);
        let text = match read_seed(&path, printer)? {
            Some(text) => text,
            None if given.is_some() => return Err(missing(&path, "xkey")),
            None => {
                let key = CurveKey::generate();
                self.write_seed(&path, &key.seed())?;
                printer.message(&format!("made a new publisher key: {}", path.display()));
                return Ok(key);
            }
        };
        CurveKey::from_seed(read_seed_text(&text)).with_context(|| {
            format!("{} holds no curve seed (SX…); make one with `nex devrun` or `nk -gen curve`", path.display())
        })
    }

    /// Writes a new seed file, readable by its owner only, never over another.
    fn write_seed(&self, path: &Path, seed: &str) -> anyhow::Result<()> {
        let folder = &self.0;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(
            || format!("cannot make the folder {}; set NEX_HOME to one you may write", folder.display()),
        )?;
        let cannot =
            || format!("cannot write {}; set NEX_HOME to a folder you may write", path.display());
        // Written aside and linked: a reader never sees half a seed, and of two
        // programs that start together one wins and the other is told.
        let mut file = tempfile::Builder::new()
            .prefix(".seed-")
            .tempfile_in(folder)
            .with_context(cannot)?;
        file.write_all(seed.as_bytes()).with_context(cannot)?;
        file.as_file().sync_all().with_context(cannot)?;
        file.persist_noclobber(path).map_err(|error| error.error).with_context(cannot)?;
        Ok(())
    }
}

fn missing(path: &Path, flag: &str) -> anyhow::Error {
    anyhow::anyhow!("there is no {}; name your seed file with --{flag} FILE", path.display())
}

/// The text of a seed file; `None` when there is none.
fn read_seed(path: &Path, printer: &mut Printer) -> anyhow::Result<Option<String>> {
    let cannot = || format!("cannot read the seed in {}; check its permissions", path.display());
    let file = match OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(cannot),
    };
    let metadata = file.metadata().with_context(cannot)?;
    if metadata.mode() & 0o077 != 0 {
        printer.warning(&format!(
            "others may read or change the secret key in {path}; run: chmod 600 {path}",
            path = path.display()
        ));
    }
    let mut text = String::new();
    file.take(MAX_SEED_FILE_BYTES).read_to_string(&mut text).with_context(cannot)?;
    Ok(Some(text))
}

/// Opening a named pipe must not wait for its writer.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_kept_secret() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder(folder.path().join("deep/.nex"));
        let mut printer = Printer::stdio(false);
        let made = keys.issuer(None, &mut printer).unwrap();
        let again = keys.known_issuer(None, &mut printer).unwrap();
        assert_eq!(made.public(), again.public());
        let made = keys.publisher(None, &mut printer).unwrap();
        assert_eq!(made.public(), keys.publisher(None, &mut printer).unwrap().public());
        for file in ["issuer.nk", "publisher.xk"] {
            let mode = std::fs::metadata(keys.0.join(file)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn a_named_file_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFolder(folder.path().to_owned());
        let path = folder.path().join("mine.nk");
        let mut printer = Printer::stdio(false);
        for error in [
            keys.issuer(Some(&path), &mut printer).unwrap_err(),
            keys.known_issuer(None, &mut printer).unwrap_err(),
            keys.publisher(Some(&path), &mut printer).unwrap_err(),
        ] {
            assert!(error.to_string().contains("there is no"), "{error}");
        }
        std::fs::write(&path, "not a seed\n").unwrap();
        let error = keys.issuer(Some(&path), &mut printer).unwrap_err();
        assert!(error.to_string().contains("holds no issuer seed"), "{error}");
    }
}
