//! A schema as data: what it defines, in the shapes in which clients are shown it.
//!
//! Definitions and caveats are in the order of their names, members in the order of the text, as in SpiceDB.

use crate::caveat::{Caveat, ParameterType};
use crate::model::{Error, ErrorCode};

use super::{Allowed, Definition, Member, Schema};

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionShape {
    /// Its name.
    pub name: String,
    /// The comment before it, with its slashes or stars; empty for none. So for the others.
    pub comment: String,
    /// Its relations.
    pub relations: Vec<RelationShape>,
    /// Its permissions.
    pub permissions: Vec<PermissionShape>,
}

/// A relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationShape {
    /// Its name.
    pub name: String,
    /// Its comment.
    pub comment: String,
    /// The definition that it is part of.
    pub definition: String,
    /// What it allows, in the order of the text.
    pub subject_types: Vec<Allowed>,
}

/// A permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionShape {
    /// Its name.
    pub name: String,
    /// Its comment.
    pub comment: String,
    /// The definition that it is part of.
    pub definition: String,
}

/// A caveat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaveatShape {
    /// Its name.
    pub name: String,
    /// Its comment.
    pub comment: String,
    /// Its parameters in the order of their names.
    pub parameters: Vec<ParameterShape>,
    /// Its expression in canonical form.
    pub expression: String,
}

/// A parameter of a caveat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterShape {
    /// Its name.
    pub name: String,
    /// Its type, as in the text of a schema.
    pub type_text: String,
    /// The caveat that it is part of.
    pub caveat: String,
}

/// What a client wants to see of a schema. Each part is the beginning of a name; empty means that nothing is asked by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReflectionFilter {
    /// Of a definition. Excludes `caveat`.
    pub definition: String,
    /// Of a caveat.
    pub caveat: String,
    /// Of a relation, of the definitions that `definition` means. Excludes `permission`.
    pub relation: String,
    /// Of a permission, of the definitions that `definition` means.
    pub permission: String,
}

/// A schema, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reflection {
    /// Definitions.
    pub definitions: Vec<DefinitionShape>,
    /// Caveats.
    pub caveats: Vec<CaveatShape>,
}

/// What of `schema` one of the filters means; everything where there is none.
///
/// As in SpiceDB: filters that ask for no definition show none, and the same for caveats; relations of a shown definition are
/// only left out where some filter asks for relations, and permissions where one asks for permissions.
pub fn reflect(schema: &Schema, filters: &[ReflectionFilter]) -> Result<Reflection, Error> {
    filters.iter().try_for_each(ReflectionFilter::check)?;
    let shows = |asks: fn(&ReflectionFilter) -> &str, name: &str| {
        filters.is_empty() || filters.iter().map(asks).any(|asked| !asked.is_empty() && name.starts_with(asked))
    };
    let definitions = schema.definitions.values().filter(|it| shows(|filter| &filter.definition, it.name.as_str()));
    let caveats = schema.caveats.values().filter(|it| shows(|filter| &filter.caveat, it.name().as_str()));
    Ok(Reflection {
        definitions: definitions.map(|definition| narrowed(definition_shape(schema, definition), filters)).collect(),
        caveats: caveats.map(|caveat| caveat_shape(schema, caveat)).collect(),
    })
}

impl ReflectionFilter {
    fn check(&self) -> Result<(), Error> {
        let (definition, relation) = (!self.definition.is_empty(), !self.relation.is_empty());
        let problem = if definition && !self.caveat.is_empty() {
            "it asks for definitions and for caveats; make it two filters"
        } else if relation && !definition {
            "it asks for relations; ask for their definition as well"
        } else if relation && !self.permission.is_empty() {
            "it asks for relations and for permissions; make it two filters"
        } else if !self.permission.is_empty() && !definition {
            "it asks for permissions; ask for their definition as well"
        } else {
            return Ok(());
        };
        let message = format!("the reflection filter is not valid: {problem}");
        Err(Error::new(ErrorCode::InvalidFilter, message).with("filter", self.shown()))
    }

