//! `quorate backup create`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tonic::Streaming;

use super::manifest::Manifest;
use super::repository::Repository;
use crate::cli::call_error::CallError;
use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{print_line, progress};
use crate::model::Revision;
use crate::raft::BackedUp;
use crate::store::FileEntry;
use crate::wire::quorate::v1::backup_part::Part;
use crate::wire::quorate::v1::{BackupManifest, BackupPart, CreateBackupRequest};

const EXAMPLES: &str = "\
Examples:
  quorate backup create --endpoint https://node-2:50051 --to /backup/quorate
  quorate backup create --to /backup/quorate --json       for scripts: index, zookie, what was fetched

The key must be good for `admin`. A follower or a learner serves as well as the leader. What an earlier backup in the
same folder has is not fetched again; that saves most where both are of the same node, since each node arranges its
files by itself. A backup that was broken off is not listed, and the next one uses what it fetched.";

/// The node reads all that it holds, once, before it answers.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// A node that sends nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(120);
/// Hashes that fit into one request.
const MOST_KNOWN: usize = 400_000;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Folder of backups; made where it is missing
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// What came over the wire.
#[derive(Default)]
struct Fetched {
    files: usize,
    bytes: u64,
}

pub(super) async fn run(args: CreateArgs) -> Result<Exit, Failure> {
    let repository = Repository::open_or_create(&args.to)?;
    let known = repository.objects(MOST_KNOWN)?;
    let cluster = args.connection.open(TIMEOUT)?;
    let request = CreateBackupRequest { have: known.iter().map(|hash| hash.to_vec()).collect() };
    let mut stream = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.backups().create_backup(request).await }
        })
        .await?;
    let Some(Part::Manifest(said)) = next(&mut stream).await? else {
        return Err(Failure::new("the node did not say first what the backup holds"));
    };
    let manifest = manifest(said)?;
    let wanted: Vec<&FileEntry> = manifest.files.iter().filter(|file| !known.contains(&file.blake3)).collect();
    let fetched = fetch(&repository, &mut stream, &wanted).await?;
    for file in &manifest.files {
        if repository.object_bytes(&file.blake3) != Some(file.bytes) {
            repository.remove_object(&file.blake3)?;
            let message =
                format!("an object of an earlier backup, needed for {}, is damaged and was removed", file.name);
            return Err(Failure::new(message).hint("repeat the command: it is fetched again"));
        }
    }
    repository.add(&manifest)?;
    report(&args.connection, &manifest, &fetched)?;
    Ok(Exit::Done)
}

async fn next(stream: &mut Streaming<BackupPart>) -> Result<Option<Part>, Failure> {
    let silent = |_| Failure::new(format!("the node sent nothing for {SILENCE:?}; nothing was backed up"));
    let message = tokio::time::timeout(SILENCE, stream.message()).await.map_err(silent)?;
    Ok(message.map_err(CallError::in_stream)?.and_then(|message| message.part))
}

fn manifest(said: BackupManifest) -> Result<Manifest, Failure> {
    let odd = |what: &str| Failure::new(format!("the node's list of the backup is not usable: {what}"));
    let file = |file: crate::wire::quorate::v1::BackupFile| {
        let blake3 = file.blake3.try_into().map_err(|_| odd("a hash of another length"))?;
        let entry = FileEntry { name: file.name, bytes: file.bytes, blake3 };
        if entry.has_plain_name() { Ok(entry) } else { Err(odd("a name that is none of a file")) }
    };
    let lineage = u64::from_str_radix(&said.lineage, 16).map_err(|_| odd("a lineage that is none"))?;
    let chain = super::manifest::hash(&said.state_hash).map_err(|_| odd("a hash that is none"))?;
    let revision = Revision::new(said.index);
    Ok(Manifest {
        backed_up: BackedUp { lineage, revision, term: said.term, chain },
        node_id: said.node_id,
        oldest: Revision::new(said.oldest_index),
        version: said.version,
        created_ms: jiff::Timestamp::now().as_millisecond(),
        files: said.files.into_iter().map(file).collect::<Result<_, Failure>>()?,
    })
}

/// Takes the bytes of these files, which come one after another.
async fn fetch(
    repository: &Repository,
    stream: &mut Streaming<BackupPart>,
    wanted: &[&FileEntry],
) -> Result<Fetched, Failure> {
    let mut fetched = Fetched::default();
    let bar = progress(Some(wanted.iter().map(|file| file.bytes).sum()));
    let (mut chunk, mut at) = (Vec::new(), 0);
    for file in wanted {
        let mut object = repository.receive((*file).clone())?;
        while object.left() > 0 {
            if at == chunk.len() {
                match next(stream).await? {
                    Some(Part::Chunk(bytes)) => (chunk, at) = (bytes, 0),
                    Some(Part::Manifest(_)) => {
                        return Err(Failure::new("the node began a second backup in the same stream"));
                    }
                    None => return Err(Failure::new("the backup ended before it was complete; nothing was backed up")),
                }
            }
            let before = chunk.len() - at;
            let rest = object.write(&chunk[at..])?.len();
            at = chunk.len() - rest;
            bar.inc((before - rest) as u64);
        }
        repository.keep(object, &file.blake3)?;
        fetched.files += 1;
        fetched.bytes += file.bytes;
    }
    bar.finish_and_clear();
    let rest = at != chunk.len() || next(stream).await?.is_some();
    if rest { Err(Failure::new("the node sent more than its list says; nothing was backed up")) } else { Ok(fetched) }
}

fn report(connection: &ConnectionArgs, manifest: &Manifest, fetched: &Fetched) -> Result<(), Failure> {
    let BackedUp { lineage, revision, .. } = manifest.backed_up;
    if connection.json {
        return print_line(json!({
            "name": manifest.name(),
            "lineage": format!("{lineage:016x}"),
            "index": revision.index(),
            "oldest_index": manifest.oldest.index(),
            "zookie": manifest.zookie(),
            "node_id": manifest.node_id,
            "files": manifest.files.len(),
            "bytes": manifest.bytes(),
            "fetched_files": fetched.files,
            "fetched_bytes": fetched.bytes,
        }));
    }
    print_line(format_args!(
        "backed up cluster {lineage:016x} at index {revision}, from node {}: {} files of {} bytes, of which {} files of {} \
         bytes were fetched",
        manifest.node_id,
        manifest.files.len(),
        manifest.bytes(),
        fetched.files,
        fetched.bytes
    ))
}
