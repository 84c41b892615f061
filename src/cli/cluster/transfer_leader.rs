//! `quorate cluster transfer-leader`.

use std::time::Duration;

use serde_json::json;

use super::member::parse_node_id;
use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::wire::quorate::v1::TransferLeaderRequest;

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate cluster transfer-leader             to the voter that has most of the log
  quorate cluster transfer-leader --to 3

Any node can be asked. Writes wait while leadership moves, and none fails by it. A learner, or a node that does not answer or
is far behind, is refused. The command may be repeated: nothing is done when the node leads already.";

/// An election that goes wrong is repeated a few times.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct TransferLeaderArgs {
    /// Id of the node that is to lead
    #[arg(long, value_name = "NODE", value_parser = parse_node_id)]
    to: Option<u64>,
}

pub(super) async fn run(connection: &ConnectionArgs, args: TransferLeaderArgs) -> Result<Exit, Failure> {
    let cluster = connection.open(TIMEOUT)?;
    let request = TransferLeaderRequest { to: args.to.unwrap_or_default() };
    let answer = cluster.write(|node| async move { node.cluster().transfer_leader(request).await }).await?;
    let (leader, term) = (answer.leader_id, answer.term);
    if connection.json {
        print_line(json!({ "leader_id": leader, "term": term, "changed": answer.changed }))?;
    } else if answer.changed {
        print_line(format_args!("node {leader} leads, in term {term}"))?;
    } else {
        print_line(format_args!("node {leader} leads already, in term {term}"))?;
    }
    Ok(Exit::Done)
}
