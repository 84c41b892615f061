//! `quorate cluster home-region`.

use serde_json::json;

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::wire::quorate::v1::SetHomeRegionRequest;

const EXAMPLES: &str = "\
Examples:
  quorate cluster home-region north     the leader is to be in the north
  quorate cluster home-region --none    it may be anywhere

Any node can be asked. The names are those that the nodes say of themselves (`node.region`); `quorate cluster status` shows
them. A leader outside of the home region hands over, once a voter inside has been able to lead for some seconds. While nobody
inside can, the others lead.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct HomeRegionArgs {
    /// The region
    #[arg(value_name = "REGION", required_unless_present = "none", conflicts_with = "none")]
    region: Option<String>,
    /// No region goes before the others
    #[arg(long)]
    none: bool,
}

pub(super) async fn run(connection: &ConnectionArgs, args: HomeRegionArgs) -> Result<Exit, Failure> {
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let region = args.region.unwrap_or_default();
    let request = SetHomeRegionRequest { region: region.clone() };
    let answer = cluster.write(|node| {
        let request = request.clone();
        async move { node.cluster().set_home_region(request).await }
    });
    let answer = answer.await?;
    if connection.json {
        print_line(json!({ "home_region": region, "changed": answer.changed }))?;
    } else if region.is_empty() {
        print_line("no region is the home region")?;
    } else {
        print_line(format_args!("the home region is {region}"))?;
    }
    Ok(Exit::Done)
}
