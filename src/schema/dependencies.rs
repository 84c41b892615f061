//! What of a schema depends on what: which relations and permissions a kind of subject can come to by, and which ones a
//! permission is computed from. Without looking at data.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Error, ErrorCode, RelationName, TypeName};

use super::{AllowedSubject, Definition, Member, Relation, Rewrite, Schema};

/// A relation or permission of a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberRef {
    /// The definition.
    pub definition: TypeName,
    /// The member.
    pub name: RelationName,
    /// Whether it is a permission.
    pub is_permission: bool,
}

/// Objects of a type, or those who have a member on them.
type Subject<'a> = (&'a str, Option<&'a str>);
type Place<'a> = (&'a TypeName, &'a RelationName);

/// The relations and permissions that subjects of `definition` (where `member` is empty: its objects themselves; else those who
/// have that member) can have, over however many steps; only those of definitions whose name begins with
/// `definition_prefix`. By name.
pub fn computable(
    schema: &Schema,
    definition: &str,
    member: &str,
    definition_prefix: &str,
) -> Result<Vec<MemberRef>, Error> {
    let known = known_definition(schema, definition)?;
    let start: Subject<'_> = if member.is_empty() {
        (definition, None)
    } else {
        known_member(known, member)?;
        (definition, Some(member))
    };
    let edges = Edges::of(schema);
    let mut found: BTreeSet<Place<'_>> = BTreeSet::new();
    let mut open = vec![start];
    while let Some(subject) = open.pop() {
        // A relation that allows everybody of a type is reached by whatever kind of subject of that type, as in SpiceDB.
        let everybody = edges.from_type.get(subject.0).into_iter().flatten();
        for place in edges.from_subject.get(&subject).into_iter().flatten().chain(everybody) {
            if found.insert(*place) {
                open.push((place.0.as_str(), Some(place.1.as_str())));
            }
        }
    }
    let is_start = |place: &Place<'_>| (place.0.as_str(), Some(place.1.as_str())) == start;
    let wanted = found.into_iter().filter(|place| !is_start(place) && place.0.as_str().starts_with(definition_prefix));
    Ok(wanted.filter_map(|place| member_ref(schema, place)).collect())
}

/// What leads from a subject one step on.
struct Edges<'a> {
    from_subject: BTreeMap<Subject<'a>, Vec<Place<'a>>>,
    from_type: BTreeMap<&'a str, Vec<Place<'a>>>,
}

impl<'a> Edges<'a> {
    fn of(schema: &'a Schema) -> Self {
        let mut edges = Self { from_subject: BTreeMap::new(), from_type: BTreeMap::new() };
        for definition in schema.definitions.values() {
            for (name, member) in &definition.members {
                edges.add(schema, definition, name, member);
            }
        }
        edges
    }

    fn add(&mut self, schema: &'a Schema, definition: &'a Definition, name: &'a RelationName, member: &'a Member) {
        let place: Place<'a> = (&definition.name, name);
        let mut from = |subject: Subject<'a>| self.from_subject.entry(subject).or_default().push(place);
        match member {
            Member::Relation(relation) => {
                for allowed in &relation.allowed {
                    match &allowed.subject {
                        AllowedSubject::Direct(t) => from((t.as_str(), None)),
                        AllowedSubject::Userset(t, r) => from((t.as_str(), Some(r.as_str()))),
                        AllowedSubject::Wildcard(t) => self.from_type.entry(t.as_str()).or_default().push(place),
                    }
                }
            }
            Member::Permission(permission) => {
                for leaf in permission.rewrite.leaves() {
                    match leaf {
                        Rewrite::Itself => from((definition.name.as_str(), None)),
                        Rewrite::Computed(r) => from((definition.name.as_str(), Some(r.as_str()))),
                        Rewrite::Arrow { tupleset, target, .. } => {
                            for t in followed(schema, definition, tupleset, target) {
                                from((t.as_str(), Some(target.as_str())));
                            }
                        }
                        Rewrite::Nil | Rewrite::Union(_) | Rewrite::Intersection(_) | Rewrite::Exclusion(..) => {}
                    }
                }
            }
        }
    }
}

