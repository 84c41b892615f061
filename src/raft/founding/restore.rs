//! A cluster from the files of a backup.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::forebears::{self, Forebear, forebears};
use super::found::{Founding, found};
use crate::model::Revision;
use crate::raft::NodeAddress;
use crate::raft::apply::AppliedState;
use crate::raft::codec;
use crate::raft::log::LogStore;
use crate::raft::replica::{Membership, ReplicaError, log_dir, state_dir};
use crate::store::{
    CheckpointStore, Inspection, MetaKey, RocksStore, StateStore, StoreError, StoreOptions, inspect_checkpoint,
};

/// Why the files of a backup are none, or nothing can be founded from them.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new databases.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The new folder.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What the files of a backup say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// The cluster.
    pub lineage: u64,
    /// The index that they are the state at.
    pub revision: Revision,
    /// The term of the entry there.
    pub term: u64,
    /// The hash chain there.
    pub chain: [u8; 32],
}

impl BackedUp {
    fn of(applied: Option<&[u8]>, identity: Option<&[u8]>) -> Result<(Self, AppliedState), StoreError> {
        let corrupt = |what: String| StoreError::Corrupt { place: "backup", what };
        let missing = || corrupt("it does not say what it is the state of".to_owned());
        let damaged = |error: codec::CodecError| corrupt(error.to_string());
        let applied: AppliedState = codec::decode(applied.ok_or_else(missing)?).map_err(damaged)?;
        let lineage: u64 = codec::decode(identity.ok_or_else(missing)?).map_err(damaged)?;
        let last = applied.last.ok_or_else(missing)?;
        let (revision, term) = (applied.revision(), last.leader_id.term);
        Ok((Self { lineage, revision, term, chain: applied.chain }, applied))
    }
}

/// Reads the files in `dir` from end to end, and says what they are.
pub fn inspect_backup(dir: &Path) -> Result<(BackedUp, Inspection), RestoreError> {
    let inspection = inspect_checkpoint(dir)?;
    let (backed_up, _) = BackedUp::of(inspection.applied.as_deref(), inspection.identity.as_deref())?;
    if backed_up.revision != inspection.revision {
        let what = format!("its log stands at {} and its data at {}", backed_up.revision, inspection.revision);
        return Err(StoreError::Corrupt { place: "backup", what }.into());
    }
    Ok((backed_up, inspection))
}

/// Writes the databases of a new cluster of one node to the folder `into`, from the files in `checkpoint`, which are used up.
/// The databases are synced; the names in `into` are not. `expected` is what the files must be.
///
/// The node gets an id that the old cluster never gave, as far as the backup knows. With `keep_zookies` those of the old
/// cluster mean in the new one what they meant there, up to the index of the backup.
pub async fn restore(
    checkpoint: &Path,
    into: &Path,
    lineage: u64,
    expected: BackedUp,
    keep_zookies: bool,
) -> Result<Membership, RestoreError> {
    let state = Arc::new(RocksStore::open(&state_dir(into), StoreOptions::default())?);
    state.install(checkpoint)?;
    fs::remove_dir_all(checkpoint)?;
    let (applied, identity) = (state.meta(MetaKey::Applied)?, state.meta(MetaKey::Identity)?);
    let (found_in_it, applied) = BackedUp::of(applied.as_deref(), identity.as_deref())?;
    if found_in_it != expected {
        let what = format!("it holds {found_in_it:?} and its list says {expected:?}");
        return Err(StoreError::Corrupt { place: "backup", what }.into());
    }
    let kept = if keep_zookies {
        forebears::record(forebears(&*state)?, Some(Forebear { lineage: expected.lineage, through: expected.revision }))
    } else {
        forebears::record(Vec::new(), None)
    };
    let membership = Membership { lineage, node_id: applied.next_node_id };
    let log = LogStore::open(&log_dir(into)).map_err(ReplicaError::from)?;
    let founding = Founding { membership, address: NodeAddress::default(), term: expected.term, forebears: kept };
    found(&*state, &log, applied, &founding).await?;
    state.sync()?;
    Ok(membership)
}
