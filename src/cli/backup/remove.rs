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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::backup::manifest::Manifest;
    use crate::model::Revision;
    use crate::raft::BackedUp;
    use crate::store::FileEntry;

    #[test]
    fn what_other_backups_need_stays() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("backups");
        let repository = Repository::open_or_create(&dir).unwrap();
        let file = |text: &str| {
            let entry = FileEntry {
                name: "000001.sst".to_owned(),
                bytes: text.len() as u64,
                blake3: *blake3::hash(text.as_bytes()).as_bytes(),
            };
            let mut object = repository.receive(entry.clone()).unwrap();
            object.write(text.as_bytes()).unwrap();
            repository.keep(object, &entry.blake3).unwrap();
            entry
        };
        let (old, shared, new) = (file("old"), file("shared"), file("new"));
        for (index, files) in [(5, vec![old.clone(), shared.clone()]), (6, vec![shared.clone(), new.clone()])] {
            let backed_up = BackedUp { lineage: 7, revision: Revision::new(index), term: 1, chain: [0; 32] };
            let (oldest, version) = (Revision::new(1), "0".to_owned());
            repository.add(&Manifest { backed_up, node_id: 1, oldest, version, created_ms: 0, files }).unwrap();
        }
        drop(repository);
        run(&RemoveArgs { dir: dir.clone(), at: "5".to_owned() }).unwrap();
        let repository = Repository::open(&dir, Access::Shared).unwrap();
        assert_eq!(repository.names().unwrap().len(), 1);
        let kept = repository.objects(usize::MAX).unwrap();
        assert_eq!(kept, BTreeSet::from([shared.blake3, new.blake3]));
    }
}