/// The types on which `tupleset->target` finds `target`. Each once: bounded, as arrows are, by what a schema may have of them.
fn followed<'a>(
    schema: &'a Schema,
    definition: &'a Definition,
    tupleset: &RelationName,
    target: &'a RelationName,
) -> BTreeSet<&'a TypeName> {
    let Some(Member::Relation(Relation { allowed })) = definition.members.get(tupleset) else {
        return BTreeSet::new();
    };
    let types = allowed.iter().map(|allowed| allowed.subject.subject_type());
    types.filter(|t| schema.member(t.as_str(), target.as_str()).is_some()).collect()
}

/// The relations and permissions that the permission `name` of `definition` is computed from, over however many steps. By name.
pub fn dependencies(schema: &Schema, definition: &str, name: &str) -> Result<Vec<MemberRef>, Error> {
    let known = known_definition(schema, definition)?;
    let (start, member) = known_member(known, name)?;
    if let Member::Relation(_) = member {
        let message = format!("`{name}` of definition `{definition}` is a relation; name a permission");
        return Err(Error::new(ErrorCode::NotAPermission, message).with("relationName", name));
    }
    let start: Place<'_> = (&known.name, start);
    // Found without being walked through: the left sides of arrows.
    let (mut found, mut walked) = (BTreeSet::new(), BTreeSet::from([start]));
    let mut open = vec![start];
    while let Some((definition, name)) = open.pop() {
        let Some(definition) = schema.definitions.get(definition) else { continue };
        let mut next: Vec<Place<'_>> = Vec::new();
        match definition.members.get(name) {
            None => {}
            Some(Member::Relation(relation)) => {
                for allowed in &relation.allowed {
                    match &allowed.subject {
                        AllowedSubject::Direct(_) | AllowedSubject::Wildcard(_) => {}
                        AllowedSubject::Userset(t, r) => next.push((t, r)),
                    }
                }
            }
            Some(Member::Permission(permission)) => {
                for leaf in permission.rewrite.leaves() {
                    match leaf {
                        Rewrite::Computed(name) => next.push((&definition.name, name)),
                        Rewrite::Arrow { tupleset, target, .. } => {
                            let types = followed(schema, definition, tupleset, target);
                            // The relation on the left is asked for its objects, not for what these depend on.
                            if !types.is_empty() {
                                found.insert((&definition.name, tupleset));
                            }
                            next.extend(types.into_iter().map(|t| (t, target)));
                        }
                        Rewrite::Nil
                        | Rewrite::Itself
                        | Rewrite::Union(_)
                        | Rewrite::Intersection(_)
                        | Rewrite::Exclusion(..) => {}
                    }
                }
            }
        }
        for place in next {
            if walked.insert(place) {
                found.insert(place);
                open.push(place);
            }
        }
    }
    Ok(found.into_iter().filter(|place| *place != start).filter_map(|place| member_ref(schema, place)).collect())
}

fn member_ref(schema: &Schema, (definition, name): Place<'_>) -> Option<MemberRef> {
    let is_permission = matches!(schema.member(definition.as_str(), name.as_str())?, Member::Permission(_));
    Some(MemberRef { definition: definition.clone(), name: name.clone(), is_permission })
}

/// SpiceDB calls it a type error here, and only here.
fn known_definition<'a>(schema: &'a Schema, name: &str) -> Result<&'a Definition, Error> {
    schema.definitions.get(name).ok_or_else(|| {
        Error::new(ErrorCode::SchemaType, format!("object definition `{name}` not found")).with("definition_name", name)
    })
}

