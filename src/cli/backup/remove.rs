//! `quorate backup remove`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::repository::{Access, Repository};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;

const EXAMPLES: &str = "\
Examples:
  quorate backup remove /backup/quorate --at 1234

What other backups in the folder need stays. Nothing is removed while the manifest of any of them is damaged.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RemoveArgs {
    /// Folder of backups
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The backup at this index, or of this name
    #[arg(long, value_name = "INDEX")]
    at: String,
}

pub(super) fn run(args: &RemoveArgs) -> Result<Exit, Failure> {
    let repository = Repository::open(&args.dir, Access::Exclusive)?;
    let name = repository.pick(Some(&args.at))?.name();
    // All are read before anything goes: an object that a damaged manifest needs must not.
    let others = repository.manifests()?.into_iter().filter(|manifest| manifest.name() != name);
    let needed: BTreeSet<[u8; 32]> = others.flat_map(|manifest| manifest.files).map(|file| file.blake3).collect();
    repository.remove_manifest(&name)?;
    let spare: Vec<[u8; 32]> = repository.objects(usize::MAX)?.difference(&needed).copied().collect();
    for hash in &spare {
        repository.remove_object(hash)?;
    }
    print_line(format_args!("removed {name}, and {} files that no other backup has", spare.len()))?;
    Ok(Exit::Done)
}
