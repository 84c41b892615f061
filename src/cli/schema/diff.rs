//! `quorate schema diff`.

use std::path::PathBuf;

use super::{plan, source};
use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  quorate schema diff schema.zed
  quorate schema diff --json schema.zed

Nothing is written. The exit code is 0 also where something stands in the way; `schema write --dry-run` says that by its own.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DiffArgs {
    /// File with the schema, with its imports; - is standard input
    file: PathBuf,
}

pub(super) async fn run(connection: &ConnectionArgs, args: DiffArgs) -> Result<Exit, Failure> {
    let source = source::load(&args.file)?;
    plan::ask(connection, &source).await?.print(connection.json)?;
    Ok(Exit::Done)
}
