//! What is written at once.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::Afterwards;

/// Bytes in several pieces, and what is to be done once all of them are written.
pub struct Batch {
    pieces: VecDeque<Bytes>,
    left: usize,
    afterwards: Vec<Afterwards>,
}

impl Batch {
    pub(super) fn new(pieces: VecDeque<Bytes>, afterwards: Vec<Afterwards>) -> Self {
        let left = pieces.iter().map(Bytes::len).sum();
        Self { pieces, left, afterwards }
    }

    /// All of it is in the hands of the kernel.
    pub fn written(self) {
        for afterwards in self.afterwards {
            afterwards();
        }
    }
}

impl From<Bytes> for Batch {
    fn from(bytes: Bytes) -> Self {
        Self::new(VecDeque::from([bytes]), Vec::new())
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("left", &self.left)
            .field("afterwards", &self.afterwards.len())
            .finish_non_exhaustive()
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map(Bytes::as_ref).unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, piece) in target.iter_mut().zip(&self.pieces) {
            *slot = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        self.left = self.left.saturating_sub(count);
        while let Some(first) = self.pieces.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pieces.pop_front();
        }
    }
}
