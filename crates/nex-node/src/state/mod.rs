//! stub
#![allow(missing_docs)]
use nex_protocol::key::{CurveKey, KeyKind, SigningKey};
use std::path::{Path, PathBuf};
#[derive(Debug, thiserror::Error)]
#[error("state {0}")]
pub struct StateError(std::io::Error);
pub struct NodeIdentity {
    pub node: SigningKey,
    pub xkey: CurveKey,
}
pub struct StateDir {
    path: PathBuf,
    id: NodeIdentity,
}
impl StateDir {
    pub fn open(choice: &Option<PathBuf>) -> Result<Self, StateError> {
        let path = choice.clone().unwrap_or_else(|| "/tmp/nex-state".into());
        for d in ["agents", "sandboxes", "artifacts"] {
            std::fs::create_dir_all(path.join(d)).map_err(StateError)?;
        }
        Ok(Self {
            path,
            id: NodeIdentity {
                node: SigningKey::generate(KeyKind::Server),
                xkey: CurveKey::generate(),
            },
        })
    }
    pub fn identity(&self) -> &NodeIdentity {
        &self.id
    }
    pub fn node_name(&self) -> &str {
        "quiet-river"
    }
    pub fn path(&self) -> &Path {
        &self.path
    }
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }
    pub fn agents(&self) -> PathBuf {
        self.path.join("agents")
    }
    pub fn sandboxes(&self) -> PathBuf {
        self.path.join("sandboxes")
    }
    pub fn bus_socket(&self) -> Result<PathBuf, StateError> {
        Ok(self.path.join("bus.sock"))
    }
}
