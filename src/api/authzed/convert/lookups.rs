//! Lookups and expansion: from messages to questions, and from what is found to messages.

use super::checks::{to_partial_caveat_info, to_request_context};
use super::requests::{to_consistency, to_limit, to_resource, to_subject};
use super::responses;
use super::responses::to_zed_token;
use crate::consistency::Zookie;
use crate::model::{Decision, Error, ErrorCode, ObjectRef, RelationName, TypeName};
use crate::service::{
    Consistency, ExcludedSubject, ExpandAnswer, ExpandedBody, ExpandedTree, FoundSubject, LookupResources,
    LookupSubjects, ResourceQuestion, ResourceWithCursor, SubjectQuestion,
};
use crate::wire::authzed::v1 as wire;
use crate::wire::authzed::v1::LookupPermissionship;
use crate::wire::authzed::v1::algebraic_subject_set::Operation;
use crate::wire::authzed::v1::permission_relationship_tree::TreeType;

/// An expansion.
pub(in crate::api::authzed) fn to_expand(
    request: wire::ExpandPermissionTreeRequest,
) -> Result<(Consistency, ObjectRef, RelationName), Error> {
    let consistency = to_consistency(request.consistency)?;
    Ok((consistency, to_resource(request.resource)?, RelationName::new(&request.permission)?))
}

/// A lookup of resources. A trace is a convenience that this version does not have, and its absence changes no answer.
pub(in crate::api::authzed) fn to_lookup_resources(
    request: wire::LookupResourcesRequest,
) -> Result<LookupResources, Error> {
    Ok(LookupResources {
        consistency: to_consistency(request.consistency)?,
        question: ResourceQuestion {
            resource_type: TypeName::new(&request.resource_object_type)?,
            permission: RelationName::new(&request.permission)?,
            subject: to_subject(request.subject)?,
        },
        context: to_request_context(request.context.as_ref())?,
        limit: to_limit(request.optional_limit),
        cursor: request.optional_cursor.map(|cursor| cursor.token),
    })
}

/// A lookup of subjects. As in SpiceDB, the option on wildcards has no effect, and there are no limits and no cursors.
pub(in crate::api::authzed) fn to_lookup_subjects(
    request: wire::LookupSubjectsRequest,
) -> Result<LookupSubjects, Error> {
    if request.optional_concrete_limit != 0 {
        const MESSAGE: &str = "a lookup of subjects takes no limit; leave optional_concrete_limit out";
        return Err(Error::new(ErrorCode::Unsupported, MESSAGE));
    }
    if request.optional_cursor.is_some() {
        const MESSAGE: &str = "a lookup of subjects takes no cursor; leave optional_cursor out";
        return Err(Error::new(ErrorCode::InvalidCursor, MESSAGE));
    }
    let subject_relation = Some(request.optional_subject_relation.as_str()).filter(|name| !name.is_empty());
    Ok(LookupSubjects {
        consistency: to_consistency(request.consistency)?,
        question: SubjectQuestion {
            resource: to_resource(request.resource)?,
            permission: RelationName::new(&request.permission)?,
            subject_type: TypeName::new(&request.subject_object_type)?,
            subject_relation: subject_relation.map(RelationName::new).transpose()?,
        },
        context: to_request_context(request.context.as_ref())?,
    })
}

/// One message of the answer to a lookup of resources.
pub(in crate::api::authzed) fn from_lookup_resources(
    zookie: Zookie,
    found: ResourceWithCursor,
) -> wire::LookupResourcesResponse {
    wire::LookupResourcesResponse {
        looked_up_at: Some(to_zed_token(zookie)),
        resource_object_id: found.id.to_string(),
        permissionship: to_permissionship(&found.decision).into(),
        partial_caveat_info: to_partial_caveat_info(&found.decision),
        after_result_cursor: Some(wire::Cursor { token: found.cursor }),
    }
}

