//! `quorate migrate from-backup`: a file that `zed backup create` wrote, schema and relationships.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use serde_json::json;
use tokio::sync::mpsc;

use super::backup::{BackupError, BackupReader};
use super::destination::{Destination, types_of};
use super::updates::changes;
use crate::cli::connection::{ConnectionArgs, parse_duration};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{note, print_line, progress};
use crate::cli::write_key::WriteKey;
use crate::wire::authzed::v1::relationship_update::Operation;
use crate::wire::authzed::v1::{Relationship, RelationshipUpdate};

const EXAMPLES: &str = "\
Examples:
  zed backup create spicedb.zedbackup
  quorate migrate from-backup spicedb.zedbackup
  quorate migrate from-backup spicedb.zedbackup --skip 120000   go on where it stopped

The schema of the file is written first; nothing is, where it cannot be used here. Relationships come with their caveats and
expirations. To load a file again does no harm: it ends the same, and brings back what was deleted since.";

/// Relationships of one write, writes on their way, and writes that wait.
const BATCH: usize = 1000;
const IN_FLIGHT: usize = 8;
const AHEAD: usize = 2;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FromBackupArgs {
    /// File that `zed backup create` or `quorate migrate to-backup` wrote
    file: PathBuf,
    /// Leave out the first relationships, which an earlier run wrote
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    skip: u64,
    /// Delete what the cluster holds before anything is loaded
    #[arg(long, conflicts_with = "skip")]
    replace: bool,
    /// Keep what the cluster holds, and load on top of it
    #[arg(long, conflicts_with = "replace")]
    keep: bool,
    /// How long to go on trying while the cluster does not answer
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1m")]
    patience: Duration,
}

/// Relationships that follow each other in the file.
struct Batch {
    relationships: Vec<Relationship>,
    /// How many there are in the file up to the last of them.
    last: u64,
    /// Bytes of the file up to there, or a little further.
    bytes: u64,
}

pub(super) async fn run(connection: &ConnectionArgs, args: FromBackupArgs) -> Result<Exit, Failure> {
    let (reader, size) = open(&args.file)?;
    let destination = Destination::open(connection, args.patience)?;
    make_ready(&destination, reader.schema(), &args).await?;
    if let Some(token) = reader.token() {
        note(format_args!("loading the state that {token} stood for there"));
    }
    let started = Instant::now();
    let mut batches = read_ahead(reader, size, args.skip);
    let mut on_their_way = FuturesOrdered::new();
    let (mut done, mut retries, mut zookie, mut ended) = (args.skip, 0, String::new(), None);
    let bar = progress(Some(size));
    while ended.is_none() || !on_their_way.is_empty() {
        tokio::select! {
            biased;
            Some(written) = on_their_way.next() => match written {
                Ok((batch, token, repeated)) => {
                    let Batch { last, bytes, .. } = batch;
                    (done, zookie, retries) = (last, token, retries + repeated);
                    bar.set_position(bytes);
                    bar.set_message(format!("{done} relationships"));
                }
                Err(failure) => {
                    bar.finish_and_clear();
                    return Err(go_on(failure, done));
                }
            },
            batch = batches.recv(), if ended.is_none() && on_their_way.len() < IN_FLIGHT => match batch {
                Some(Ok(batch)) => on_their_way.push_back(write(&destination, batch)),
                Some(Err(error)) => ended = Some(Err(error)),
                None => ended = Some(Ok(())),
            },
        }
    }
    bar.finish_and_clear();
    if let Some(Err(error)) = ended {
        return Err(go_on(Failure::usage(format!("{}: {error}", args.file.display())), done));
    }
    report(connection.json, done - args.skip.min(done), retries, &zookie, started.elapsed())
}