    fn shown(&self) -> String {
        let parts = [
            ("optional_definition_name_filter", &self.definition),
            ("optional_caveat_name_filter", &self.caveat),
            ("optional_relation_name_filter", &self.relation),
            ("optional_permission_name_filter", &self.permission),
        ];
        let given = parts.into_iter().filter(|(_, asked)| !asked.is_empty());
        given.map(|(name, asked)| format!("{name}:{asked:?}")).collect::<Vec<_>>().join(" ")
    }
}

/// Without the members that no filter asks for, where one asks for some.
fn narrowed(mut shape: DefinitionShape, filters: &[ReflectionFilter]) -> DefinitionShape {
    let keeps = |asks: fn(&ReflectionFilter) -> &str, name: &str| {
        let mut asking = filters.iter().filter(|filter| !asks(filter).is_empty()).peekable();
        asking.peek().is_none()
            || asking.any(|filter| name.starts_with(asks(filter)) && shape.name.starts_with(&filter.definition))
    };
    let relations = std::mem::take(&mut shape.relations);
    let permissions = std::mem::take(&mut shape.permissions);
    let relations = relations.into_iter().filter(|it| keeps(|filter| &filter.relation, &it.name)).collect();
    let permissions = permissions.into_iter().filter(|it| keeps(|filter| &filter.permission, &it.name)).collect();
    DefinitionShape { relations, permissions, ..shape }
}

/// The members of a definition in the order of the text, each with its comment. A schema that was not made from a text has the
/// order of names, and no comments.
fn members<'a>(schema: &'a Schema, definition: &'a Definition) -> Vec<(&'a str, &'a str, &'a Member)> {
    match schema.outline.definitions.get(&definition.name) {
        Some(outline) => {
            let known = outline
                .members
                .iter()
                .filter_map(|(name, comment)| Some((name.as_str(), comment.as_str(), definition.members.get(name)?)));
            known.collect()
        }
        None => definition.members.iter().map(|(name, member)| (name.as_str(), "", member)).collect(),
    }
}

pub(super) fn definition_shape(schema: &Schema, definition: &Definition) -> DefinitionShape {
    let (mut relations, mut permissions) = (Vec::new(), Vec::new());
    for (name, comment, member) in members(schema, definition) {
        match member_shape(definition.name.as_str(), name, comment, member) {
            MemberShape::Relation(relation) => relations.push(relation),
            MemberShape::Permission(permission) => permissions.push(permission),
        }
    }
    let comment = schema.outline.definitions.get(&definition.name).map_or("", |outline| outline.comment.as_str());
    DefinitionShape { name: definition.name.to_string(), comment: comment.to_owned(), relations, permissions }
}

/// A relation or a permission.
pub(super) enum MemberShape {
    Relation(RelationShape),
    Permission(PermissionShape),
}

pub(super) fn member_shape(definition: &str, name: &str, comment: &str, member: &Member) -> MemberShape {
    let (name, comment, definition) = (name.to_owned(), comment.to_owned(), definition.to_owned());
    match member {
        Member::Relation(relation) => {
            let subject_types = relation.allowed.clone();
            MemberShape::Relation(RelationShape { name, comment, definition, subject_types })
        }
        Member::Permission(_) => MemberShape::Permission(PermissionShape { name, comment, definition }),
    }
}

pub(super) fn caveat_shape(schema: &Schema, caveat: &Caveat) -> CaveatShape {
    let parameters = caveat.parameters().iter().map(|(name, of)| parameter_shape(caveat, name, of));
    CaveatShape {
        name: caveat.name().to_string(),
        comment: schema.outline.caveats.get(caveat.name()).cloned().unwrap_or_default(),
        parameters: parameters.collect(),
        expression: caveat.canonical_expression(),
    }
}

