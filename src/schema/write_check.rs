//! Whether what a request names exists in a schema, and whether a tuple may be written under it.
//!
//! Pure look-ups; ids are not judged here, since names and ids are valid by construction.

use crate::caveat::Context;
use crate::model::{
    CaveatName, CaveatUse, Error, ErrorCode, RelationName, SubjectFilter, SubjectRef, SubjectRelationFilter, Tuple,
    TupleFilter, TupleKey, TypeName,
};

use super::{Allowed, AllowedSubject, Definition, Member, Relation, Schema};

impl Schema {
    /// Whether `tuple` may be written under this schema: its subject allowed with exactly its caveat and expiration, and the
    /// stored context of the types that the caveat wants.
    pub fn check_tuple(&self, tuple: &Tuple) -> Result<(), Error> {
        let (definition, relation) = self.relation_of(&tuple.key)?;
        self.check_exactly(tuple, definition, relation)
    }

    /// Whether `tuple` may be deleted under this schema. Where it names no caveat, its qualifiers do not matter, since a delete
    /// means the tuple whatever they are; where it names one it is judged like a write, as in SpiceDB.
    pub fn check_deletion(&self, tuple: &Tuple) -> Result<(), Error> {
        let (definition, relation) = self.relation_of(&tuple.key)?;
        if tuple.qualifiers.caveat.is_some() {
            return self.check_exactly(tuple, definition, relation);
        }
        if AllowedSubject::of(&tuple.key.subject).is_some_and(|kind| relation.allows(&kind)) {
            return Ok(());
        }
        Err(wrong_subject(definition, tuple, relation))
    }

    /// The relation that `key` is under, where all that it names exists.
    fn relation_of(&self, key: &TupleKey) -> Result<(&Definition, &Relation), Error> {
        if key.resource.object_id.is_wildcard() {
            let message = "the resource of a relationship is one object: its id cannot be `*`";
            return Err(Error::new(ErrorCode::InvalidArgument, message).with("field", "resource.object_id"));
        }
        let resource = self.known_definition(&key.resource.object_type)?;
        let member = known_member(resource, &key.relation)?;
        self.check_subject(&key.subject)?;
        match member {
            Member::Permission(_) => {
                let message = format!(
                    "cannot write a relationship to permission `{}` under definition `{}`: write to one of its relations",
                    key.relation, resource.name
                );
                Err(Error::new(ErrorCode::CannotUpdatePermission, message)
                    .with("definition_name", &resource.name)
                    .with("permission_name", &key.relation))
            }
            Member::Relation(relation) => Ok((resource, relation)),
        }
    }

    fn check_exactly(&self, tuple: &Tuple, definition: &Definition, relation: &Relation) -> Result<(), Error> {
        // What is no kind of subject, or names no possible caveat, is never allowed.
        if !wanted(tuple).is_some_and(|wanted| relation.allows_exactly(&wanted)) {
            return Err(wrong_subject(definition, tuple, relation));
        }
        match &tuple.qualifiers.caveat {
            None => Ok(()),
            Some(caveat) => self.check_context(caveat),
        }
    }

    fn check_context(&self, caveat: &CaveatUse) -> Result<(), Error> {
        let Some(definition) = self.caveats.get(caveat.name.as_str()) else {
            let message = format!("caveat `{}` not found", caveat.name);
            return Err(Error::new(ErrorCode::UnknownCaveat, message).with("caveat_name", &caveat.name));
        };
        if caveat.context_json.is_empty() {
            return Ok(());
        }
        let context = Context::from_json_text(&caveat.context_json)
            .map_err(|error| Error::new(ErrorCode::InvalidArgument, error.to_string()))?;
        Ok(definition.check_context(&context)?)
    }

    /// Whether the types and relations that `filter` names exist. A relation without a resource type is not judged: any
    /// definition may have it.
    pub fn check_filter(&self, filter: &TupleFilter) -> Result<(), Error> {
        if let Some(resource_type) = &filter.resource_type {
            let definition = self.known_definition(resource_type)?;
            if let Some(relation) = &filter.relation {
                known_member(definition, relation)?;
            }
        }
        if let Some(SubjectFilter { subject_type, subject_id: _, relation }) = &filter.subject {
            let definition = self.known_definition(subject_type)?;
            match relation {
                SubjectRelationFilter::Any | SubjectRelationFilter::Direct | SubjectRelationFilter::Concrete => {}
                SubjectRelationFilter::Relation(name) => {
                    known_member(definition, name)?;
                }
            }
        }
        Ok(())
    }

