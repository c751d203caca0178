//! From a file and the flags of a command line to a checked configuration.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use nex_protocol::config::{NodeConfigFile, PublicNatsServerFile, SandboxChoice};
use serde_json::{Map, Value};

use super::{
    Config, check,
    document::{Node, describe_text},
    problem::{ConfigError, Origin, Place, Problem, ProblemKind, Problems, Warning},
    shape::{self, Layer},
    surroundings::Surroundings,
};

/// A configuration larger than this is none.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a command line says over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--sandbox`
    pub sandbox: Option<SandboxChoice>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--pool`
    pub pool_size: Option<u32>,
    /// `--name`
    pub node_name: Option<String>,
    /// `--tag`, added to those of the file.
    pub tags: BTreeMap<String, String>,
    /// `--with-nats`: a nats-server even if the file has none.
    pub with_nats: bool,
    /// `--nats-port`; 0 takes any free one. Asks for a nats-server too.
    pub nats_port: Option<u16>,
}

/// Reads the file, if one is named, lays the overrides over it and checks all.
///
/// # Errors
/// A [`ConfigError`], one line with place, key and remedy.
pub fn load(
    path: Option<&Path>,
    overrides: &Overrides,
) -> Result<(Config, Vec<Warning>), ConfigError> {
    match path {
        Some(path) => from_text(path, &read(path)?, overrides),
        None => Sources::default().finish(overrides, &Surroundings::read()),
    }
}

/// Reads the text of a configuration file, as [`load`] does; `path` is only shown.
///
/// # Errors
/// A [`ConfigError`], one line with place, key and remedy.
pub fn from_text(
    path: &Path,
    text: &str,
    overrides: &Overrides,
) -> Result<(Config, Vec<Warning>), ConfigError> {
    Sources::of_text(path, text)?.finish(overrides, &Surroundings::read())
}

/// Takes the content of a configuration file from a program. As in a file, neither `sandbox` nor
/// `no_sandbox` means Firecracker.
///
/// # Errors
/// A [`ConfigError`], one line with key and remedy.
pub fn from_value(
    value: &Value,
    overrides: &Overrides,
) -> Result<(Config, Vec<Warning>), ConfigError> {
    Sources::of_value(value).finish(overrides, &Surroundings::read())
}

/// All that was said about one configuration, so far; later sources count more.
#[derive(Default)]
pub(super) struct Sources {
    merged: Map<String, Value>,
    places: BTreeMap<String, Place>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
    /// Whether there is a file, or what stands for one.
    document: bool,
}

impl Sources {
    pub(super) fn of_text(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let document = Node::parse(text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), error })?;
        let file = Arc::new(path.to_owned());
        let mut sources = Self { document: true, ..Self::default() };
        sources.add(shape::read(&document, Origin::File, Some(&file)));
        Ok(sources)
    }

    pub(super) fn of_value(value: &Value) -> Self {
        let mut sources = Self { document: true, ..Self::default() };
        sources.add(shape::read(&Node::from_value(value), Origin::Program, None));
        sources
    }

    /// Adds keys that have their types already, from flags or a program.
    pub(super) fn add_typed(&mut self, file: &NodeConfigFile, origin: Origin) {
        // Texts, numbers and maps of texts always serialize.
        let value = serde_json::to_value(file).unwrap_or_default();
        self.add(shape::read(&Node::from_value(&value), origin, None));
    }

    pub(super) fn add_problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn add(&mut self, layer: Layer) {
        let Layer { keys, places, problems, warnings } = layer;
        if keys.contains_key("sandbox") && self.merged.contains_key("no_sandbox") {
            // The later source answers for both keys.
            self.merged.remove("no_sandbox");
            self.places.remove("no_sandbox");
        }
        merge(&mut self.merged, keys);
        self.places.extend(places);
        self.problems.extend(problems);
        self.warnings.extend(warnings);
    }

    /// Lays the overrides over all and checks the whole.
    pub(super) fn finish(
        mut self,
        overrides: &Overrides,
        surroundings: &Surroundings,
    ) -> Result<(Config, Vec<Warning>), ConfigError> {
        let mut flags = NodeConfigFile {
            sandbox: overrides.sandbox,
            machine_pool_size: overrides.pool_size,
            node_name: overrides.node_name.clone(),
            tags: Some(overrides.tags.clone()).filter(|tags| !tags.is_empty()),
            public_nats_server: (overrides.with_nats || overrides.nats_port.is_some()).then(|| {
                PublicNatsServerFile {
                    port: overrides.nats_port.map(i32::from),
                    ..PublicNatsServerFile::default()
                }
            }),
            ..NodeConfigFile::default()
        };
        if let Some(dir) = &overrides.state_dir {
            match utf8("state_dir", dir, Origin::Flag) {
                Ok(dir) => flags.state_dir = Some(dir),
                Err(problem) => self.add_problem(*problem),
            }
        }
        self.add_typed(&flags, Origin::Flag);
        let Self { merged, places, mut problems, mut warnings, document } = self;
        let file = match serde_json::from_value(Value::Object(merged)) {
            Ok(file) => file,
            Err(error) => {
                // The schema took it; a test holds that serde then takes it too.
                problems.push(Problem {
                    place: places.get("").cloned().unwrap_or(Place::of(Origin::Program)),
                    key: String::new(),
                    kind: ProblemKind::Unexpected {
                        found: describe_text(&error.to_string()),
                        expected: "a node configuration".to_owned(),
                    },
                });
                NodeConfigFile::default()
            }
        };
        let checked = check::check(file, places, document, surroundings);
        warnings.extend(checked.warnings);
        problems.extend(checked.problems);
        Problems::none_or(problems).map_err(ConfigError::Invalid)?;
        Ok((checked.config, warnings))
    }
}

/// The text of a path, which is what a configuration can hold.
pub(super) fn utf8(key: &str, path: &Path, origin: Origin) -> Result<String, Box<Problem>> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Box::new(Problem {
            place: Place::of(origin),
            key: key.to_owned(),
            kind: ProblemKind::Unexpected {
                found: describe_text(&path.to_string_lossy()),
                expected: "a path in UTF-8".to_owned(),
            },
        })
    })
}

/// Objects are merged key by key; any other value replaces the earlier one.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(earlier)), Value::Object(later)) => merge(earlier, later),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ConfigError::NotFound { path: path.to_owned() },
        _ => ConfigError::Unreadable { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), max: MAX_FILE_BYTES });
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::NotText { path: path.to_owned() })
}
