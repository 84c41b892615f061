//! `authzed.api.v1.PermissionsService`.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::{call, convert, long_call};
use crate::api::audit::what;
use crate::api::errors::to_status;
use crate::api::idempotency::{answer, idempotency_key, refuse_key};
use crate::api::raised::respond;
use crate::audit::{note_answer, note_what};
use crate::model::Error;
use crate::service::Services;
use crate::wire::authzed::v1::permissions_service_server::PermissionsService;
use crate::wire::authzed::v1::{
    CheckBulkPermissionsRequest, CheckBulkPermissionsResponse, CheckPermissionRequest, CheckPermissionResponse,
    DeleteRelationshipsRequest, DeleteRelationshipsResponse, ExpandPermissionTreeRequest, ExpandPermissionTreeResponse,
    ExportBulkRelationshipsRequest, ExportBulkRelationshipsResponse, ImportBulkRelationshipsRequest,
    ImportBulkRelationshipsResponse, LookupResourcesRequest, LookupResourcesResponse, LookupSubjectsRequest,
    LookupSubjectsResponse, ReadRelationshipsRequest, ReadRelationshipsResponse, WriteRelationshipsRequest,
    WriteRelationshipsResponse,
};

/// Serves relationships and checks.
pub(in crate::api) struct Permissions {
    services: Arc<Services>,
}

impl Permissions {
    pub(in crate::api) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// An import, whatever the name of its messages was.
    pub(super) async fn import(
        &self,
        metadata: &MetadataMap,
        messages: impl Stream<Item = Result<ImportBulkRelationshipsRequest, Status>> + Send,
    ) -> Result<ImportBulkRelationshipsResponse, Status> {
        refuse_key(metadata)?;
        let mut seen = what::Bounded::default();
        let batches = messages.map(convert::to_import).inspect(move |batch| {
            note_what(|| {
                batch.iter().flatten().for_each(|tuple| seen.add(|| format!("create {}", what::tuple(tuple))));
                seen.to_value("relationships")
            });
        });
        let num_loaded = self.services.import_tuples(long_call(metadata), batches).await.map_err(to_status)?;
        Ok(ImportBulkRelationshipsResponse { num_loaded })
    }
}

#[tonic::async_trait]
impl PermissionsService for Permissions {
    type ReadRelationshipsStream = BoxStream<'static, Result<ReadRelationshipsResponse, Status>>;

    async fn read_relationships(
        &self,
        request: Request<ReadRelationshipsRequest>,
    ) -> Result<Response<Self::ReadRelationshipsStream>, Status> {
        let call = call(&self.services, request.metadata());
        let read = convert::to_read(request.into_inner()).map_err(to_status)?;
        note_what(|| what::read(&read.filter));
        let answer = self.services.read_tuples(call, read).await.map_err(to_status)?;
        let (zookie, rows) = (answer.zookie, answer.pages);
        Ok(respond(one_by_one(rows, move |row| convert::from_read(zookie, row)), answer.raised.as_ref()))
    }

