//! `quorate cluster`: forming a cluster, growing it, looking at it.

mod home_region;
mod init;
mod join;
mod member;
mod snapshot;
mod status;
mod transfer_leader;
mod upgrade;
mod view;
mod watch;

use clap::Subcommand;

pub(super) use view::state_name;

use super::connection::ConnectionArgs;
use super::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct ClusterArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make a waiting node the first member of a new cluster
    #[command(after_help = init::EXAMPLES)]
    Init,
    /// Make a waiting node a member of an existing cluster
    Join(join::JoinArgs),
    /// Show the members, who leads, and how far each is
    Status(status::StatusArgs),
    /// Give a learner a vote
    #[command(after_help = member::PROMOTE_EXAMPLES)]
    Promote(member::MemberArgs),
    /// Take a voter's vote: it stays a learner, with all its data
    #[command(after_help = member::DEMOTE_EXAMPLES)]
    Demote(member::MemberArgs),
    /// Let a member go for good
    #[command(after_help = member::REMOVE_EXAMPLES)]
    Remove(member::MemberArgs),
    /// Have the leader hand over to another voter
    #[command(after_help = transfer_leader::EXAMPLES)]
    TransferLeader(transfer_leader::TransferLeaderArgs),
    /// Say which region the leader is to be in
    HomeRegion(home_region::HomeRegionArgs),
    /// Raise the feature level, once every node runs the new version; there is no way back
    Upgrade(upgrade::UpgradeArgs),
    /// Have a node write a snapshot now and purge the log that it covers
    #[command(after_help = snapshot::EXAMPLES)]
    Snapshot,
}

pub(super) async fn run(args: ClusterArgs) -> Result<Exit, Failure> {
    match args.command {
        ClusterCommand::Init => init::run(&args.connection).await,
        ClusterCommand::Join(join) => join::run(&args.connection, join).await,
        ClusterCommand::Status(status) => status::run(&args.connection, status).await,
        ClusterCommand::Promote(member) => member::promote(&args.connection, member).await,
        ClusterCommand::Demote(member) => member::demote(&args.connection, member).await,
        ClusterCommand::Remove(member) => member::remove(&args.connection, member).await,
        ClusterCommand::TransferLeader(transfer) => transfer_leader::run(&args.connection, transfer).await,
        ClusterCommand::HomeRegion(home) => home_region::run(&args.connection, home).await,
        ClusterCommand::Upgrade(upgrade) => upgrade::run(&args.connection, upgrade).await,
        ClusterCommand::Snapshot => snapshot::run(&args.connection).await,
    }
}
