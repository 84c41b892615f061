//! The seam towards the services: a requirement goes in, a view comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::{Requirement, Zookie};
use crate::model::{Error, Floors, Revision, StoreId, TimestampMs};
use crate::store::ReadView;

/// What a zookie has to do with a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// Its index names the same state here.
    Shared,
    /// It is of a cluster that this one was restored from, and of a state that is not in the backup.
    Lost {
        /// The last index that is.
        through: Revision,
    },
    /// It says nothing here.
    Foreign,
}

/// Gives views that satisfy a requirement.
pub trait ViewSource: Send + Sync {
    /// A view of `store` that satisfies `requirement`. Waits until `deadline` where it has to; then it is an error:
    /// `Unavailable`, `DeadlineExceeded`, `ZookieFromFuture` or `RevisionExpired`.
    fn view(
        &self,
        store: StoreId,
        requirement: Requirement,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Arc<dyn ReadView>, Error>>;

    /// The floors of `store` that this node has applied: at least all that were set up to the revision of any view that it has
    /// given.
    fn floors(&self, store: StoreId) -> Arc<Floors>;

    /// The age of the oldest state that this node answers from where nothing else is asked for.
    fn ceiling(&self) -> Duration;

    /// The cluster's lineage, as zookies carry it.
    fn lineage(&self) -> u64;

    /// What a zookie has to do with this cluster.
    fn kinship(&self, zookie: Zookie) -> Result<Kinship, Error> {
        Ok(if zookie.lineage == self.lineage() { Kinship::Shared } else { Kinship::Foreign })
    }

    /// The time by which expiration is judged: what this node's clock says, and never less than the largest leader time in what
    /// the node has applied, so that no slow clock lets a relationship outlive its time.
    fn now(&self) -> TimestampMs;
}
