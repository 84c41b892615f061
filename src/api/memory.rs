//! What the bodies of requests may take of the memory, all together.
//!
//! Nothing waits for room: two half-read bodies that wait for each other would do so for ever.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::model::limits;
use crate::telemetry::{METRICS, RefusalLabels};

/// Room is given out in pieces of so many bytes.
const PIECE: usize = 4 << 10;

/// The room that there is.
#[derive(Debug, Clone)]
pub(in crate::api) struct Memory {
    pieces: Arc<Semaphore>,
}

impl Memory {
    /// Room for so many bytes.
    pub(in crate::api) fn new(bytes: usize) -> Self {
        Self { pieces: Arc::new(Semaphore::new(bytes / PIECE)) }
    }

    /// Takes nothing yet.
    pub(in crate::api) fn share(&self) -> Share {
        Share { memory: self.clone(), taken: None, left: 0 }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(limits::GATEWAY_BODIES_BYTES)
    }
}

/// What one body takes of it. Gives everything back when it is dropped.
#[derive(Debug)]
pub(in crate::api) struct Share {
    memory: Memory,
    taken: Option<OwnedSemaphorePermit>,
    /// Of the last piece.
    left: usize,
}

impl Share {
    /// Takes so many bytes more.
    pub(in crate::api) fn take(&mut self, bytes: usize) -> Result<(), Status> {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return Ok(());
        }
        const FULL: &str = "this request and the others that the node reads at this time take more memory than it has for \
                            them; send a smaller one, or try again later";
        let pieces = (bytes - self.left).div_ceil(PIECE);
        let more = u32::try_from(pieces).ok().and_then(|pieces| {
            let semaphore = Arc::clone(&self.memory.pieces);
            semaphore.try_acquire_many_owned(pieces).ok()
        });
        let more = more.ok_or_else(|| {
            METRICS.requests_refused.get_or_create(&RefusalLabels { limit: "memory" }).inc();
            Status::resource_exhausted(FULL)
        })?;
        self.left = self.left + pieces * PIECE - bytes;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_take_more_than_there_is_and_give_it_back() {
        let memory = Memory::new(3 * PIECE);
        let mut one = memory.share();
        (0..PIECE).for_each(|_| one.take(1).expect("one piece"));
        let mut other = memory.share();
        other.take(2 * PIECE).expect("the rest");
        assert_eq!(one.take(1).expect_err("nothing left").code(), tonic::Code::ResourceExhausted);
        drop(other);
        one.take(2 * PIECE).expect("given back");
        assert!(one.take(usize::MAX / 2).is_err());
        drop(one);
        assert_eq!(memory.pieces.available_permits(), 3);
    }
}
