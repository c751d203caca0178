//! One at a time for each digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use nex_protocol::digest::Digest;

/// A mutex per digest that somebody works on now, such as by downloading it.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// The mutex of one digest.
    pub(crate) fn of(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(digest).or_default())
    }
}
