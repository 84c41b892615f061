//! Where a node is, as its operator says.

use serde::{Deserialize, Serialize};

use super::PlaceName;

/// A region, and a zone in it. Nothing is read into the names but whether two of them are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Locality {
    /// Where latency is low: what a home region is.
    pub region: Option<PlaceName>,
    /// Within a region: what fails together.
    pub zone: Option<PlaceName>,
}

impl Locality {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.region.is_none() && self.zone.is_none()
    }
}
