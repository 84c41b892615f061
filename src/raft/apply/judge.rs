//! The conditions under which a command is refused, judged on the state right before it.
//!
//! `now` is the cluster's time, the command's own included: what has expired by then matches no condition, and orphaning it
//! harms nobody. A CREATE still meets it, as long as it is stored.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::model::{
    FilterIndex, Precondition, PreconditionKind, Revision, StoreId, TimestampMs, Tuple, TupleFilter, TupleKey,
    TupleUpdate, UpdateKind,
};
use crate::raft::{DeleteTuples, Refusal, WriteSchema};
use crate::store::{ReadView, StateBatch, StateStore, StoreError};

/// The first tuple that matches and has not expired at `now`, if any.
fn first_match(view: &dyn ReadView, filter: &TupleFilter, now: TimestampMs) -> Result<Option<TupleKey>, StoreError> {
    let mut found = None;
    view.scan(filter, None, &mut |row| {
        if row.tuple.qualifiers.expired(now) {
            return ControlFlow::Continue(());
        }
        found = Some(row.tuple.key);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Refuses when a precondition does not hold.
pub(super) fn preconditions(
    view: &dyn ReadView,
    conditions: &[Precondition],
    now: TimestampMs,
) -> Result<Option<Refusal>, StoreError> {
    for (position, condition) in conditions.iter().enumerate() {
        let matched = first_match(view, &condition.filter, now)?.is_some();
        let holds = match condition.kind {
            PreconditionKind::MustMatch => matched,
            PreconditionKind::MustNotMatch => !matched,
        };
        if !holds {
            let position = u32::try_from(position).expect("the number of preconditions is bounded far below 2^32");
            return Ok(Some(Refusal::PreconditionFailed { position }));
        }
    }
    Ok(None)
}

/// Refuses when the schema in force is not the one that the command was validated against.
pub(super) fn schema<B: StateBatch>(
    batch: &mut B,
    store: StoreId,
    expected: Option<Revision>,
) -> Result<Option<Refusal>, StoreError> {
    let current = batch.schema_revision(store)?;
    Ok((current != expected).then_some(Refusal::SchemaChanged { current }))
}

/// Refuses when a CREATE meets an existing tuple.
pub(super) fn creations<B: StateBatch>(
    batch: &mut B,
    store: StoreId,
    updates: &[TupleUpdate],
) -> Result<Option<Refusal>, StoreError> {
    for update in updates {
        match update.kind {
            UpdateKind::Create => {
                if batch.lookup(store, &update.tuple.key)?.is_some() {
                    return Ok(Some(Refusal::AlreadyExists { key: update.tuple.key.clone() }));
                }
            }
            UpdateKind::Touch | UpdateKind::Delete => {}
        }
    }
    Ok(None)
}

/// What a removal by filter takes, and whether that leaves some that match; `None` when it is refused.
///
/// Only what has not expired counts against the limit, and it goes first: what a refusal protects, and what a caller is rid
/// of, are the tuples that still say something. Expired ones fill the rest.
pub(super) fn deletions(
    view: &dyn ReadView,
    delete: &DeleteTuples,
    now: TimestampMs,
) -> Result<Option<(Vec<TupleKey>, bool)>, StoreError> {
    let limit = usize::try_from(delete.limit).unwrap_or(usize::MAX);
    let (mut keys, mut expired) = (Vec::new(), Vec::new());
    let (mut partial, mut too_many) = (false, false);
    view.scan(&delete.filter, None, &mut |row| {
        let is_expired = row.tuple.qualifiers.expired(now);
        if delete.allow_partial && keys.len() + expired.len() == limit {
            partial = true;
            return ControlFlow::Break(());
        }
        if is_expired && expired.len() == limit {
            partial = true;
        } else if is_expired {
            expired.push(row.tuple.key);
        } else if keys.len() == limit {
            too_many = true;
            return ControlFlow::Break(());
        } else {
            keys.push(row.tuple.key);
        }
        ControlFlow::Continue(())
    })?;
    if too_many {
        return Ok(None);
    }
    let room = limit - keys.len();
    partial |= expired.len() > room;
    keys.extend(expired.into_iter().take(room));
    Ok(Some((keys, partial)))
}

/// Refuses when a tuple would be orphaned that was written after the change was judged, or when that judgement does not hold.
///
/// Without a change of a tuple after `judged_at`, no guard matches: the proposer looked. What is live in the store now, and was
/// changed since, is looked at here. The schema cannot have changed between: its revision was compared before.
pub(super) fn orphans<S: StateStore>(
    store: &S,
    view: &dyn ReadView,
    write: &WriteSchema,
    now: TimestampMs,
) -> Result<Option<Refusal>, StoreError> {
    if write.judged_at < store.oldest() || write.judged_at > view.revision() || now < write.expired_by {
        return Ok(Some(Refusal::JudgementOutdated));
    }
    let guards = FilterIndex::new(write.orphan_guards.iter().enumerate());
    let mut doubtful: BTreeSet<TupleKey> = BTreeSet::new();
    store.changes(write.store, write.judged_at, view.revision(), &mut |_, record| {
        let put = record.updates.into_iter().filter(|update| update.kind != UpdateKind::Delete);
        let matching = put.filter(|TupleUpdate { tuple: Tuple { key, qualifiers }, .. }| {
            guards.first_match(key, qualifiers).is_some()
        });
        doubtful.extend(matching.map(|update| update.tuple.key));
        ControlFlow::Continue(())
    })?;
    let mut first: Option<(usize, TupleKey)> = None;
    for key in doubtful {
        let Some(qualifiers) = view.lookup(&key)?.filter(|qualifiers| !qualifiers.expired(now)) else { continue };
        if let Some(position) = guards.first_match(&key, &qualifiers)
            && first.as_ref().is_none_or(|(known, _)| position < *known)
        {
            first = Some((position, key));
        }
    }
    Ok(first.map(|(position, example)| {
        let position = u32::try_from(position).expect("a schema is far smaller than 2^32 guards");
        Refusal::WouldOrphan { position, example }
    }))
}
