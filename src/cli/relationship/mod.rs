//! `quorate relationship`: who is what to which object.

mod import;
mod read;
mod retry;
mod summary;
mod window;
mod write;

use clap::Subcommand;

pub(super) use write::write_request;

use super::connection::ConnectionArgs;
use super::failure::{Exit, Failure};
use crate::wire::authzed::v1::relationship_update::Operation;

#[derive(Debug, clap::Args)]
pub(super) struct RelationshipArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: RelationshipCommand,
}

#[derive(Debug, Subcommand)]
enum RelationshipCommand {
    /// Write relationships that do not exist yet; if one does, write none
    #[command(after_help = write::CREATE_EXAMPLES)]
    Create(write::WriteArgs),
    /// Write relationships, whether or not they exist
    #[command(after_help = write::TOUCH_EXAMPLES)]
    Touch(write::WriteArgs),
    /// Remove relationships, whether or not they exist
    #[command(after_help = write::DELETE_EXAMPLES)]
    Delete(write::WriteArgs),
    /// List relationships
    Read(read::ReadArgs),
    /// Write all relationships of a file, whether or not they exist
    Import(import::ImportArgs),
}

pub(super) async fn run(args: RelationshipArgs) -> Result<Exit, Failure> {
    let connection = &args.connection;
    match args.command {
        RelationshipCommand::Create(write) => write::run(connection, write, Operation::Create).await,
        RelationshipCommand::Touch(write) => write::run(connection, write, Operation::Touch).await,
        RelationshipCommand::Delete(write) => write::delete(connection, write).await,
        RelationshipCommand::Read(read) => read::run(connection, read).await,
        RelationshipCommand::Import(import) => import::run(connection, import).await,
    }
}
