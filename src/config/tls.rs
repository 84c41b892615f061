//! What holds for every listener: what its certificate consists of, and that nothing leaves the machine in the clear unless
//! somebody said so.

use std::net::SocketAddr;
use std::path::Path;

use super::{ConfigError, invalid};
use crate::security::TlsFiles;

/// The files of one listener; an empty path is none.
pub(super) struct Files<'a> {
    pub(super) table: &'static str,
    pub(super) certificate: &'a Path,
    pub(super) key: &'a Path,
    pub(super) ca: &'a Path,
}

impl Files<'_> {
    /// A certificate and its key come together, and authorities with them.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let given = |path: &Path| !path.as_os_str().is_empty();
        let missing = match (given(self.certificate), given(self.key), given(self.ca)) {
            (true, true, _) | (false, false, false) => return Ok(()),
            (true, false, _) => ("tls_key", "is missing; a certificate needs its private key"),
            (false, true, _) | (false, false, true) => ("tls_certificate", "is missing; name the file that has it"),
        };
        Err(invalid(&format!("{}.{}", self.table, missing.0), missing.1))
    }

    /// The files, if there are any.
    pub(super) fn chosen(&self) -> Option<TlsFiles> {
        let some = |path: &Path| (!path.as_os_str().is_empty()).then(|| path.to_owned());
        Some(TlsFiles { certificate: some(self.certificate)?, key: some(self.key)?, ca: some(self.ca) })
    }
}

/// Refuses what other machines can reach and read along.
pub(super) fn check_exposure(
    table: &str,
    key: &str,
    listen: SocketAddr,
    has_tls: bool,
    plaintext: bool,
) -> Result<(), ConfigError> {
    if has_tls || plaintext || listen.ip().is_loopback() {
        return Ok(());
    }
    let problem = format!(
        "is {listen}, which other machines can reach, and there is no TLS: set {table}.tls_certificate and {table}.tls_key, or \
         {table}.plaintext = true if whoever sees this network may read everything on it"
    );
    Err(invalid(key, problem))
}
