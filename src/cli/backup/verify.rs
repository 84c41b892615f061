//! `quorate backup verify`: every byte against its hash, then every record of what the files open as.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::manifest::Manifest;
use super::repository::{Access, Repository};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{Output, progress};
use crate::raft::inspect_backup;
use crate::store::Inspection;

const EXAMPLES: &str = "\
Examples:
  quorate backup verify /backup/quorate                   every backup in the folder
  quorate backup verify /backup/quorate --at 1234         the one at this index

Reads everything: the hash of each file, then each record in them; that both orders of the relationships tell the same;
and that index, cluster and hash chain are those of the manifest. Exits with 1 when anything is not as it was taken.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    /// Folder of backups
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Only the backup at this index, or of this name
    #[arg(long, value_name = "INDEX")]
    at: Option<String>,
    /// Print JSON, a document a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let repository = Repository::open(&args.dir, Access::Exclusive)?;
    let manifests = match args.at.as_deref() {
        Some(at) => vec![repository.pick(Some(at))?],
        None => repository.manifests()?,
    };
    let (mut output, mut known) = (Output::new(), BTreeSet::new());
    for manifest in &manifests {
        let inspection = verify(&repository, manifest, &mut known).map_err(|error| error.at(manifest.name()))?;
        let Inspection { revision, relationships, versions, schemas, .. } = inspection;
        if args.json {
            output.json(&json!({
                "name": manifest.name(),
                "index": revision.index(),
                "relationships": relationships,
                "versions": versions,
                "schemas": schemas,
            }))?;
        } else {
            output.line(format_args!(
                "{} is whole: {relationships} relationships, in {versions} versions, under {schemas} versions of schemas",
                manifest.name()
            ))?;
        }
        output.flush()?;
    }
    if manifests.is_empty() {
        return Err(Failure::new(format!("{} holds no backup", args.dir.display())));
    }
    Ok(Exit::Done)
}

/// Objects in `known` were looked at before.
fn verify(repository: &Repository, manifest: &Manifest, known: &mut BTreeSet<[u8; 32]>) -> Result<Inspection, Failure> {
    let bar = progress(Some(manifest.bytes()));
    for file in &manifest.files {
        if !known.contains(&file.blake3) {
            repository.check(file)?;
            known.insert(file.blake3);
        }
        bar.inc(file.bytes);
    }
    bar.finish_and_clear();
    let folder = repository.temporary("verify")?;
    for file in &manifest.files {
        repository.link(file, &folder)?;
    }
    let inspected = inspect_backup(&folder).map_err(|error| Failure::new(error.to_string()));
    repository.clear_temporary()?;
    let (found, inspection) = inspected?;
    if found != manifest.backed_up || inspection.oldest != manifest.oldest {
        let message = format!("the files hold {found:?}, and the manifest says {:?}", manifest.backed_up);
        return Err(Failure::new(message));
    }
    Ok(inspection)
}
