//! `quorate cluster snapshot`.

use std::time::Duration;

use serde_json::json;

use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::wire::quorate::v1::SnapshotRequest;

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate cluster snapshot --endpoint node-1:50051";

const TIMEOUT: Duration = Duration::from_secs(300);

pub(super) async fn run(connection: &ConnectionArgs) -> Result<Exit, Failure> {
    connection.require_one_endpoint()?;
    let cluster = connection.open(TIMEOUT)?;
    // Another snapshot does no harm, so to repeat the call is safe.
    let answer = cluster.read(|node| async move { node.cluster().snapshot(SnapshotRequest {}).await }).await?;
    if connection.json {
        print_line(json!({ "snapshot_index": answer.snapshot_index, "purged_index": answer.purged_index }))?;
    } else {
        let (snapshot, purged) = (answer.snapshot_index, answer.purged_index);
        print_line(format_args!("snapshot at index {snapshot}; log purged up to {purged}"))?;
    }
    Ok(Exit::Done)
}
