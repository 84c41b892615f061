//! One node: its place on disk, its lifecycle (waiting, then member), its listeners, and an orderly end.

mod admin;
mod certificates;
mod identity;
mod lifecycle;
mod serve;

pub use identity::IdentityError;
pub use serve::{ServeError, serve};
