//! Many filters at once: which of them mean a tuple, without asking each.

use std::collections::HashMap;

use super::{Qualifiers, RelationName, SubjectRelationFilter, TupleFilter, TupleKey};

/// The names that a filter fixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Names<'a> {
    resource_type: Option<&'a str>,
    relation: Option<&'a str>,
    subject_type: Option<&'a str>,
    subject_relation: Option<&'a str>,
}

/// Filters by the names that they fix, so that a tuple is held only against those that fix its own.
#[derive(Debug, Clone)]
pub struct FilterIndex<'a> {
    by_names: HashMap<Names<'a>, Vec<(usize, &'a TupleFilter)>>,
}

impl<'a> FilterIndex<'a> {
    /// Indexes filters, each known by its position.
    pub fn new(filters: impl IntoIterator<Item = (usize, &'a TupleFilter)>) -> Self {
        let mut by_names: HashMap<_, Vec<_>> = HashMap::new();
        for (position, filter) in filters {
            let subject = filter.subject.as_ref();
            let subject_relation = subject.and_then(|subject| match &subject.relation {
                SubjectRelationFilter::Relation(name) => Some(name.as_str()),
                SubjectRelationFilter::Any | SubjectRelationFilter::Direct | SubjectRelationFilter::Concrete => None,
            });
            let names = Names {
                resource_type: filter.resource_type.as_ref().map(|name| name.as_str()),
                relation: filter.relation.as_ref().map(RelationName::as_str),
                subject_type: subject.map(|subject| subject.subject_type.as_str()),
                subject_relation,
            };
            by_names.entry(names).or_default().push((position, filter));
        }
        Self { by_names }
    }

    /// Calls `found` with the position of each filter that means the tuple, in no order that matters. At most sixteen look-ups,
    /// and the filters that fix the same names.
    pub fn matches(&self, key: &TupleKey, qualifiers: &Qualifiers, mut found: impl FnMut(usize)) {
        let of_subject = key.subject.relation.as_ref().map(RelationName::as_str);
        for resource_type in [None, Some(key.resource.object_type.as_str())] {
            for relation in [None, Some(key.relation.as_str())] {
                for subject_type in [None, Some(key.subject.object.object_type.as_str())] {
                    let subject_relations = [None, of_subject];
                    let relations = if of_subject.is_some() { &subject_relations[..] } else { &subject_relations[..1] };
                    for &subject_relation in relations {
                        let names = Names { resource_type, relation, subject_type, subject_relation };
                        let candidates = self.by_names.get(&names).into_iter().flatten();
                        for (position, _) in candidates.filter(|(_, filter)| filter.matches_qualified(key, qualifiers))
                        {
                            found(*position);
                        }
                    }
                }
            }
        }
    }

    /// The smallest position of a filter that means the tuple.
    #[must_use]
    pub fn first_match(&self, key: &TupleKey, qualifiers: &Qualifiers) -> Option<usize> {
        let mut first = None;
        self.matches(key, qualifiers, |position| {
            first = Some(first.map_or(position, |known: usize| known.min(position)))
        });
        first
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ObjectId, ObjectRef, SubjectFilter, SubjectRef, TraitFilter, TypeName};

    fn name() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("team"), Just("user"), Just("doc")]
    }

    fn subject_filter() -> impl Strategy<Value = SubjectFilter> {
        let relation = prop_oneof![
            Just(SubjectRelationFilter::Any),
            Just(SubjectRelationFilter::Direct),
            Just(SubjectRelationFilter::Concrete),
            name().prop_map(|name| SubjectRelationFilter::Relation(RelationName::new(name).unwrap())),
        ];
        (name(), prop::option::of(prop_oneof![Just("a"), Just("*")]), relation).prop_map(|(of, id, relation)| {
            SubjectFilter {
                subject_type: TypeName::new(of).unwrap(),
                subject_id: id.map(|id| ObjectId::new(id).unwrap()),
                relation,
            }
        })
    }

    fn filter() -> impl Strategy<Value = TupleFilter> {
        let parts =
            (prop::option::of(name()), prop::option::of(name()), prop::option::of(subject_filter()), any::<bool>());
        parts.prop_map(|(of, relation, subject, plain)| TupleFilter {
            resource_type: of.map(|of| TypeName::new(of).unwrap()),
            relation: relation.map(|name| RelationName::new(name).unwrap()),
            subject,
            traits: plain.then(TraitFilter::default),
            ..TupleFilter::default()
        })
    }

    fn key() -> impl Strategy<Value = TupleKey> {
        let subject = (name(), prop_oneof![Just("a"), Just("*")], prop_oneof![Just(""), name()]);
        (name(), name(), subject).prop_map(|(of, relation, (subject_type, id, subject_relation))| TupleKey {
            resource: ObjectRef::new(of, "x").unwrap(),
            relation: RelationName::new(relation).unwrap(),
            subject: SubjectRef::new(subject_type, id, if id == "*" { "" } else { subject_relation }).unwrap(),
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_asking_each_finds(filters in prop::collection::vec(filter(), 0..12), key in key()) {
            let qualifiers = Qualifiers::default();
            let index = FilterIndex::new(filters.iter().enumerate());
            let asked = filters.iter().enumerate().filter(|(_, filter)| filter.matches_qualified(&key, &qualifiers));
            let expected: Vec<usize> = asked.map(|(position, _)| position).collect();
            let mut found = Vec::new();
            index.matches(&key, &qualifiers, |position| found.push(position));
            found.sort_unstable();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(index.first_match(&key, &qualifiers), expected.first().copied());
        }
    }
}
