//! Who may speak to this node, and how what is said stays between the two. A leaf: knows nothing of what is said.

mod key_file;
mod keyring;
mod listener;
mod replace_file;
mod scope;
mod tls;

pub use key_file::{KeyEntry, KeyFileError};
pub use keyring::{Denied, Keyring, KeyringError};
pub use listener::{Listener, SecureListener};
pub use scope::Scope;
pub use tls::{Pem, Protocol, Tls, TlsError, TlsFiles};
