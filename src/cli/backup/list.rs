//! `quorate backup list`.

use std::path::PathBuf;

use serde_json::json;

use super::repository::{Access, Repository};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{Output, table};

const EXAMPLES: &str = "\
Examples:
  quorate backup list /backup/quorate
  quorate backup list /backup/quorate --json              a document a line

OLDEST is the oldest index that an exact read can ask for after a restore. TAKEN is by the clock of the machine that
took it.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Folder of backups
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> Result<Exit, Failure> {
    let repository = Repository::open(&args.dir, Access::Shared)?;
    let manifests = repository.manifests()?;
    let mut output = Output::new();
    if args.json {
        for manifest in &manifests {
            output.json(&json!({
                "name": manifest.name(),
                "lineage": format!("{:016x}", manifest.backed_up.lineage),
                "index": manifest.backed_up.revision.index(),
                "oldest_index": manifest.oldest.index(),
                "zookie": manifest.zookie(),
                "node_id": manifest.node_id,
                "taken": manifest.created(),
                "version": manifest.version,
                "files": manifest.files.len(),
                "bytes": manifest.bytes(),
            }))?;
        }
    } else {
        let mut rows = table(&["CLUSTER", "INDEX", "OLDEST", "NODE", "TAKEN", "FILES", "BYTES"]);
        for manifest in &manifests {
            rows.add_row([
                format!("{:016x}", manifest.backed_up.lineage),
                manifest.backed_up.revision.to_string(),
                manifest.oldest.to_string(),
                manifest.node_id.to_string(),
                manifest.created(),
                manifest.files.len().to_string(),
                manifest.bytes().to_string(),
            ]);
        }
        output.table(&rows)?;
    }
    output.flush()?;
    Ok(Exit::Done)
}
