//! `quorate backup`: taking backups of a running cluster, and looking after them. What is taken lies in a repository, a folder
//! that several backups share.

mod create;
mod list;
mod manifest;
mod object;
mod remove;
mod repository;
mod verify;

use clap::Subcommand;

pub(super) use repository::{Access, Repository};

use super::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: BackupCommand,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Take a backup of all that a node holds; of what an earlier one has, only what is new is fetched
    Create(create::CreateArgs),
    /// Show the backups in a folder
    List(list::ListArgs),
    /// Read backups from end to end and say whether they are whole
    Verify(verify::VerifyArgs),
    /// Remove a backup, and the files that no other one has
    Remove(remove::RemoveArgs),
}

pub(super) async fn run(args: BackupArgs) -> Result<Exit, Failure> {
    match args.command {
        BackupCommand::Create(args) => create::run(args).await,
        BackupCommand::List(args) => list::run(&args),
        BackupCommand::Verify(args) => verify::run(&args),
        BackupCommand::Remove(args) => remove::run(&args),
    }
}
