//! One node: its place on disk, its lifecycle (waiting, then member), its listeners, and an orderly end.

mod admin;
mod identity;
mod lifecycle;
mod listeners;
mod open_files;
mod peers;
mod secrets;
mod serve;

pub use identity::IdentityError;
pub use secrets::SecretsError;
pub use serve::{ServeError, serve};
