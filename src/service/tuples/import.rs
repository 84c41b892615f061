//! Imports: a stream of new tuples, however long, with CREATE semantics.
//!
//! What fits into one entry of the log is all or nothing. A longer stream becomes several entries, each all or nothing, in
//! the order of the stream: when one is refused, those before it stay, and the error says how many tuples they brought. One
//! entry for everything would hold up all other writes, and memory, for as long as the client likes to send.

use std::time::Duration;

use foldhash::HashSet;
use futures::{Stream, StreamExt as _};
use tokio::time::timeout;

use super::guard;
use super::write::WriteTuples;
use crate::model::{Error, ErrorCode, Tuple, TupleKey, TupleUpdate, UpdateKind, limits};
use crate::raft::monotonic;
use crate::service::{Call, Services};

/// A client that sends nothing for so long is given up.
const STALLED_SENDER: Duration = Duration::from_secs(60);

/// Tuples that wait to become one entry.
#[derive(Default)]
struct Portion {
    updates: Vec<TupleUpdate>,
    keys: HashSet<TupleKey>,
    bytes: usize,
}

impl Portion {
    /// Takes one more. A tuple that is there already is one that exists, as it would be with an entry in between.
    fn add(&mut self, tuple: Tuple) -> Result<(), Error> {
        if !self.keys.insert(tuple.key.clone()) {
            return Err(guard::already_exists(&tuple.key));
        }
        self.bytes += tuple.text_bytes();
        self.updates.push(TupleUpdate { kind: UpdateKind::Create, tuple });
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.updates.len() >= limits::IMPORT_ENTRY_TUPLES || self.bytes >= limits::IMPORT_ENTRY_BYTES
    }
}

impl Services {
    /// Creates the tuples of `batches`, and returns how many there were.
    ///
    /// The deadline of `call` is for all of it; one entry has the time of one request at the most.
    pub async fn import_tuples(
        &self,
        call: Call,
        batches: impl Stream<Item = Result<Vec<Tuple>, Error>> + Send,
    ) -> Result<u64, Error> {
        const BUSY: &str =
            "nothing was imported: this node has as many imports under way as it can hold; try again later";
        let _permit = self.imports.try_acquire().map_err(|_| Error::new(ErrorCode::ResourceExhausted, BUSY))?;
        let mut loaded = 0;
        self.import_all(call, batches, &mut loaded).await.map_err(|error| partly(error, loaded))?;
        Ok(loaded)
    }

    async fn import_all(
        &self,
        call: Call,
        batches: impl Stream<Item = Result<Vec<Tuple>, Error>> + Send,
        loaded: &mut u64,
    ) -> Result<(), Error> {
        const STALLED: &str = "the stream of relationships brought nothing for too long; send them faster, or end it";
        const LATE: &str = "the deadline passed before the stream of relationships ended; send the rest with more time";
        let mut batches = std::pin::pin!(batches);
        let mut portion = Portion::default();
        loop {
            let patience = STALLED_SENDER.min(call.deadline.saturating_duration_since(monotonic()));
            let batch = timeout(patience, batches.next());
            let late = |_| {
                let message = if patience < STALLED_SENDER { LATE } else { STALLED };
                Error::new(ErrorCode::DeadlineExceeded, message)
            };
            let Some(batch) = batch.await.map_err(late)? else { break };
            for tuple in batch? {
                portion.add(tuple)?;
                if portion.is_full() {
                    self.create(call, std::mem::take(&mut portion), loaded).await?;
                }
            }
        }
        self.create(call, portion, loaded).await
    }

    async fn create(&self, call: Call, portion: Portion, loaded: &mut u64) -> Result<(), Error> {
        let count = portion.updates.len() as u64;
        if count == 0 {
            return Ok(());
        }
        let deadline = call.deadline.min(monotonic() + self.limits.request_timeout);
        let request = WriteTuples { updates: portion.updates, ..WriteTuples::default() };
        self.propose_write(Call { deadline, ..call }, request).await?;
        *loaded += count;
        Ok(())
    }
}

/// The error of an import of which `loaded` tuples are in.
fn partly(mut error: Error, loaded: u64) -> Error {
    let go_on = match error.code {
        ErrorCode::OutcomeUnknown => "whether those right behind them were too is not known: read before going on",
        _ => "go on after them",
    };
    if loaded > 0 {
        error.message = format!(
            "{}; the first {loaded} relationships of the stream were imported before and stay: {go_on}",
            error.message
        );
    }
    error.with("relationships_loaded", loaded)
}
