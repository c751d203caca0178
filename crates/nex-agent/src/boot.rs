//! What the agent does before it does anything: who am I, who is my node, and what must nobody
//! else get hold of.

pub mod descriptors;
pub mod hygiene;
pub mod image;
pub mod metadata;

pub use metadata::{Metadata, MetadataError};
