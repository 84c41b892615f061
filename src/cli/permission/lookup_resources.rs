//! `quorate permission lookup-resources`.

use std::time::Duration;

use serde_json::json;

use super::context::ContextArgs;
use super::listing::Holds;
use crate::cli::call_error::CallError;
use crate::cli::connection::ConnectionArgs;
use crate::cli::consistency::ConsistencyArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::reference::{parse_relation, parse_subject, parse_type, subject_to_wire};
use crate::model::{RelationName, SubjectRef, TypeName, limits};
use crate::wire::authzed::v1::LookupResourcesRequest;

const EXAMPLES: &str = "\
Examples:
  quorate permission lookup-resources document view user:emil
  quorate permission lookup-resources document view user:emil --limit 10 --json
  quorate permission lookup-resources document view group:eng#member --consistency full

One resource a line, as they are found.";

/// A listing can be long; the deadline is for all of it.
const TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LookupResourcesArgs {
    /// The type of the resources
    #[arg(value_parser = parse_type)]
    resource_type: TypeName,
    /// The permission or relation
    #[arg(value_parser = parse_relation)]
    permission: RelationName,
    /// The subject: type:id or type:id#relation
    #[arg(value_parser = parse_subject)]
    subject: SubjectRef,
    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    consistency: ConsistencyArgs,
}

pub(super) async fn run(connection: &ConnectionArgs, args: LookupResourcesArgs) -> Result<Exit, Failure> {
    // A server takes limits up to a bound; beyond it the listing is unlimited and cut off here.
    let limit = args.limit.and_then(|limit| u32::try_from(limit).ok()).filter(|l| *l as usize <= limits::LOOKUP_LIMIT);
    let request = LookupResourcesRequest {
        consistency: Some(args.consistency.to_wire()?),
        resource_object_type: args.resource_type.to_string(),
        permission: args.permission.to_string(),
        subject: Some(subject_to_wire(&args.subject)),
        context: args.context.to_wire(),
        optional_limit: limit.unwrap_or(0),
        optional_cursor: None,
        with_debug: false,
    };
    let cluster = connection.open(TIMEOUT)?;
    let mut stream = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().lookup_resources(request).await }
        })
        .await?;
    let mut output = Output::new();
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 && !output.is_abandoned() {
        let Some(found) = stream.message().await.map_err(CallError::in_stream)? else {
            break;
        };
        left -= 1;
        let holds = Holds::new(found.permissionship(), found.partial_caveat_info);
        if connection.json {
            let mut object = json!({ "resource": format!("{}:{}", args.resource_type, found.resource_object_id) });
            holds.put(&mut object);
            output.json(&object)?;
        } else {
            output.line(format_args!("{}:{}{}", args.resource_type, found.resource_object_id, holds.suffix()))?;
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}
