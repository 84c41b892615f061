//! Who may speak to this node. A leaf: knows nothing of transports.

mod keyring;

pub use keyring::{Denied, Keyring, KeyringError};
