//! `quorate permission`: who may do what.

mod bulk;
mod check;
mod context;
mod expand;
mod explain;
mod listing;
mod lookup_resources;
mod lookup_subjects;

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
    /// The resources of a type on which a subject has a permission
    LookupResources(lookup_resources::LookupResourcesArgs),
    /// The subjects of a type that have a permission on a resource
    LookupSubjects(lookup_subjects::LookupSubjectsArgs),
    /// How a permission on a resource comes about
    Expand(expand::ExpandArgs),
}

pub(super) async fn run(args: PermissionArgs) -> Result<Exit, Failure> {
    match args.command {
        PermissionCommand::Check(check) => check::run(&args.connection, check).await,
        PermissionCommand::Bulk(bulk) => bulk::run(&args.connection, bulk).await,
        PermissionCommand::LookupResources(lookup) => lookup_resources::run(&args.connection, lookup).await,
        PermissionCommand::LookupSubjects(lookup) => lookup_subjects::run(&args.connection, lookup).await,
        PermissionCommand::Expand(expand) => expand::run(&args.connection, expand).await,
    }
}
