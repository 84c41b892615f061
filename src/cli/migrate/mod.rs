//! `quorate migrate`: from SpiceDB to here while both serve, to and from its backups, and the proof that both hold the same.
//!
//! It is a client on both sides, of `authzed.api.v1` only, so that another Quorate can stand on either.

mod backup;
mod copy;
mod destination;
mod follow;
mod from_backup;
mod from_spicedb;
mod interrupt;
mod order;
mod patience;
mod report;
mod source;
mod state;
mod tail;
mod to_backup;
mod updates;
mod verify;

use clap::Subcommand;

use super::connection::ConnectionArgs;
use super::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: MigrateCommand,
}

#[derive(Debug, Subcommand)]
enum MigrateCommand {
    /// Copy everything from a SpiceDB that goes on serving, then follow its changes
    FromSpicedb(Box<from_spicedb::FromSpicedbArgs>),
    /// Compare both sides: every relationship, and the answers to a sample of checks
    Verify(verify::VerifyArgs),
    /// Load a file that `zed backup create` or `to-backup` wrote
    FromBackup(from_backup::FromBackupArgs),
    /// Write everything to a file that `zed backup restore` and `from-backup` read
    ToBackup(to_backup::ToBackupArgs),
}

pub(super) async fn run(args: MigrateArgs) -> Result<Exit, Failure> {
    let connection = &args.connection;
    match args.command {
        MigrateCommand::FromSpicedb(args) => from_spicedb::run(connection, *args).await,
        MigrateCommand::Verify(args) => verify::run(connection, args).await,
        MigrateCommand::FromBackup(args) => from_backup::run(connection, args).await,
        MigrateCommand::ToBackup(args) => to_backup::run(connection, args).await,
    }
}
