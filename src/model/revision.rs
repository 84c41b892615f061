//! Positions in the replicated log, and the store (tenant) that a tuple belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An index of the replicated log. The state at revision `r` is what entries `1..=r` leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Revision(u64);

impl Revision {
    /// The state before the first entry: empty.
    pub const ZERO: Self = Self(0);

    /// The revision of log index `index`.
    #[must_use]
    pub const fn new(index: u64) -> Self {
        Self(index)
    }

    /// The log index.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A store (tenant): first in every key, so that no scan can cross from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId(u32);

impl StoreId {
    /// The store that the authzed front uses.
    pub const DEFAULT: Self = Self(1);

    /// The store of number `id`.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
