//! `quorate schema`: what types, relations and permissions there are.

mod change;
mod diff;
mod plan;
mod read;
mod source;
mod write;

use clap::Subcommand;

pub(super) use source::{Source, load_below};

use super::connection::ConnectionArgs;
use super::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: SchemaCommand,
}

#[derive(Debug, Subcommand)]
enum SchemaCommand {
    /// Replace the schema
    Write(write::WriteArgs),
    /// Show what a schema would change, and what stands in its way
    Diff(diff::DiffArgs),
    /// Print the schema
    #[command(after_help = read::EXAMPLES)]
    Read,
}

pub(super) async fn run(args: SchemaArgs) -> Result<Exit, Failure> {
    match args.command {
        SchemaCommand::Write(write) => write::run(&args.connection, write).await,
        SchemaCommand::Diff(diff) => diff::run(&args.connection, diff).await,
        SchemaCommand::Read => read::run(&args.connection).await,
    }
}