    fn check_subject(&self, subject: &SubjectRef) -> Result<(), Error> {
        let definition = self.known_definition(&subject.object.object_type)?;
        match &subject.relation {
            None => Ok(()),
            Some(relation) => known_member(definition, relation).map(drop),
        }
    }

    fn known_definition(&self, name: &TypeName) -> Result<&Definition, Error> {
        self.definitions.get(name).ok_or_else(|| {
            Error::new(ErrorCode::UnknownDefinition, format!("object definition `{name}` not found"))
                .with("definition_name", name)
        })
    }
}

fn known_member<'a>(definition: &'a Definition, name: &RelationName) -> Result<&'a Member, Error> {
    definition.members.get(name).ok_or_else(|| {
        let message = format!("relation/permission `{name}` not found under definition `{}`", definition.name);
        Error::new(ErrorCode::UnknownRelation, message)
            .with("definition_name", &definition.name)
            .with("relation_or_permission_name", name)
    })
}

/// What a relation must allow for `tuple` to be written; `None` where none can.
fn wanted(tuple: &Tuple) -> Option<Allowed> {
    let caveat = match &tuple.qualifiers.caveat {
        None => None,
        Some(caveat) => Some(CaveatName::new(&caveat.name).ok()?),
    };
    let expires = tuple.qualifiers.expires_at.is_some();
    Some(Allowed { subject: AllowedSubject::of(&tuple.key.subject)?, caveat, expires })
}

fn wrong_subject(definition: &Definition, tuple: &Tuple, relation: &Relation) -> Error {
    const SHOWN: usize = 8;
    let mut list = relation.allowed.iter().take(SHOWN).map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ");
    if relation.allowed.len() > SHOWN {
        list.push_str(", …");
    }
    let kind = wanted(tuple).map_or_else(|| tuple.key.subject.to_string(), |wanted| wanted.to_string());
    let name = &tuple.key.relation;
    let message =
        format!("subjects of type `{kind}` are not allowed on relation `{}#{name}`; it allows {list}", definition.name);
    let error = Error::new(ErrorCode::InvalidSubjectType, message)
        .with("definition_name", &definition.name)
        .with("relation_name", name)
        .with("subject_type", kind);
    let caveats = missing_caveats(tuple, relation);
    if caveats.is_empty() { error } else { error.with("allowed_caveats", caveats.join(",")) }
}