/// One message of the answer to a lookup of subjects, the fields of earlier versions included.
#[allow(deprecated, reason = "clients of earlier versions read these fields")]
pub(in crate::api::authzed) fn from_lookup_subjects(
    zookie: Zookie,
    found: FoundSubject,
) -> wire::LookupSubjectsResponse {
    let excluded: Vec<wire::ResolvedSubject> = found.excluded.into_iter().map(to_excluded).collect();
    let subject = to_resolved(found.id.to_string(), &found.decision);
    wire::LookupSubjectsResponse {
        looked_up_at: Some(to_zed_token(zookie)),
        subject_object_id: subject.subject_object_id.clone(),
        excluded_subject_ids: excluded.iter().map(|subject| subject.subject_object_id.clone()).collect(),
        permissionship: subject.permissionship,
        partial_caveat_info: subject.partial_caveat_info.clone(),
        subject: Some(subject),
        excluded_subjects: excluded,
        after_result_cursor: None,
    }
}

/// The answer to an expansion.
pub(in crate::api::authzed) fn from_expand(answer: ExpandAnswer) -> wire::ExpandPermissionTreeResponse {
    wire::ExpandPermissionTreeResponse {
        expanded_at: Some(to_zed_token(answer.zookie)),
        tree_root: Some(to_tree(answer.tree)),
    }
}

fn to_permissionship(decision: &Decision) -> LookupPermissionship {
    match decision {
        Decision::Allowed => LookupPermissionship::HasPermission,
        Decision::Conditional { .. } => LookupPermissionship::ConditionalPermission,
        // A lookup gives none of these, and clients must not take one for a permission.
        Decision::Denied => LookupPermissionship::Unspecified,
    }
}

fn to_resolved(id: String, decision: &Decision) -> wire::ResolvedSubject {
    wire::ResolvedSubject {
        subject_object_id: id,
        permissionship: to_permissionship(decision).into(),
        partial_caveat_info: to_partial_caveat_info(decision),
    }
}

/// What is said of an excluded subject is said of its exclusion.
fn to_excluded(excluded: ExcludedSubject) -> wire::ResolvedSubject {
    let exclusion = match excluded.missing {
        missing if missing.is_empty() => Decision::Allowed,
        missing => Decision::Conditional { missing },
    };
    to_resolved(excluded.id.to_string(), &exclusion)
}

/// The depth of a tree is bounded by who makes it.
fn to_tree(tree: ExpandedTree) -> wire::PermissionRelationshipTree {
    let intermediate = |operation: Operation, children: Vec<ExpandedTree>| {
        TreeType::Intermediate(wire::AlgebraicSubjectSet {
            operation: operation.into(),
            children: children.into_iter().map(to_tree).collect(),
        })
    };
    let tree_type = match tree.body {
        ExpandedBody::Union(trees) => intermediate(Operation::Union, trees),
        ExpandedBody::Intersection(trees) => intermediate(Operation::Intersection, trees),
        ExpandedBody::Exclusion(trees) => intermediate(Operation::Exclusion, trees),
        ExpandedBody::Subjects(subjects) => {
            TreeType::Leaf(wire::DirectSubjectSet { subjects: subjects.iter().map(responses::to_subject).collect() })
        }
    };
    wire::PermissionRelationshipTree {
        expanded_object: Some(responses::to_object(&tree.object)),
        expanded_relation: tree.relation.to_string(),
        tree_type: Some(tree_type),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::model::{ObjectRef, RelationName, SubjectRef, limits};

    #[test]
    fn the_deepest_tree_can_be_decoded() {
        let node = |body| ExpandedTree {
            object: ObjectRef::new("document", "a").expect("valid"),
            relation: RelationName::new("view").expect("valid"),
            body,
        };
        let mut tree = node(ExpandedBody::Subjects(vec![SubjectRef::new("user", "b", "").expect("valid")]));
        for _ in 1..limits::EXPAND_LEVELS {
            tree = node(ExpandedBody::Union(vec![tree]));
        }
        let answer = wire::ExpandPermissionTreeResponse { expanded_at: None, tree_root: Some(to_tree(tree)) };
        let decoded = wire::ExpandPermissionTreeResponse::decode(answer.encode_to_vec().as_slice());
        assert_eq!(decoded.as_ref(), Ok(&answer));
    }
}
