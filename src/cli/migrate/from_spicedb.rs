//! `quorate migrate from-spicedb`: schema, relationships of one state, then the changes since, while the source serves on.

use std::path::PathBuf;
use std::time::Duration;

use super::destination::{Destination, types_of};
use super::follow::{Follow, SchemaChanges, Until, schema_changed};
use super::interrupt::Interrupt;
use super::patience::Patience;
use super::source::{Head, Source, SourceArgs, problem};
use super::state::{Saved, StateFile};
use super::{copy, report};
use crate::cli::connection::{ConnectionArgs, parse_duration};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::note;

const EXAMPLES: &str = "\
Examples:
  quorate migrate from-spicedb --from https://spicedb.internal:50051 --follow
  quorate migrate from-spicedb --from 127.0.0.1:50051 --from-key secret --endpoint 127.0.0.1:50151 --key quorate-dev

The keys are best given as QUORATE_FROM_KEY and QUORATE_KEY. The source is only read. Without --follow it ends once
everything is here that was there. How far it came is kept in the file of --state; the same command goes on there, whatever
ended it, and takes nothing over twice. The steps of a move are in docs/migration.md.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FromSpicedbArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Go on following the source until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// File that says how far the migration came
    #[arg(long, value_name = "FILE", default_value = "quorate-migration.json")]
    state: PathBuf,
    /// What to do when the schema of the source changes meanwhile
    #[arg(long, value_enum, value_name = "WHAT", default_value = "stop")]
    schema_changes: SchemaChanges,
    /// Delete what the cluster holds before anything is copied
    #[arg(long)]
    replace: bool,
    /// Keep what the cluster holds, and copy on top of it
    #[arg(long, conflicts_with = "replace")]
    keep: bool,
    /// How long to go on trying while one of the sides does not answer
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5m")]
    patience: Duration,
}

pub(super) async fn run(connection: &ConnectionArgs, args: FromSpicedbArgs) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let source = args.source.open()?;
    let destination = Destination::open(connection, args.patience)?;
    let (mut file, found) = StateFile::open(&args.state)?;
    let head = newest(&source, &args).await?;
    let mut saved = match found {
        Some(saved) => resume(saved, &destination, &head, &args).await?,
        None => {
            let saved = begin(&destination, &head, &args).await?;
            file.save(&saved)?;
            saved
        }
    };
    let mut copied = None;
    if saved.through.is_none() {
        let types = types_of(&saved.schema)?;
        let kept = (&mut saved, &mut file);
        copied = Some(copy::copy(&source, &destination, &types, args.patience, kept, &mut interrupt).await?);
        note(format_args!("copied {} relationships; following the changes since", saved.copied));
    }
    let schema = saved.schema.clone();
    let follow = Follow {
        source: &source,
        destination: &destination,
        saved: &mut saved,
        file: &mut file,
        interrupt: &mut interrupt,
        schema_changes: args.schema_changes,
        patience: args.patience,
        until: if args.follow { Until::Interrupted } else { Until::CaughtUp },
    };
    let followed = follow.run(&schema).await?;
    report::print(&saved, copied.as_ref(), &followed, connection.json)?;
    if followed.caught_up || args.follow {
        return Ok(Exit::Done);
    }
    Err(Failure::new("stopped before it had caught up").hint("the same command goes on where it stopped"))
}

async fn newest(source: &Source, args: &FromSpicedbArgs) -> Result<Head, Failure> {
    let mut patience = Patience::new(args.patience);
    loop {
        match source.head().await {
            Ok(Some(head)) => return Ok(head),
            Ok(None) => return Err(Failure::new(format!("the source at {} has no schema", args.source.from))),
            // Before anything is done, a source that cannot be reached is more likely a mistake than a restart.
            Err(error) if error.is_unsent() => return Err(problem(&args.source.from, error)),
            Err(error) => patience.wait(error).await.map_err(|error| problem(&args.source.from, error))?,
        }
    }
}

/// Makes the destination ready, once everything was looked at that could stand in the way.
async fn begin(destination: &Destination, head: &Head, args: &FromSpicedbArgs) -> Result<Saved, Failure> {
    types_of(&head.schema)?;
    let (types, held) = destination.content().await?;
    if let (Some(example), false, false) = (&held, args.replace, args.keep) {
        return Err(Failure::new(format!("the cluster holds relationships already, for example {example}")).hint(
            "a migration that was begun goes on with its --state file; else begin with an empty cluster, or use --replace to \
             delete what is there, or --keep to add to it",
        ));
    }
    if held.is_some() && args.replace {
        let deleted = destination.clear(&types).await?;
        note(format_args!("deleted {deleted} relationships from the cluster"));
    }
    let plan = destination.plan(&head.schema).await?;
    let lineage = Destination::lineage(&plan)?;
    if !plan.changes.is_empty() {
        destination.write_schema(&head.schema).await?;
    }
    Ok(Saved::new(&args.source.from, &lineage, &head.schema, &head.token))
}

/// Takes up what was begun, if it is this one.
async fn resume(
    mut saved: Saved,
    destination: &Destination,
    head: &Head,
    args: &FromSpicedbArgs,
) -> Result<Saved, Failure> {
    let state = args.state.display();
    if args.replace || args.keep {
        return Err(Failure::usage(format!("{state} says that this migration was begun already"))
            .hint("leave --replace and --keep out to go on with it, or name another file with --state to begin anew"));
    }
    let has_changed = *head.schema != *saved.schema;
    if has_changed && args.schema_changes == SchemaChanges::Stop {
        return Err(schema_changed());
    }
    let plan = destination.plan(&head.schema).await?;
    let lineage = Destination::lineage(&plan)?;
    if lineage != saved.destination {
        return Err(Failure::usage(format!(
            "{state} is of a migration into another cluster ({}, and this is {lineage})",
            saved.destination
        ))
        .hint("name that cluster with --endpoint, or another file with --state"));
    }
    if saved.source != args.source.from {
        note(format_args!(
            "the source was {} before; that {} is the same one is taken for granted",
            saved.source, args.source.from
        ));
        saved.source.clone_from(&args.source.from);
    }
    // While the copy lasts, the schema must be the one of the copied state; a later one is written when it is over.
    if has_changed && saved.through.is_some() {
        if !plan.changes.is_empty() {
            destination.write_schema(&head.schema).await?;
        }
        saved.schema = head.schema.to_string();
    }
    match saved.through {
        Some(_) => note(format_args!("going on after {} transactions", saved.transactions)),
        None => note(format_args!("going on after {} relationships", saved.copied)),
    }
    Ok(saved)
}
