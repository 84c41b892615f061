//! `quorate zookie`: what a token says.

mod inspect;

use clap::Subcommand;

use super::connection::ConnectionArgs;
use super::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct ZookieArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: ZookieCommand,
}

#[derive(Debug, Subcommand)]
enum ZookieCommand {
    /// Decode a zookie, and compare it with a node's state where that is asked for
    Inspect(inspect::InspectArgs),
}

pub(super) async fn run(args: ZookieArgs) -> Result<Exit, Failure> {
    match args.command {
        ZookieCommand::Inspect(inspect) => inspect::run(&args.connection, &inspect).await,
    }
}
