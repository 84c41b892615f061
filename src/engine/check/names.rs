//! The names of a question, found in the plan.

use crate::engine::CheckError;
use crate::engine::plan::{MemberId, Plan, SubjectKind, TypeId};
use crate::model::{ObjectRef, RelationName, SubjectRef, TypeName};

/// The member that is asked for on one object.
pub(in crate::engine) fn resource_member(
    plan: &Plan,
    resource: &ObjectRef,
    permission: &RelationName,
) -> Result<MemberId, CheckError> {
    if resource.object_id.is_wildcard() {
        return Err(CheckError::WildcardResource { resource: resource.clone() });
    }
    member(plan, &resource.object_type, permission)
}

/// What sort of subject is asked for, which must be one.
pub(in crate::engine) fn subject_kind(plan: &Plan, subject: &SubjectRef) -> Result<SubjectKind, CheckError> {
    if subject.is_wildcard() {
        return Err(CheckError::WildcardSubject { subject: subject.object.clone() });
    }
    kind(plan, subject)
}

/// What sort of subject `subject` is, be it one or everyone.
pub(in crate::engine) fn kind(plan: &Plan, subject: &SubjectRef) -> Result<SubjectKind, CheckError> {
    match &subject.relation {
        None => definition(plan, &subject.object.object_type).map(SubjectKind::Object),
        Some(relation) => member(plan, &subject.object.object_type, relation).map(SubjectKind::Userset),
    }
}

/// The type of that name.
pub(in crate::engine) fn definition(plan: &Plan, name: &TypeName) -> Result<TypeId, CheckError> {
    plan.type_id(name).ok_or_else(|| CheckError::UnknownDefinition { name: name.clone() })
}

/// The relation or permission of that name.
pub(in crate::engine) fn member(
    plan: &Plan,
    object_type: &TypeName,
    name: &RelationName,
) -> Result<MemberId, CheckError> {
    let found = plan.member_id(definition(plan, object_type)?, name);
    found.ok_or_else(|| CheckError::UnknownRelation { definition: object_type.clone(), name: name.clone() })
}
