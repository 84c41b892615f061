//! Schemas made ready for use: parsed, and planned for evaluation. A schema version is immutable, so an entry never goes
//! stale; the least recently used one makes room.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::Plan;
use crate::model::{Error, ErrorCode, Revision, StoreId};
use crate::schema::{Schema, spicedb};
use crate::store::ReadView;

/// Versions kept: a handful of stores, each with the latest and a few that old zookies still ask for.
const KEPT: usize = 64;
/// Bytes of their texts. Ready for use, a schema takes some thirty times the memory of its text.
const KEPT_TEXT_BYTES: usize = 16 << 20;

/// One version of a schema, ready for use. Where no schema was ever written, an empty one with no revision.
#[derive(Debug)]
pub(super) struct ReadySchema {
    /// The entry that wrote it.
    pub(super) revision: Option<Revision>,
    /// As it was written. One copy, however many explanations show it.
    pub(super) text: Arc<str>,
    /// How to evaluate it; knows the schema too.
    pub(super) plan: Plan,
    /// What was decided under it, for a bug on purpose: a decision is of a state, too.
    #[cfg(feature = "mutants")]
    pub(super) decisions: Mutex<std::collections::HashMap<crate::engine::CheckItem, crate::model::Decision>>,
}

impl ReadySchema {
    fn new(revision: Option<Revision>, text: Arc<str>, schema: Schema) -> Self {
        Self {
            revision,
            text,
            plan: Plan::new(Arc::new(schema)),
            #[cfg(feature = "mutants")]
            decisions: Mutex::default(),
        }
    }

    /// What it says.
    pub(super) fn schema(&self) -> &Schema {
        self.plan.schema()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    store: StoreId,
    revision: Option<Revision>,
}

/// The versions in use, the most recently used one last.
#[derive(Debug, Default)]
pub(super) struct SchemaCache {
    entries: Mutex<Vec<Entry>>,
    /// Held while a version is made ready, so that a new one is made once and not by everyone who asks.
    making: Mutex<()>,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    ready: Arc<ReadySchema>,
}

impl SchemaCache {
    /// The schema that is in force in `view`. Reads storage and may parse: not for the threads of the network.
    pub(super) fn of(&self, store: StoreId, view: &dyn ReadView) -> Result<Arc<ReadySchema>, Error> {
        let key = Key { store, revision: view.schema_revision()? };
        if let Some(found) = self.take_hit(key) {
            return Ok(found);
        }
        let _making = self.making.lock();
        if let Some(found) = self.take_hit(key) {
            return Ok(found);
        }
        let stored = view.schema()?;
        let schema = match &stored {
            None => Schema::default(),
            Some(stored) => spicedb::parse(&stored.text).map_err(|error| {
                let message = format!("the stored schema of revision {} is not valid here: {error}", stored.revision);
                Error::new(ErrorCode::Internal, message)
            })?,
        };
        let text = stored.map(|stored| stored.text).unwrap_or_default();
        let ready = Arc::new(ReadySchema::new(key.revision, text, schema));
        self.insert(key, Arc::clone(&ready));
        Ok(ready)
    }

    /// The same, where it is ready already: parses nothing, and waits for nobody who does.
    pub(super) fn known(&self, store: StoreId, view: &dyn ReadView) -> Option<Arc<ReadySchema>> {
        self.take_hit(Key { store, revision: view.schema_revision().ok()? })
    }

    /// The version that anybody used last, for a bug on purpose: another one may be in force.
    #[cfg(feature = "mutants")]
    pub(super) fn last_used(&self) -> Option<Arc<ReadySchema>> {
        self.entries.lock().last().map(|entry| Arc::clone(&entry.ready))
    }

    fn take_hit(&self, key: Key) -> Option<Arc<ReadySchema>> {
        let mut entries = self.entries.lock();
        let at = entries.iter().rposition(|entry| entry.key == key)?;
        // The last place is by far the most common one, and then nothing moves.
        entries[at..].rotate_left(1);
        entries.last().map(|entry| Arc::clone(&entry.ready))
    }

    fn insert(&self, key: Key, ready: Arc<ReadySchema>) {
        let mut entries = self.entries.lock();
        let mut bytes = ready.text.len() + entries.iter().map(|entry| entry.ready.text.len()).sum::<usize>();
        let fits = |count: usize, bytes: usize| count < KEPT && bytes <= KEPT_TEXT_BYTES;
        let mut oldest = 0;
        while oldest < entries.len() && !fits(entries.len() - oldest, bytes) {
            bytes -= entries[oldest].ready.text.len();
            oldest += 1;
        }
        entries.drain(..oldest);
        entries.push(Entry { key, ready });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(text_bytes: usize) -> Arc<ReadySchema> {
        Arc::new(ReadySchema::new(None, " ".repeat(text_bytes).into(), Schema::default()))
    }

    #[test]
    fn the_least_recently_used_version_makes_room() {
        let cache = SchemaCache::default();
        let key = |n: usize| Key { store: StoreId::DEFAULT, revision: Some(Revision::new(n as u64)) };
        for n in 0..KEPT {
            cache.insert(key(n), ready(1));
        }
        assert!(cache.take_hit(key(0)).is_some());
        cache.insert(key(KEPT), ready(1));
        assert!(cache.take_hit(key(0)).is_some(), "was used");
        assert!(cache.take_hit(key(1)).is_none(), "was the oldest");
        assert_eq!(cache.entries.lock().len(), KEPT);
        cache.insert(key(KEPT + 1), ready(KEPT_TEXT_BYTES - 2));
        assert_eq!(cache.entries.lock().len(), 3, "two small ones have room beside it");
        cache.insert(key(KEPT + 2), ready(2 * KEPT_TEXT_BYTES));
        assert!(cache.take_hit(key(KEPT + 2)).is_some(), "the one in use is kept whatever its size");
        assert_eq!(cache.entries.lock().len(), 1);
    }

    #[test]
    fn versions_of_different_stores_are_kept_apart() {
        let cache = SchemaCache::default();
        let key = |store| Key { store: StoreId::new(store), revision: Some(Revision::new(1)) };
        cache.insert(key(1), ready(1));
        assert!(cache.take_hit(key(2)).is_none());
    }
}
