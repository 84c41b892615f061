//! Filters over tuples, as reads, deletes and preconditions use them.

use serde::{Deserialize, Serialize};

use super::{ObjectId, RelationName, TupleKey, TypeName};

/// Which tuples are meant. Every part that is set must match; one with no part set matches all tuples of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TupleFilter {
    /// The resource's type.
    pub resource_type: Option<TypeName>,
    /// The resource's id. Excludes `resource_id_prefix`.
    pub resource_id: Option<ObjectId>,
    /// What the resource's id begins with.
    pub resource_id_prefix: Option<String>,
    /// The relation.
    pub relation: Option<RelationName>,
    /// The subject.
    pub subject: Option<SubjectFilter>,
}

/// Which subjects are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubjectFilter {
    /// The subject's type.
    pub subject_type: TypeName,
    /// The subject's id; the wildcard id matches wildcard tuples only.
    pub subject_id: Option<ObjectId>,
    /// The subject's relation.
    pub relation: SubjectRelationFilter,
}

/// Which subject relations are meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SubjectRelationFilter {
    /// With or without a relation.
    #[default]
    Any,
    /// Only subjects that are objects themselves, or the wildcard of all of them.
    Direct,
    /// Only subjects with this relation.
    Relation(RelationName),
    /// Only subjects that are objects themselves, without the wildcard.
    Concrete,
}

impl TupleFilter {
    /// Whether no part is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `key` is meant.
    #[must_use]
    pub fn matches(&self, key: &TupleKey) -> bool {
        self.resource_type.as_ref().is_none_or(|t| *t == key.resource.object_type)
            && self.resource_id.as_ref().is_none_or(|id| *id == key.resource.object_id)
            && self.resource_id_prefix.as_ref().is_none_or(|p| key.resource.object_id.as_str().starts_with(p))
            && self.relation.as_ref().is_none_or(|r| *r == key.relation)
            && self.subject.as_ref().is_none_or(|s| s.matches(key))
    }
}

impl SubjectFilter {
    fn matches(&self, key: &TupleKey) -> bool {
        let subject = &key.subject;
        let relation_fits = match &self.relation {
            SubjectRelationFilter::Any => true,
            SubjectRelationFilter::Direct => subject.relation.is_none(),
            SubjectRelationFilter::Relation(wanted) => subject.relation.as_ref() == Some(wanted),
            SubjectRelationFilter::Concrete => subject.relation.is_none() && !subject.is_wildcard(),
        };
        self.subject_type == subject.object.object_type
            && self.subject_id.as_ref().is_none_or(|id| *id == subject.object.object_id)
            && relation_fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ObjectRef, SubjectRef};

    #[test]
    fn subject_relations_tell_objects_wildcards_and_usersets_apart() {
        let relation = RelationName::new("member").expect("valid");
        let cases = [
            (SubjectRelationFilter::Any, [true, true, true]),
            (SubjectRelationFilter::Direct, [true, true, false]),
            (SubjectRelationFilter::Concrete, [true, false, false]),
            (SubjectRelationFilter::Relation(relation), [false, false, true]),
        ];
        for (relation, expected) in cases {
            let filter = TupleFilter {
                subject: Some(SubjectFilter {
                    subject_type: TypeName::new("team").expect("valid"),
                    subject_id: None,
                    relation,
                }),
                ..TupleFilter::default()
            };
            let found = [("a", ""), ("*", ""), ("a", "member")].map(|(id, relation)| {
                filter.matches(&TupleKey {
                    resource: ObjectRef::new("doc", "1").expect("valid"),
                    relation: RelationName::new("viewer").expect("valid"),
                    subject: SubjectRef::new("team", id, relation).expect("valid"),
                })
            });
            assert_eq!(found, expected, "{filter:?}");
        }
    }
}
