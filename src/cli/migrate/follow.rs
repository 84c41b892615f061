//! The second part of a migration: the changes of the source since the copied state, transaction by transaction, in its order.
//!
//! A transaction is one write, as long as one write can hold it, under a key that follows from its token and its content. So
//! what was written and not noted before a crash is written again without an effect, and readers here see the states that the
//! source had, in the order in which it had them.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use prost::Message as _;

use super::destination::{Destination, types_of};
use super::interrupt::Interrupt;
use super::order::{covers, lag};
use super::patience::Patience;
use super::source::{Head, Source, problem};
use super::state::{Saved, StateFile};
use super::tail::Tail;
use super::updates::changes;
use crate::cli::call_error::CallError;
use crate::cli::failure::Failure;
use crate::cli::output::{note, progress};
use crate::cli::write_key::WriteKey;
use crate::wire::authzed::v1::WatchResponse;

/// Where tokens cannot be compared, a watch that says nothing for so long has told everything.
const SILENCE: Duration = Duration::from_secs(30);
/// Between two looks at the lag.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What to do when the schema of the source changes meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SchemaChanges {
    /// Stop and say so
    Stop,
    /// Write the new schema here as well
    Apply,
}

/// When to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Once everything is here that was there when this was last asked.
    CaughtUp,
    /// When it is asked to.
    Interrupted,
}

/// What following did.
#[derive(Debug, Default)]
pub(super) struct Followed {
    pub(super) transactions: u64,
    pub(super) changes: u64,
    pub(super) retries: u64,
    pub(super) caught_up: bool,
    pub(super) lag: Option<Duration>,
    /// Of the last write.
    pub(super) zookie: String,
}

/// Why a message could not be taken over.
enum Stop {
    Interrupted,
    Failed(Failure),
    /// The destination did not take a write.
    Refused(CallError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

pub(super) struct Follow<'a> {
    pub(super) source: &'a Source,
    pub(super) destination: &'a Destination,
    pub(super) saved: &'a mut Saved,
    pub(super) file: &'a mut StateFile,
    pub(super) interrupt: &'a mut Interrupt,
    pub(super) schema_changes: SchemaChanges,
    pub(super) patience: Duration,
    pub(super) until: Until,
}

impl Follow<'_> {
    /// Follows from where `saved` stands.
    pub(super) async fn run(mut self, schema: &str) -> Result<Followed, Failure> {
        let bar = progress(None);
        let mut followed = Followed::default();
        let ended = self.follow(schema, &mut followed, &bar).await;
        bar.finish_and_clear();
        self.file.save(self.saved)?;
        ended.map(|()| followed)
    }

    async fn follow(&mut self, schema: &str, followed: &mut Followed, bar: &ProgressBar) -> Result<(), Failure> {
        let probed = types_of(schema)?.into_iter().next().unwrap_or_default();
        let mut tail = Tail::start(self.source, self.through(), &probed);
        let mut patience = Patience::new(self.patience);
        let mut heads = Tail::heads(self.source, self.patience);
        let mut head: Option<Head> = None;
        let mut heard = Instant::now();
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut announced = false;
        loop {
            tokio::select! {
                biased;
                () = self.interrupt.asked() => return Ok(()),
                message = tail.next() => match message {
                    Ok(message) => {
                        patience.worked();
                        heard = Instant::now();
                        match self.take_over(message, followed).await {
                            Ok(()) => {}
                            Err(Stop::Interrupted) => return Ok(()),
                            Err(Stop::Failed(failure)) => return Err(failure),
                            Err(Stop::Refused(error)) => return Err(self.explain_refusal(error).await),
                        }
                    }
                    Err(error) => {
                        patience.wait(error).await.map_err(|error| problem(&self.saved.source, error))?;
                        followed.retries += 1;
                        tail = Tail::start(self.source, self.through(), &probed);
                        heard = Instant::now();
                    }
                },
                fresh = heads.recv() => {
                    let fresh = fresh.expect("the task goes on until it told an error");
                    let fresh = fresh.map_err(|error| problem(&self.saved.source, error))?;
                    self.compare_schema(&fresh).await?;
                    head = Some(fresh);
                }
                _ = look.tick() => {}
            }
            let Some(head) = &head else { continue };
            followed.lag = lag(self.through(), &head.token);
            // The next head is asked for in a moment; what this one has is what counts.
            let caught_up = covers(self.through(), &head.token) == Some(true)
                || heard.elapsed() > SILENCE && head.asked.elapsed() < SILENCE;
            followed.caught_up = caught_up;
            bar.set_message(describe(self.saved, followed.lag, heard));
            if caught_up && self.until == Until::CaughtUp {
                return Ok(());
            }
            if caught_up && !std::mem::replace(&mut announced, true) {
                note(format_args!("caught up with the source, after {} transactions", self.saved.transactions));
            }
        }
    }

