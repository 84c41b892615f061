//! `quorate migrate verify`: whether both sides hold the same, and say the same.
//!
//! Every relationship of both is read, and none is kept: what is compared are sums of hashes. Only where sums differ are
//! relationships looked at one by one, a bounded number. Then a sample of checks is put to both.
//! Both sides may be at work meanwhile. So what seems to differ is asked for again, until it does not or patience ends.

mod answers;
mod differences;
mod fingerprint;
mod sample;

use std::time::Duration;

use serde_json::json;

use super::copy::ahead;
use super::destination::{Destination, types_of};
use super::source::{Head, Source, SourceArgs, problem};
use crate::cli::connection::{ConnectionArgs, parse_duration};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{Output, progress, table};
use answers::Answers;
use differences::Differences;
use fingerprint::Fingerprint;
use sample::Sample;

const EXAMPLES: &str = "\
Examples:
  quorate migrate verify --from https://spicedb.internal:50051
  quorate migrate verify --from 127.0.0.1:50051 --checks 20000 --json

Run it while `from-spicedb --follow` does, or once it has caught up. The exit code is 0 if both hold the same relationships and
answer alike, else 1. What differs is asked for again for as long as --settle says, since a change may be on its way.";

/// Differences that are shown.
const SHOWN: usize = 10;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Checks that are put to both sides
    #[arg(long, value_name = "COUNT", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    checks: u32,
    /// How long to wait for what is on its way, before it counts as a difference
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    settle: Duration,
    /// How long to go on trying while one of the sides does not answer
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1m")]
    patience: Duration,
}

/// The two sides.
struct Sides<'a> {
    source: &'a Source,
    /// How the source was named.
    endpoint: &'a str,
    here: &'a Source,
    settle: Duration,
}

pub(super) async fn run(connection: &ConnectionArgs, args: VerifyArgs) -> Result<Exit, Failure> {
    let source = args.source.open()?;
    let destination = Destination::open(connection, args.patience)?;
    let sides = Sides { source: &source, endpoint: &args.source.from, here: destination.reader(), settle: args.settle };
    let head = source.head().await.map_err(|error| problem(sides.endpoint, error))?;
    let head = head.ok_or_else(|| Failure::new(format!("the source at {} has no schema", sides.endpoint)))?;
    let here =
        sides.here.head().await?.ok_or_else(|| Failure::new("the cluster has no schema: nothing was moved to it"))?;
    let same_schema = head.schema == here.schema || same_meaning(&head.schema, &here.schema);
    let mut sample = Sample::new(args.checks as usize);
    let there = read(&sides, true, &head, args.patience, Some(&mut sample)).await?;
    // Read after the other, so that less is on its way.
    let here = read(&sides, false, &here, args.patience, None).await?;
    let differences = Differences::find(&sides, &there, &here, args.patience).await?;
    let answers = Answers::compare(&sides, &head.schema, sample).await?;
    report(connection.json, same_schema, (&there, &here), &differences, &answers)?;
    if same_schema && differences.is_empty() && answers.differ.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::new("the two sides are not the same").hint(
        "if the migration still follows the source, let it catch up and ask again; what is only here was never deleted there: \
         begin anew with --replace",
    ))
}

/// Everything that one side holds.
async fn read(
    sides: &Sides<'_>,
    is_source: bool,
    head: &Head,
    patience: Duration,
    mut sample: Option<&mut Sample>,
) -> Result<Fingerprint, Failure> {
    let side = if is_source { sides.source } else { sides.here };
    let mut pages = ahead(side.export(&head.token, &types_of(&head.schema)?, None), patience);
    let mut fingerprint = Fingerprint::new();
    let bar = progress(None);
    let name = if is_source { "there" } else { "here" };
    while let Some(page) = pages.recv().await {
        let page = page.map_err(|error| sides.explain(is_source, error))?;
        for relationship in &page.relationships {
            let hash = fingerprint.add(relationship);
            if let Some(sample) = &mut sample {
                sample.offer(hash, relationship);
            }
        }
        bar.set_message(format!("{} relationships {name}", fingerprint.count()));
    }
    bar.finish_and_clear();
    Ok(fingerprint)
}

impl Sides<'_> {
    fn explain(&self, is_source: bool, error: crate::cli::call_error::CallError) -> Failure {
        if is_source { problem(self.endpoint, error) } else { error.into() }
    }
}

/// Whether two schemas differ in nothing but their layout.
fn same_meaning(one: &str, other: &str) -> bool {
    use crate::schema::{diff, spicedb::parse};
    match (parse(one), parse(other)) {
        (Ok(one), Ok(other)) => diff(&one, &other).is_ok_and(|changes| changes.is_empty()),
        _ => false,
    }
}

fn report(
    as_json: bool,
    same_schema: bool,
    (there, here): (&Fingerprint, &Fingerprint),
    differences: &Differences,
    answers: &Answers,
) -> Result<(), Failure> {
    let mut output = Output::new();
    let types: std::collections::BTreeSet<&String> = there.types().chain(here.types()).collect();
    if as_json {
        let types: Vec<_> = types
            .iter()
            .map(|name| json!({ "type": name, "source": there.count_of(name), "here": here.count_of(name) }))
            .collect();
        output.json(&json!({
            "same_schema": same_schema,
            "relationships": { "source": there.count(), "here": here.count(), "types": types },
            "differences": {
                "only_source": differences.only_source, "only_here": differences.only_here, "more": differences.more,
            },
            "checks": { "compared": answers.compared, "without_answer": answers.without_answer, "differ": answers.differ },
        }))?;
        return output.flush();
    }
    output.line(if same_schema { "schema: the same" } else { "schema: NOT the same" })?;
    let mut counts = table(&["TYPE", "SOURCE", "HERE"]);
    counts.add_rows(
        types.iter().map(|name| [(*name).clone(), there.count_of(name).to_string(), here.count_of(name).to_string()]),
    );
    counts.add_row(["all".to_owned(), there.count().to_string(), here.count().to_string()]);
    output.table(&counts)?;
    match (differences.is_empty(), differences.settled) {
        (true, 0) => output.line("relationships: the same")?,
        (true, settled) => {
            output.line(format_args!("relationships: the same, after {settled} that were on their way had arrived"))?
        }
        (false, _) => output.line("relationships: NOT the same")?,
    }
    for (place, texts) in [("only there", &differences.only_source), ("only here", &differences.only_here)] {
        for text in texts.iter().take(SHOWN) {
            output.line(format_args!("  {place}: {text}"))?;
        }
        if texts.len() > SHOWN {
            output.line(format_args!("  {place}: {} more", texts.len() - SHOWN))?;
        }
    }
    if differences.more {
        output.line("  and more, which were not looked at one by one")?;
    }
    let Answers { compared, without_answer, differ } = answers;
    let standing = if differ.is_empty() { "the same" } else { "NOT the same" };
    output.line(format_args!(
        "answers to {compared} checks: {standing} ({without_answer} without an answer on a side)"
    ))?;
    for text in differ.iter().take(SHOWN) {
        output.line(format_args!("  {text}"))?;
    }
    output.flush()
}
