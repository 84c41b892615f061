//! `quorate cluster join`: watched until the node has a vote, or has caught up as a learner.

use std::time::{Duration, Instant};

use serde_json::json;

use super::status::ask;
use crate::cli::call_error::CallError;
use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{note, print_line, progress};
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
            Stage::Voter | Stage::Learner => {
                bar.finish_and_clear();
                let done = done(connection, &step);
                tell_of_former_self(connection, step.node_id).await;
                return done;
            }
        }
    }
    bar.finish_and_clear();
    Err(Failure::new("the node stopped reporting before it had joined")
        .hint("repeat the command: it goes on where it was"))
}

/// A node that lost its data comes back under another id. Who it was stays a member, and counts in every majority, until it is
/// removed. Members see to that first; those of an earlier version do not.
async fn tell_of_former_self(connection: &ConnectionArgs, node_id: u64) {
    // The node has joined, whatever becomes of this question.
    let Ok(node) = connection.open(DEFAULT_TIMEOUT) else { return };
    let Ok(said) = ask(&node).await else { return };
    let Some(own) = said.members.iter().find(|member| member.node_id == node_id) else { return };
    for former in said.members.iter().filter(|member| member.node_id != node_id) {
        if former.peer_address == own.peer_address {
            note(format_args!(
                "note: node {0} is a member at the same address. If that is who this node was before it lost its data, let it \
                 go, or it counts as a member that is down: quorate cluster remove {0}",
                former.node_id
            ));
        }
    }
}

fn done(connection: &ConnectionArgs, step: &JoinProgress) -> Result<Exit, Failure> {
    let node_id = step.node_id;
    let what = if step.stage() == Stage::Learner {
        "is a member and stays a learner, without a vote"
    } else {
        "is a member with a vote"
    };
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
