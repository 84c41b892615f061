//! Where to move from, and how to talk to it.

use std::path::PathBuf;

use super::Source;
use crate::cli::connection::parse_endpoint;
use crate::cli::failure::Failure;
use crate::cli::trust::TrustArgs;

/// The flags of the other side. Those of the cluster that is moved to are the ones of every command.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli::migrate) struct SourceArgs {
    /// SpiceDB to move from, with TLS as https://HOST:PORT, and on another machine without as http://HOST:PORT
    #[arg(long, env = "QUORATE_FROM", value_name = "HOST:PORT", value_parser = parse_endpoint, help_heading = "Source")]
    pub(in crate::cli::migrate) from: String,
    /// Preshared key of the source
    #[arg(long, env = "QUORATE_FROM_KEY", hide_env_values = true, value_name = "KEY", help_heading = "Source")]
    from_key: Option<String>,
    /// Authorities in PEM that may vouch for the source; speaks TLS to all but http:// [default: the system's, for https://]
    #[arg(long, env = "QUORATE_FROM_CA", value_name = "FILE", help_heading = "Source")]
    from_ca: Option<PathBuf>,
    /// Certificate to present to the source, in PEM
    #[arg(
        long,
        env = "QUORATE_FROM_CERTIFICATE",
        value_name = "FILE",
        requires = "from_certificate_key",
        help_heading = "Source"
    )]
    from_certificate: Option<PathBuf>,
    /// Private key of that certificate, in PEM
    #[arg(
        long,
        env = "QUORATE_FROM_CERTIFICATE_KEY",
        value_name = "FILE",
        requires = "from_certificate",
        help_heading = "Source"
    )]
    from_certificate_key: Option<PathBuf>,
}

impl SourceArgs {
    /// The source. Nothing is connected yet.
    pub(in crate::cli::migrate) fn open(&self) -> Result<Source, Failure> {
        let trust =
            TrustArgs::new(self.from_ca.clone(), self.from_certificate.clone(), self.from_certificate_key.clone());
        Source::new(&self.from, &trust, self.from_key.as_deref())
    }
}
