//! `quorate cluster promote`, `demote` and `remove`: changes to one member, by its id.

use std::time::Duration;

use serde_json::json;

use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::wire::quorate::v1::{DemoteRequest, PromoteRequest, RemoveRequest};

pub(super) const PROMOTE_EXAMPLES: &str = "\
Examples:
  quorate cluster promote 4

Any node can be asked. The learner gets its vote once it has caught up. Refused where a majority of the voters would not answer.
A new node needs no promotion: `quorate cluster join` makes it a voter, and with --learner a learner.";

pub(super) const DEMOTE_EXAMPLES: &str = "\
Examples:
  quorate cluster demote 4

Any node can be asked. The node keeps its data and serves every read; no write waits for it any more. A leader hands over first.
Refused for the last voter, and where a majority of those that remain would not answer.";

pub(super) const REMOVE_EXAMPLES: &str = "\
Examples:
  quorate cluster remove 4 --endpoint node-1:50051

Any other member can be asked; the node to be removed may be down. It answers nothing from then on, and its id is never used
again: to use the machine once more, empty its data folder and join it as a new node. Refused where a majority of the voters
that remain would not answer.";

/// A learner may have to catch up, and a leader to hand over.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct MemberArgs {
    /// Id of the node, as `quorate cluster status` shows it
    #[arg(value_name = "NODE", value_parser = parse_node_id)]
    node: u64,
}

/// The id of a node. Its name is what comes to mind first.
pub(super) fn parse_node_id(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(id) if id > 0 => Ok(id),
        _ => Err("it is the number in the column NODE of `quorate cluster status`".to_owned()),
    }
}

pub(super) async fn promote(connection: &ConnectionArgs, args: MemberArgs) -> Result<Exit, Failure> {
    let (cluster, node_id) = (connection.open(TIMEOUT)?, args.node);
    let answer = cluster.write(|node| async move { node.cluster().promote(PromoteRequest { node_id }).await }).await?;
    done(connection, node_id, answer.changed, "has a vote")
}

pub(super) async fn demote(connection: &ConnectionArgs, args: MemberArgs) -> Result<Exit, Failure> {
    let (cluster, node_id) = (connection.open(TIMEOUT)?, args.node);
    let answer = cluster.write(|node| async move { node.cluster().demote(DemoteRequest { node_id }).await }).await?;
    done(connection, node_id, answer.changed, "is a learner")
}

pub(super) async fn remove(connection: &ConnectionArgs, args: MemberArgs) -> Result<Exit, Failure> {
    let (cluster, node_id) = (connection.open(TIMEOUT)?, args.node);
    let answer = cluster.write(|node| async move { node.cluster().remove(RemoveRequest { node_id }).await }).await?;
    done(connection, node_id, answer.changed, "is removed")
}

fn done(connection: &ConnectionArgs, node_id: u64, changed: bool, what: &str) -> Result<Exit, Failure> {
    if connection.json {
        print_line(json!({ "node_id": node_id, "changed": changed }))?;
    } else {
        let already = if changed { "" } else { " already" };
        print_line(format_args!("node {node_id} {what}{already}"))?;
    }
    Ok(Exit::Done)
}
