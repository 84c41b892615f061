//! `quorate permission check`.

use serde_json::json;

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::consistency::ConsistencyArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::cli::reference::{object_to_wire, parse_object, parse_relation, parse_subject, subject_to_wire};
use crate::model::{ObjectRef, RelationName, SubjectRef};
use crate::wire::authzed::v1::CheckPermissionRequest;
use crate::wire::authzed::v1::check_permission_response::Permissionship;

const EXAMPLES: &str = "\
Examples:
  quorate permission check document:readme view user:emil
  quorate permission check document:readme view user:emil --consistency full
  quorate permission check document:readme view user:emil --zookie GhUKEzE3    sees that write
  quorate permission check document:readme edit user:emil && echo yes

Exit code 0: allowed. 3: denied. Anything else: there is no answer.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// The resource, type:id
    #[arg(value_parser = parse_object)]
    resource: ObjectRef,
    /// The permission or relation
    #[arg(value_parser = parse_relation)]
    permission: RelationName,
    /// The subject: type:id, type:* or type:id#relation
    #[arg(value_parser = parse_subject)]
    subject: SubjectRef,
    #[command(flatten)]
    consistency: ConsistencyArgs,
}

pub(super) async fn run(connection: &ConnectionArgs, args: CheckArgs) -> Result<Exit, Failure> {
    let request = CheckPermissionRequest {
        consistency: Some(args.consistency.to_wire()?),
        resource: Some(object_to_wire(&args.resource)),
        permission: args.permission.as_str().to_owned(),
        subject: Some(subject_to_wire(&args.subject)),
        context: None,
        with_tracing: false,
    };
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().check_permission(request).await }
        })
        .await?;
    let allowed = is_allowed(answer.permissionship())?;
    let zookie = answer.checked_at.unwrap_or_default().token;
    if connection.json {
        print_line(json!({ "allowed": allowed, "zookie": zookie }))?;
    } else {
        let word = if allowed { "allowed" } else { "denied" };
        print_line(format_args!("{word}\nzookie: {zookie}"))?;
    }
    Ok(if allowed { Exit::Done } else { Exit::Denied })
}

/// Only a plain yes is an allow.
pub(super) fn is_allowed(answer: Permissionship) -> Result<bool, Failure> {
    match answer {
        Permissionship::HasPermission => Ok(true),
        Permissionship::NoPermission => Ok(false),
        Permissionship::ConditionalPermission | Permissionship::Unspecified => {
            Err(Failure::new("the server gave an answer that this version does not know, so it is not an allow"))
        }
    }
}
