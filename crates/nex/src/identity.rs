//! The keys of whoever types: `issuer.nk` signs workloads, `publisher.xk` seals
//! their environment. Both are shared with the Go CLI, in `~/.nex`.

use std::path::{Path, PathBuf};

use nex_client::keys::{KeyFolder, KeyWarning, load_issuer, load_publisher};
use nex_protocol::key::{CurveKey, SigningKey};

use crate::output::Printer;

/// Names another folder than `~/.nex`.
pub(crate) const FOLDER_VARIABLE: &str = "NEX_HOME";

/// What deploying takes.
pub(crate) struct Identity {
    /// Signs.
    pub(crate) issuer: SigningKey,
    /// Seals.
    pub(crate) publisher: CurveKey,
}

/// The folder of the user's keys.
fn folder() -> anyhow::Result<KeyFolder> {
    match std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()) {
        Some(folder) => Ok(KeyFolder::at(PathBuf::from(folder))),
        None => Ok(KeyFolder::of_user()?),
    }
}

/// The keys to deploy with: from the files given, else from the user's folder,
/// where they are made when they are missing.
pub(crate) fn for_deploying(
    issuer: Option<&Path>,
    xkey: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<Identity> {
    if let (Some(issuer), Some(xkey)) = (issuer, xkey) {
        let (issuer, first) = load_issuer(issuer)?;
        let (publisher, second) = load_publisher(xkey)?;
        warn(printer, first.iter().chain(&second));
        return Ok(Identity { issuer, publisher });
    }
    let folder = folder()?;
    let files = [(issuer, folder.issuer_file()), (xkey, folder.publisher_file())];
    let new: Vec<PathBuf> = files
        .into_iter()
        .filter(|(given, file)| given.is_none() && !file.exists())
        .map(|(_, file)| file)
        .collect();
    let own = folder.load_or_create()?;
    warn(printer, &own.warnings);
    for file in new {
        printer.message(&format!("made a new key: {}", file.display()));
    }
    let mut identity = Identity { issuer: own.issuer, publisher: own.publisher };
    if let Some(path) = issuer {
        let (key, warnings) = load_issuer(path)?;
        warn(printer, &warnings);
        identity.issuer = key;
    }
    if let Some(path) = xkey {
        let (key, warnings) = load_publisher(path)?;
        warn(printer, &warnings);
        identity.publisher = key;
    }
    Ok(identity)
}

/// The key to stop with: only who started a workload may stop it, so nothing
/// is made here.
pub(crate) fn for_stopping(
    issuer: Option<&Path>,
    printer: &mut Printer,
) -> anyhow::Result<SigningKey> {
    let path = match issuer {
        Some(path) => path.to_owned(),
        None => folder()?.issuer_file(),
    };
    if !path.exists() {
        anyhow::bail!(
            "there is no {}; name the seed that signed the start of the workload with --issuer FILE",
            path.display()
        );
    }
    let (key, warnings) = load_issuer(&path)?;
    warn(printer, &warnings);
    Ok(key)
}

fn warn<'a>(printer: &mut Printer, warnings: impl IntoIterator<Item = &'a KeyWarning>) {
    for warning in warnings {
        printer.warning(&warning.to_string());
    }
}
