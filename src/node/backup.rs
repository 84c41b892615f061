//! Backups: the state as files, streamed to whoever asks for it.
//!
//! Bounds: so many at a time, two chunks of each in memory. The files are there for as long as somebody takes them: who goes,
//! or takes nothing for a while, ends it.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::model::{Error, ErrorCode};
use crate::raft::{Replica, StateFiles};
use crate::service::{BackupFile, BackupManifest, BackupStream};
use crate::store::FileEntry;

/// Backups of one node at the same time. Each holds on to files that the store may have replaced.
const AT_ONCE: usize = 2;
/// Bytes in one message.
const CHUNK_BYTES: usize = 1 << 20;
/// Messages that wait for the reader.
const CHUNKS_AHEAD: usize = 2;
/// A reader that takes nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The backups of one node.
pub(super) struct Backups {
    places: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// A backup that is made, and its place among those under way.
struct Made {
    files: StateFiles,
    _place: OwnedSemaphorePermit,
}

type Chunks = mpsc::Sender<Result<Vec<u8>, Error>>;

impl Backups {
    /// They end when the node stops.
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), stopping }
    }

    /// All of the state of `replica`, without the files with a hash in `have`.
    pub(super) async fn create(&self, replica: Arc<Replica>, have: HashSet<[u8; 32]>) -> Result<BackupStream, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!("this node is making {AT_ONCE} backups already; try again later, or on another node");
            Error::new(ErrorCode::ResourceExhausted, message)
        })?;
        // In a task of its own: who hangs up meanwhile leaves its place when the files are made, and gone again.
        let making = tokio::spawn(async move {
            let files = replica.state_files().await?;
            Ok::<_, io::Error>(Made { files, _place: place })
        });
        let made = making.await.map_err(io::Error::other).and_then(|made| made);
        let made = made.map_err(|error| Error::new(ErrorCode::Internal, format!("no backup was made: {error}")))?;
        let manifest = manifest(&made.files);
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(send(made, have, sender, self.stopping.clone()));
        Ok(BackupStream { manifest, chunks: ReceiverStream::new(receiver).boxed() })
    }
}

fn manifest(files: &StateFiles) -> BackupManifest {
    let file = |entry: &FileEntry| BackupFile { name: entry.name.clone(), bytes: entry.bytes, blake3: entry.blake3 };
    BackupManifest {
        lineage: files.lineage,
        node_id: files.node_id,
        revision: files.revision,
        term: files.term,
        oldest: files.oldest,
        state_hash: blake3::Hash::from_bytes(files.chain).to_hex().to_string(),
        files: files.list().iter().map(file).collect(),
    }
}

async fn send(made: Made, have: HashSet<[u8; 32]>, chunks: Chunks, stopping: CancellationToken) {
    let ended = tokio::select! {
        ended = send_files(&made, &have, &chunks) => ended,
        () = stopping.cancelled() => Err(Some(Error::new(ErrorCode::Unavailable, "this node is stopping"))),
    };
    match ended {
        Ok(()) => tracing::info!(revision = %made.files.revision, "a backup was taken"),
        Err(None) => tracing::info!(revision = %made.files.revision, "a backup was given up by its reader"),
        Err(Some(error)) => {
            tracing::warn!(revision = %made.files.revision, %error, "a backup broke off");
            // A reader that takes nothing takes no error either.
            let _ = chunks.try_send(Err(error));
        }
    }
}

/// `None` says that the reader has gone.
async fn send_files(made: &Made, have: &HashSet<[u8; 32]>, chunks: &Chunks) -> Result<(), Option<Error>> {
    let wanted = made.files.list().iter().filter(|entry| !have.contains(&entry.blake3));
    for entry in wanted {
        let failed = |error: io::Error| Some(Error::new(ErrorCode::Internal, format!("a file of the backup: {error}")));
        let mut file = File::open(made.files.path(entry)).await.map_err(failed)?;
        let mut left = entry.bytes;
        while left > 0 {
            let take = left.min(CHUNK_BYTES as u64);
            let mut chunk = vec![0; usize::try_from(take).expect("a chunk fits into memory")];
            file.read_exact(&mut chunk).await.map_err(failed)?;
            left -= take;
            match tokio::time::timeout(PATIENCE, chunks.send(Ok(chunk))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(None),
                Err(_) => {
                    let message = format!("the backup ends, because nothing was read of it for {PATIENCE:?}");
                    return Err(Some(Error::new(ErrorCode::ResourceExhausted, message)));
                }
            }
        }
    }
    Ok(())
}