    async fn write_relationships(
        &self,
        request: Request<WriteRelationshipsRequest>,
    ) -> Result<Response<WriteRelationshipsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let key = idempotency_key(request.metadata())?;
        let write = convert::to_write(request.into_inner(), key).map_err(to_status)?;
        note_what(|| what::write(&write));
        let written = self.services.write_tuples(call, write).await.map_err(to_status)?;
        Ok(answer(convert::from_write(written.zookie), written.replayed))
    }

    async fn delete_relationships(
        &self,
        request: Request<DeleteRelationshipsRequest>,
    ) -> Result<Response<DeleteRelationshipsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let key = idempotency_key(request.metadata())?;
        let delete = convert::to_delete(request.into_inner(), key).map_err(to_status)?;
        note_what(|| what::delete(&delete));
        let deleted = self.services.delete_tuples(call, delete).await.map_err(to_status)?;
        note_answer(|| json!({ "deleted": deleted.count, "partial": deleted.partial }));
        Ok(answer(convert::from_delete(deleted), deleted.replayed))
    }

    async fn check_permission(
        &self,
        request: Request<CheckPermissionRequest>,
    ) -> Result<Response<CheckPermissionResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let request = request.into_inner();
        let explain = convert::to_explain(request.with_tracing);
        let (consistency, question) = convert::to_check(request).map_err(to_status)?;
        note_what(|| what::check(&question));
        let answer = self.services.check(call, &consistency, question, explain).await.map_err(to_status)?;
        note_answer(|| what::decision(&answer.answer.decision).into());
        let raised = answer.raised.clone();
        Ok(respond(convert::from_check(answer), raised.as_ref()))
    }

    async fn expand_permission_tree(
        &self,
        request: Request<ExpandPermissionTreeRequest>,
    ) -> Result<Response<ExpandPermissionTreeResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let (consistency, resource, permission) = convert::to_expand(request.into_inner()).map_err(to_status)?;
        note_what(|| json!({ "expand": format!("{resource}#{permission}") }));
        let answer = self.services.expand(call, &consistency, resource, permission).await.map_err(to_status)?;
        let raised = answer.raised.clone();
        Ok(respond(convert::from_expand(answer), raised.as_ref()))
    }

    type LookupResourcesStream = BoxStream<'static, Result<LookupResourcesResponse, Status>>;

    async fn lookup_resources(
        &self,
        request: Request<LookupResourcesRequest>,
    ) -> Result<Response<Self::LookupResourcesStream>, Status> {
        let call = call(&self.services, request.metadata());
        let lookup = convert::to_lookup_resources(request.into_inner()).map_err(to_status)?;
        note_what(|| what::resources(&lookup.question));
        let answer = self.services.lookup_resources(call, lookup).await.map_err(to_status)?;
        let (zookie, found) = (answer.zookie, answer.batches);
        let results = one_by_one(found, move |found| convert::from_lookup_resources(zookie, found));
        Ok(respond(results, answer.raised.as_ref()))
    }

    type LookupSubjectsStream = BoxStream<'static, Result<LookupSubjectsResponse, Status>>;

    async fn lookup_subjects(
        &self,
        request: Request<LookupSubjectsRequest>,
    ) -> Result<Response<Self::LookupSubjectsStream>, Status> {
        let call = call(&self.services, request.metadata());
        let lookup = convert::to_lookup_subjects(request.into_inner()).map_err(to_status)?;
        note_what(|| what::subjects(&lookup.question));
        let answer = self.services.lookup_subjects(call, lookup).await.map_err(to_status)?;
        let (zookie, found) = (answer.zookie, answer.batches);
        let results = one_by_one(found, move |found| convert::from_lookup_subjects(zookie, found));
        Ok(respond(results, answer.raised.as_ref()))
    }

    async fn import_bulk_relationships(
        &self,
        request: Request<Streaming<ImportBulkRelationshipsRequest>>,
    ) -> Result<Response<ImportBulkRelationshipsResponse>, Status> {
        let (metadata, _, messages) = request.into_parts();
        Ok(Response::new(self.import(&metadata, messages).await?))
    }

    type ExportBulkRelationshipsStream = BoxStream<'static, Result<ExportBulkRelationshipsResponse, Status>>;

    async fn export_bulk_relationships(
        &self,
        request: Request<ExportBulkRelationshipsRequest>,
    ) -> Result<Response<Self::ExportBulkRelationshipsStream>, Status> {
        let call = call(&self.services, request.metadata());
        let export = convert::to_export(request.into_inner()).map_err(to_status)?;
        note_what(|| what::export(export.filter.as_ref()));
        let answer = self.services.export_tuples(call, export).await.map_err(to_status)?;
        let responses = ReceiverStream::new(answer.pages).map(|page| page.map(convert::from_export).map_err(to_status));
        Ok(respond(responses.boxed(), answer.raised.as_ref()))
    }

    async fn check_bulk_permissions(
        &self,
        request: Request<CheckBulkPermissionsRequest>,
    ) -> Result<Response<CheckBulkPermissionsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let request = request.into_inner();
        let explain = convert::to_explain(request.with_tracing);
        let (consistency, questions) =
            convert::to_bulk_check(request.consistency, &request.items).map_err(to_status)?;
        note_what(|| what::checks(&questions));
        let answer = self.services.check_bulk(call, &consistency, questions, explain).await.map_err(to_status)?;
        note_answer(|| what::decisions(&answer.answers));
        let raised = answer.raised.clone();
        Ok(respond(convert::from_bulk_check(request.items, answer), raised.as_ref()))
    }
}

/// A stream of batches as one of messages.
fn one_by_one<T: Send + 'static, M: Send + 'static>(
    batches: mpsc::Receiver<Result<Vec<T>, Error>>,
    to_message: impl Fn(T) -> M + Send + 'static,
) -> BoxStream<'static, Result<M, Status>> {
    let messages = ReceiverStream::new(batches).flat_map(move |batch| {
        stream::iter(match batch {
            Ok(batch) => batch.into_iter().map(|item| Ok(to_message(item))).collect(),
            Err(error) => vec![Err(to_status(error))],
        })
    });
    messages.boxed()
}
