//! Requests that their clients named: remembered when they take effect, forgotten when they are old.
//!
//! A request is forgotten only when both the cluster's time and the log have gone far enough: entries alone would shorten the
//! time under load, and time alone would let one leader's wrong clock forget what is a second old. What was refused is not
//! remembered: it had no effect that a repetition could double.

use super::applier::Stamp;
use super::state::AppliedState;
use crate::model::{StoreId, limits};
use crate::raft::{KeyedRequest, Outcome, repeat};
use crate::store::{StateBatch, StoreError};

/// Remembers `request` if `outcome` says that it took effect.
pub(super) fn remember<B: StateBatch>(
    batch: &mut B,
    state: &mut AppliedState,
    stamp: Stamp,
    (store, request): (StoreId, &KeyedRequest),
    outcome: &Outcome,
) -> Result<(), StoreError> {
    let Some(record) = repeat::remember(request, (stamp.at, stamp.now), outcome) else { return Ok(()) };
    batch.put_request(store, &request.key, &record)?;
    state.oldest_request.get_or_insert((stamp.at, stamp.now));
    Ok(())
}

/// Forgets what is old by now, oldest first and a few at a time.
pub(super) fn forget<B: StateBatch>(batch: &mut B, state: &mut AppliedState, stamp: Stamp) -> Result<(), StoreError> {
    for _ in 0..limits::IDEMPOTENCY_KEYS_FORGOTTEN_PER_ENTRY {
        let Some((at, time)) = state.oldest_request else { return Ok(()) };
        let entries = stamp.at.index().saturating_sub(at.index());
        let millis = stamp.now.0.saturating_sub(time.0);
        if entries < limits::IDEMPOTENCY_WINDOW_ENTRIES || millis < limits::IDEMPOTENCY_WINDOW_MS {
            return Ok(());
        }
        if let Some((store, key, _)) = batch.oldest_request(at)? {
            batch.forget_request(store, &key)?;
        }
        state.oldest_request = batch.oldest_request(at)?.map(|(_, _, record)| (record.at, record.time));
    }
    Ok(())
}
