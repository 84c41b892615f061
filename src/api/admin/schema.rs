//! `quorate.v1.SchemaPlanService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::api::authzed::{call, from_change};
use crate::api::errors::to_status;
use crate::service::{Obstacle, SchemaPlan, Services};
use crate::wire::quorate::v1 as wire;
use crate::wire::quorate::v1::schema_plan_service_server::SchemaPlanService;

/// Says what a change of schema would do.
pub(in crate::api) struct SchemaPlanning {
    services: Arc<Services>,
}

impl SchemaPlanning {
    pub(in crate::api) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl SchemaPlanService for SchemaPlanning {
    async fn plan_schema(
        &self,
        request: Request<wire::PlanSchemaRequest>,
    ) -> Result<Response<wire::PlanSchemaResponse>, Status> {
        let call = call(&self.services, request.metadata());
        let plan = self.services.plan_schema(call, request.into_inner().schema).await.map_err(to_status)?;
        Ok(Response::new(from_plan(plan)))
    }
}

fn from_plan(plan: SchemaPlan) -> wire::PlanSchemaResponse {
    wire::PlanSchemaResponse {
        changes: plan.changes.into_iter().map(from_change).collect(),
        obstacles: plan.obstacles.into_iter().map(from_obstacle).collect(),
        incomplete: plan.incomplete,
        zookie: plan.zookie.encode(),
    }
}

fn from_obstacle(obstacle: Obstacle) -> wire::SchemaObstacle {
    wire::SchemaObstacle {
        reason: obstacle.reason,
        relationships: obstacle.relationships,
        examples: obstacle.examples.iter().map(ToString::to_string).collect(),
    }
}
