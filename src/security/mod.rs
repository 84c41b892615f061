//! Who may speak to this node, and how what is said stays between the two. A leaf: knows nothing of what is said.

mod keyring;
mod listener;
mod tls;

pub use keyring::{Denied, Keyring, KeyringError};
pub use listener::{Listener, SecureListener};
pub use tls::{Pem, Protocol, Tls, TlsError, TlsFiles};
