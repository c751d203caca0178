//! The folder that contexts lie in.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::expand::Expansion;
use super::file::{Context, ContextFormatError};
use super::name::{ContextName, ContextNameError};

/// Largest context file that is read, in bytes. Real ones are below 2 KiB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where contexts are looked up: `<configuration folder>/nats`.
#[derive(Clone, Debug)]
pub struct ContextFolder {
    root: PathBuf,
}

/// Why a context cannot be loaded.
#[derive(Debug, Error)]
pub enum ContextError {
    /// The name is not allowed.
    #[error("cannot use this NATS context")]
    Name(#[from] ContextNameError),
    /// No such context.
    #[error(
        "there is no NATS context {name:?} in {folder}: `nats context ls` lists them, `--no-context` uses none"
    )]
    NotFound {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        folder: String,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {path}: check that it is a file and that you may read it")]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is far too large for a context.
    #[error("{path} is larger than 1 MiB, so it is no NATS context: restore or remove it")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The file is no context.
    #[error("cannot use the NATS context file {path}: repair it with `nats context edit`")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: ContextFormatError,
    },
    /// The context is looked up by `nsc`.
    #[error(
        "the NATS context {name:?} is looked up by `nsc`, which is unsupported: save the credentials with `nsc generate creds` and name that file as `creds`"
    )]
    Nsc {
        /// The context.
        name: String,
    },
    /// There is no place to look.
    #[error(
        "cannot tell where NATS contexts are: set HOME or XDG_CONFIG_HOME, or use --no-context"
    )]
    NoHome,
}

impl ContextFolder {
    /// The folder inside a given configuration folder (`~/.config`).
    pub fn inside(configuration: impl AsRef<Path>) -> Self {
        Self { root: configuration.as_ref().join("nats") }
    }

    /// The folder of this user: in `XDG_CONFIG_HOME`, else in `~/.config`.
    pub fn of_user(environment: &Expansion) -> Result<Self, ContextError> {
        if let Some(configuration) =
            environment.variable("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty())
        {
            return Ok(Self::inside(configuration));
        }
        let home =
            environment.home().filter(|home| !home.is_empty()).ok_or(ContextError::NoHome)?;
        Ok(Self::inside(Path::new(home).join(".config")))
    }

    /// Where the file of a context is, whether or not it exists.
    #[must_use]
    pub fn path_of(&self, name: &ContextName) -> PathBuf {
        self.contexts().join(format!("{name}.json"))
    }

    /// The text in `context.txt` without the white space around it, `None` when
    /// no context is selected. It may name a context that is not there.
    pub fn selected(&self) -> Result<Option<String>, ContextError> {
        let path = self.root.join("context.txt");
        match read(&path) {
            Ok(contents) => {
                let text = String::from_utf8_lossy(&contents);
                Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
            }
            Err(ContextError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The names of all contexts, sorted. Empty files and folders do not count.
    #[must_use]
    pub fn known(&self) -> Vec<ContextName> {
        let Ok(entries) = fs::read_dir(self.contexts()) else { return Vec::new() };
        let mut names: Vec<ContextName> = entries
            .flatten()
            .filter(|entry| entry.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0))
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect();
        names.sort();
        names
    }

    /// Loads the context with this name.
    pub fn load(&self, name: &ContextName, expansion: &Expansion) -> Result<Context, ContextError> {
        let path = self.path_of(name);
        let contents = read(&path).map_err(|error| match error {
            ContextError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ContextError::NotFound {
                    name: name.to_string(),
                    folder: self.contexts().display().to_string(),
                }
            }
            other => other,
        })?;
        let context = Context::parse(&contents, expansion).map_err(|source| {
            ContextError::Malformed { path: path.display().to_string(), source }
        })?;
        if context.nsc.is_some() {
            return Err(ContextError::Nsc { name: name.to_string() });
        }
        Ok(context)
    }

    /// Loads the selected context with its name; `None` when none is selected.
    pub fn load_selected(
        &self,
        expansion: &Expansion,
    ) -> Result<Option<(ContextName, Context)>, ContextError> {
        let Some(selected) = self.selected()? else { return Ok(None) };
        let name: ContextName = selected.parse()?;
        let context = self.load(&name, expansion)?;
        Ok(Some((name, context)))
    }

    fn contexts(&self) -> PathBuf {
        self.root.join("context")
    }
}

/// Reads a whole file that must be small.
fn read(path: &Path) -> Result<Vec<u8>, ContextError> {
    let unreadable = |source| ContextError::Unreadable { path: path.display().to_string(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut contents = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut contents).map_err(unreadable)?;
    if contents.len() as u64 > MAX_FILE_BYTES {
        return Err(ContextError::TooLarge { path: path.display().to_string() });
    }
    Ok(contents)
}
