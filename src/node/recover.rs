//! Recovery: a stopped node of which nothing but its own data directory is left founds a new cluster from it.

use std::path::Path;

use super::identity::{DataDir, Identity, IdentityError, Origin};
use crate::raft::{Membership, SurvivalReport, Survivor, SurvivorError};
use crate::store::StoreOptions;

/// Why a node cannot recover.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Its data directory.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What is in it.
    #[error(transparent)]
    Survivor(#[from] SurvivorError),
    /// Nothing is in it.
    #[error("{0} holds no data of a node")]
    Nobody(String),
}

/// A node that can found a new cluster, and has not yet. Its directory is taken for as long as this lives.
pub struct Recovery {
    data: DataDir,
    survivor: Survivor,
}

impl Recovery {
    /// Takes the directory of a stopped node and looks at what is there. Changes nothing that a start would not.
    pub async fn prepare(dir: &Path) -> Result<Self, RecoverError> {
        let nobody = || RecoverError::Nobody(dir.display().to_string());
        if !dir.is_dir() {
            return Err(nobody());
        }
        let data = DataDir::open(dir)?;
        let identity = data.identity()?.ok_or_else(nobody)?;
        let survivor = Survivor::open(data.path(), identity.membership, StoreOptions::default()).await?;
        Ok(Self { data, survivor })
    }

    /// What the node holds.
    #[must_use]
    pub fn report(&self) -> &SurvivalReport {
        self.survivor.report()
    }

    /// Founds the new cluster in the place of the old data, which is set aside. Broken off anywhere, it leaves the node as it
    /// was, or is finished by its next start.
    pub async fn perform(self) -> Result<Membership, RecoverError> {
        let Self { data, survivor } = self;
        // Never 0, which stands for "none" between nodes.
        let lineage = rand::random::<u64>().max(1);
        let into = data.begin_founding()?;
        let membership = survivor.found(lineage, &into).await?;
        data.decide_founding(Identity { membership, origin: Origin::Recover })?;
        Ok(membership)
    }
}
