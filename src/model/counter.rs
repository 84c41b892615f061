//! Counters of relationships: a name for a filter.

use serde::{Deserialize, Serialize};

use super::{CounterName, TupleFilter};

/// A filter whose tuples somebody wants counted, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counter {
    /// Unique within a store.
    pub name: CounterName,
    /// What is counted.
    pub filter: TupleFilter,
}
