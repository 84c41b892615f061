//! The side that is moved from: what is asked of it, in the calls of `authzed.api.v1` that every SpiceDB has.
//!
//! It only reads. What becomes of the answers is no concern of it.

mod args;
mod export;
mod problem;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tonic::Streaming;

pub(super) use args::SourceArgs;
pub(super) use export::{Page, Pages, Place};
pub(super) use problem::problem;

use crate::cli::call_error::CallError;
use crate::cli::connection::Connection;
use crate::cli::failure::Failure;
use crate::cli::trust::TrustArgs;
use crate::wire::authzed::v1::consistency::Requirement;
use crate::wire::authzed::v1::{
    CheckBulkPermissionsRequest, CheckBulkPermissionsRequestItem, CheckBulkPermissionsResponse, Consistency,
    ReadRelationshipsRequest, ReadSchemaRequest, Relationship, RelationshipFilter, WatchKind, WatchRequest,
    WatchResponse, ZedToken,
};

/// For a call with one answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// For a stream; then it is opened again where it stood.
const STREAM_TIMEOUT: Duration = Duration::from_secs(3600);

/// What the newest state is, and its schema.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) schema: Arc<str>,
    pub(super) token: String,
    /// When it was asked for; it is no older.
    pub(super) asked: Instant,
}

/// One side of a migration, to read from.
#[derive(Clone)]
pub(super) struct Source {
    calls: Arc<Connection>,
    streams: Arc<Connection>,
}

/// Exactly the state that `token` names.
pub(super) fn exactly(token: &str) -> Consistency {
    Consistency { requirement: Some(Requirement::AtExactSnapshot(ZedToken { token: token.to_owned() })) }
}

/// The newest state.
pub(super) fn newest() -> Consistency {
    Consistency { requirement: Some(Requirement::FullyConsistent(true)) }
}

impl Source {
    pub(super) fn new(endpoint: &str, trust: &TrustArgs, key: Option<&str>) -> Result<Self, Failure> {
        let open = |timeout| Connection::new(&[endpoint.to_owned()], trust, key, timeout).map(Arc::new);
        Ok(Self { calls: open(CALL_TIMEOUT)?, streams: open(STREAM_TIMEOUT)? })
    }

    /// The cluster itself, read from as a source is.
    pub(super) fn of(calls: Arc<Connection>, streams: Arc<Connection>) -> Self {
        Self { calls, streams }
    }

    /// The newest schema and a token of the newest state; `None` where no schema was ever written.
    pub(super) async fn head(&self) -> Result<Option<Head>, CallError> {
        let asked = Instant::now();
        let call = self.calls.read(|node| async move { node.schema().read_schema(ReadSchemaRequest {}).await });
        match call.await {
            Ok(answer) => {
                let token = answer.read_at.unwrap_or_default().token;
                Ok(Some(Head { schema: answer.schema_text.into(), token, asked }))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All relationships at exactly `token`, of these types, from `place` on.
    pub(super) fn export(&self, token: &str, types: &[String], place: Option<Place>) -> Pages {
        Pages::new(Arc::clone(&self.streams), token, types, place)
    }

    /// Changes after `token`, transaction by transaction. It may take until the first one for this to return.
    pub(super) async fn watch(&self, token: &str) -> Result<Streaming<WatchResponse>, CallError> {
        let kinds =
            [WatchKind::IncludeRelationshipUpdates, WatchKind::IncludeSchemaUpdates, WatchKind::IncludeCheckpoints];
        let request = WatchRequest {
            optional_start_cursor: Some(ZedToken { token: token.to_owned() }),
            optional_update_kinds: kinds.map(i32::from).to_vec(),
            ..WatchRequest::default()
        };
        self.streams
            .read(|node| {
                let request = request.clone();
                async move { node.watches().watch(request).await }
            })
            .await
    }

    /// Fails with OUT_OF_RANGE where the state at `token` is not kept any more. Some databases below SpiceDB then start a watch
    /// all the same, and leave out what they have forgotten.
    pub(super) async fn probe(&self, token: &str, object_type: &str) -> Result<(), CallError> {
        let request = ReadRelationshipsRequest {
            consistency: Some(exactly(token)),
            relationship_filter: Some(RelationshipFilter {
                resource_type: object_type.to_owned(),
                ..RelationshipFilter::default()
            }),
            optional_limit: 1,
            optional_cursor: None,
        };
        self.read(request, |_| ()).await
    }

    /// What matches `filter` in the newest state, at most `limit`.
    pub(super) async fn find(&self, filter: RelationshipFilter, limit: u32) -> Result<Vec<Relationship>, CallError> {
        let request = ReadRelationshipsRequest {
            consistency: Some(newest()),
            relationship_filter: Some(filter),
            optional_limit: limit,
            optional_cursor: None,
        };
        let mut found = Vec::new();
        self.read(request, |relationship| found.push(relationship)).await?;
        Ok(found)
    }

    async fn read(
        &self,
        request: ReadRelationshipsRequest,
        mut each: impl FnMut(Relationship),
    ) -> Result<(), CallError> {
        let mut stream = self
            .calls
            .read(|node| {
                let request = request.clone();
                async move { node.permissions().read_relationships(request).await }
            })
            .await?;
        while let Some(item) = stream.message().await.map_err(CallError::in_stream)? {
            each(item.relationship.unwrap_or_default());
        }
        Ok(())
    }

    /// Many checks in the newest state.
    pub(super) async fn check(
        &self,
        items: Vec<CheckBulkPermissionsRequestItem>,
    ) -> Result<CheckBulkPermissionsResponse, CallError> {
        let request = CheckBulkPermissionsRequest { consistency: Some(newest()), items, with_tracing: false };
        self.calls
            .read(|node| {
                let request = request.clone();
                async move { node.permissions().check_bulk_permissions(request).await }
            })
            .await
    }
}
