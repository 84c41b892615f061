//! `quorate migrate to-backup`: one state of the cluster, as a file that `zed backup restore` reads.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::backup::BackupWriter;
use super::copy::ahead;
use super::destination::{Destination, types_of};
use crate::cli::connection::{ConnectionArgs, parse_duration};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{print_line, progress};
use crate::cli::private_file;

const EXAMPLES: &str = "\
Examples:
  quorate migrate to-backup quorate.zedbackup
  zed backup restore quorate.zedbackup

The file has the schema and all relationships of one state, with caveats and expirations; what has expired is left out. It
appears under its name once it is complete, and nobody but its owner can read it.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ToBackupArgs {
    /// File to write; it must not exist
    file: PathBuf,
    /// How long to go on trying while the cluster does not answer
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1m")]
    patience: Duration,
}

pub(super) async fn run(connection: &ConnectionArgs, args: ToBackupArgs) -> Result<Exit, Failure> {
    let path = &args.file;
    if path.exists() {
        return Err(Failure::usage(format!("{} exists; name a file that does not", path.display())));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(connection, &args, &part).await;
    let Ok((count, token)) = written else {
        // What is not complete is of no use.
        let _ = fs::remove_file(&part);
        return written.map(|_| Exit::Failed);
    };
    fs::rename(&part, path).map_err(|error| problem(path, &error))?;
    if connection.json {
        print_line(json!({ "relationships": count, "zookie": token }))?;
    } else {
        print_line(format_args!("{count} relationships in {}\nzookie: {token}", path.display()))?;
    }
    Ok(Exit::Done)
}

fn problem(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

/// Writes `part`, and flushes it. How many relationships, of which state.
async fn write(connection: &ConnectionArgs, args: &ToBackupArgs, part: &Path) -> Result<(u64, String), Failure> {
    let cluster = Destination::open(connection, args.patience)?;
    let head = cluster.reader().head().await?;
    let head = head.ok_or_else(|| Failure::new("there is nothing to back up: the cluster has no schema"))?;
    let file = private_file::create(part).map_err(|error| problem(part, &error))?;
    let failed = |error: apache_avro::Error| problem(part, &error);
    let mut backup = BackupWriter::new(BufWriter::new(file), &head.schema, &head.token).map_err(failed)?;
    let mut pages = ahead(cluster.reader().export(&head.token, &types_of(&head.schema)?, None), args.patience);
    let bar = progress(None);
    let mut count = 0u64;
    while let Some(page) = pages.recv().await {
        for relationship in page?.relationships {
            backup.append(relationship).map_err(failed)?;
            count += 1;
        }
        bar.set_message(format!("{count} relationships"));
    }
    bar.finish_and_clear();
    let file = backup.finish().map_err(failed)?;
    let file = file.into_inner().map_err(|error| problem(part, &error))?;
    file.sync_all().map_err(|error| problem(part, &error))?;
    Ok((count, head.token))
}
