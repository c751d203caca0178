//! What a namespace sandbox holds, and what is left of it.

mod escape;
mod limits;
mod ordinary_user;
mod remains;

use nex_node::config::SandboxChoice;

use crate::world::World;

/// A world of namespace sandboxes; `None`, loudly, where there can be none.
async fn world() -> Option<World> {
    if crate::world::has_namespaces() {
        return Some(World::of(SandboxChoice::Namespace).await);
    }
    None
}
