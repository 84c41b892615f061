//! What is remembered of a request that took effect, and what a repetition of it comes to. The one place that judges that.

use super::codec;
use super::{Applied, KeyedRequest, Outcome, Refusal};
use crate::model::{Revision, TimestampMs};
use crate::store::{RequestRecord, StoreError};

/// What to remember of a `request` that came to `outcome` at this revision and time of the cluster; nothing where it had no
/// effect.
#[must_use]
pub(super) fn remember(
    request: &KeyedRequest,
    (at, time): (Revision, TimestampMs),
    outcome: &Outcome,
) -> Option<RequestRecord> {
    match outcome {
        Outcome::Done | Outcome::Deleted { .. } | Outcome::Admitted { .. } => {
            Some(RequestRecord { at, time, digest: request.digest, outcome: codec::encode(outcome) })
        }
        Outcome::Refused(_) => None,
    }
}

/// What a `request` comes to at `at` whose key is remembered with `record`.
pub fn recall(record: &RequestRecord, request: &KeyedRequest, at: Revision) -> Result<Applied, StoreError> {
    if record.digest != request.digest {
        return Ok(Applied::first(at, Outcome::Refused(Refusal::KeyReused)));
    }
    let outcome = codec::decode(&record.outcome)
        .map_err(|error| StoreError::Corrupt { place: "requests", what: error.to_string() })?;
    Ok(Applied { revision: record.at, outcome, repeated: true })
}
