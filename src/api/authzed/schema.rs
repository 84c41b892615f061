//! `authzed.api.v1.SchemaService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::call;
use super::convert::{
    from_computable, from_dependent, from_diff, from_reflection, to_consistency, to_reflection_filters, to_zed_token,
};
use crate::api::audit::what;
use crate::api::errors::to_status;
use crate::api::idempotency::{answer, idempotency_key};
use crate::audit::note_what;
use crate::service::{ComputableQuestion, Services, WriteSchema};
use crate::wire::authzed::v1::schema_service_server::SchemaService;
use crate::wire::authzed::v1::{
    ComputablePermissionsRequest, ComputablePermissionsResponse, DependentRelationsRequest, DependentRelationsResponse,
    DiffSchemaRequest, DiffSchemaResponse, ReadSchemaRequest, ReadSchemaResponse, ReflectSchemaRequest,
    ReflectSchemaResponse, WriteSchemaRequest, WriteSchemaResponse,
};

/// Serves the schema.
pub(in crate::api) struct Schema {
    services: Arc<Services>,
}

impl Schema {
    pub(in crate::api) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl SchemaService for Schema {
    async fn read_schema(&self, request: Request<ReadSchemaRequest>) -> Result<Response<ReadSchemaResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let answer = self.services.read_schema(call).await.map_err(to_status)?;
        Ok(Response::new(ReadSchemaResponse {
            schema_text: answer.text.as_ref().to_owned(),
            read_at: Some(to_zed_token(answer.zookie)),
        }))
    }

    async fn reflect_schema(
        &self,
        request: Request<ReflectSchemaRequest>,
    ) -> Result<Response<ReflectSchemaResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let request = request.into_inner();
        let consistency = to_consistency(request.consistency).map_err(to_status)?;
        let filters = to_reflection_filters(request.optional_filters);
        let answer = self.services.reflect_schema(call, &consistency, filters).await.map_err(to_status)?;
        Ok(Response::new(from_reflection(answer)))
    }

    async fn computable_permissions(
        &self,
        request: Request<ComputablePermissionsRequest>,
    ) -> Result<Response<ComputablePermissionsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let request = request.into_inner();
        let consistency = to_consistency(request.consistency).map_err(to_status)?;
        let question = ComputableQuestion {
            definition: request.definition_name,
            member: request.relation_name,
            definition_prefix: request.optional_definition_name_filter,
        };
        let answer = self.services.computable_permissions(call, &consistency, question).await.map_err(to_status)?;
        Ok(Response::new(from_computable(answer)))
    }

    async fn dependent_relations(
        &self,
        request: Request<DependentRelationsRequest>,
    ) -> Result<Response<DependentRelationsResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let DependentRelationsRequest { consistency, definition_name, permission_name } = request.into_inner();
        let consistency = to_consistency(consistency).map_err(to_status)?;
        let answer = self
            .services
            .dependent_relations(call, &consistency, definition_name, permission_name)
            .await
            .map_err(to_status)?;
        Ok(Response::new(from_dependent(answer)))
    }

    async fn diff_schema(&self, request: Request<DiffSchemaRequest>) -> Result<Response<DiffSchemaResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let DiffSchemaRequest { consistency, comparison_schema } = request.into_inner();
        let consistency = to_consistency(consistency).map_err(to_status)?;
        let answer = self.services.diff_schema(call, &consistency, comparison_schema).await.map_err(to_status)?;
        Ok(Response::new(from_diff(answer)))
    }

    async fn write_schema(
        &self,
        request: Request<WriteSchemaRequest>,
    ) -> Result<Response<WriteSchemaResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let key = idempotency_key(request.metadata())?;
        let new = WriteSchema { text: request.into_inner().schema, key };
        note_what(|| what::schema(&new.text, new.key.as_ref()));
        let written = self.services.write_schema(call, new).await.map_err(to_status)?;
        Ok(answer(WriteSchemaResponse { written_at: Some(to_zed_token(written.zookie)) }, written.replayed))
    }
}
