//! `quorate relationship import`: a file of any size, in batches, several of them in flight.
//!
//! Memory is bounded: a thread reads and parses, a short queue holds what waits, and batches are taken from it only as
//! earlier ones come back. Answers are looked at in the order of the file, so that "everything up to line N is in" is
//! true at every moment, and an interrupted import can go on with `--skip N`. Of lines about the same relationship the last
//! one counts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::retry::{self, Sent};
use super::summary::Summary;
use super::window::{Answer, Window};
use super::write::write_request;
use crate::cli::connection::ConnectionArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::lines::{self, Batch, Batches, LineError, Repeats};
use crate::cli::output::{print_line, progress};
use crate::model::Tuple;
use crate::wire::authzed::v1::relationship_update::Operation;

const EXAMPLES: &str = "\
Examples:
  quorate relationship import relationships.txt
  quorate relationship import relationships.txt --skip 120000   go on where an import stopped
  quorate relationship read --resource-type document | quorate relationship import -

One relationship a line: document:readme#viewer@user:emil
or with limits: document:readme#viewer@user:emil[weekday:{\"zone\":\"UTC\"}][expiration:2030-01-01T00:00:00Z]
Blank lines and lines that begin with // or # are skipped. A batch is written whole or not at all; the file as a
whole is not one transaction. Of lines about the same relationship the last one counts. To import a file again does no
harm: it ends the same, and brings back what was deleted since.
A batch whose outcome is unknown is sent again under the same idempotency key, and takes effect once.";

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ImportArgs {
    /// File with one relationship a line; - is standard input
    file: PathBuf,
    /// Leave out the first lines, which an earlier import wrote
    #[arg(long, value_name = "LINES", default_value_t = 0)]
    skip: u64,
    /// Relationships in one write
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Writes in flight at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    in_flight: u8,
}

pub(super) async fn run(connection: &ConnectionArgs, args: ImportArgs) -> Result<Exit, Failure> {
    let cluster = connection.open(TIMEOUT)?;
    let (input, size) = lines::open(&args.file)?;
    let batches = Batches::new(input, usize::from(args.batch), Repeats::Drop, args.skip);
    let in_flight = usize::from(args.in_flight);
    let cluster = &cluster;
    let mut window = Window::new(read_ahead(batches, in_flight), in_flight, |batch| async move {
        let sent = retry::send(cluster, write_request(&batch.items, Operation::Touch)).await;
        (batch, sent)
    });

    let started = Instant::now();
    let mut summary = Summary::new(args.skip);
    let bar = progress(size);
    while let Some(answer) = window.next().await {
        let (batch, sent) = match answer.map_err(Stop::Line).and_then(Stop::unless_sent) {
            Ok(done) => done,
            Err(stop) => {
                bar.finish_and_clear();
                return Err(stop.explain(args.skip, &summary));
            }
        };
        bar.set_position(batch.bytes);
        summary.add(&batch, sent);
        let rate = summary.relationships() as f64 / started.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!("{} relationships, {rate:.0}/s", summary.relationships()));
    }
    bar.finish_and_clear();
    let took = started.elapsed();
    if connection.json {
        print_line(summary.json(took))?;
    } else {
        print_line(summary.text(took))?;
    }
    Ok(Exit::Done)
}

/// Why an import stopped.
enum Stop {
    /// At a line that is not a relationship.
    Line(LineError),
    /// At a batch that the cluster did not take.
    Batch(Batch<Tuple>, Failure),
}

impl Stop {
    fn unless_sent((batch, sent): Answer<Sent, Failure>) -> Result<(Batch<Tuple>, Sent), Self> {
        match sent {
            Ok(sent) => Ok((batch, sent)),
            Err(failure) => Err(Self::Batch(batch, failure)),
        }
    }

    /// What to tell after the first `skipped` lines were left out, and `summary` of what followed is in.
    fn explain(self, skipped: u64, summary: &Summary) -> Failure {
        let done = summary.last_line();
        let failure = match self {
            Self::Line(error) => Failure::usage(error.to_string()),
            Self::Batch(batch, failure) => {
                failure.at(format_args!("lines {} to {}", batch.first_line, batch.last_line))
            }
        };
        if done == skipped {
            return failure;
        }
        failure.hint(format!(
            "everything up to line {done} is in; to go on from there, repeat the command with --skip {done}"
        ))
    }
}

/// Reads and parses on a thread of its own; at most `ahead` batches wait.
fn read_ahead<R>(batches: Batches<R, Tuple>, ahead: usize) -> ReceiverStream<Result<Batch<Tuple>, LineError>>
where
    Batches<R, Tuple>: Iterator<Item = Result<Batch<Tuple>, LineError>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(ahead);
    // A plain thread: one that waits for standard input must not hold up the end of the runtime.
    std::thread::spawn(move || {
        for batch in batches {
            if sender.blocking_send(batch).is_err() {
                return; // The import has stopped.
            }
        }
    });
    ReceiverStream::new(receiver)
}
