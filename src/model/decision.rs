//! The answer to a check.

/// What a check says. There is no error in here: what cannot be answered within its promise is an error, never a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The subject has the permission.
    Allowed,
    /// The subject does not have it.
    Denied,
    /// It hangs on parameters of caveats that neither the request nor the relationships gave.
    Conditional {
        /// Their names, sorted, each once; never empty.
        missing: Vec<String>,
    },
}
