//! The schema as data: what it defines, how it differs from another one, what depends on what.

use std::sync::Arc;

use super::{Call, Consistency, Services};
use crate::consistency::Zookie;
use crate::model::Error;
use crate::schema::{
    MemberRef, Reflection, ReflectionFilter, Schema, SchemaChange, computable, dependencies, diff, reflect, spicedb,
};

/// An answer about the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReflectionAnswer<T> {
    /// What it is.
    pub answer: T,
    /// The state that it was made from.
    pub zookie: Zookie,
}

/// Whose relations and permissions are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComputableQuestion {
    /// The definition of the subjects.
    pub definition: String,
    /// The member that they have; empty for the objects themselves.
    pub member: String,
    /// What the names of the definitions in the answer begin with.
    pub definition_prefix: String,
}

impl Services {
    /// What the schema defines. Nothing where there is none.
    pub async fn reflect_schema(
        &self,
        call: Call,
        consistency: &Consistency,
        filters: Vec<ReflectionFilter>,
    ) -> Result<ReflectionAnswer<Reflection>, Error> {
        self.about_schema(call, consistency, move |schema| reflect(schema, &filters)).await
    }

    /// What would change from the schema to the one in `text`, which is not asked to hold together.
    pub async fn diff_schema(
        &self,
        call: Call,
        consistency: &Consistency,
        text: String,
    ) -> Result<ReflectionAnswer<Vec<SchemaChange>>, Error> {
        self.about_schema(call, consistency, move |schema| diff(schema, &spicedb::parse_unjudged(&text)?)).await
    }

    /// Which relations and permissions subjects of a kind can have.
    pub async fn computable_permissions(
        &self,
        call: Call,
        consistency: &Consistency,
        question: ComputableQuestion,
    ) -> Result<ReflectionAnswer<Vec<MemberRef>>, Error> {
        let ComputableQuestion { definition, member, definition_prefix } = question;
        self.about_schema(call, consistency, move |schema| computable(schema, &definition, &member, &definition_prefix))
            .await
    }

    /// What a permission is computed from.
    pub async fn dependent_relations(
        &self,
        call: Call,
        consistency: &Consistency,
        definition: String,
        permission: String,
    ) -> Result<ReflectionAnswer<Vec<MemberRef>>, Error> {
        self.about_schema(call, consistency, move |schema| dependencies(schema, &definition, &permission)).await
    }

    async fn about_schema<T: Send + 'static>(
        &self,
        call: Call,
        consistency: &Consistency,
        answer: impl FnOnce(&Schema) -> Result<T, Error> + Send + 'static,
    ) -> Result<ReflectionAnswer<T>, Error> {
        let view = self.view(call, self.requirement(consistency)?).await?;
        let zookie = self.zookie(view.revision())?;
        let schemas = Arc::clone(&self.schemas);
        let run = move || answer(schemas.of(call.store, view.as_ref())?.schema());
        Ok(ReflectionAnswer { answer: self.pool.run(call.deadline, run).await?, zookie })
    }
}
