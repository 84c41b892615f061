//! `authzed.api.v1.SchemaService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::call;
use super::convert::to_zed_token;
use crate::api::errors::to_status;
use crate::service::Services;
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
        _: Request<ReflectSchemaRequest>,
    ) -> Result<Response<ReflectSchemaResponse>, Status> {
        Err(Status::unimplemented("not served yet"))
    }

    async fn computable_permissions(
        &self,
        _: Request<ComputablePermissionsRequest>,
    ) -> Result<Response<ComputablePermissionsResponse>, Status> {
        Err(Status::unimplemented("not served yet"))
    }

    async fn dependent_relations(
        &self,
        _: Request<DependentRelationsRequest>,
    ) -> Result<Response<DependentRelationsResponse>, Status> {
        Err(Status::unimplemented("not served yet"))
    }

    async fn diff_schema(&self, _: Request<DiffSchemaRequest>) -> Result<Response<DiffSchemaResponse>, Status> {
        Err(Status::unimplemented("not served yet"))
    }

    async fn write_schema(
        &self,
        request: Request<WriteSchemaRequest>,
    ) -> Result<Response<WriteSchemaResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let zookie = self.services.write_schema(call, request.into_inner().schema).await.map_err(to_status)?;
        Ok(Response::new(WriteSchemaResponse { written_at: Some(to_zed_token(zookie)) }))
    }
}
