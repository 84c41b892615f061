//! Registering and unregistering relationship counters. What they count is none of the log's business.

use crate::model::{Counter, Revision, limits};
use crate::raft::{ChangeCounter, Outcome, Refusal};
use crate::store::{StateBatch, StoreError};

/// Changes the counters at `at`. They stay in order of their names, so that a name is found and placed alike on every node.
pub(super) fn change<B: StateBatch>(
    batch: &mut B,
    at: Revision,
    change: &ChangeCounter,
) -> Result<Outcome, StoreError> {
    let mut counters = batch.counters(change.store)?;
    let place = counters.binary_search_by(|counter| counter.name.cmp(&change.name));
    match (&change.filter, place) {
        (Some(_), Ok(_)) => return Ok(Outcome::Refused(Refusal::CounterExists)),
        (None, Err(_)) => return Ok(Outcome::Refused(Refusal::UnknownCounter)),
        (Some(_), Err(_)) if counters.len() >= limits::COUNTERS_PER_STORE => {
            let limit = limits::COUNTERS_PER_STORE as u64;
            return Ok(Outcome::Refused(Refusal::TooManyCounters { limit }));
        }
        (Some(filter), Err(place)) => {
            counters.insert(place, Counter { name: change.name.clone(), filter: filter.clone() });
        }
        (None, Ok(place)) => {
            counters.remove(place);
        }
    }
    batch.put_counters(change.store, at, &counters)?;
    Ok(Outcome::Done)
}
