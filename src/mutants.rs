//! Bugs on purpose, by which the tests of the consistency contract show that they can fail.
//!
//! Only in builds with the feature `mutants`, which an optimized build refuses; elsewhere each question here is a constant
//! "no". Which bug a process has is said by the variable `QUORATE_MUTANT`. Must not know what the bugs break.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` builds bugs in on purpose: it is for tests, never for a release");

/// A bug on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A read with a zookie does not wait until the node has applied it.
    SkipWait,
    /// A fully consistent read, and the zookie that content is stored with, is of what this node has applied.
    LocalToken,
    /// Writes are acknowledged without an fsync of the log.
    AckBeforeFsync,
    /// A leader gives out read indexes without asking whether it still leads.
    NoQuorum,
    /// A watch that goes on after a token leaves out the next index.
    WatchOffByOne,
    /// Decisions are remembered by question, and the index that they were made at is no part of the key.
    CacheWithoutIndex,
    /// Each question of a bulk check is answered from a snapshot of its own.
    MixedSnapshots,
    /// How far a node has applied is on disk before what it applied.
    IndexBeforeData,
    /// Which requests took effect is known to the leader's process alone.
    DedupeInMemory,
    /// Preconditions are judged where a write is proposed, and not again where it is applied.
    JudgedAtPropose,
    /// A check takes the schema that was used last, whichever is in force.
    StaleSchema,
    /// A snapshot that is installed lacks the requests that are remembered.
    SnapshotWithoutKeys,
}

impl Mutant {
    /// Whether this process has it.
    #[cfg(not(feature = "mutants"))]
    #[must_use]
    pub const fn is_on(self) -> bool {
        false
    }

    /// Whether this process has it.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn is_on(self) -> bool {
        static CHOSEN: std::sync::OnceLock<Option<Mutant>> = std::sync::OnceLock::new();
        *CHOSEN.get_or_init(|| std::env::var("QUORATE_MUTANT").ok().map(|name| Self::of(&name))) == Some(self)
    }

    #[cfg(feature = "mutants")]
    fn of(name: &str) -> Self {
        match name {
            "skip-wait" => Self::SkipWait,
            "local-token" => Self::LocalToken,
            "ack-before-fsync" => Self::AckBeforeFsync,
            "no-quorum" => Self::NoQuorum,
            "watch-off-by-one" => Self::WatchOffByOne,
            "cache-without-index" => Self::CacheWithoutIndex,
            "mixed-snapshots" => Self::MixedSnapshots,
            "index-before-data" => Self::IndexBeforeData,
            "dedupe-in-memory" => Self::DedupeInMemory,
            "judged-at-propose" => Self::JudgedAtPropose,
            "stale-schema" => Self::StaleSchema,
            "snapshot-without-keys" => Self::SnapshotWithoutKeys,
            // A test of a bug that is not there would pass for the wrong reason.
            _ => panic!("QUORATE_MUTANT={name}: there is no such bug"),
        }
    }
}
