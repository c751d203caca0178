//! From a file and the flags of a command line to a checked configuration.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use nex_protocol::config::{NodeConfigFile, SandboxChoice};
use serde_json::{Map, Value, json};

use super::{
    Config, check,
    document::Node,
    problem::{ConfigError, Origin, Place, Problem, ProblemKind, Problems, Warning},
    shape,
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
    /// `--nats-port`; 0 takes any free one.
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
    let (layer, from_file) = match path {
        Some(path) => {
            let text = read(path)?;
            let document = Node::parse(&text)
                .map_err(|error| ConfigError::Syntax { path: path.to_owned(), error })?;
            let file = Arc::new(path.to_owned());
            (shape::read(&document, Origin::File, Some(&file)), true)
        }
        None => (shape::read(&Node::from_value(&json!({})), Origin::Default, None), false),
    };
    let shape::Layer { value, places, problems, mut warnings } = layer;
    Problems::none_or(problems).map_err(ConfigError::Invalid)?;
    let mut places: BTreeMap<String, Place> = places.into_iter().collect();
    let Value::Object(mut merged) = value else {
        return Err(ConfigError::Invalid(Problems::one(Problem {
            place: Place {
                origin: Origin::File,
                file: path.map(|p| Arc::new(p.to_owned())),
                position: None,
            },
            key: String::new(),
            kind: ProblemKind::Unexpected {
                found: "no object".to_owned(),
                expected: "an object".to_owned(),
            },
        })));
    };
    lay_over(&mut merged, &mut places, overrides);
    let (config, more) = checked(Value::Object(merged), &places, from_file)?;
    warnings.extend(more);
    Ok((config, warnings))
}

/// Checks known keys of the right types.
pub(super) fn checked(
    merged: Value,
    places: &BTreeMap<String, Place>,
    from_file: bool,
) -> Result<(Config, Vec<Warning>), ConfigError> {
    let file: NodeConfigFile = serde_json::from_value(merged).map_err(|error| {
        // The schema took it, so only a rule that it cannot express is left.
        ConfigError::Invalid(Problems::one(Problem {
            place: places.get("").cloned().unwrap_or(Place::program()),
            key: String::new(),
            kind: ProblemKind::Unexpected {
                found: error.to_string(),
                expected: "a node configuration".to_owned(),
            },
        }))
    })?;
    check::check(file, places, from_file).map_err(ConfigError::Invalid)
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

fn lay_over(
    merged: &mut Map<String, Value>,
    places: &mut BTreeMap<String, Place>,
    overrides: &Overrides,
) {
    let mut set = |merged: &mut Map<String, Value>, key: &str, value: Value| {
        merged.insert(key.to_owned(), value);
        let place = Place { origin: Origin::Flag, file: None, position: None };
        places.insert(key.to_owned(), place);
    };
    if let Some(sandbox) = overrides.sandbox {
        // The flag answers for both keys.
        merged.remove("no_sandbox");
        set(merged, "sandbox", json!(sandbox));
    }
    if let Some(dir) = &overrides.state_dir {
        set(merged, "state_dir", json!(dir));
    }
    if let Some(size) = overrides.pool_size {
        set(merged, "machine_pool_size", json!(size));
    }
    if let Some(name) = &overrides.node_name {
        set(merged, "node_name", json!(name));
    }
    if !overrides.tags.is_empty() {
        let mut tags = match merged.remove("tags") {
            Some(Value::Object(tags)) => tags,
            _ => Map::new(),
        };
        tags.extend(overrides.tags.iter().map(|(tag, value)| (tag.clone(), json!(value))));
        set(merged, "tags", Value::Object(tags));
    }
    if overrides.with_nats || overrides.nats_port.is_some() {
        let mut server = match merged.remove("public_nats_server") {
            Some(Value::Object(server)) => server,
            _ => Map::new(),
        };
        if let Some(port) = overrides.nats_port {
            server.insert("port".to_owned(), json!(port));
        }
        set(merged, "public_nats_server", Value::Object(server));
    }
}
