//! `authzed.api.v1.ExperimentalService`: relationship counters, and the earlier names of what other services serve now.
//!
//! An earlier name has messages of its own with the same fields under the same numbers, so a request is passed on, and its
//! answer given back, by its bytes. Nothing is converted or decided twice.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::permissions::Permissions;
use super::schema::Schema;
use super::{call, convert};
use crate::api::audit::what;
use crate::api::errors::to_status;
use crate::api::idempotency::{answer, idempotency_key};
use crate::audit::note_what;
use crate::model::{Error, ErrorCode};
use crate::service::Services;
use crate::wire::authzed::v1::experimental_service_server::ExperimentalService;
use crate::wire::authzed::v1::permissions_service_server::PermissionsService as _;
use crate::wire::authzed::v1::schema_service_server::SchemaService as _;
use crate::wire::authzed::v1::{
    BulkCheckPermissionRequest, BulkCheckPermissionResponse, BulkExportRelationshipsRequest,
    BulkExportRelationshipsResponse, BulkImportRelationshipsRequest, BulkImportRelationshipsResponse,
    ExperimentalComputablePermissionsRequest, ExperimentalComputablePermissionsResponse,
    ExperimentalCountRelationshipsRequest, ExperimentalCountRelationshipsResponse,
    ExperimentalDependentRelationsRequest, ExperimentalDependentRelationsResponse, ExperimentalDiffSchemaRequest,
    ExperimentalDiffSchemaResponse, ExperimentalReflectSchemaRequest, ExperimentalReflectSchemaResponse,
    ExperimentalRegisterRelationshipCounterRequest, ExperimentalRegisterRelationshipCounterResponse,
    ExperimentalUnregisterRelationshipCounterRequest, ExperimentalUnregisterRelationshipCounterResponse,
};

/// Serves counters and earlier names.
pub(in crate::api) struct Experimental {
    services: Arc<Services>,
    permissions: Permissions,
    schema: Schema,
}

impl Experimental {
    pub(in crate::api) fn new(services: Arc<Services>) -> Self {
        let (permissions, schema) = (Permissions::new(Arc::clone(&services)), Schema::new(Arc::clone(&services)));
        Self { services, permissions, schema }
    }
}

/// The same message under its other name.
fn twin<A: Message, B: Message + Default>(message: &A) -> Result<B, Status> {
    B::decode(message.encode_to_vec().as_slice()).map_err(|error| {
        to_status(Error::new(ErrorCode::Internal, format!("a message and its earlier name differ: {error}")))
    })
}

/// The same request under its other name, with its metadata.
fn twin_request<A: Message, B: Message + Default>(request: Request<A>) -> Result<Request<B>, Status> {
    let (metadata, extensions, message) = request.into_parts();
    Ok(Request::from_parts(metadata, extensions, twin(&message)?))
}

/// The same response under its other name.
fn twin_response<A: Message, B: Message + Default>(response: Response<A>) -> Result<Response<B>, Status> {
    let (metadata, message, extensions) = response.into_parts();
    Ok(Response::from_parts(metadata, twin(&message)?, extensions))
}

#[tonic::async_trait]
impl ExperimentalService for Experimental {
    async fn bulk_import_relationships(
        &self,
        request: Request<Streaming<BulkImportRelationshipsRequest>>,
    ) -> Result<Response<BulkImportRelationshipsResponse>, Status> {
        let (metadata, _, messages) = request.into_parts();
        let messages = messages.map(|message| twin(&message?));
        Ok(Response::new(twin(&self.permissions.import(&metadata, messages).await?)?))
    }

    type BulkExportRelationshipsStream = BoxStream<'static, Result<BulkExportRelationshipsResponse, Status>>;

    async fn bulk_export_relationships(
        &self,
        request: Request<BulkExportRelationshipsRequest>,
    ) -> Result<Response<Self::BulkExportRelationshipsStream>, Status> {
        let pages = self.permissions.export_bulk_relationships(twin_request(request)?).await?;
        Ok(pages.map(|pages| pages.map(|page| twin(&page?)).boxed()))
    }

    async fn bulk_check_permission(
        &self,
        request: Request<BulkCheckPermissionRequest>,
    ) -> Result<Response<BulkCheckPermissionResponse>, Status> {
        twin_response(self.permissions.check_bulk_permissions(twin_request(request)?).await?)
    }

    async fn experimental_reflect_schema(
        &self,
        request: Request<ExperimentalReflectSchemaRequest>,
    ) -> Result<Response<ExperimentalReflectSchemaResponse>, Status> {
        twin_response(self.schema.reflect_schema(twin_request(request)?).await?)
    }

    async fn experimental_computable_permissions(
        &self,
        request: Request<ExperimentalComputablePermissionsRequest>,
    ) -> Result<Response<ExperimentalComputablePermissionsResponse>, Status> {
        twin_response(self.schema.computable_permissions(twin_request(request)?).await?)
    }

    async fn experimental_dependent_relations(
        &self,
        request: Request<ExperimentalDependentRelationsRequest>,
    ) -> Result<Response<ExperimentalDependentRelationsResponse>, Status> {
        twin_response(self.schema.dependent_relations(twin_request(request)?).await?)
    }

    async fn experimental_diff_schema(
        &self,
        request: Request<ExperimentalDiffSchemaRequest>,
    ) -> Result<Response<ExperimentalDiffSchemaResponse>, Status> {
        twin_response(self.schema.diff_schema(twin_request(request)?).await?)
    }

    async fn experimental_register_relationship_counter(
        &self,
        request: Request<ExperimentalRegisterRelationshipCounterRequest>,
    ) -> Result<Response<ExperimentalRegisterRelationshipCounterResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let key = idempotency_key(request.metadata())?;
        let (name, filter) = convert::to_counter(request.into_inner()).map_err(to_status)?;
        note_what(|| what::counter(name.as_str(), Some(&filter), key.as_ref()));
        let written = self.services.register_counter(call, name, filter, key).await.map_err(to_status)?;
        Ok(answer(ExperimentalRegisterRelationshipCounterResponse {}, written.replayed))
    }

    async fn experimental_count_relationships(
        &self,
        request: Request<ExperimentalCountRelationshipsRequest>,
    ) -> Result<Response<ExperimentalCountRelationshipsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let name = convert::to_counter_name(&request.into_inner().name).map_err(to_status)?;
        let count = self.services.count_tuples(call, name).await.map_err(to_status)?;
        Ok(Response::new(convert::from_count(count)))
    }

    async fn experimental_unregister_relationship_counter(
        &self,
        request: Request<ExperimentalUnregisterRelationshipCounterRequest>,
    ) -> Result<Response<ExperimentalUnregisterRelationshipCounterResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let key = idempotency_key(request.metadata())?;
        let name = convert::to_counter_name(&request.into_inner().name).map_err(to_status)?;
        note_what(|| what::counter(name.as_str(), None, key.as_ref()));
        let written = self.services.unregister_counter(call, name, key).await.map_err(to_status)?;
        Ok(answer(ExperimentalUnregisterRelationshipCounterResponse {}, written.replayed))
    }
}
