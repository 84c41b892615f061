//! The side that is moved to: what is written there, and that it can be.

use std::sync::Arc;
use std::time::Duration;

use super::patience::Patience;
use super::source::Source;
use crate::cli::call_error::CallError;
use crate::cli::connection::{Connection, ConnectionArgs};
use crate::cli::failure::Failure;
use crate::cli::write_key::WriteKey;
use crate::consistency::Zookie;
use crate::model::limits;
use crate::schema::spicedb;
use crate::wire::authzed::v1::delete_relationships_response::DeletionProgress;
use crate::wire::authzed::v1::{
    DeleteRelationshipsRequest, RelationshipFilter, WriteRelationshipsRequest, WriteSchemaRequest,
};
use crate::wire::quorate::v1::{PlanSchemaRequest, PlanSchemaResponse};

/// For one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// For a stream.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3600);

/// The cluster that is moved to.
pub(super) struct Destination {
    cluster: Arc<Connection>,
    reader: Source,
    patience: Duration,
}

/// The types of a schema.
pub(super) fn types_of(schema: &str) -> Result<Vec<String>, Failure> {
    let schema = spicedb::parse(schema).map_err(|error| not_usable(&error.to_string()))?;
    Ok(schema.definitions.keys().map(ToString::to_string).collect())
}

fn not_usable(problem: &str) -> Failure {
    Failure::new(format!("the schema cannot be used here as it is: {problem}")).hint(
        "nothing was written; docs/compatibility.md lists what differs, and `quorate schema diff` judges a schema",
    )
}

impl Destination {
    pub(super) fn open(connection: &ConnectionArgs, patience: Duration) -> Result<Self, Failure> {
        let cluster = Arc::new(connection.open(CALL_TIMEOUT)?);
        let reader = Source::of(Arc::clone(&cluster), Arc::new(connection.open(STREAM_TIMEOUT)?));
        Ok(Self { cluster, reader, patience })
    }

    /// The same cluster, to read from.
    pub(super) fn reader(&self) -> &Source {
        &self.reader
    }

    /// What `schema` would change. An error if it cannot be used here, or if something stands in its way. Nothing is written.
    pub(super) async fn plan(&self, schema: &str) -> Result<PlanSchemaResponse, Failure> {
        // Judged here first: a text that this version does not understand needs no cluster to be refused.
        spicedb::parse(schema).map_err(|error| not_usable(&error.to_string()))?;
        let mut patience = Patience::new(self.patience);
        let plan = loop {
            let call = self.cluster.read(|node| {
                let request = PlanSchemaRequest { schema: schema.to_owned() };
                async move { node.schema_plans().plan_schema(request).await }
            });
            match call.await {
                Ok(plan) => break plan,
                Err(error) if error.reason().is_some_and(|reason| reason.starts_with("SCHEMA_")) => {
                    return Err(not_usable(error.message()));
                }
                Err(error) => patience.wait(error).await?,
            }
        };
        let Some(obstacle) = plan.obstacles.first() else { return Ok(plan) };
        let examples = obstacle.examples.first().map(|example| format!(", for example {example}")).unwrap_or_default();
        Err(Failure::new(format!("what the cluster holds is in the way of the schema: {}{examples}", obstacle.reason))
            .hint("nothing was written; use an empty cluster, or --replace to delete what is there first"))
    }

    /// The cluster's lineage, from a plan.
    pub(super) fn lineage(plan: &PlanSchemaResponse) -> Result<String, Failure> {
        let zookie = Zookie::decode(&plan.zookie)
            .map_err(|_| Failure::new("the destination does not answer as a node of Quorate does"))?;
        Ok(format!("{:016x}", zookie.lineage))
    }

    /// Writes `schema`, which was planned.
    pub(super) async fn write_schema(&self, schema: &str) -> Result<(), Failure> {
        let key = WriteKey::random();
        let mut patience = Patience::new(self.patience);
        loop {
            let call = self.cluster.write_once(&key, |node| {
                let request = WriteSchemaRequest { schema: schema.to_owned() };
                async move { node.schema().write_schema(request).await }
            });
            match call.await {
                Ok(_) => return Ok(()),
                Err(error) => patience.wait(error).await?,
            }
        }
    }

    /// Writes `request` under `key`, however often it has to be sent; the zookie. What it had to be sent again for is counted
    /// in `retries`.
    pub(super) async fn write(
        &self,
        key: &WriteKey,
        request: &WriteRelationshipsRequest,
        retries: &mut u64,
    ) -> Result<String, CallError> {
        let mut patience = Patience::new(self.patience);
        loop {
            let call = self.cluster.write_once(key, |node| {
                let request = request.clone();
                async move { node.permissions().write_relationships(request).await }
            });
            match call.await {
                Ok(answer) => {
                    *retries += patience.retries;
                    return Ok(answer.written_at.unwrap_or_default().token);
                }
                Err(error) => patience.wait(error).await?,
            }
        }
    }

    /// The types of the schema that is there, and one relationship if there is any.
    pub(super) async fn content(&self) -> Result<(Vec<String>, Option<String>), Failure> {
        let Some(head) = self.reader.head().await? else { return Ok((Vec::new(), None)) };
        let types = types_of(&head.schema)?;
        let mut pages = self.reader.export(&head.token, &types, None);
        let page = pages.next().await?;
        let first = page.and_then(|page| page.relationships.into_iter().next());
        Ok((types, first.map(|relationship| crate::cli::reference::Shown::of(relationship).to_string())))
    }

    /// Deletes every relationship of `types`; how many there were.
    pub(super) async fn clear(&self, types: &[String]) -> Result<u64, Failure> {
        let mut deleted = 0;
        for object_type in types {
            let request = DeleteRelationshipsRequest {
                relationship_filter: Some(RelationshipFilter {
                    resource_type: object_type.clone(),
                    ..RelationshipFilter::default()
                }),
                optional_limit: u32::try_from(limits::READ_LIMIT).expect("a thousand"),
                optional_allow_partial_deletions: true,
                ..DeleteRelationshipsRequest::default()
            };
            loop {
                let (progress, count) = self.delete(&request).await?;
                deleted += count;
                if progress != i32::from(DeletionProgress::Partial) {
                    break;
                }
            }
        }
        Ok(deleted)
    }

    async fn delete(&self, request: &DeleteRelationshipsRequest) -> Result<(i32, u64), Failure> {
        let key = WriteKey::random();
        let mut patience = Patience::new(self.patience);
        loop {
            let call = self.cluster.write_once(&key, |node| {
                let request = request.clone();
                async move { node.permissions().delete_relationships(request).await }
            });
            match call.await {
                Ok(answer) => return Ok((answer.deletion_progress, answer.relationships_deleted_count)),
                Err(error) => patience.wait(error).await?,
            }
        }
    }
}
