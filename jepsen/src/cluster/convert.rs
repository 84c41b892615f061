//! Between the terms of histories and the messages of the protocol.

use super::wire::authzed::api::v1 as api;
use super::wire::quorate::v1 as own;
use crate::history::{Floor, Relationship, Subject, Tree, Update};

pub(super) fn object(kind: &str, id: &str) -> api::ObjectReference {
    api::ObjectReference { object_type: kind.to_owned(), object_id: id.to_owned() }
}

pub(super) fn subject_to_wire(subject: &Subject) -> api::SubjectReference {
    api::SubjectReference {
        object: Some(object(&subject.kind, &subject.id)),
        optional_relation: subject.relation.clone().unwrap_or_default(),
    }
}

fn subject_from_wire(subject: &api::SubjectReference) -> Option<Subject> {
    let object = subject.object.as_ref()?;
    Some(Subject {
        kind: object.object_type.clone(),
        id: object.object_id.clone(),
        relation: Some(subject.optional_relation.clone()).filter(|relation| !relation.is_empty()),
    })
}

pub(super) fn update_to_wire(update: &Update) -> api::RelationshipUpdate {
    let (Update::Touch(relationship) | Update::Delete(relationship)) = update;
    let operation = match update {
        Update::Touch(_) => api::relationship_update::Operation::Touch,
        Update::Delete(_) => api::relationship_update::Operation::Delete,
    };
    let relationship = api::Relationship {
        resource: Some(object(&relationship.kind, &relationship.id)),
        relation: relationship.relation.clone(),
        subject: Some(subject_to_wire(&relationship.subject)),
        ..Default::default()
    };
    api::RelationshipUpdate { operation: operation.into(), relationship: Some(relationship) }
}

/// `None` for what this harness never writes, which is then missing where it is compared.
pub(super) fn relationship_from_wire(relationship: &api::Relationship) -> Option<Relationship> {
    let resource = relationship.resource.as_ref()?;
    Some(Relationship {
        kind: resource.object_type.clone(),
        id: resource.object_id.clone(),
        relation: relationship.relation.clone(),
        subject: subject_from_wire(relationship.subject.as_ref()?)?,
    })
}

pub(super) fn update_from_wire(update: &api::RelationshipUpdate) -> Option<Update> {
    let relationship = relationship_from_wire(update.relationship.as_ref()?)?;
    Some(match update.operation() {
        api::relationship_update::Operation::Delete => Update::Delete(relationship),
        api::relationship_update::Operation::Create
        | api::relationship_update::Operation::Touch
        | api::relationship_update::Operation::Unspecified => Update::Touch(relationship),
    })
}

pub(super) fn filter_of(relationship: &Relationship) -> api::RelationshipFilter {
    let subject = &relationship.subject;
    let relation = subject.relation.clone().unwrap_or_default();
    api::RelationshipFilter {
        resource_type: relationship.kind.clone(),
        optional_resource_id: relationship.id.clone(),
        optional_relation: relationship.relation.clone(),
        optional_subject_filter: Some(api::SubjectFilter {
            subject_type: subject.kind.clone(),
            optional_subject_id: subject.id.clone(),
            optional_relation: Some(api::subject_filter::RelationFilter { relation }),
        }),
        ..Default::default()
    }
}

pub(super) fn floor_to_wire((kind, floor): (&String, &Floor)) -> own::Floor {
    let least = match floor {
        Floor::Full => own::floor::Least::FullyConsistent(true),
        Floor::Stale(ms) => {
            let age = prost_types::Duration {
                seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
                // Below a thousand times a million.
                nanos: i32::try_from(ms % 1000 * 1_000_000).unwrap_or_default(),
            };
            own::floor::Least::MaxStaleness(age)
        }
    };
    own::Floor { object_type: kind.clone(), least: Some(least) }
}

/// `None` for a tree that lacks what every tree has.
pub(super) fn tree_from_wire(tree: &api::PermissionRelationshipTree) -> Option<Tree> {
    use api::algebraic_subject_set::Operation;
    use api::permission_relationship_tree::TreeType;
    let inner = match tree.tree_type.as_ref()? {
        TreeType::Leaf(leaf) => {
            let object = tree.expanded_object.as_ref()?;
            return Some(Tree::Leaf {
                kind: object.object_type.clone(),
                id: object.object_id.clone(),
                relation: tree.expanded_relation.clone(),
                subjects: leaf.subjects.iter().map(subject_from_wire).collect::<Option<Vec<Subject>>>()?,
            });
        }
        TreeType::Intermediate(inner) => inner,
    };
    let children = inner.children.iter().map(tree_from_wire).collect::<Option<Vec<Tree>>>()?;
    match inner.operation() {
        Operation::Union => Some(Tree::Union(children)),
        Operation::Intersection => Some(Tree::Intersection(children)),
        Operation::Exclusion => Some(Tree::Exclusion(children)),
        Operation::Unspecified => None,
    }
}
