//! The schema as data: filters in, shapes out.

use super::responses::to_zed_token;
use crate::schema::{
    Allowed, AllowedSubject, CaveatShape, DefinitionShape, MemberRef, ParameterShape, PermissionShape, Reflection,
    ReflectionFilter, RelationShape, SchemaChange,
};
use crate::service::ReflectionAnswer;
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::reflection_schema_diff::Diff;
use crate::wire::authzed::v1::reflection_type_reference::Typeref;

/// What a client wants to see.
pub(in crate::api::authzed) fn to_reflection_filters(
    filters: Vec<wire::ReflectionSchemaFilter>,
) -> Vec<ReflectionFilter> {
    let filters = filters.into_iter().map(|filter| ReflectionFilter {
        definition: filter.optional_definition_name_filter,
        caveat: filter.optional_caveat_name_filter,
        relation: filter.optional_relation_name_filter,
        permission: filter.optional_permission_name_filter,
    });
    filters.collect()
}

/// What a schema defines.
pub(in crate::api::authzed) fn from_reflection(answer: ReflectionAnswer<Reflection>) -> wire::ReflectSchemaResponse {
    let Reflection { definitions, caveats } = answer.answer;
    wire::ReflectSchemaResponse {
        definitions: definitions.into_iter().map(definition).collect(),
        caveats: caveats.into_iter().map(caveat).collect(),
        read_at: Some(to_zed_token(answer.zookie)),
    }
}

/// What changes.
pub(in crate::api::authzed) fn from_diff(answer: ReflectionAnswer<Vec<SchemaChange>>) -> wire::DiffSchemaResponse {
    wire::DiffSchemaResponse {
        diffs: answer.answer.into_iter().map(from_change).collect(),
        read_at: Some(to_zed_token(answer.zookie)),
    }
}

/// What subjects can have.
pub(in crate::api::authzed) fn from_computable(
    answer: ReflectionAnswer<Vec<MemberRef>>,
) -> wire::ComputablePermissionsResponse {
    wire::ComputablePermissionsResponse {
        permissions: answer.answer.into_iter().map(reference).collect(),
        read_at: Some(to_zed_token(answer.zookie)),
    }
}

/// What a permission is computed from.
pub(in crate::api::authzed) fn from_dependent(
    answer: ReflectionAnswer<Vec<MemberRef>>,
) -> wire::DependentRelationsResponse {
    wire::DependentRelationsResponse {
        relations: answer.answer.into_iter().map(reference).collect(),
        read_at: Some(to_zed_token(answer.zookie)),
    }
}

fn reference(member: MemberRef) -> wire::ReflectionRelationReference {
    wire::ReflectionRelationReference {
        definition_name: member.definition.into(),
        relation_name: member.name.into(),
        is_permission: member.is_permission,
    }
}

/// One change.
pub(in crate::api) fn from_change(change: SchemaChange) -> wire::ReflectionSchemaDiff {
    let diff = match change {
        SchemaChange::DefinitionAdded(it) => Diff::DefinitionAdded(definition(it)),
        SchemaChange::DefinitionRemoved(it) => Diff::DefinitionRemoved(definition(it)),
        SchemaChange::DefinitionCommentChanged(it) => Diff::DefinitionDocCommentChanged(definition(it)),
        SchemaChange::RelationAdded(it) => Diff::RelationAdded(relation(it)),
        SchemaChange::RelationRemoved(it) => Diff::RelationRemoved(relation(it)),
        SchemaChange::RelationCommentChanged(it) => Diff::RelationDocCommentChanged(relation(it)),
        SchemaChange::SubjectTypeAdded(it, allowed) => Diff::RelationSubjectTypeAdded(subject_type_change(it, allowed)),
        SchemaChange::SubjectTypeRemoved(it, allowed) => {
            Diff::RelationSubjectTypeRemoved(subject_type_change(it, allowed))
        }
        SchemaChange::PermissionAdded(it) => Diff::PermissionAdded(permission(it)),
        SchemaChange::PermissionRemoved(it) => Diff::PermissionRemoved(permission(it)),
        SchemaChange::PermissionCommentChanged(it) => Diff::PermissionDocCommentChanged(permission(it)),
        SchemaChange::PermissionExpressionChanged(it) => Diff::PermissionExprChanged(permission(it)),
        SchemaChange::CaveatAdded(it) => Diff::CaveatAdded(caveat(it)),
        SchemaChange::CaveatRemoved(it) => Diff::CaveatRemoved(caveat(it)),
        SchemaChange::CaveatCommentChanged(it) => Diff::CaveatDocCommentChanged(caveat(it)),
        SchemaChange::CaveatExpressionChanged(it) => Diff::CaveatExprChanged(caveat(it)),
        SchemaChange::ParameterAdded(it) => Diff::CaveatParameterAdded(parameter(it)),
        SchemaChange::ParameterRemoved(it) => Diff::CaveatParameterRemoved(parameter(it)),
        SchemaChange::ParameterTypeChanged { parameter: it, previous_type } => {
            let parameter = Some(parameter(it));
            Diff::CaveatParameterTypeChanged(wire::ReflectionCaveatParameterTypeChange { parameter, previous_type })
        }
    };
    wire::ReflectionSchemaDiff { diff: Some(diff) }
}

