//! `quorate permission`: who may do what.

mod bulk;
mod check;
mod context;
mod explain;

use clap::Subcommand;

use super::connection::ConnectionArgs;
use super::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct PermissionArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: PermissionCommand,
}

#[derive(Debug, Subcommand)]
enum PermissionCommand {
    /// Whether a subject has a permission on a resource
    Check(check::CheckArgs),
    /// The same for every line of a file, all at one revision
    Bulk(bulk::BulkArgs),
}

pub(super) async fn run(args: PermissionArgs) -> Result<Exit, Failure> {
    match args.command {
        PermissionCommand::Check(check) => check::run(&args.connection, check).await,
        PermissionCommand::Bulk(bulk) => bulk::run(&args.connection, bulk).await,
    }
}
