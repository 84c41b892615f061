//! `quorate relationship create`, `touch` and `delete`: a few relationships, all or none.
//!
//! What a write changed, the protocol does not tell; of a deletion by filter it tells how many there were. So one relationship
//! is deleted by a filter that only it matches: who mistypes a revocation must notice.

use serde_json::json;

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::cli::reference::{parse_tuple, relationship_to_wire};
use crate::cli::write_key::KeyArgs;
use crate::model::{Tuple, TupleKey};
use crate::wire::authzed::v1::relationship_update::Operation;
use crate::wire::authzed::v1::subject_filter::RelationFilter;
use crate::wire::authzed::v1::{
    DeleteRelationshipsRequest, RelationshipFilter, RelationshipUpdate, SubjectFilter, WriteRelationshipsRequest,
};

pub(super) const CREATE_EXAMPLES: &str = "\
Examples:
  quorate relationship create document:readme#viewer@user:emil
  quorate relationship create document:readme#viewer@group:eng#member document:readme#owner@user:ada";
pub(super) const TOUCH_EXAMPLES: &str = r#"Examples:
  quorate relationship touch document:readme#viewer@user:emil
  quorate relationship touch 'document:readme#viewer@user:*'
  quorate relationship touch 'document:readme#viewer@user:emil[weekday:{"zone":"UTC"}]'
  quorate relationship touch 'document:readme#viewer@user:emil[expiration:2030-01-01T00:00:00Z]'

The zookie that is printed stands for this write: a check that is given it sees the write, on every node."#;
pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  quorate relationship delete document:readme#viewer@user:emil

Of one relationship it is said whether it was there. Several are deleted together, those that are there.";

#[derive(Debug, clap::Args)]
pub(super) struct WriteArgs {
    /// resource#relation@subject, for example document:readme#viewer@user:emil; with limits behind it:
    /// [caveat:{"name":value}][expiration:2030-01-01T00:00:00Z]
    #[arg(required = true, value_name = "RELATIONSHIP", value_parser = parse_tuple)]
    relationships: Vec<Tuple>,
    #[command(flatten)]
    key: KeyArgs,
}

pub(super) async fn run(connection: &ConnectionArgs, args: WriteArgs, operation: Operation) -> Result<Exit, Failure> {
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let request = write_request(&args.relationships, operation);
    let key = args.key.key();
    let answer = cluster
        .write_once(&key, |node| {
            let request = request.clone();
            async move { node.permissions().write_relationships(request).await }
        })
        .await
        .map_err(|error| key.explain(error))?;
    let zookie = answer.written_at.unwrap_or_default().token;
    if connection.json {
        print_line(json!({ "zookie": zookie }))?;
    } else {
        let count = args.relationships.len();
        print_line(format_args!("{count} {} {}\nzookie: {zookie}", noun(count), past(operation)))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn delete(connection: &ConnectionArgs, args: WriteArgs) -> Result<Exit, Failure> {
    let [tuple] = args.relationships.as_slice() else {
        return run(connection, args, Operation::Delete).await;
    };
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let request = delete_request(tuple);
    let key = args.key.key();
    let answer = cluster
        .write_once(&key, |node| {
            let request = request.clone();
            async move { node.permissions().delete_relationships(request).await }
        })
        .await
        .map_err(|error| key.explain(error))?;
    let zookie = answer.deleted_at.unwrap_or_default().token;
    let count = answer.relationships_deleted_count;
    if connection.json {
        print_line(json!({ "zookie": zookie, "deleted": count }))?;
    } else {
        let why = if count == 0 { ": it was not there" } else { "" };
        let noun = noun(usize::try_from(count).unwrap_or(usize::MAX));
        print_line(format_args!("{count} {noun} deleted{why}\nzookie: {zookie}"))?;
    }
    Ok(Exit::Done)
}

/// A deletion of `tuple`, and of nothing else.
fn delete_request(tuple: &Tuple) -> DeleteRelationshipsRequest {
    let TupleKey { resource, relation, subject } = &tuple.key;
    // Empty: only a subject without a relation.
    let relation_of_subject = subject.relation.as_ref().map(ToString::to_string).unwrap_or_default();
    DeleteRelationshipsRequest {
        relationship_filter: Some(RelationshipFilter {
            resource_type: resource.object_type.to_string(),
            optional_resource_id: resource.object_id.to_string(),
            optional_relation: relation.to_string(),
            optional_subject_filter: Some(SubjectFilter {
                subject_type: subject.object.object_type.to_string(),
                optional_subject_id: subject.object.object_id.to_string(),
                optional_relation: Some(RelationFilter { relation: relation_of_subject }),
            }),
            ..RelationshipFilter::default()
        }),
        ..DeleteRelationshipsRequest::default()
    }
}

fn noun(count: usize) -> &'static str {
    if count == 1 { "relationship" } else { "relationships" }
}

/// The same operation on each of `tuples`, in one transaction.
pub(in crate::cli) fn write_request(tuples: &[Tuple], operation: Operation) -> WriteRelationshipsRequest {
    let update =
        |tuple| RelationshipUpdate { operation: operation.into(), relationship: Some(relationship_to_wire(tuple)) };
    WriteRelationshipsRequest {
        updates: tuples.iter().map(update).collect(),
        optional_preconditions: Vec::new(),
        optional_transaction_metadata: None,
    }
}

fn past(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "created",
        Operation::Touch => "touched",
        Operation::Delete => "deleted, where they were there",
        Operation::Unspecified => "written",
    }
}
