//! Reading through a checkpoint from end to end, without installing it: whether every record is one, and whether both orders of
//! the tuples tell the same.

use std::path::Path;

use rocksdb::{Cache, ReadOptions};

use crate::model::Revision;

use super::super::{MetaKey, ScanOrder, StoreError, codec};
use super::batch::meta_record;
use super::generation::{Database, engine, handle, open_read_only, read_meta, read_retained};
use super::keys::{self, Names};
use super::options::{Family, StoreOptions};
use super::record;

/// Memory for blocks, which are read once.
const CACHE_BYTES: usize = 8 << 20;

/// What a checkpoint was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The revision that it is the state of.
    pub revision: Revision,
    /// The oldest that can be read in it.
    pub oldest: Revision,
    /// The [`MetaKey::Applied`] record in it.
    pub applied: Option<Vec<u8>>,
    /// The [`MetaKey::Identity`] record in it.
    pub identity: Option<Vec<u8>>,
    /// Relationships at its revision, in all stores, those that have expired and are not removed included.
    pub relationships: u64,
    /// Versions of relationships, with those that are history.
    pub versions: u64,
    /// Versions of schemas.
    pub schemas: u64,
}

/// What the versions in one order come to. The sum does not depend on the order, and two different sets of versions have
/// different sums but for a chance in 2^128.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    sum: u128,
    versions: u64,
    relationships: u64,
}

/// Reads all of the checkpoint in `dir`, whose files are those that it was made of. Leaves a log for people in the folder.
pub fn inspect_checkpoint(dir: &Path) -> Result<Inspection, StoreError> {
    let db = open_read_only(dir, &StoreOptions::default(), &Cache::new_lru_cache(CACHE_BYTES))?;
    let retained = read_retained(&db)?;
    let told = tuples(&db, ScanOrder::ByResource)?;
    if told != tuples(&db, ScanOrder::BySubject)? {
        let what = "the relationships by resource and by subject are not the same".to_owned();
        return Err(StoreError::Corrupt { place: "tuples", what });
    }
    let mut schemas = 0;
    walk(&db, Family::Schemas, &mut |key, value| {
        schemas += 1;
        keys::decode_version_key("schemas", key)?;
        record::decode_schema(value).map(drop)
    })?;
    walk(&db, Family::Counters, &mut |key, value| {
        keys::decode_version_key("counters", key)?;
        codec::decode_counters(value).map(drop)
    })?;
    walk(&db, Family::Changelog, &mut |key, value| {
        keys::decode_change_key(key)?;
        codec::decode_change(value).map(drop)
    })?;
    let (mut requests, mut places) = (0_u64, 0_u64);
    walk(&db, Family::Requests, &mut |_, value| {
        requests += 1;
        record::decode_request(value).map(drop)
    })?;
    walk(&db, Family::RequestOrder, &mut |key, _| {
        places += 1;
        keys::decode_request_order_key(key).map(drop)
    })?;
    if requests != places {
        let what = format!("{requests} are remembered, and {places} have a place in their order");
        return Err(StoreError::Corrupt { place: "requests", what });
    }
    Ok(Inspection {
        revision: retained.applied,
        oldest: retained.oldest,
        applied: read_meta(&db, meta_record(MetaKey::Applied))?,
        identity: read_meta(&db, meta_record(MetaKey::Identity))?,
        relationships: told.relationships,
        versions: told.versions,
        schemas,
    })
}

fn tuples(db: &Database, order: ScanOrder) -> Result<Told, StoreError> {
    let (mut told, mut newest) = (Told::default(), Vec::new());
    walk(db, Family::of_tuples(order), &mut |key, value| {
        let (tuple, at) = keys::split_version(order, key)?;
        let names = keys::decode_names(order, tuple)?;
        names.to_key(order)?;
        let is_live = record::decode_tuple(keys::place(order), value)?.is_some();
        let is_newest = newest != tuple;
        if is_newest {
            newest.clear();
            newest.extend_from_slice(tuple);
        }
        told.relationships += u64::from(is_newest && is_live);
        told.versions += 1;
        told.sum = told.sum.wrapping_add(digest(tuple, names, at, value));
        Ok(())
    })?;
    Ok(told)
}

/// Of one version, whichever order it was found in.
fn digest(tuple: &[u8], names: Names<'_>, at: Revision, value: &[u8]) -> u128 {
    let Names { resource_type, resource_id, relation, subject_type, subject_id, subject_relation } = names;
    let mut hash = blake3::Hasher::new();
    // The store, in front of the names.
    hash.update(tuple.get(..4).unwrap_or_default());
    for name in [resource_type, resource_id, relation, subject_type, subject_id, subject_relation] {
        hash.update(name.as_bytes()).update(&[0]);
    }
    hash.update(&at.index().to_be_bytes()).update(value);
    let whole = hash.finalize();
    let half = whole.as_bytes().first_chunk::<16>().expect("the hash has 32 bytes");
    u128::from_be_bytes(*half)
}

/// What is done with each key and its value.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>;

fn walk(db: &Database, family: Family, visit: Visit<'_>) -> Result<(), StoreError> {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    options.fill_cache(false);
    options.set_verify_checksums(true);
    let mut iterator = db.raw_iterator_cf_opt(handle(db, family), options);
    iterator.seek_to_first();
    while let Some((key, value)) = iterator.item() {
        visit(key, value)?;
        iterator.next();
    }
    iterator.status().map_err(engine)
}
