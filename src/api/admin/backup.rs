//! `quorate.v1.BackupService`.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::cluster::lineage_text;
use crate::api::errors::to_status;
use crate::model::{Error, ErrorCode};
use crate::service::{BackupFile, BackupManifest, BackupStream, ClusterAdmin};
use crate::wire::quorate::v1 as wire;
use crate::wire::quorate::v1::backup_part::Part;
use crate::wire::quorate::v1::backup_service_server::BackupService;

/// Serves backups.
pub(in crate::api) struct Backup {
    admin: Arc<dyn ClusterAdmin>,
}

impl Backup {
    pub(in crate::api) fn new(admin: Arc<dyn ClusterAdmin>) -> Self {
        Self { admin }
    }
}

#[tonic::async_trait]
impl BackupService for Backup {
    type CreateBackupStream = BoxStream<'static, Result<wire::BackupPart, Status>>;

    async fn create_backup(
        &self,
        request: Request<wire::CreateBackupRequest>,
    ) -> Result<Response<Self::CreateBackupStream>, Status> {
        let have = request.into_inner().have.into_iter().map(<[u8; 32]>::try_from);
        let have: HashSet<[u8; 32]> = have.collect::<Result<_, _>>().map_err(|hash| {
            let message = format!("a BLAKE3 hash has 32 bytes, and `have` names one of {}", hash.len());
            to_status(Error::new(ErrorCode::InvalidArgument, message))
        })?;
        let BackupStream { manifest, chunks } = self.admin.backup(have).await.map_err(to_status)?;
        let first = stream::iter([Ok(part(Part::Manifest(from_manifest(manifest))))]);
        let chunks = chunks.map(|chunk| chunk.map(|chunk| part(Part::Chunk(chunk))).map_err(to_status));
        Ok(Response::new(first.chain(chunks).boxed()))
    }
}

fn part(part: Part) -> wire::BackupPart {
    wire::BackupPart { part: Some(part) }
}

fn from_manifest(manifest: BackupManifest) -> wire::BackupManifest {
    let file = |BackupFile { name, bytes, blake3 }| wire::BackupFile { name, bytes, blake3: blake3.to_vec() };
    wire::BackupManifest {
        lineage: lineage_text(manifest.lineage),
        node_id: manifest.node_id,
        index: manifest.revision.index(),
        term: manifest.term,
        oldest_index: manifest.oldest.index(),
        state_hash: manifest.state_hash,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        files: manifest.files.into_iter().map(file).collect(),
    }
}
