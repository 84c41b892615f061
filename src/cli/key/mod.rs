//! `quorate key`: keys with scopes, for `client.key_file`. No cluster is asked.

mod create;

use clap::Subcommand;

use super::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a new key, and the entry that lets its bearer in
    Create(create::CreateArgs),
}

pub(super) async fn run(args: KeyArgs) -> Result<Exit, Failure> {
    match args.command {
        KeyCommand::Create(args) => create::run(args),
    }
}
