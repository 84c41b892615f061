//! `quorate health`: one question to one node, and an exit code that probes of containers understand.

mod local;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tonic::{Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::connection::ConnectionArgs;
use super::failure::{Exit, Failure};
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  quorate health                                           the node at --endpoint
  quorate health --local                                   the node of this container or machine, by its configuration
  quorate health --local --config /etc/quorate.toml
  quorate health --live                                    whether it answers at all, though it may wait or catch up

Needs no key. With --local, the node is asked where its configuration says that it listens; its certificate is not verified
then, since nothing leaves this machine and nothing secret is sent.

Exit codes: 0 ready (with --live: it answers), 1 not ready, 2 no node answered, or the command line is wrong.";

/// A probe is repeated every few seconds.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Only ask whether the node answers, not whether requests are welcome
    #[arg(long)]
    live: bool,
    /// Ask the node of this machine, where its file and its QUORATE_ variables say that it listens
    #[arg(long)]
    local: bool,
    /// Configuration file of that node
    #[arg(long, value_name = "FILE", requires = "local")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: HealthArgs) -> Result<Exit, Failure> {
    let limit = args.connection.timeout_or(TIMEOUT);
    let asked = async {
        if args.local {
            return local::ask(args.config.as_deref()).await;
        }
        args.connection.require_one_endpoint()?;
        let node = args.connection.open(limit)?;
        let answer = node.read(|node| async move { node.health().check(HealthCheckRequest::default()).await }).await;
        answer.map_err(|error| Failure::from(error).exiting(Exit::Unreachable))
    };
    let answer = tokio::time::timeout(limit, asked).await;
    let answer = answer.map_err(|_| unreachable(format!("no answer within {limit:?}")))??;
    let ready = answer.status() == ServingStatus::Serving;
    let mut output = Output::new();
    if args.connection.json {
        output.json(&json!({ "live": true, "ready": ready }))?;
    } else {
        output.line(if ready { "ready" } else { "not ready" })?;
    }
    output.flush()?;
    Ok(if ready || args.live { Exit::Done } else { Exit::Failed })
}

fn unreachable(why: impl Into<String>) -> Failure {
    Failure::with_exit(Exit::Unreachable, why)
}

fn answered(answer: Result<Response<HealthCheckResponse>, Status>) -> Result<HealthCheckResponse, Failure> {
    answer
        .map(Response::into_inner)
        .map_err(|status| unreachable(format!("the node did not answer: {}", status.message())))
}
