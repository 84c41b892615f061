//! Puts the schema and the world into a cluster, unless they are there, and waits until every node has them.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use tonic::Code;

use super::world::{Question, SCHEMA, World};
use crate::cli::call_error::CallError;
use crate::cli::connection::Connection;
use crate::cli::consistency::fully_consistent;
use crate::cli::failure::Failure;
use crate::cli::output::progress;
use crate::wire::authzed::v1::check_bulk_permissions_pair::Response;
use crate::wire::authzed::v1::check_permission_response::Permissionship;
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::relationship_update::Operation;
use crate::wire::authzed::v1::{
    CheckBulkPermissionsRequest, Consistency, ImportBulkRelationshipsRequest, ReadSchemaRequest, Relationship,
    RelationshipUpdate, WriteRelationshipsRequest, WriteSchemaRequest, ZedToken,
};

/// Relationships in one import, and in one of its messages.
const IMPORT: usize = 20_000;
const MESSAGE: usize = 1000;
/// Imports at the same time.
const IN_FLIGHT: usize = 4;
/// How long a node may take to have what the others have.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);
/// Items of the check of what was written.
const BULK: usize = 1000;

/// How loading went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loaded {
    pub(super) relationships: u64,
    pub(super) took: Duration,
}

/// Loads `world`; nothing if it is there already.
pub(super) async fn load(cluster: &Connection, world: &World) -> Result<Option<Loaded>, Failure> {
    write_schema(cluster).await?;
    if mark(cluster, world).await?.is_some() {
        return Ok(None);
    }
    let begun = Instant::now();
    let bar = progress(Some(world.size()));
    let mut source = world.relationships();
    let chunks = futures::stream::iter(std::iter::from_fn(|| {
        let chunk: Vec<Relationship> = source.by_ref().take(IMPORT).collect();
        (!chunk.is_empty()).then_some(chunk)
    }));
    let import = |chunk: Vec<Relationship>| {
        let bar = &bar;
        async move {
            let count = chunk.len() as u64;
            import(cluster, chunk).await.map(|()| bar.inc(count))
        }
    };
    let imports = chunks.map(import).buffer_unordered(IN_FLIGHT);
    imports.try_collect::<()>().await.map_err(|error: CallError| Failure::from(error).at("loading"))?;
    touch(cluster, &[world.mark()]).await?;
    bar.finish_and_clear();
    Ok(Some(Loaded { relationships: world.size(), took: begun.elapsed() }))
}

/// A zookie that sees the whole world, if it is there.
pub(super) async fn mark(cluster: &Connection, world: &World) -> Result<Option<ZedToken>, Failure> {
    let request = world.mark_question().to_check(fully_consistent());
    let answer = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().check_permission(request).await }
        })
        .await?;
    Ok((answer.permissionship() == Permissionship::HasPermission).then(|| answer.checked_at.unwrap_or_default()))
}

/// Waits until this node answers from a state that has the whole world, without being asked for it.
pub(super) async fn settle(node: &Connection, world: &World) -> Result<(), Failure> {
    let any = Consistency { requirement: Some(Requirement::MinimizeLatency(true)) };
    let request = world.mark_question().to_check(any);
    let begun = Instant::now();
    loop {
        let call = node.read(|node| {
            let request = request.clone();
            async move { node.permissions().check_permission(request).await }
        });
        let behind = match call.await {
            Ok(answer) if answer.permissionship() == Permissionship::HasPermission => return Ok(()),
            Ok(_) => Failure::new("a node does not have what was loaded"),
            Err(error) => error.into(),
        };
        if begun.elapsed() > PATIENCE {
            return Err(behind);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Which of these questions are answered otherwise than they should be, fully consistently.
pub(super) async fn wrong_answers(cluster: &Connection, questions: &[Question]) -> Result<Vec<Question>, Failure> {
    let mut wrong = Vec::new();
    for questions in questions.chunks(BULK) {
        let request = CheckBulkPermissionsRequest {
            consistency: Some(fully_consistent()),
            items: questions.iter().map(Question::to_item).collect(),
            with_tracing: false,
        };
        let answer = cluster
            .read(|node| {
                let request = request.clone();
                async move { node.permissions().check_bulk_permissions(request).await }
            })
            .await?;
        for (at, question) in questions.iter().enumerate() {
            let said = answer.pairs.get(at).and_then(|pair| pair.response.as_ref());
            let allowed =
                matches!(said, Some(Response::Item(item)) if item.permissionship() == Permissionship::HasPermission);
            if allowed != question.allowed {
                wrong.push(question.clone());
            }
        }
    }
    Ok(wrong)
}

/// Writes the schema where there is none. One that is another's stays: whoever has it has no use for this one.
async fn write_schema(cluster: &Connection) -> Result<(), Failure> {
    let read = cluster.read(|node| async move { node.schema().read_schema(ReadSchemaRequest {}).await }).await;
    match read {
        Ok(answer) if outline(&answer.schema_text) == outline(SCHEMA) => return Ok(()),
        Ok(_) => {
            return Err(Failure::new("the cluster has a schema of its own; a benchmark needs a cluster to itself"));
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    cluster
        .write(|node| async move { node.schema().write_schema(WriteSchemaRequest { schema: SCHEMA.to_owned() }).await })
        .await?;
    Ok(())
}

/// A schema without its layout and the order of its definitions: servers have their own.
fn outline(schema: &str) -> Vec<String> {
    let lines = schema.lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n");
    let definitions = text.split("definition ").map(|definition| definition.split_whitespace().collect::<String>());
    let mut definitions: Vec<String> = definitions.filter(|definition| !definition.is_empty()).collect();
    definitions.sort();
    definitions
}

async fn import(cluster: &Connection, relationships: Vec<Relationship>) -> Result<(), CallError> {
    let messages: Vec<ImportBulkRelationshipsRequest> = relationships
        .chunks(MESSAGE)
        .map(|part| ImportBulkRelationshipsRequest { relationships: part.to_vec() })
        .collect();
    let imported = cluster
        .write(|node| {
            let messages = messages.clone();
            async move { node.permissions().import_bulk_relationships(tokio_stream::iter(messages)).await }
        })
        .await;
    match imported {
        Ok(_) => Ok(()),
        // A part is there from an interrupted run, or may be; or the server takes no imports.
        Err(error) if error.outcome_unknown() || [Code::AlreadyExists, Code::Unimplemented].contains(&error.code()) => {
            touch(cluster, &relationships).await
        }
        Err(error) => Err(error),
    }
}

async fn touch(cluster: &Connection, relationships: &[Relationship]) -> Result<(), CallError> {
    for part in relationships.chunks(MESSAGE) {
        let update = |relationship: &Relationship| RelationshipUpdate {
            operation: Operation::Touch.into(),
            relationship: Some(relationship.clone()),
        };
        let request = WriteRelationshipsRequest { updates: part.iter().map(update).collect(), ..Default::default() };
        cluster
            .write(|node| {
                let request = request.clone();
                async move { node.permissions().write_relationships(request).await }
            })
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_known_again_in_another_layout() {
        let mut definitions: Vec<&str> = SCHEMA.split("\n\n").collect();
        definitions.reverse();
        let other = definitions.join("\n").replace("    ", "\t") + "\n// the end\n";
        assert_eq!(outline(&other), outline(SCHEMA));
        assert_ne!(outline(&other.replace("banned", "barred")), outline(SCHEMA));
    }
}
