//! Filters and preconditions.

use crate::model::{
    Error, ErrorCode, ObjectId, Precondition, PreconditionKind, RelationName, SubjectFilter, SubjectRelationFilter,
    TupleFilter, TypeName,
};
use crate::wire::authzed::v1 as wire;

/// An empty text is how this protocol leaves a field open.
fn given<T, E>(text: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, E> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

/// The filter of a read or a delete, which must be there.
pub(super) fn to_filter(filter: Option<wire::RelationshipFilter>) -> Result<TupleFilter, Error> {
    let Some(filter) = filter else {
        return Err(Error::new(ErrorCode::InvalidArgument, "relationship_filter is required"));
    };
    let resource_id = given(&filter.optional_resource_id, ObjectId::new)?;
    // The beginning of an id has the characters of an id.
    let prefix = given(&filter.optional_resource_id_prefix, ObjectId::new)?;
    if [&resource_id, &prefix].into_iter().flatten().any(ObjectId::is_wildcard) {
        return Err(Error::new(
            ErrorCode::InvalidArgument,
            "a resource is never a wildcard: give an id, or leave it out",
        ));
    }
    Ok(TupleFilter {
        resource_type: given(&filter.resource_type, TypeName::new)?,
        resource_id,
        resource_id_prefix: prefix.map(String::from),
        relation: given(&filter.optional_relation, RelationName::new)?,
        subject: filter.optional_subject_filter.map(to_subject_filter).transpose()?,
        traits: None,
    })
}

fn to_subject_filter(filter: wire::SubjectFilter) -> Result<SubjectFilter, Error> {
    let subject_type = TypeName::new(&filter.subject_type)?;
    let subject_id = given(&filter.optional_subject_id, ObjectId::new)?;
    let relation = match filter.optional_relation {
        None => SubjectRelationFilter::Any,
        Some(filter) if filter.relation.is_empty() => SubjectRelationFilter::Direct,
        Some(filter) => SubjectRelationFilter::Relation(RelationName::new(&filter.relation)?),
    };
    Ok(SubjectFilter { subject_type, subject_id, relation })
}

/// The preconditions of a write or a delete.
pub(super) fn to_preconditions(preconditions: Vec<wire::Precondition>) -> Result<Vec<Precondition>, Error> {
    preconditions.into_iter().map(to_precondition).collect()
}

fn to_precondition(precondition: wire::Precondition) -> Result<Precondition, Error> {
    use wire::precondition::Operation;
    let Some(filter) = precondition.filter else {
        return Err(Error::new(
            ErrorCode::EmptyPrecondition,
            "a precondition has no filter; give it one, or leave it out",
        ));
    };
    let kind = match Operation::try_from(precondition.operation) {
        Ok(Operation::MustMatch) => PreconditionKind::MustMatch,
        Ok(Operation::MustNotMatch) => PreconditionKind::MustNotMatch,
        Ok(Operation::Unspecified) | Err(_) => {
            const MESSAGE: &str = "a precondition has no operation; say MUST_MATCH or MUST_NOT_MATCH";
            return Err(Error::new(ErrorCode::InvalidArgument, MESSAGE));
        }
    };
    Ok(Precondition { kind, filter: to_filter(Some(filter))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(id: &str, relation: Option<&str>) -> Option<wire::SubjectFilter> {
        Some(wire::SubjectFilter {
            subject_type: "user".to_owned(),
            optional_subject_id: id.to_owned(),
            optional_relation: relation
                .map(|relation| wire::subject_filter::RelationFilter { relation: relation.to_owned() }),
        })
    }

    #[test]
    fn an_absent_relation_filter_and_an_empty_one_differ() {
        let cases = [
            (None, SubjectRelationFilter::Any),
            (Some(""), SubjectRelationFilter::Direct),
            (Some("member"), SubjectRelationFilter::Relation(RelationName::new("member").expect("valid"))),
        ];
        for (relation, expected) in cases {
            let filter =
                wire::RelationshipFilter { optional_subject_filter: subject("tom", relation), ..Default::default() };
            let subject = to_filter(Some(filter)).expect("valid").subject.expect("given");
            assert_eq!(subject.relation, expected);
            assert_eq!(subject.subject_id.expect("given").as_str(), "tom");
        }
    }

    #[test]
    fn invalid_filters_are_refused() {
        let filter = |change: fn(&mut wire::RelationshipFilter)| {
            let mut filter = wire::RelationshipFilter::default();
            change(&mut filter);
            to_filter(Some(filter)).map_err(|error| error.code)
        };
        let refused = Err(ErrorCode::InvalidArgument);
        assert_eq!(filter(|filter| filter.resource_type = "Document".to_owned()), refused);
        assert_eq!(filter(|filter| filter.optional_resource_id = "*".to_owned()), refused);
        assert_eq!(filter(|filter| filter.optional_resource_id_prefix = "*".to_owned()), refused);
        assert_eq!(filter(|filter| filter.optional_relation = "...".to_owned()), refused);
        assert_eq!(filter(|filter| filter.optional_subject_filter = Some(Default::default())), refused);
        assert_eq!(to_filter(None).map_err(|error| error.code), refused);
        assert_eq!(filter(|_| {}), Ok(TupleFilter::default()));
    }

    #[test]
    fn a_precondition_needs_an_operation_and_a_filter() {
        use wire::precondition::Operation;
        let filter = Some(wire::RelationshipFilter { resource_type: "document".to_owned(), ..Default::default() });
        let cases = [
            (Operation::MustMatch as i32, filter.clone(), Ok(PreconditionKind::MustMatch)),
            (Operation::MustNotMatch as i32, filter.clone(), Ok(PreconditionKind::MustNotMatch)),
            (0, filter.clone(), Err(ErrorCode::InvalidArgument)),
            (77, filter, Err(ErrorCode::InvalidArgument)),
            (Operation::MustMatch as i32, None, Err(ErrorCode::EmptyPrecondition)),
        ];
        for (operation, filter, expected) in cases {
            let found = to_precondition(wire::Precondition { operation, filter });
            assert_eq!(found.map(|precondition| precondition.kind).map_err(|error| error.code), expected);
        }
    }
}