fn report(as_json: bool, count: u64, retries: u64, zookie: &str, took: Duration) -> Result<Exit, Failure> {
    let seconds = took.as_secs_f64();
    if as_json {
        print_line(json!({ "relationships": count, "retries": retries, "seconds": seconds, "zookie": zookie }))?;
    } else {
        let rate = count as f64 / seconds.max(0.001);
        print_line(format_args!("{count} relationships in {seconds:.1} s ({rate:.0}/s)\nzookie: {zookie}"))?;
    }
    Ok(Exit::Done)
}

fn go_on(failure: Failure, done: u64) -> Failure {
    match done {
        0 => failure,
        _ => failure.hint(format!(
            "the first {done} relationships are in; once that is mended, go on with --skip {done} in place of --replace"
        )),
    }
}

fn open(path: &Path) -> Result<(BackupReader<BufReader<File>>, u64), Failure> {
    let problem = |error: &dyn std::fmt::Display| Failure::usage(format!("cannot read {}: {error}", path.display()));
    // zed keeps its place in such a file for as long as a backup is not complete.
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    if Path::new(&lock).exists() {
        return Err(Failure::usage(format!(
            "{} is not complete: zed still has its .lock file beside it",
            path.display()
        ))
        .hint("let `zed backup create` go on with it to its end"));
    }
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    let about = fs::metadata(path).map_err(|error| problem(&error))?;
    if !about.is_file() {
        return Err(problem(&"it is not a regular file"));
    }
    let file = File::open(path).map_err(|error| problem(&error))?;
    let reader = BackupReader::new(BufReader::with_capacity(1 << 18, file)).map_err(|error| problem(&error))?;
    Ok((reader, about.len()))
}

/// Writes the schema, once nothing stands in the way.
async fn make_ready(destination: &Destination, schema: &str, args: &FromBackupArgs) -> Result<(), Failure> {
    types_of(schema)?;
    let (types, held) = destination.content().await?;
    if let Some(example) = held {
        if args.replace {
            let deleted = destination.clear(&types).await?;
            note(format_args!("deleted {deleted} relationships from the cluster"));
        } else if !args.keep && args.skip == 0 {
            return Err(Failure::new(format!("the cluster holds relationships already, for example {example}")).hint(
                "--replace deletes them first, --keep loads on top of them, --skip goes on with a load that stopped",
            ));
        }
    }
    let plan = destination.plan(schema).await?;
    if !plan.changes.is_empty() {
        destination.write_schema(schema).await?;
    }
    Ok(())
}

/// Reads on a thread of its own; a bounded number of batches waits.
fn read_ahead(
    mut reader: BackupReader<BufReader<File>>,
    size: u64,
    skip: u64,
) -> mpsc::Receiver<Result<Batch, BackupError>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let (mut relationships, mut last) = (Vec::new(), 0);
        loop {
            let next = reader.next(Some(size));
            let is_end = !matches!(next, Ok(Some(_)));
            // What precedes an error comes out before it.
            if (is_end || relationships.len() == BATCH) && !relationships.is_empty() {
                let batch = Batch { relationships: std::mem::take(&mut relationships), last, bytes: reader.bytes() };
                if sender.blocking_send(Ok(batch)).is_err() {
                    return; // It has stopped.
                }
            }
            match next {
                Ok(Some(relationship)) => {
                    last += 1;
                    if last > skip {
                        relationships.push(relationship);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    let _ = sender.blocking_send(Err(error)); // It may have stopped.
                    return;
                }
            }
        }
    });
    receiver
}

async fn write(destination: &Destination, batch: Batch) -> Result<(Batch, String, u64), Failure> {
    let touch = |relationship: &Relationship| RelationshipUpdate {
        operation: Operation::Touch.into(),
        relationship: Some(relationship.clone()),
    };
    let (mut retries, mut zookie) = (0, String::new());
    for request in changes(batch.relationships.iter().map(touch).collect()) {
        zookie = destination.write(&WriteKey::random(), &request, &mut retries).await?;
    }
    Ok((batch, zookie, retries))
}
