//! `quorate permission check`.

use serde_json::json;

use super::context::ContextArgs;
use super::explain;
use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::consistency::ConsistencyArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print_line;
use crate::cli::reference::{object_to_wire, parse_object, parse_relation, parse_subject, subject_to_wire};
use crate::model::{Decision, ObjectRef, RelationName, SubjectRef};
use crate::wire::authzed::v1::check_permission_response::Permissionship;
use crate::wire::authzed::v1::{CheckDebugTrace, CheckPermissionRequest, PartialCaveatInfo};
use crate::wire::quorate::v1::ContentChangeCheckRequest;

const EXAMPLES: &str = "\
Examples:
  quorate permission check document:readme view user:emil
  quorate permission check document:readme view user:emil --consistency full
  quorate permission check document:readme view user:emil --zookie GhUKEzE3    sees that write
  quorate permission check document:readme edit user:emil && echo yes
  quorate permission check document:readme view user:emil --context '{\"ip\":\"10.0.0.1\"}'
  quorate permission check document:readme view user:emil --explain    which relationships, written when
  quorate permission check document:readme edit user:emil --content-change    right before a change is saved

Exit code 0: allowed. 3: denied, or conditional on values that --context must give. Anything else: there is no answer.";

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
    context: ContextArgs,
    /// Say how the answer came about: the relationships that it rests on, and the index of the log that wrote each
    #[arg(long)]
    explain: bool,
    /// Ask as before saving a change: from the latest state; store the zookie that is printed with the changed content
    #[arg(long, conflicts_with_all = ["consistency", "zookie", "explain"])]
    content_change: bool,
    #[command(flatten)]
    consistency: ConsistencyArgs,
}

pub(super) async fn run(connection: &ConnectionArgs, args: CheckArgs) -> Result<Exit, Failure> {
    if args.content_change {
        return content_change(connection, args).await;
    }
    let request = CheckPermissionRequest {
        consistency: Some(args.consistency.to_wire()?),
        resource: Some(object_to_wire(&args.resource)),
        permission: args.permission.as_str().to_owned(),
        subject: Some(subject_to_wire(&args.subject)),
        context: args.context.to_wire(),
        with_tracing: args.explain,
    };
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().check_permission(request).await }
        })
        .await?;
    let decided = decision(answer.permissionship(), answer.partial_caveat_info.as_ref())?;
    let zookie = answer.checked_at.unwrap_or_default().token;
    let trace = answer.debug_trace.and_then(|debug| debug.check);
    print(connection, &decided, &zookie, trace.as_ref())
}

/// Its own call: nothing that the node or the request says can make it less than fully consistent.
async fn content_change(connection: &ConnectionArgs, args: CheckArgs) -> Result<Exit, Failure> {
    let request = ContentChangeCheckRequest {
        resource: Some(object_to_wire(&args.resource)),
        permission: args.permission.as_str().to_owned(),
        subject: Some(subject_to_wire(&args.subject)),
        context: args.context.to_wire(),
    };
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.consistency().content_change_check(request).await }
        })
        .await?;
    let decided = decision(answer.permissionship(), answer.partial_caveat_info.as_ref())?;
    print(connection, &decided, &answer.zookie.unwrap_or_default().token, None)
}

fn print(
    connection: &ConnectionArgs,
    decided: &Decision,
    zookie: &str,
    trace: Option<&CheckDebugTrace>,
) -> Result<Exit, Failure> {
    if connection.json {
        let mut object = to_json(decided);
        object.insert("zookie".to_owned(), json!(zookie));
        if let Some(trace) = trace {
            object.insert("explanation".to_owned(), explain::to_json(trace));
        }
        print_line(serde_json::Value::Object(object))?;
    } else {
        let explained = trace.map(|trace| format!("\n{}", explain::to_text(trace))).unwrap_or_default();
        print_line(format_args!("{}\nzookie: {zookie}{explained}", to_text(decided)))?;
    }
    Ok(if *decided == Decision::Allowed { Exit::Done } else { Exit::Denied })
}

/// What the server decided. Only a plain yes is an allow.
pub(super) fn decision(answer: Permissionship, info: Option<&PartialCaveatInfo>) -> Result<Decision, Failure> {
    match answer {
        Permissionship::HasPermission => Ok(Decision::Allowed),
        Permissionship::NoPermission => Ok(Decision::Denied),
        Permissionship::ConditionalPermission => {
            let missing = info.map(|info| info.missing_required_context.clone()).unwrap_or_default();
            Ok(Decision::Conditional { missing })
        }
        Permissionship::Unspecified => {
            Err(Failure::new("the server gave an answer that this version does not know, so it is not an allow"))
        }
    }
}

/// A decision for people.
pub(super) fn to_text(decision: &Decision) -> String {
    match decision {
        Decision::Allowed => "allowed".to_owned(),
        Decision::Denied => "denied".to_owned(),
        Decision::Conditional { missing } => format!("conditional on {}", missing.join(", ")),
    }
}

/// A decision for programs.
pub(super) fn to_json(decision: &Decision) -> serde_json::Map<String, serde_json::Value> {
    let mut object = serde_json::Map::new();
    object.insert("allowed".to_owned(), json!(*decision == Decision::Allowed));
    if let Decision::Conditional { missing } = decision {
        object.insert("missing".to_owned(), json!(missing));
    }
    object
}
