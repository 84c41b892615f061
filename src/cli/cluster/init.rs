//! `quorate cluster init`.

use serde_json::json;

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::wire::quorate::v1::InitRequest;

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate cluster init --endpoint node-1:50051 --key secret

Do this once, on one node. The others join it.";

pub(super) async fn run(connection: &ConnectionArgs) -> Result<Exit, Failure> {
    connection.require_one_endpoint()?;
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster.write(|node| async move { node.cluster().init(InitRequest {}).await }).await?;
    if connection.json {
        print_line(json!({ "lineage": answer.lineage, "node_id": answer.node_id }))?;
    } else {
        print_line(format_args!("cluster {} formed; this is node {}", answer.lineage, answer.node_id))?;
    }
    Ok(Exit::Done)
}
