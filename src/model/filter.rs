//! Filters over tuples, as reads, deletes and preconditions use them.

use serde::{Deserialize, Serialize};

use super::{ObjectId, Qualifiers, RelationName, SubjectRef, TupleKey, TypeName};

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
    /// What qualifies the tuple. Last, and younger than the rest: filters are part of log entries, whose encoding follows the
    /// order of fields, and no release was made before it came.
    pub traits: Option<TraitFilter>,
}

/// What tuples must carry: exactly this, no more and no less. The values beside it do not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TraitFilter {
    /// The caveat's name.
    pub caveat: Option<String>,
    /// Whether there is an expiration, past or not.
    pub expires: bool,
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

    /// Whether the tuple of `key` with these qualifiers is meant.
    #[must_use]
    pub fn matches_qualified(&self, key: &TupleKey, qualifiers: &Qualifiers) -> bool {
        self.matches(key) && self.traits.as_ref().is_none_or(|traits| traits.matches(qualifiers))
    }

    /// Whether `key` is meant. Of a filter with traits this is only a part: what carries them is not asked.
    #[must_use]
    pub fn matches(&self, key: &TupleKey) -> bool {
        self.resource_type.as_ref().is_none_or(|t| *t == key.resource.object_type)
            && self.resource_id.as_ref().is_none_or(|id| *id == key.resource.object_id)
            && self.resource_id_prefix.as_ref().is_none_or(|p| key.resource.object_id.as_str().starts_with(p))
            && self.relation.as_ref().is_none_or(|r| *r == key.relation)
            && self.subject.as_ref().is_none_or(|s| s.matches(key))
    }
}

impl TraitFilter {
    /// Whether a tuple with these qualifiers is meant.
    #[must_use]
    pub fn matches(&self, qualifiers: &Qualifiers) -> bool {
        let caveat = qualifiers.caveat.as_ref().map(|caveat| caveat.name.as_str());
        self.caveat.as_deref() == caveat && self.expires == qualifiers.expires_at.is_some()
    }
}

impl SubjectFilter {
    /// That of one subject alone, be it an object, everyone, or a userset.
    #[must_use]
    pub fn exactly(subject: &SubjectRef) -> Self {
        let relation = match &subject.relation {
            None => SubjectRelationFilter::Direct,
            Some(relation) => SubjectRelationFilter::Relation(relation.clone()),
        };
        let object = &subject.object;
        Self { subject_type: object.object_type.clone(), subject_id: Some(object.object_id.clone()), relation }
    }

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
    use crate::model::{CaveatUse, ObjectRef, TimestampMs};

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
                let key = TupleKey {
                    resource: ObjectRef::new("doc", "1").expect("valid"),
                    relation: RelationName::new("viewer").expect("valid"),
                    subject: SubjectRef::new("team", id, relation).expect("valid"),
                };
                filter.matches(&key)
            });
            assert_eq!(found, expected, "{filter:?}");
        }
    }

    #[test]
    fn traits_are_matched_exactly() {
        let qualifiers = |caveat: Option<&str>, expires: bool| Qualifiers {
            caveat: caveat.map(|name| CaveatUse { name: name.to_owned(), context_json: String::new() }),
            expires_at: expires.then_some(TimestampMs(5)),
        };
        let kinds = [(None, false), (Some("odd"), false), (Some("even"), false), (None, true), (Some("odd"), true)];
        for (caveat, expires) in kinds {
            let filter = TraitFilter { caveat: caveat.map(str::to_owned), expires };
            for (other, other_expires) in kinds {
                let found = filter.matches(&qualifiers(other, other_expires));
                assert_eq!(found, (caveat, expires) == (other, other_expires), "{filter:?} {other:?} {other_expires}");
            }
        }
    }
}
