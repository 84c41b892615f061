//! `quorate permission lookup-subjects`.

use std::time::Duration;

use serde_json::{Value, json};

use super::context::ContextArgs;
use super::listing::Holds;
use crate::cli::call_error::CallError;
use crate::cli::connection::ConnectionArgs;
use crate::cli::consistency::ConsistencyArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::reference::{object_to_wire, parse_object, parse_relation, parse_subject_kind};
use crate::model::{ObjectRef, RelationName, TypeName};
use crate::wire::authzed::v1::{LookupSubjectsRequest, ResolvedSubject};

const EXAMPLES: &str = "\
Examples:
  quorate permission lookup-subjects document:readme view user
  quorate permission lookup-subjects document:readme view group#member --json
  quorate permission lookup-subjects document:readme view user --consistency full

One subject a line, as they are found. A wildcard stands for everyone of the type who is not named behind it.";

/// A listing can be long; the deadline is for all of it.
const TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LookupSubjectsArgs {
    /// The resource, type:id
    #[arg(value_parser = parse_object)]
    resource: ObjectRef,
    /// The permission or relation
    #[arg(value_parser = parse_relation)]
    permission: RelationName,
    /// What the subjects are: type or type#relation
    #[arg(value_name = "TYPE[#RELATION]", value_parser = parse_subject_kind)]
    subjects: (TypeName, Option<RelationName>),
    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    consistency: ConsistencyArgs,
}

pub(super) async fn run(connection: &ConnectionArgs, args: LookupSubjectsArgs) -> Result<Exit, Failure> {
    let (subject_type, relation) = &args.subjects;
    let request = LookupSubjectsRequest {
        consistency: Some(args.consistency.to_wire()?),
        resource: Some(object_to_wire(&args.resource)),
        permission: args.permission.to_string(),
        subject_object_type: subject_type.to_string(),
        optional_subject_relation: relation.as_ref().map(ToString::to_string).unwrap_or_default(),
        context: args.context.to_wire(),
        ..LookupSubjectsRequest::default()
    };
    let cluster = connection.open(TIMEOUT)?;
    let mut stream = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().lookup_subjects(request).await }
        })
        .await?;
    let name = |id: &str| match relation {
        None => format!("{subject_type}:{id}"),
        Some(relation) => format!("{subject_type}:{id}#{relation}"),
    };
    let mut output = Output::new();
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 && !output.is_abandoned() {
        let Some(found) = stream.message().await.map_err(CallError::in_stream)? else {
            break;
        };
        left -= 1;
        let (subject, excluded) = (found.subject.unwrap_or_default(), found.excluded_subjects);
        if connection.json {
            let mut object = to_json(name, subject);
            object["excluded"] = excluded.into_iter().map(|subject| to_json(name, subject)).collect();
            output.json(&object)?;
        } else {
            let excluded: Vec<String> = excluded.into_iter().map(|subject| to_line(name, subject)).collect();
            let except = if excluded.is_empty() { String::new() } else { format!("  except {}", excluded.join("; ")) };
            output.line(format_args!("{}{except}", to_line(name, subject)))?;
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn to_line(name: impl Fn(&str) -> String, subject: ResolvedSubject) -> String {
    let holds = Holds::new(subject.permissionship(), subject.partial_caveat_info);
    format!("{}{}", name(&subject.subject_object_id), holds.suffix())
}

fn to_json(name: impl Fn(&str) -> String, subject: ResolvedSubject) -> Value {
    let mut object = json!({ "subject": name(&subject.subject_object_id) });
    Holds::new(subject.permissionship(), subject.partial_caveat_info).put(&mut object);
    object
}
