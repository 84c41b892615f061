//! `quorate cluster status`: what the asked node knows, and beside it what each member says of itself.

use std::time::Duration;

use futures::future::join_all;

use super::view::ClusterView;
use super::watch;
use crate::cli::connection::{Connection, ConnectionArgs, DEFAULT_TIMEOUT, parse_duration};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::wire::quorate::v1::status_response::State;
use crate::wire::quorate::v1::{StatusRequest, StatusResponse};

const EXAMPLES: &str = "\
Examples:
  quorate cluster status
  quorate cluster status --endpoint node-2:50051 --json
  quorate cluster status --watch    drawn anew every two seconds, with rates; q ends it
  quorate cluster status --watch --interval 10s --json > status.jsonl

Of several endpoints the first that is a member says who the members are, and each of them is asked for itself.
OLDEST is the oldest log index that can still be read, by an exact zookie or a watch. LAG is how many committed log entries a
member has yet to apply. HASH is the chain over everything that it has applied: two members at the same index must have the
same. Exit code 1 when they have not.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusArgs {
    /// Look again and again: on a terminal a live picture with rates, which q ends; else a table or, with --json, a line each
    /// time
    #[arg(long)]
    watch: bool,
    /// Between two looks: 500ms, 10s; no node is waited for longer
    #[arg(long, value_name = "TIME", value_parser = parse_interval, default_value = "2s", requires = "watch")]
    interval: Duration,
}

/// The shortest interval: nodes have better things to do.
const SHORTEST: Duration = Duration::from_millis(200);

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if interval >= SHORTEST { Ok(interval) } else { Err(format!("use {SHORTEST:?} or more")) }
}

/// A member that does not answer must not hold up the picture of the others.
const MEMBER_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn run(connection: &ConnectionArgs, args: StatusArgs) -> Result<Exit, Failure> {
    if args.watch {
        return watch::run(connection, args.interval).await;
    }
    let asked = ask_a_member(connection).await?;
    let each = asked.members.iter().map(|member| async {
        if member.node_id == asked.node_id {
            return Some(asked.clone());
        }
        // The address is what the member advertises: it may be wrong, or of no use from here.
        let node = connection.open_at(&member.client_address, MEMBER_TIMEOUT).ok()?;
        let said = tokio::time::timeout(MEMBER_TIMEOUT, ask(&node)).await.ok()?.ok()?;
        // Another node may have come to live at this address.
        (said.node_id == member.node_id && said.lineage == asked.lineage).then_some(said)
    });
    let members = join_all(each).await;
    let view = ClusterView::new(asked, members);
    let mut output = Output::new();
    if connection.json {
        output.json(&view.json())?;
    } else {
        view.print(&mut output)?;
    }
    output.flush()?;
    match view.divergence() {
        None => Ok(Exit::Done),
        Some(problem) => Err(Failure::new(problem)
            .hint("stop the nodes, keep their data folders, and replace the one that is in the minority")),
    }
}

/// What the first of the endpoints says that is a member; where none is, the first that answers. A node that lost its data
/// waits, and knows nothing of the cluster that the others are; one that was removed knows how it was.
async fn ask_a_member(connection: &ConnectionArgs) -> Result<StatusResponse, Failure> {
    let is_member = |said: &StatusResponse| !matches!(said.state(), State::Waiting | State::Removed);
    let first = ask(&connection.open(DEFAULT_TIMEOUT)?).await?;
    if is_member(&first) {
        return Ok(first);
    }
    for node in connection.open_each(MEMBER_TIMEOUT)? {
        match ask(&node).await {
            Ok(said) if is_member(&said) => return Ok(said),
            _ => {}
        }
    }
    Ok(first)
}

pub(super) async fn ask(node: &Connection) -> Result<StatusResponse, Failure> {
    Ok(node.read(|node| async move { node.cluster().status(StatusRequest {}).await }).await?)
}
