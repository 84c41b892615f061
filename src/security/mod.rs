//! Who may speak to this node, and how what is said stays between the two. A leaf: knows nothing of what is said.

mod admission;
mod allowance;
mod connection;
mod key_file;
mod keyring;
mod listener;
mod replace_file;
mod scope;
mod tls;
mod validity;

pub use admission::{ConnectionLimits, OpenCall, Standing};
pub use allowance::{Allowance, Exceeded, Usage};
pub use connection::Connection;
pub use key_file::{KeyEntry, KeyFileError};
pub use keyring::{Denied, KeyHolder, Keyring, KeyringError};
pub use listener::{Listener, ListenerSettings};
pub use scope::Scope;
pub use tls::{Pem, Protocol, Tls, TlsError, TlsFiles};
pub use validity::{Doubt, Ends};
