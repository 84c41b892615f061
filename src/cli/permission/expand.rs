//! `quorate permission expand`.

use serde_json::{Value, json};

use crate::cli::connection::{ConnectionArgs, DEFAULT_TIMEOUT};
use crate::cli::consistency::ConsistencyArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::reference::{object_to_wire, parse_object, parse_relation, wire_object_to_text, wire_subject_to_text};
use crate::model::{ObjectRef, RelationName};
use crate::wire::authzed::v1::algebraic_subject_set::Operation;
use crate::wire::authzed::v1::permission_relationship_tree::TreeType;
use crate::wire::authzed::v1::{ExpandPermissionTreeRequest, PermissionRelationshipTree};

const EXAMPLES: &str = "\
Examples:
  quorate permission expand document:readme view
  quorate permission expand document:readme view --json

Prints the tree of permissions down to the relationships. A group stays closed: expand its own relation to see inside.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExpandArgs {
    /// The resource, type:id
    #[arg(value_parser = parse_object)]
    resource: ObjectRef,
    /// The permission or relation
    #[arg(value_parser = parse_relation)]
    permission: RelationName,
    #[command(flatten)]
    consistency: ConsistencyArgs,
}

pub(super) async fn run(connection: &ConnectionArgs, args: ExpandArgs) -> Result<Exit, Failure> {
    let request = ExpandPermissionTreeRequest {
        consistency: Some(args.consistency.to_wire()?),
        resource: Some(object_to_wire(&args.resource)),
        permission: args.permission.to_string(),
    };
    let cluster = connection.open(DEFAULT_TIMEOUT)?;
    let answer = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().expand_permission_tree(request).await }
        })
        .await?;
    let tree = answer.tree_root.unwrap_or_default();
    let mut output = Output::new();
    if connection.json {
        output.json(&to_json(tree))?;
    } else {
        print(&mut output, tree, 0)?;
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn name(tree: &mut PermissionRelationshipTree) -> String {
    format!("{}#{}", wire_object_to_text(tree.expanded_object.take()), tree.expanded_relation)
}

fn operator(operation: Operation) -> &'static str {
    match operation {
        Operation::Union => "union",
        Operation::Intersection => "intersection",
        Operation::Exclusion => "exclusion",
        Operation::Unspecified => "unknown",
    }
}

/// The decoder of the message bounds the depth.
fn print(output: &mut Output, mut tree: PermissionRelationshipTree, depth: usize) -> Result<(), Failure> {
    let indent = "  ".repeat(depth);
    let name = name(&mut tree);
    match tree.tree_type {
        Some(TreeType::Intermediate(set)) => {
            output.line(format_args!("{indent}{name}  {}", operator(set.operation())))?;
            set.children.into_iter().try_for_each(|child| print(output, child, depth + 1))
        }
        Some(TreeType::Leaf(leaf)) => {
            output.line(format_args!("{indent}{name}"))?;
            leaf.subjects
                .into_iter()
                .try_for_each(|subject| output.line(format_args!("{indent}  {}", wire_subject_to_text(subject))))
        }
        None => output.line(format_args!("{indent}{name}")),
    }
}

fn to_json(mut tree: PermissionRelationshipTree) -> Value {
    let name = name(&mut tree);
    match tree.tree_type {
        Some(TreeType::Intermediate(set)) => {
            let operator = operator(set.operation());
            json!({ "of": name, "operation": operator, "children": set.children.into_iter().map(to_json).collect::<Value>() })
        }
        Some(TreeType::Leaf(leaf)) => {
            json!({ "of": name, "subjects": leaf.subjects.into_iter().map(wire_subject_to_text).collect::<Value>() })
        }
        None => json!({ "of": name }),
    }
}