/// The caveats of which one would make `tuple`, which names none, allowed.
fn missing_caveats<'a>(tuple: &Tuple, relation: &'a Relation) -> Vec<&'a str> {
    let (Some(kind), None) = (AllowedSubject::of(&tuple.key.subject), &tuple.qualifiers.caveat) else {
        return Vec::new();
    };
    // SpiceDB does not say it of wildcards.
    if tuple.key.subject.is_wildcard() {
        return Vec::new();
    }
    let expires = tuple.qualifiers.expires_at.is_some();
    let fitting = relation.allowed.iter().filter(|allowed| allowed.subject == kind && allowed.expires == expires);
    fitting.filter_map(|allowed| allowed.caveat.as_ref()).map(CaveatName::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ObjectId, ObjectRef, Qualifiers, TimestampMs};
    use crate::schema::spicedb;

    const SCHEMA: &str = "
        use expiration
        caveat odd(num int) { num % 2 == 1 }
        caveat even(num int) { num % 2 == 0 }
        definition user {}
        definition team {
            relation member: user | team#member
            permission everyone = member
        }
        definition doc {
            relation viewer: user | user:* | team#member
            relation owner: user
            relation public: user:*
            relation shy: user with odd | user with expiration | user:* with odd and expiration
            relation both: user | user with odd
            permission view = viewer + owner
        }";

    fn schema() -> Schema {
        spicedb::parse(SCHEMA).expect("a valid schema")
    }

    fn subject(text: &str) -> SubjectRef {
        let (object, relation) = text.split_once('#').unwrap_or((text, ""));
        let (object_type, id) = object.split_once(':').expect("type:id");
        SubjectRef::new(object_type, id, relation).expect("a valid subject")
    }

    fn name(text: &str) -> RelationName {
        RelationName::new(text).expect("a valid name")
    }

    #[test]
    fn tuples_are_judged_like_spicedb_judges_them() {
        use ErrorCode::{
            CannotUpdatePermission, InvalidArgument, InvalidSubjectType, UnknownDefinition, UnknownRelation,
        };
        let cases: &[(&str, &str, &str, Option<ErrorCode>)] = &[
            ("doc:1", "viewer", "user:a", None),
            ("doc:1", "viewer", "user:*", None),
            ("doc:1", "viewer", "team:a#member", None),
            ("doc:1", "public", "user:*", None),
            ("doc:1", "public", "user:a", Some(InvalidSubjectType)),
            ("doc:1", "owner", "user:*", Some(InvalidSubjectType)),
            ("doc:1", "viewer", "team:a", Some(InvalidSubjectType)),
            ("doc:1", "viewer", "team:*#member", Some(InvalidSubjectType)),
            ("doc:1", "viewer", "team:a#everyone", Some(InvalidSubjectType)),
            ("doc:1", "view", "user:a", Some(CannotUpdatePermission)),
            ("doc:1", "absent", "user:a", Some(UnknownRelation)),
            ("doc:1", "viewer", "team:a#absent", Some(UnknownRelation)),
            ("doc:1", "viewer", "robot:a", Some(UnknownDefinition)),
            ("file:1", "viewer", "user:a", Some(UnknownDefinition)),
            ("doc:*", "viewer", "user:a", Some(InvalidArgument)),
        ];
        for (resource, relation, who, expected) in cases {
            let resource = subject(resource).object;
            let key = TupleKey { resource, relation: name(relation), subject: subject(who) };
            let tuple = Tuple::unqualified(key);
            let code = |result: Result<(), Error>| result.err().map(|error| error.code);
            assert_eq!(code(schema().check_tuple(&tuple)), *expected, "{}", tuple.key);
            assert_eq!(code(schema().check_deletion(&tuple)), *expected, "{}", tuple.key);
        }
    }

    fn qualified(relation: &str, who: &str, caveat: Option<(&str, &str)>, expires: bool) -> Tuple {
        let resource = ObjectRef::new("doc", "1").expect("valid");
        let caveat = caveat.map(|(name, json)| CaveatUse { name: name.to_owned(), context_json: json.to_owned() });
        let expires_at = expires.then_some(TimestampMs(1));
        Tuple {
            key: TupleKey { resource, relation: name(relation), subject: subject(who) },
            qualifiers: Qualifiers { caveat, expires_at },
        }
    }

    #[test]
    fn caveat_and_expiration_must_be_exactly_those_that_are_allowed() {
        use ErrorCode::{CaveatParameterType, InvalidArgument, InvalidSubjectType};
        // The relation, the subject, the caveat, whether it expires; what a write and what a delete says.
        type Case<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>, bool, Option<ErrorCode>, Option<ErrorCode>);
        let cases: &[Case<'_>] = &[
            ("shy", "user:a", None, false, Some(InvalidSubjectType), None),
            ("shy", "user:a", Some(("odd", "")), false, None, None),
            ("shy", "user:a", Some(("odd", "{}")), false, None, None),
            ("shy", "user:a", Some(("even", "")), false, Some(InvalidSubjectType), Some(InvalidSubjectType)),
            ("shy", "user:a", Some(("absent", "")), false, Some(InvalidSubjectType), Some(InvalidSubjectType)),
            ("shy", "user:a", Some(("not a name", "")), false, Some(InvalidSubjectType), Some(InvalidSubjectType)),
            ("shy", "user:a", None, true, None, None),
            ("shy", "user:a", Some(("odd", "")), true, Some(InvalidSubjectType), Some(InvalidSubjectType)),
            ("shy", "user:*", Some(("odd", "")), true, None, None),
            ("shy", "user:*", Some(("odd", "")), false, Some(InvalidSubjectType), Some(InvalidSubjectType)),
            ("shy", "user:*", None, false, Some(InvalidSubjectType), None),
            ("owner", "user:a", Some(("odd", "")), false, Some(InvalidSubjectType), Some(InvalidSubjectType)),
            ("owner", "user:a", None, true, Some(InvalidSubjectType), None),
            ("both", "user:a", None, false, None, None),
            ("both", "user:a", Some(("odd", r#"{"num":3}"#)), false, None, None),
            (
                "both",
                "user:a",
                Some(("odd", r#"{"num":"x"}"#)),
                false,
                Some(CaveatParameterType),
                Some(CaveatParameterType),
            ),
            (
                "both",
                "user:a",
                Some(("odd", r#"{"bad":3}"#)),
                false,
                Some(CaveatParameterType),
                Some(CaveatParameterType),
            ),
            ("both", "user:a", Some(("odd", "[1]")), false, Some(InvalidArgument), Some(InvalidArgument)),
        ];
        for (relation, who, caveat, expires, write, delete) in cases {
            let tuple = qualified(relation, who, *caveat, *expires);
            let code = |result: Result<(), Error>| result.err().map(|error| error.code);
            assert_eq!(code(schema().check_tuple(&tuple)), *write, "write {tuple:?}");
            assert_eq!(code(schema().check_deletion(&tuple)), *delete, "delete {tuple:?}");
        }
    }

    #[test]
    fn errors_name_what_they_speak_of() {
        let key = |relation: &str, who: &str| TupleKey {
            resource: ObjectRef::new("doc", "1").expect("valid"),
            relation: name(relation),
            subject: subject(who),
        };
        let details = |relation: &str, who: &str| {
            let error = schema().check_tuple(&Tuple::unqualified(key(relation, who))).expect_err("refused");
            error.details.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            details("owner", "team:a#member"),
            "definition_name=doc relation_name=owner subject_type=team#member"
        );
        assert_eq!(details("view", "user:a"), "definition_name=doc permission_name=view");
        assert_eq!(details("absent", "user:a"), "definition_name=doc relation_or_permission_name=absent");
        assert_eq!(details("owner", "robot:a"), "definition_name=robot");
        assert_eq!(
            details("shy", "user:a"),
            "definition_name=doc relation_name=shy subject_type=user allowed_caveats=odd"
        );
        let error = schema().check_tuple(&Tuple::unqualified(key("owner", "team:a#member"))).expect_err("refused");
        assert!(error.message.contains("`team#member`") && error.message.contains("`doc#owner`"), "{error}");
    }

    #[test]
    fn filters_may_only_name_what_exists() {
        use ErrorCode::{UnknownDefinition, UnknownRelation};
        let filter = |resource: &str, relation: &str, subject_type: &str, subject_relation: &str| TupleFilter {
            resource_type: (!resource.is_empty()).then(|| TypeName::new(resource).expect("valid")),
            relation: (!relation.is_empty()).then(|| name(relation)),
            subject: (!subject_type.is_empty()).then(|| SubjectFilter {
                subject_type: TypeName::new(subject_type).expect("valid"),
                subject_id: Some(ObjectId::wildcard()),
                relation: match subject_relation {
                    "" => SubjectRelationFilter::Any,
                    "..." => SubjectRelationFilter::Direct,
                    other => SubjectRelationFilter::Relation(name(other)),
                },
            }),
            ..TupleFilter::default()
        };
        let cases = [
            (filter("", "", "", ""), None),
            (filter("doc", "", "", ""), None),
            (filter("doc", "view", "team", "member"), None),
            (filter("", "absent", "user", "..."), None),
            (filter("file", "", "", ""), Some(UnknownDefinition)),
            (filter("doc", "absent", "", ""), Some(UnknownRelation)),
            (filter("doc", "", "robot", ""), Some(UnknownDefinition)),
            (filter("", "", "team", "absent"), Some(UnknownRelation)),
        ];
        for (filter, expected) in cases {
            assert_eq!(schema().check_filter(&filter).err().map(|e| e.code), expected, "{filter:?}");
        }
    }
}
