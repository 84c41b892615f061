//! Histories as apply writes them: every change of a tuple is in the changelog, at its revision, and nothing else is. That is
//! what collection stands on.

use proptest::prelude::*;

use super::twins::{TENANTS, universe};
use super::{counter, key, rev};
use crate::model::{Revision, StoreId, Tuple, TupleUpdate, UpdateKind};
use crate::store::{ChangeRecord, StateBatch, StateStore};

/// One entry of the log.
#[derive(Debug, Clone)]
pub(in crate::store) enum Entry {
    /// Tuples by their number, and whether each is put or deleted.
    Tuples(StoreId, Vec<(usize, bool)>),
    Schema(StoreId),
    Counters(StoreId, u8),
    /// Lets go of all but so many of the newest revisions.
    Expire(u64),
}

/// Few tuples, so that most have several versions.
const TUPLES: usize = 12;

fn entry() -> impl Strategy<Value = Entry> {
    let tenant = (0..TENANTS.len()).prop_map(|n| TENANTS[n]);
    let updates = proptest::collection::vec((0..TUPLES, any::<bool>()), 1..6);
    prop_oneof![
        8 => (tenant.clone(), updates).prop_map(|(tenant, updates)| Entry::Tuples(tenant, updates)),
        1 => tenant.clone().prop_map(Entry::Schema),
        1 => (tenant, 0..3u8).prop_map(|(tenant, n)| Entry::Counters(tenant, n)),
        2 => (1..12u64).prop_map(Entry::Expire),
    ]
}

/// A history.
pub(in crate::store) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    proptest::collection::vec(entry(), 1..40)
}

/// A history of known content: entry `n` of it.
pub(in crate::store) fn sample_entry(n: u64) -> Entry {
    let tenant = TENANTS[usize::from(n % 5 == 4)];
    let tuple = |at: u64| (at % TUPLES as u64) as usize;
    match n % 10 {
        3 => Entry::Schema(tenant),
        6 => Entry::Counters(tenant, (n % 3) as u8),
        9 => Entry::Expire(7),
        _ => Entry::Tuples(tenant, (n..n + 5).map(|at| (tuple(at * 7), (at + n / 4).is_multiple_of(2))).collect()),
    }
}

/// Writes the entry above what is there, as a batch of its own.
pub(in crate::store) fn write_entry<S: StateStore>(store: &S, entry: &Entry) {
    let at = rev(store.applied().index() + 1);
    let mut batch = store.batch();
    match entry {
        Entry::Tuples(tenant, updates) => write_tuples(&mut batch, *tenant, at, updates),
        Entry::Schema(tenant) => {
            batch.put_schema(*tenant, at, &format!("schema {at}")).unwrap();
            batch.put_change(*tenant, at, &change(Vec::new(), true)).unwrap();
        }
        Entry::Counters(tenant, n) => {
            let counters: Vec<_> = (0..*n).map(|n| counter(&format!("counter_{n}"))).collect();
            batch.put_counters(*tenant, at, &counters).unwrap();
        }
        Entry::Expire(newest) => batch.expire_below(Revision::new(at.index().saturating_sub(*newest))),
    }
    batch.commit(at).unwrap();
}

fn change(updates: Vec<TupleUpdate>, schema_changed: bool) -> ChangeRecord {
    ChangeRecord { op_id: 0, updates, schema_changed, metadata_json: String::new() }
}

fn write_tuples<B: StateBatch>(batch: &mut B, tenant: StoreId, at: Revision, updates: &[(usize, bool)]) {
    let universe = universe();
    let mut changed: Vec<TupleUpdate> = Vec::new();
    for (tuple, put) in updates {
        let tuple = Tuple::unqualified(key(&universe[*tuple]));
        let exists = batch.lookup(tenant, &tuple.key).unwrap().is_some();
        if exists == *put || changed.iter().any(|update| update.tuple.key == tuple.key) {
            continue;
        }
        let kind = if *put { UpdateKind::Touch } else { UpdateKind::Delete };
        match kind {
            UpdateKind::Create | UpdateKind::Touch => batch.put(tenant, at, &tuple).unwrap(),
            UpdateKind::Delete => batch.delete(tenant, at, &tuple.key).unwrap(),
        }
        changed.push(TupleUpdate { kind, tuple });
    }
    if !changed.is_empty() {
        batch.put_change(tenant, at, &change(changed, false)).unwrap();
    }
}
