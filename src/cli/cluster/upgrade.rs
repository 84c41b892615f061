//! `quorate cluster upgrade`: the last step of an upgrade, after which there is no way back.

use std::time::Duration;

use serde_json::json;

use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::wire::quorate::v1::UpgradeRequest;

pub(super) const EXAMPLES: &str = "\
Examples:
  quorate cluster upgrade            to the highest feature level that the asked node's version supports
  quorate cluster upgrade --to 2

Once every node runs the new version, this lets the cluster use what came with it. Any node can be asked. Every member has to
answer, learners too, and to support the level; else nothing is changed. A level is never lowered: from then on the version of
before refuses the data. Until then, each node can go back to it.";

/// Every member has to be heard.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct UpgradeArgs {
    /// The feature level, as `quorate cluster status` shows it
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u32).range(1..))]
    to: Option<u32>,
}

pub(super) async fn run(connection: &ConnectionArgs, args: UpgradeArgs) -> Result<Exit, Failure> {
    let cluster = connection.open(TIMEOUT)?;
    let request = UpgradeRequest { to: args.to.unwrap_or_default() };
    let answer = cluster.write(|node| async move { node.cluster().upgrade(request).await }).await?;
    let level = answer.feature_level;
    if connection.json {
        print_line(json!({ "feature_level": level, "changed": answer.changed }))?;
    } else {
        let already = if answer.changed { "" } else { " already" };
        print_line(format_args!("the cluster is at feature level {level}{already}"))?;
    }
    Ok(Exit::Done)
}
