//! `quorate.v1.SchemaPlanService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::api::authzed::{call, from_change};
use crate::api::errors::to_status;
use crate::schema::SchemaChange;
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
        changes: plan.changes.into_iter().map(from_planned).collect(),
        obstacles: plan.obstacles.into_iter().map(from_obstacle).collect(),
        incomplete: plan.incomplete,
        zookie: plan.zookie.encode(),
    }
}

fn from_planned(change: SchemaChange) -> wire::PlannedChange {
    let subject_type = match &change {
        SchemaChange::SubjectTypeAdded(_, allowed) | SchemaChange::SubjectTypeRemoved(_, allowed) => {
            allowed.to_string()
        }
        SchemaChange::DefinitionAdded(_)
        | SchemaChange::DefinitionRemoved(_)
        | SchemaChange::DefinitionCommentChanged(_)
        | SchemaChange::RelationAdded(_)
        | SchemaChange::RelationRemoved(_)
        | SchemaChange::RelationCommentChanged(_)
        | SchemaChange::PermissionAdded(_)
        | SchemaChange::PermissionRemoved(_)
        | SchemaChange::PermissionCommentChanged(_)
        | SchemaChange::PermissionExpressionChanged(_)
        | SchemaChange::CaveatAdded(_)
        | SchemaChange::CaveatRemoved(_)
        | SchemaChange::CaveatCommentChanged(_)
        | SchemaChange::CaveatExpressionChanged(_)
        | SchemaChange::ParameterAdded(_)
        | SchemaChange::ParameterRemoved(_)
        | SchemaChange::ParameterTypeChanged { .. } => String::new(),
    };
    wire::PlannedChange { change: Some(from_change(change)), subject_type }
}

fn from_obstacle(obstacle: Obstacle) -> wire::SchemaObstacle {
    wire::SchemaObstacle {
        reason: obstacle.reason,
        relationships: obstacle.relationships,
        examples: obstacle.examples.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{diff, spicedb};

    #[test]
    fn a_subject_type_is_told_with_its_traits() {
        let schema = |types: &str| {
            let text = format!("use expiration definition user {{}} definition vault {{ relation keeper: {types} }}");
            spicedb::parse(&text).expect("valid")
        };
        let (old, new) = (schema("user | user with expiration"), schema("user | user:*"));
        let changes = diff(&old, &new).expect("few").into_iter().map(from_planned);
        let mut told: Vec<_> = changes.map(|planned| (planned.change.is_some(), planned.subject_type)).collect();
        told.sort();
        assert_eq!(told, [(true, "user with expiration".to_owned()), (true, "user:*".to_owned())]);
    }
}
