//! One node: its place on disk, its lifecycle (waiting, then member), its listeners, and an orderly end.

mod admin;
mod backup;
mod founding;
mod identity;
mod lifecycle;
mod listeners;
mod open_files;
mod peers;
mod raft_runtime;
mod recover;
mod restore;
mod secrets;
mod serve;

pub use identity::IdentityError;
pub use recover::{RecoverError, Recovery};
pub use restore::{Restoration, RestorationError};
pub use secrets::SecretsError;
pub use serve::{ServeError, serve};