    fn through(&self) -> &str {
        self.saved.through.as_deref().unwrap_or(&self.saved.start)
    }

    /// Does here what `message` says was done there.
    async fn take_over(&mut self, message: WatchResponse, followed: &mut Followed) -> Result<(), Stop> {
        let token = message.changes_through.unwrap_or_default().token;
        if message.schema_updated {
            let call = self.source.head().await;
            let head = call.map_err(|error| problem(&self.saved.source, error))?;
            let head = head.ok_or_else(|| Failure::new("the source has no schema any more"))?;
            self.compare_schema(&head).await?;
        }
        let (mut writes, mut count) = (changes(message.updates), 0u64);
        for request in &mut writes {
            // What a writer there said about its transaction is told to whoever watches here, too.
            request.optional_transaction_metadata.clone_from(&message.optional_transaction_metadata);
        }
        for request in &writes {
            let key = WriteKey::of(&[b"follow", token.as_bytes(), &request.encode_to_vec()]);
            let write = self.destination.write(&key, request, &mut followed.retries);
            followed.zookie = tokio::select! {
                biased;
                // Whatever becomes of the write: with its key it takes effect once, also when it is sent again later.
                () = self.interrupt.asked() => return Err(Stop::Interrupted),
                written = write => written.map_err(Stop::Refused)?,
            };
            count += request.updates.len() as u64;
        }
        if !writes.is_empty() {
            (self.saved.transactions, followed.transactions) = (self.saved.transactions + 1, followed.transactions + 1);
            (self.saved.changes, followed.changes) = (self.saved.changes + count, followed.changes + count);
        }
        if !token.is_empty() {
            self.saved.through = Some(token);
        }
        self.file.note(self.saved)?;
        Ok(())
    }

    /// Sees to it that the schema here is that of the source, or stops.
    async fn compare_schema(&mut self, head: &Head) -> Result<(), Failure> {
        if *head.schema == *self.saved.schema {
            return Ok(());
        }
        if self.schema_changes == SchemaChanges::Stop {
            self.file.save(self.saved)?;
            return Err(schema_changed());
        }
        let plan = self.destination.plan(&head.schema).await?;
        if !plan.changes.is_empty() {
            self.destination.write_schema(&head.schema).await?;
            note(format_args!("the schema of the source changed, and was written here as well"));
        }
        self.saved.schema = head.schema.to_string();
        self.file.save(self.saved)
    }

    /// A write that was refused; often because the schema changed in between.
    async fn explain_refusal(&self, error: CallError) -> Failure {
        if let Ok(Some(head)) = self.source.head().await
            && *head.schema != *self.saved.schema
        {
            return schema_changed();
        }
        Failure::from(error).at(format_args!("a change after {}", self.through()))
    }
}

/// What is told when the schema of the source is not the one that was written here.
pub(super) fn schema_changed() -> Failure {
    Failure::new("the schema of the source changed, and nothing more was taken over").hint(
        "the same command with --schema-changes apply writes the new schema here and goes on; without, it goes on when the \
         schema is again what it was",
    )
}

fn describe(saved: &Saved, lag: Option<Duration>, heard: Instant) -> String {
    let lag = match lag {
        Some(lag) => format!("{:.1} s behind", lag.as_secs_f64()),
        None => format!("last heard {} s ago", heard.elapsed().as_secs()),
    };
    format!("{} transactions followed, {} changes; {lag}", saved.transactions, saved.changes)
}