fn known_member<'a>(definition: &'a Definition, name: &str) -> Result<(&'a RelationName, &'a Member), Error> {
    definition.members.get_key_value(name).ok_or_else(|| {
        let message = format!("relation/permission `{name}` not found under definition `{}`", definition.name);
        Error::new(ErrorCode::UnknownRelation, message)
            .with("definition_name", &definition.name)
            .with("relation_or_permission_name", name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::spicedb;

    const SCHEMA: &str = "use self
        definition user {}
        definition team {
            relation member: user | team#member
            permission p1p = member
        }
        definition org {
            relation admin: user | team#member
            relation parent: org
            permission view = admin + parent->view
            permission mee = self + view
            permission empty = nil
        }
        definition doc {
            relation org: org
            relation banned: user:*
            relation viewer: user | team#member | org#view
            permission see = viewer + org->view - banned
            permission arr = org.all(admin) & see
        }
        definition abc {
            relation xxx: doc#see
            permission foo = xxx
        }";

    fn shown(found: Result<Vec<MemberRef>, Error>) -> String {
        match found {
            Ok(found) => {
                let texts = found.iter().map(|it| {
                    let mark = if it.is_permission { "!" } else { "" };
                    format!("{}#{}{mark}", it.definition, it.name)
                });
                texts.collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("{:?}", error.code),
        }
    }

    /// What SpiceDB 1.54 answered for the same questions.
    #[test]
    fn what_can_be_computed_from_a_subject_is_what_spicedb_finds() {
        let schema = spicedb::parse(SCHEMA).expect("valid");
        let cases = [
            (
                ("user", "", ""),
                "abc#foo! abc#xxx doc#arr! doc#banned doc#see! doc#viewer org#admin org#mee! org#view! team#member team#p1p!",
            ),
            (
                ("team", "member", ""),
                "abc#foo! abc#xxx doc#arr! doc#see! doc#viewer org#admin org#mee! org#view! team#p1p!",
            ),
            (("team", "p1p", ""), ""),
            (("team", "", ""), ""),
            (("org", "admin", ""), "abc#foo! abc#xxx doc#arr! doc#see! doc#viewer org#mee! org#view!"),
            (("org", "view", ""), "abc#foo! abc#xxx doc#arr! doc#see! doc#viewer org#mee!"),
            (("org", "parent", ""), ""),
            (("org", "", ""), "doc#org org#mee! org#parent"),
            (("doc", "banned", ""), "abc#foo! abc#xxx doc#arr! doc#see!"),
            (("doc", "see", ""), "abc#foo! abc#xxx doc#arr!"),
            (("doc", "org", ""), ""),
            (("user", "", "d"), "doc#arr! doc#banned doc#see! doc#viewer"),
            (("user", "", "X"), ""),
            (("nope", "", ""), "SchemaType"),
            (("", "", ""), "SchemaType"),
            (("doc", "nope", ""), "UnknownRelation"),
            (("doc", "...", ""), "UnknownRelation"),
        ];
        for ((definition, member, prefix), expected) in cases {
            assert_eq!(
                shown(computable(&schema, definition, member, prefix)),
                expected,
                "{definition}#{member} {prefix}"
            );
        }
    }

    /// The same.
    #[test]
    fn what_a_permission_depends_on_is_what_spicedb_finds() {
        let schema = spicedb::parse(SCHEMA).expect("valid");
        let cases = [
            (("team", "p1p"), "team#member"),
            (("team", "member"), "NotAPermission"),
            (("org", "view"), "org#admin org#parent team#member"),
            (("org", "mee"), "org#admin org#parent org#view! team#member"),
            (("org", "empty"), ""),
            (("doc", "see"), "doc#banned doc#org doc#viewer org#admin org#parent org#view! team#member"),
            (("doc", "arr"), "doc#banned doc#org doc#see! doc#viewer org#admin org#parent org#view! team#member"),
            (
                ("abc", "foo"),
                "abc#xxx doc#banned doc#org doc#see! doc#viewer org#admin org#parent org#view! team#member",
            ),
            (("nope", "x"), "SchemaType"),
            (("doc", "nope"), "UnknownRelation"),
            (("doc", ""), "UnknownRelation"),
        ];
        for ((definition, name), expected) in cases {
            assert_eq!(shown(dependencies(&schema, definition, name)), expected, "{definition}#{name}");
        }
    }
}
