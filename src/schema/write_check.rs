//! Whether what a request names exists in a schema, and whether a tuple may be written under it.
//!
//! Pure look-ups; ids are not judged here, since names and ids are valid by construction.

use crate::model::{
    Error, ErrorCode, RelationName, SubjectFilter, SubjectRef, SubjectRelationFilter, TupleFilter, TupleKey, TypeName,
};

use super::{Allowed, AllowedSubject, Definition, Member, Schema};

impl Schema {
    /// Whether `key` may be written, or deleted, under this schema.
    pub fn check_tuple(&self, key: &TupleKey) -> Result<(), Error> {
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
            Member::Relation(relation) => {
                // A wildcard with a relation is no kind of subject, so it is never allowed.
                let kind = AllowedSubject::of(&key.subject);
                if kind.as_ref().is_some_and(|kind| relation.allows(kind)) {
                    return Ok(());
                }
                let kind = kind.map_or_else(|| key.subject.to_string(), |kind| kind.to_string());
                Err(wrong_subject(resource, &key.relation, &kind, &relation.allowed))
            }
        }
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

fn wrong_subject(definition: &Definition, relation: &RelationName, kind: &str, allowed: &[Allowed]) -> Error {
    const SHOWN: usize = 8;
    let mut list = allowed.iter().take(SHOWN).map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ");
    if allowed.len() > SHOWN {
        list.push_str(", …");
    }
    let message = format!(
        "subjects of type `{kind}` are not allowed on relation `{}#{relation}`; it allows {list}",
        definition.name
    );
    Error::new(ErrorCode::InvalidSubjectType, message)
        .with("definition_name", &definition.name)
        .with("relation_name", relation)
        .with("subject_type", kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ObjectId, ObjectRef};
    use crate::schema::spicedb;

    const SCHEMA: &str = "
        definition user {}
        definition team {
            relation member: user | team#member
            permission everyone = member
        }
        definition doc {
            relation viewer: user | user:* | team#member
            relation owner: user
            relation public: user:*
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
            assert_eq!(schema().check_tuple(&key).err().map(|e| e.code), *expected, "{key}");
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
            let error = schema().check_tuple(&key(relation, who)).expect_err("refused");
            error.details.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            details("owner", "team:a#member"),
            "definition_name=doc relation_name=owner subject_type=team#member"
        );
        assert_eq!(details("view", "user:a"), "definition_name=doc permission_name=view");
        assert_eq!(details("absent", "user:a"), "definition_name=doc relation_or_permission_name=absent");
        assert_eq!(details("owner", "robot:a"), "definition_name=robot");
        let error = schema().check_tuple(&key("owner", "team:a#member")).expect_err("refused");
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
