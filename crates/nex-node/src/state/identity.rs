//! The node's keys.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use nex_protocol::key::{CurveKey, KeyKind, SigningKey, read_seed_text};

use super::{StateError, files};

/// The two keys of a node: who it is, and what environments are sealed for.
#[derive(Debug, Clone)]
pub struct NodeIdentity {
    /// The server key; its public half is the node's id.
    pub node: SigningKey,
    /// The curve key.
    pub xkey: CurveKey,
}

impl NodeIdentity {
    pub(super) fn load_or_create(dir: &Path) -> Result<Self, StateError> {
        let node = load(&dir.join("node.nk"), "the seed of a server key (SN…)", |seed| {
            SigningKey::from_seed(seed).ok().filter(|key| key.kind() == KeyKind::Server)
        })?;
        let node = match node {
            Some(node) => node,
            None => {
                let key = SigningKey::generate(KeyKind::Server);
                tracing::info!(id = %key.public(), "made an identity for this node");
                files::write(&dir.join("node.nk"), &key.seed())?;
                key
            }
        };
        let xkey = load(&dir.join("node.xk"), "the seed of a curve key (SX…)", |seed| {
            CurveKey::from_seed(seed).ok()
        })?;
        let xkey = match xkey {
            Some(xkey) => xkey,
            None => {
                let key = CurveKey::generate();
                files::write(&dir.join("node.xk"), &key.seed())?;
                key
            }
        };
        Ok(Self { node, xkey })
    }
}

fn load<K>(
    path: &Path,
    what: &'static str,
    read: impl Fn(&str) -> Option<K>,
) -> Result<Option<K>, StateError> {
    let Some(text) = files::read_text(path)? else { return Ok(None) };
    if fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "others can read this seed; run chmod 600 on it");
    }
    let key = read(read_seed_text(&text));
    key.map(Some).ok_or(StateError::Corrupt { path: path.to_owned(), what })
}
