//! Writes that their clients named, so that they can be sent again and take effect once.
//!
//! That a write is a repetition is found out where the log is applied. Here is what surrounds it: the digest of what was
//! asked, and the one case that the log does not see: a repetition that this node would refuse by today's schema, although
//! the first one took effect under yesterday's.

use serde::Serialize;

use super::{Call, Services};
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, ErrorCode, IdempotencyKey};
use crate::raft::{self, Applied, KeyedRequest};

/// A write that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The first state that has it.
    pub zookie: Zookie,
    /// Whether it took effect when it was sent before, and this answer is the one of then.
    pub replayed: bool,
}

/// `asked` under its client's key. It must be all that the client asked for and nothing else; `kind` tells apart what is
/// written alike.
pub(super) fn keyed(key: Option<IdempotencyKey>, kind: &str, asked: &impl Serialize) -> Option<KeyedRequest> {
    let key = key?;
    // Text with the names of its fields: nodes of different versions agree on it for as long as these stay.
    let json = serde_json::to_vec(&(kind, asked)).expect("a request is plain data with string keys");
    Some(KeyedRequest { key, digest: *blake3::hash(&json).as_bytes() })
}

/// The key was used for another request.
pub(super) fn key_reused() -> Error {
    const MESSAGE: &str = "nothing was written: this idempotency key was used for another request before; take a new key for \
                           each write, and repeat a write unchanged";
    Error::new(ErrorCode::IdempotencyKeyReused, MESSAGE)
}

impl Services {
    /// What `request` came to when it was sent before; `refused` where it has no key, or had no effect until now.
    pub(super) async fn first_try(
        &self,
        call: Call,
        request: Option<&KeyedRequest>,
        refused: Error,
    ) -> Result<Applied, Error> {
        let Some(request) = request.cloned() else { return Err(refused) };
        let view = self.view(call, Requirement::FullyConsistent).await?;
        let recalled = self
            .pool
            .run(call.deadline, move || match view.request(&request.key)? {
                Some(record) => Ok(Some(raft::recall(&record, &request, view.revision())?)),
                None => Ok(None),
            })
            .await?;
        recalled.ok_or(refused)
    }

    pub(super) fn written(&self, applied: &Applied) -> Result<Written, Error> {
        Ok(Written { zookie: self.zookie(applied.revision)?, replayed: applied.repeated })
    }
}
