//! The assembly of a node.

use tokio_util::sync::CancellationToken;

use crate::config::NodeConfig;

/// Why a node stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The parts are not assembled in this build.
    #[error("this build has no node for {0}")]
    Absent(String),
}

/// Runs a node until `shutdown`.
pub async fn serve(config: NodeConfig, shutdown: CancellationToken) -> Result<(), ServeError> {
    drop(shutdown);
    Err(ServeError::Absent(config.data_dir.display().to_string()))
}
