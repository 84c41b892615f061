//! `quorate restore`: from a backup to the data folder of the first node of a new cluster.

use std::path::PathBuf;

use serde_json::json;

use super::backup::{Access, Repository};
use super::failure::{Exit, Failure};
use super::output::{note, print_line, progress};
use crate::node::Restoration;

const EXAMPLES: &str = "\
Examples:
  quorate restore --from /backup/quorate --data-dir /var/lib/quorate
  quorate restore --from /backup/quorate --at 1234 --data-dir /var/lib/quorate --keep-zookies

The data folder must be empty. Run this as the user that the node runs as, start the node, and join others with empty
folders. It is a new cluster: no node of the old one belongs to it. With --keep-zookies, the old cluster's zookies up to
the index of the backup mean what they meant; those beyond it are refused, since what they saw is lost.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RestoreArgs {
    /// Folder of backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The backup at this index, or of this name [default: the one taken last]
    #[arg(long, value_name = "INDEX")]
    at: Option<String>,
    /// Data folder of the node that is to be; empty or missing
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Let the zookies of the old cluster count, as far as the backup reaches
    #[arg(long)]
    keep_zookies: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: RestoreArgs) -> Result<Exit, Failure> {
    let failed = |error: crate::node::RestorationError| Failure::new(error.to_string());
    let repository = Repository::open(&args.from, Access::Shared)?;
    let manifest = repository.pick(args.at.as_deref())?;
    let restoration = Restoration::begin(&args.data_dir).map_err(failed)?;
    let bar = progress(Some(manifest.bytes()));
    for file in &manifest.files {
        repository.copy(file, restoration.files())?;
        bar.inc(file.bytes);
    }
    bar.finish_and_clear();
    let founded = restoration.perform(manifest.backed_up, args.keep_zookies).await.map_err(failed)?;
    let old = manifest.backed_up;
    if args.json {
        print_line(json!({
            "name": manifest.name(),
            "index": old.revision.index(),
            "old_lineage": format!("{:016x}", old.lineage),
            "lineage": format!("{:016x}", founded.lineage),
            "node_id": founded.node_id,
        }))?;
    } else {
        print_line(format_args!(
            "node {} is the only member of cluster {:016x}, with all that cluster {:016x} had at index {}",
            founded.node_id, founded.lineage, old.lineage, old.revision
        ))?;
        note("start it, and join others with empty data folders");
    }
    Ok(Exit::Done)
}