fn subject_type_change(it: RelationShape, allowed: Allowed) -> wire::ReflectionRelationSubjectTypeChange {
    wire::ReflectionRelationSubjectTypeChange {
        relation: Some(relation(it)),
        changed_subject_type: Some(type_reference(allowed)),
    }
}

fn definition(it: DefinitionShape) -> wire::ReflectionDefinition {
    wire::ReflectionDefinition {
        name: it.name,
        comment: it.comment,
        relations: it.relations.into_iter().map(relation).collect(),
        permissions: it.permissions.into_iter().map(permission).collect(),
    }
}

fn relation(it: RelationShape) -> wire::ReflectionRelation {
    wire::ReflectionRelation {
        name: it.name,
        comment: it.comment,
        parent_definition_name: it.definition,
        subject_types: it.subject_types.into_iter().map(type_reference).collect(),
    }
}

fn permission(it: PermissionShape) -> wire::ReflectionPermission {
    wire::ReflectionPermission { name: it.name, comment: it.comment, parent_definition_name: it.definition }
}

fn caveat(it: CaveatShape) -> wire::ReflectionCaveat {
    wire::ReflectionCaveat {
        name: it.name,
        comment: it.comment,
        parameters: it.parameters.into_iter().map(parameter).collect(),
        expression: it.expression,
    }
}

fn parameter(it: ParameterShape) -> wire::ReflectionCaveatParameter {
    wire::ReflectionCaveatParameter { name: it.name, r#type: it.type_text, parent_caveat_name: it.caveat }
}

/// That tuples expire has no place in this message.
fn type_reference(allowed: Allowed) -> wire::ReflectionTypeReference {
    let (subject_type, typeref) = match allowed.subject {
        // SpiceDB says `false` here, and clients know the case by the field that is set.
        AllowedSubject::Direct(t) => (t, Typeref::IsTerminalSubject(false)),
        AllowedSubject::Userset(t, r) => (t, Typeref::OptionalRelationName(r.into())),
        AllowedSubject::Wildcard(t) => (t, Typeref::IsPublicWildcard(true)),
    };
    wire::ReflectionTypeReference {
        subject_definition_name: subject_type.into(),
        optional_caveat_name: allowed.caveat.map(String::from).unwrap_or_default(),
        typeref: Some(typeref),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{reflect, spicedb};

    #[test]
    fn subject_types_are_told_apart_by_the_field_that_is_set() {
        let text = "use expiration\ncaveat odd(num int) { num == 1 }\ndefinition user {\n relation own: user | user:* with odd | \
                    user#own with odd and expiration | user with expiration\n}";
        let schema = spicedb::parse(text).expect("valid");
        let reflection = reflect(&schema, &[]).expect("no filter");
        let definition = definition(reflection.definitions.into_iter().next().expect("one"));
        let types: Vec<_> = definition.relations[0]
            .subject_types
            .iter()
            .map(|it| (it.optional_caveat_name.as_str(), it.typeref.clone().expect("set")))
            .collect();
        let expected = [
            ("", Typeref::IsTerminalSubject(false)),
            ("odd", Typeref::IsPublicWildcard(true)),
            ("odd", Typeref::OptionalRelationName("own".to_owned())),
            ("", Typeref::IsTerminalSubject(false)),
        ];
        assert_eq!(types, expected);
    }
}
