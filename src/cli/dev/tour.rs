//! What is shown when the cluster stands: an example, a write on one node that a check on another sees, and what to type
//! next.

use std::time::Duration;

use super::example;
use super::folder::NodePlace;
use crate::cli::connection::Connection;
use crate::cli::failure::Failure;
use crate::cli::output::print_line;
use crate::cli::reference::{object_to_wire, subject_to_wire};
use crate::cli::relationship::write_request;
use crate::cli::trust::TrustArgs;
use crate::model::{Tuple, TupleKey};
use crate::wire::authzed::v1::check_permission_response::Permissionship;
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::relationship_update::Operation;
use crate::wire::authzed::v1::{CheckPermissionRequest, Consistency, ReadSchemaRequest, WriteSchemaRequest, ZedToken};

const CALL: Duration = Duration::from_secs(20);
/// What the example's check asks for.
const PERMISSION: &str = "view";

/// Loads the example where there is no schema yet, and then shows a write and a check. Says whether the example is there.
///
/// Where there is a schema, the data is someone's own, the example's included: what was revoked stays revoked, so nothing is
/// written, and nothing is expected of it.
pub(super) async fn walk(places: &[NodePlace], key: &str, no_example: bool) -> Result<bool, Failure> {
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        return Ok(false);
    };
    if no_example {
        return Ok(false);
    }
    let node = connect(first, key)?;
    match schema(&node).await? {
        None => load_example(&node).await?,
        Some(text) if is_example(&text) => {
            print_line("The example's schema is there already; the relationships are left as they are")?;
            return Ok(true);
        }
        Some(_) => {
            print_line("There is a schema of your own; the example is left out")?;
            return Ok(false);
        }
    }
    let zookie = touch(&node, &[Tuple::unqualified(example::shown())]).await?;
    print_line(format_args!("Wrote {} on node {} ({})", example::SHOWN, first.number, first.client))?;
    print_line(format_args!("  zookie: {}", zookie.token))?;
    let allowed = check(&connect(last, key)?, &example::shown(), zookie).await?;
    let answer = if allowed { "allowed" } else { "denied" };
    print_line(format_args!(
        "Checked {PERMISSION} on node {} ({}), at least as fresh as that zookie: {answer}",
        last.number, last.client
    ))?;
    if allowed {
        return Ok(true);
    }
    Err(Failure::new("a check that was given the zookie of a write did not see the write; this must never happen")
        .hint("please keep the folder and report it"))
}

/// A server may give the schema back in its own layout.
fn is_example(text: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<String>();
    words(text) == words(example::SCHEMA)
}

async fn schema(node: &Connection) -> Result<Option<String>, Failure> {
    match node.read(|node| async move { node.schema().read_schema(ReadSchemaRequest {}).await }).await {
        Ok(answer) => Ok(Some(answer.schema_text)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn load_example(node: &Connection) -> Result<(), Failure> {
    node.write(|node| async move {
        node.schema().write_schema(WriteSchemaRequest { schema: example::SCHEMA.to_owned() }).await
    })
    .await?;
    let relationships = example::relationships();
    touch(node, &relationships).await?;
    print_line(format_args!("Loaded an example: a schema and {} relationships", relationships.len()))
}

async fn touch(node: &Connection, tuples: &[Tuple]) -> Result<ZedToken, Failure> {
    let request = write_request(tuples, Operation::Touch);
    let answer = node
        .write(|node| {
            let request = request.clone();
            async move { node.permissions().write_relationships(request).await }
        })
        .await?;
    answer.written_at.ok_or_else(|| Failure::new("the node answered a write without a zookie"))
}

async fn check(node: &Connection, key: &TupleKey, zookie: ZedToken) -> Result<bool, Failure> {
    let request = CheckPermissionRequest {
        consistency: Some(Consistency { requirement: Some(Requirement::AtLeastAsFresh(zookie)) }),
        resource: Some(object_to_wire(&key.resource)),
        permission: PERMISSION.to_owned(),
        subject: Some(subject_to_wire(&key.subject)),
        context: None,
        with_tracing: false,
    };
    let answer = node
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().check_permission(request).await }
        })
        .await?;
    Ok(answer.permissionship() == Permissionship::HasPermission)
}

fn connect(place: &NodePlace, key: &str) -> Result<Connection, Failure> {
    Connection::new(&[place.client.to_string()], &TrustArgs::default(), Some(key), CALL)
}

/// What to type next. The commands can be pasted as they are.
pub(super) fn print_next_steps(places: &[NodePlace], key: &str, example: bool) -> Result<(), Failure> {
    let endpoints: Vec<_> = places.iter().map(|place| place.client.to_string()).collect();
    let (first, all) = (endpoints.first().map_or("", String::as_str), endpoints.join(","));
    let program = std::env::args().next().unwrap_or_else(|| "quorate".to_owned());
    print_line(format_args!(
        "
Try this in another terminal:

  export QUORATE_KEY={key} QUORATE_ENDPOINT={all}
  {program} cluster status
  {program} schema read"
    ))?;
    if example {
        print_line(format_args!(
            "  {program} relationship read --resource-type document
  {program} permission check document:roadmap view user:ada      allowed: she owns the folder
  {program} permission check document:roadmap view user:ivo      denied: he is banned
  {program} relationship touch document:roadmap#viewer@user:emil"
        ))?;
    }
    if let Some(gateway) = places.first().and_then(|place| place.gateway) {
        print_line(format_args!(
            "  curl -s {gateway}/v1/schema/read -X POST -H 'Authorization: Bearer {key}'
  curl -s {gateway}/openapi.json"
        ))?;
    }
    if let Some(console) = places.first().and_then(|place| place.console) {
        print_line(format_args!("\nOpen http://{console}/ in a browser, with the key {key}"))?;
    }
    print_line(format_args!(
        "
Or with the official client of SpiceDB for Python (pip install authzed):

  from authzed.api.v1 import *
  from grpcutil import insecure_bearer_token_credentials

  client = Client(\"{first}\", insecure_bearer_token_credentials(\"{key}\"))
  print(client.CheckPermission(CheckPermissionRequest(
      resource=ObjectReference(object_type=\"document\", object_id=\"roadmap\"),
      permission=\"view\",
      subject=SubjectReference(object=ObjectReference(object_type=\"user\", object_id=\"ada\")),
      consistency=Consistency(fully_consistent=True),
  )))

Ctrl-C stops all nodes; the data is kept.
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_known_again_in_any_layout() {
        assert!(is_example(example::SCHEMA));
        assert!(is_example(&example::SCHEMA.replace('\n', "\n\n").replace("    ", "\t")));
        assert!(!is_example("definition user {}"));
    }
}
