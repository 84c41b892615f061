//! `quorate cluster join`: watched until the node has a vote, or has caught up as a learner.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::call_error::CallError;
use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{print_line, progress};
use crate::wire::quorate::v1::join_progress::Stage;
use crate::wire::quorate::v1::{JoinProgress, JoinRequest};

const EXAMPLES: &str = "\
Examples:
  quorate cluster join --endpoint node-4:50051 --peer node-1:50151 --peer node-2:50151
  quorate cluster join --endpoint node-5:50051 --peer node-1:50151 --learner    reads only, no vote

--endpoint is the new node; --peer is the peer address of a node that is a member already.
A join that was interrupted goes on when the command is repeated. `quorate cluster
promote` gives a learner its vote, and `quorate cluster remove` lets a member go.";

/// A node may have to fetch a large snapshot first.
const TIMEOUT: Duration = Duration::from_secs(3600);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct JoinArgs {
    /// Peer address of a member; repeat it to name several
    #[arg(long, required = true, value_name = "HOST:PORT", value_delimiter = ',')]
    peer: Vec<String>,
    /// The node stays a learner: it has everything and serves every read, and has no vote
    #[arg(long)]
    learner: bool,
}

pub(super) async fn run(connection: &ConnectionArgs, args: JoinArgs) -> Result<Exit, Failure> {
    connection.require_one_endpoint()?;
    let cluster = connection.open(TIMEOUT)?;
    let request = JoinRequest { peers: args.peer, learner: args.learner };
    let mut stream = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.cluster().join(request).await }
        })
        .await?;
    let bar = progress(None);
    // The call's own timeout ends with the first answer, and this stream goes on.
    let until = Instant::now() + connection.timeout_or(TIMEOUT);
    loop {
        let next = tokio::time::timeout_at(until.into(), stream.message()).await;
        let next = next.map_err(|_| {
            Failure::new("the node has not joined in time; the join goes on")
                .hint("repeat the command to see how it is")
        })?;
        let Some(step) = next.map_err(CallError::in_stream)? else { break };
        match step.stage() {
            Stage::Unspecified => {}
            Stage::Admitted => bar.set_message(format!("admitted as node {}", step.node_id)),
            Stage::CatchingUp => bar.set_message(format!(
                "node {} catches up: {} of {} log entries applied",
                step.node_id, step.applied_index, step.target_index
            )),
            Stage::Voter => {
                bar.finish_and_clear();
                return done(connection, &step, "is a member with a vote");
            }
            Stage::Learner => {
                bar.finish_and_clear();
                return done(connection, &step, "is a member and stays a learner, without a vote");
            }
        }
    }
    bar.finish_and_clear();
    Err(Failure::new("the node stopped reporting before it had joined")
        .hint("repeat the command: it goes on where it was"))
}

fn done(connection: &ConnectionArgs, step: &JoinProgress, what: &str) -> Result<Exit, Failure> {
    let node_id = step.node_id;
    if connection.json {
        print_line(json!({
            "node_id": node_id,
            "applied_index": step.applied_index,
            "voter": step.stage() == Stage::Voter,
        }))?;
    } else {
        print_line(format_args!("node {node_id} {what}"))?;
    }
    Ok(Exit::Done)
}
