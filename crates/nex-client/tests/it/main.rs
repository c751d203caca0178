//! Everything that needs a real `nats-server`, or only the files in `tests/vectors`.

mod context_vectors;
