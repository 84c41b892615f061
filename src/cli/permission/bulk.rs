//! `quorate permission bulk`: many checks, all answered at one revision.

use std::path::PathBuf;

use prost_types::Struct;
use serde_json::json;

use super::check::{decision, to_json, to_text};
use super::context::ContextArgs;
use crate::cli::connection::{Connection, ConnectionArgs};
use crate::cli::consistency::ConsistencyArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::lines::{self, Batch, Batches, Repeats};
use crate::cli::output::{Output, note, progress};
use crate::cli::reference::{object_to_wire, subject_to_wire};
use crate::model::{Decision, TupleKey};
use crate::wire::authzed::v1::check_bulk_permissions_pair::Response as Answer;
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::{
    CheckBulkPermissionsPair, CheckBulkPermissionsRequest, CheckBulkPermissionsRequestItem, Consistency,
};

const EXAMPLES: &str = "\
Examples:
  quorate permission bulk checks.txt
  quorate permission bulk - --consistency full --json

One check a line, resource#permission@subject: document:readme#view@user:emil
Blank lines and lines that begin with // or # are skipped. Answers are printed in the order of the file.
The first request is answered as fresh as asked; the others at the same revision.";

/// Checks in one request: enough that the way to the server does not count, few enough to see progress.
const CHECKS_PER_REQUEST: usize = 1000;
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BulkArgs {
    /// File with one check a line; - is standard input
    file: PathBuf,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    consistency: ConsistencyArgs,
}

#[derive(Default)]
struct Count {
    allowed: u64,
    denied: u64,
    conditional: u64,
    failed: u64,
}

impl Count {
    fn all(&self) -> u64 {
        self.allowed + self.denied + self.conditional + self.failed
    }
}

pub(super) async fn run(connection: &ConnectionArgs, args: BulkArgs) -> Result<Exit, Failure> {
    let mut consistency = args.consistency.to_wire()?;
    let (input, size) = lines::open(&args.file)?;
    let cluster = connection.open(TIMEOUT)?;
    let mut output = Output::new();
    let mut count = Count::default();
    let mut zookie = String::new();
    let bar = progress(size);
    for batch in Batches::<_, TupleKey>::new(input, CHECKS_PER_REQUEST, Repeats::Keep, 0) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                output.flush()?;
                return Err(Failure::usage(error.to_string()));
            }
        };
        let request = request(&batch, &consistency, args.context.to_wire().as_ref());
        let answer = ask(&cluster, request)
            .await
            .map_err(|failure| failure.at(format_args!("lines {} to {}", batch.first_line, batch.last_line)))?;
        if answer.pairs.len() != batch.items.len() {
            return Err(Failure::new("the server answered another number of checks than it was asked"));
        }
        if let Some(at) = answer.checked_at {
            zookie.clone_from(&at.token);
            consistency = Consistency { requirement: Some(Requirement::AtExactSnapshot(at)) };
        }
        for (key, pair) in batch.items.iter().zip(answer.pairs) {
            print(&mut output, &mut count, key, pair, connection.json)?;
        }
        bar.set_position(batch.bytes);
        bar.set_message(format!("{} checks", count.all()));
    }
    bar.finish_and_clear();
    output.flush()?;
    let Count { allowed, denied, conditional, failed } = count;
    note(format_args!(
        "{allowed} allowed, {denied} denied, {conditional} conditional, {failed} without an answer; zookie: {zookie}"
    ));
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn request(
    batch: &Batch<TupleKey>,
    consistency: &Consistency,
    context: Option<&Struct>,
) -> CheckBulkPermissionsRequest {
    let item = |key: &TupleKey| CheckBulkPermissionsRequestItem {
        resource: Some(object_to_wire(&key.resource)),
        permission: key.relation.as_str().to_owned(),
        subject: Some(subject_to_wire(&key.subject)),
        context: context.cloned(),
    };
    CheckBulkPermissionsRequest {
        consistency: Some(consistency.clone()),
        items: batch.items.iter().map(item).collect(),
        with_tracing: false,
    }
}

async fn ask(
    cluster: &Connection,
    request: CheckBulkPermissionsRequest,
) -> Result<crate::wire::authzed::v1::CheckBulkPermissionsResponse, Failure> {
    let answer = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().check_bulk_permissions(request).await }
        })
        .await?;
    Ok(answer)
}

fn print(
    output: &mut Output,
    count: &mut Count,
    key: &TupleKey,
    pair: CheckBulkPermissionsPair,
    as_json: bool,
) -> Result<(), Failure> {
    let answer = match pair.response {
        Some(Answer::Item(item)) => decision(item.permissionship(), item.partial_caveat_info.as_ref())
            .map_err(|failure| failure.message().to_owned()),
        Some(Answer::Error(status)) => Err(status.message),
        None => Err("the server gave no answer".to_owned()),
    };
    match &answer {
        Ok(Decision::Allowed) => count.allowed += 1,
        Ok(Decision::Denied) => count.denied += 1,
        Ok(Decision::Conditional { .. }) => count.conditional += 1,
        Err(_) => count.failed += 1,
    }
    if as_json {
        let mut object = match &answer {
            Ok(decision) => to_json(decision),
            Err(error) => serde_json::Map::from_iter([("error".to_owned(), json!(error))]),
        };
        object.insert("check".to_owned(), json!(key.to_string()));
        return output.json(&serde_json::Value::Object(object));
    }
    match answer {
        Ok(Decision::Allowed) => output.line(format_args!("allowed  {key}")),
        Ok(Decision::Denied) => output.line(format_args!("denied   {key}")),
        Ok(conditional @ Decision::Conditional { .. }) => {
            output.line(format_args!("open     {key}  {}", to_text(&conditional)))
        }
        Err(error) => output.line(format_args!("error    {key}  {error}")),
    }
}