pub(super) fn parameter_shape(caveat: &Caveat, name: &str, of: &ParameterType) -> ParameterShape {
    ParameterShape { name: name.to_owned(), type_text: of.to_string(), caveat: caveat.name().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::spicedb;

    const SCHEMA: &str = "use expiration
        // License
        caveat odd(num int, list_ list<string>) {
            num % 2 == 1   && 'a' in list_   // comment
        }
        // user doc
        definition user {}
        definition team { relation member: user | team#member
        }
        definition doc {
            /* zz */
            // second
            relation zed: user with odd | user:* | team#member with odd and expiration
            relation abc: team
            // the view
            permission view = zed + abc->member
            permission all = abc.all(member) - zed
            relation late: user
        }";

    fn shown(filters: &[ReflectionFilter]) -> Result<String, Error> {
        let schema = spicedb::parse(SCHEMA).expect("valid");
        let reflection = reflect(&schema, filters)?;
        let definitions = reflection.definitions.into_iter().map(|it| {
            let relations: Vec<_> = it.relations.into_iter().map(|it| it.name).collect();
            let permissions: Vec<_> = it.permissions.into_iter().map(|it| it.name).collect();
            format!("{}({}/{})", it.name, relations.join(","), permissions.join(","))
        });
        let caveats = reflection.caveats.into_iter().map(|it| it.name);
        Ok(definitions.chain(caveats).collect::<Vec<_>>().join(" "))
    }

    fn filter(definition: &str, caveat: &str, relation: &str, permission: &str) -> ReflectionFilter {
        let [definition, caveat, relation, permission] = [definition, caveat, relation, permission].map(str::to_owned);
        ReflectionFilter { definition, caveat, relation, permission }
    }

    #[test]
    fn everything_is_shown_as_spicedb_shows_it() {
        let schema = spicedb::parse(SCHEMA).expect("valid");
        let Reflection { definitions, caveats } = reflect(&schema, &[]).expect("no filter");
        let names: Vec<_> = definitions.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["doc", "team", "user"]);
        assert_eq!((definitions[2].comment.as_str(), definitions[1].comment.as_str()), ("// user doc", ""));
        let zed = &definitions[0].relations[0];
        assert_eq!((zed.comment.as_str(), zed.definition.as_str()), ("/* zz */\n// second", "doc"));
        let allowed: Vec<_> = zed.subject_types.iter().map(ToString::to_string).collect();
        assert_eq!(allowed, ["user with odd", "user:*", "team#member with odd and expiration"]);
        assert_eq!(definitions[0].permissions[0].comment, "// the view");
        assert_eq!(caveats[0].comment, "// License");
        assert_eq!(caveats[0].expression, "num % 2 == 1 && \"a\" in list_");
        let parameters: Vec<_> =
            caveats[0].parameters.iter().map(|it| format!("{} {}", it.name, it.type_text)).collect();
        assert_eq!(parameters, ["list_ list<string>", "num int"]);
    }

    #[test]
    fn filters_are_beginnings_of_which_one_suffices() {
        let doc = "doc(zed,abc,late/view,all)";
        let cases = [
            (vec![], format!("{doc} team(member/) user(/) odd")),
            (vec![filter("doc", "", "", "")], doc.to_owned()),
            (vec![filter("d", "", "", ""), filter("", "o", "", "")], format!("{doc} odd")),
            (vec![filter("", "o", "", "")], "odd".to_owned()),
            (vec![filter("doc", "", "z", "")], "doc(zed/view,all)".to_owned()),
            (vec![filter("doc", "", "", "v")], "doc(zed,abc,late/view)".to_owned()),
            (
                vec![filter("doc", "", "", "v"), filter("team", "", "", "")],
                "doc(zed,abc,late/view) team(member/)".to_owned(),
            ),
            (vec![filter("", "", "", "")], String::new()),
            (vec![filter("D", "", "", "")], String::new()),
        ];
        for (filters, expected) in cases {
            assert_eq!(shown(&filters).expect("valid"), expected, "{filters:?}");
        }
    }

    #[test]
    fn filters_that_ask_for_two_things_or_for_parts_of_nothing_are_refused() {
        for refused in [
            filter("doc", "odd", "", ""),
            filter("", "", "z", ""),
            filter("", "", "", "v"),
            filter("doc", "", "z", "v"),
            filter("", "odd", "z", ""),
        ] {
            let error = shown(&[filter("doc", "", "", ""), refused.clone()]).expect_err("refused");
            assert_eq!(error.code, ErrorCode::InvalidFilter, "{refused:?}");
        }
        let error = shown(&[filter("doc", "odd", "", "")]).expect_err("refused");
        let expected = r#"optional_definition_name_filter:"doc" optional_caveat_name_filter:"odd""#;
        assert_eq!(error.details, [("filter", expected.to_owned())]);
    }
}
