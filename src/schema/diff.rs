//! What changes from one schema to another, as data.
//!
//! Only what the texts say is compared, not what it comes to: `a + b` and `b + a` differ, parentheses that change nothing do
//! not, and of a caveat the text of the expression counts, its spaces included, as in SpiceDB. In a fixed order.

use std::collections::{BTreeMap, BTreeSet};

use crate::caveat::Caveat;
use crate::model::{Error, ErrorCode, RelationName, limits};

use super::reflect::{
    CaveatShape, DefinitionShape, MemberShape, ParameterShape, PermissionShape, RelationShape, caveat_shape,
    definition_shape, member_shape, parameter_shape,
};
use super::{Allowed, Definition, Member, Relation, Schema};

/// One change. What was removed is shown as it was, everything else as it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaChange {
    /// A new definition.
    DefinitionAdded(DefinitionShape),
    /// A definition that is gone.
    DefinitionRemoved(DefinitionShape),
    /// The comment of a definition.
    DefinitionCommentChanged(DefinitionShape),
    /// A new relation of a definition that stays.
    RelationAdded(RelationShape),
    /// A relation that is gone.
    RelationRemoved(RelationShape),
    /// The comment of a relation.
    RelationCommentChanged(RelationShape),
    /// What a relation allows now.
    SubjectTypeAdded(RelationShape, Allowed),
    /// What a relation allows no more.
    SubjectTypeRemoved(RelationShape, Allowed),
    /// A new permission of a definition that stays.
    PermissionAdded(PermissionShape),
    /// A permission that is gone.
    PermissionRemoved(PermissionShape),
    /// The comment of a permission.
    PermissionCommentChanged(PermissionShape),
    /// How a permission is computed.
    PermissionExpressionChanged(PermissionShape),
    /// A new caveat.
    CaveatAdded(CaveatShape),
    /// A caveat that is gone.
    CaveatRemoved(CaveatShape),
    /// The comment of a caveat.
    CaveatCommentChanged(CaveatShape),
    /// The condition of a caveat.
    CaveatExpressionChanged(CaveatShape),
    /// A new parameter of a caveat that stays.
    ParameterAdded(ParameterShape),
    /// A parameter that is gone.
    ParameterRemoved(ParameterShape),
    /// The type of a parameter.
    ParameterTypeChanged {
        /// The parameter.
        parameter: ParameterShape,
        /// Its type before.
        previous_type: String,
    },
}

/// What changes from `old` to `new`. The new one need not hold together.
pub fn diff(old: &Schema, new: &Schema) -> Result<Vec<SchemaChange>, Error> {
    let mut changes = Changes { found: Vec::new(), parts: limits::DIFF_PARTS };
    for added in new.definitions.values().filter(|it| !old.definitions.contains_key(&it.name)) {
        changes.add(SchemaChange::DefinitionAdded(definition_shape(new, added)))?;
    }
    for removed in old.definitions.values().filter(|it| !new.definitions.contains_key(&it.name)) {
        changes.add(SchemaChange::DefinitionRemoved(definition_shape(old, removed)))?;
    }
    for added in new.caveats.values().filter(|it| !old.caveats.contains_key(it.name())) {
        changes.add(SchemaChange::CaveatAdded(caveat_shape(new, added)))?;
    }
    for removed in old.caveats.values().filter(|it| !new.caveats.contains_key(it.name())) {
        changes.add(SchemaChange::CaveatRemoved(caveat_shape(old, removed)))?;
    }
    for before in old.definitions.values() {
        if let Some(after) = new.definitions.get(&before.name) {
            let (comments_before, comments_after) = (comments(old, before), comments(new, after));
            DefinitionDiff { old, new, before, after, comments_before, comments_after }.run(&mut changes)?;
        }
    }
    for before in old.caveats.values() {
        if let Some(after) = new.caveats.get(before.name()) {
            caveat_changes(old, new, before, after, &mut changes)?;
        }
    }
    Ok(changes.found)
}

/// Changes, and how much more they may show: every change of what a relation allows shows all that it allows.
struct Changes {
    found: Vec<SchemaChange>,
    parts: usize,
}

impl Changes {
    fn add(&mut self, change: SchemaChange) -> Result<(), Error> {
        use SchemaChange as C;
        let relation = |it: &RelationShape| 1 + it.subject_types.len();
        let parts = match &change {
            C::DefinitionAdded(it) | C::DefinitionRemoved(it) | C::DefinitionCommentChanged(it) => {
                1 + it.permissions.len() + it.relations.iter().map(relation).sum::<usize>()
            }
            C::RelationAdded(it) | C::RelationRemoved(it) | C::RelationCommentChanged(it) => relation(it),
            C::SubjectTypeAdded(it, _) | C::SubjectTypeRemoved(it, _) => relation(it),
            C::CaveatAdded(it)
            | C::CaveatRemoved(it)
            | C::CaveatCommentChanged(it)
            | C::CaveatExpressionChanged(it) => 1 + it.parameters.len(),
            C::PermissionAdded(_)
            | C::PermissionRemoved(_)
            | C::PermissionCommentChanged(_)
            | C::PermissionExpressionChanged(_)
            | C::ParameterAdded(_)
            | C::ParameterRemoved(_)
            | C::ParameterTypeChanged { .. } => 1,
        };
        self.parts = self.parts.checked_sub(parts).ok_or_else(|| {
            let message = format!(
                "the schemas differ in more than one answer shows ({} parts); compare with one that is closer",
                limits::DIFF_PARTS
            );
            Error::new(ErrorCode::InvalidArgument, message)
        })?;
        self.found.push(change);
        Ok(())
    }
}

fn caveat_changes(
    old: &Schema,
    new: &Schema,
    before: &Caveat,
    after: &Caveat,
    changes: &mut Changes,
) -> Result<(), Error> {
    if old.outline.caveats.get(before.name()) != new.outline.caveats.get(before.name()) {
        changes.add(SchemaChange::CaveatCommentChanged(caveat_shape(new, after)))?;
    }
    for (name, of) in before.parameters().iter().filter(|(name, _)| !after.parameters().contains_key(*name)) {
        changes.add(SchemaChange::ParameterRemoved(parameter_shape(before, name, of)))?;
    }
    for (name, of) in after.parameters().iter().filter(|(name, _)| !before.parameters().contains_key(*name)) {
        changes.add(SchemaChange::ParameterAdded(parameter_shape(after, name, of)))?;
    }
    let mut retyped = false;
    for (name, was) in before.parameters() {
        if let Some(is) = after.parameters().get(name).filter(|is| *is != was) {
            let (parameter, previous_type) = (parameter_shape(after, name, is), was.to_string());
            changes.add(SchemaChange::ParameterTypeChanged { parameter, previous_type })?;
            retyped = true;
        }
    }
    // SpiceDB compares checked expressions, in which the types of the parameters are.
    if before.expression() != after.expression() || retyped {
        changes.add(SchemaChange::CaveatExpressionChanged(caveat_shape(new, after)))?;
    }
    Ok(())
}

type Comments<'a> = BTreeMap<&'a RelationName, &'a str>;

fn comments<'a>(schema: &'a Schema, definition: &Definition) -> Comments<'a> {
    let members = schema.outline.definitions.get(&definition.name).map_or(&[][..], |outline| &outline.members);
    members.iter().map(|(name, comment)| (name, comment.as_str())).collect()
}

/// A definition that stays.
struct DefinitionDiff<'a> {
    old: &'a Schema,
    new: &'a Schema,
    before: &'a Definition,
    after: &'a Definition,
    comments_before: Comments<'a>,
    comments_after: Comments<'a>,
}

impl DefinitionDiff<'_> {
    fn run(&self, changes: &mut Changes) -> Result<(), Error> {
        let name = &self.before.name;
        let comment = |schema: &Schema| schema.outline.definitions.get(name).map(|it| it.comment.clone());
        if comment(self.old) != comment(self.new) {
            changes.add(SchemaChange::DefinitionCommentChanged(definition_shape(self.new, self.after)))?;
        }
        // A name that was of a relation and is of a permission is gone as the one and new as the other.
        let stays = |name: &RelationName| {
            self.before.members.get(name).map(is_permission) == self.after.members.get(name).map(is_permission)
        };
        let gone: Vec<_> = self.before.members.iter().filter(|(name, _)| !stays(name)).collect();
        let fresh: Vec<_> = self.after.members.iter().filter(|(name, _)| !stays(name)).collect();
        for permissions in [false, true] {
            for (name, member) in gone.iter().filter(|(_, member)| is_permission(member) == permissions) {
                changes.add(match self.shape(&self.comments_before, name, member) {
                    MemberShape::Relation(relation) => SchemaChange::RelationRemoved(relation),
                    MemberShape::Permission(permission) => SchemaChange::PermissionRemoved(permission),
                })?;
            }
            for (name, member) in fresh.iter().filter(|(_, member)| is_permission(member) == permissions) {
                changes.add(match self.shape(&self.comments_after, name, member) {
                    MemberShape::Relation(relation) => SchemaChange::RelationAdded(relation),
                    MemberShape::Permission(permission) => SchemaChange::PermissionAdded(permission),
                })?;
            }
        }
        self.permissions(changes)?;
        self.relations(changes)
    }

    fn permissions(&self, changes: &mut Changes) -> Result<(), Error> {
        for (name, was) in &self.before.members {
            let (Member::Permission(was), Some(member @ Member::Permission(is))) = (was, self.after.members.get(name))
            else {
                continue;
            };
            let MemberShape::Permission(shape) = self.shape(&self.comments_after, name, member) else { continue };
            if was.rewrite != is.rewrite {
                changes.add(SchemaChange::PermissionExpressionChanged(shape.clone()))?;
            }
            if self.comments_before.get(name) != self.comments_after.get(name) {
                changes.add(SchemaChange::PermissionCommentChanged(shape))?;
            }
        }
        Ok(())
    }

    fn relations(&self, changes: &mut Changes) -> Result<(), Error> {
        for (name, was) in &self.before.members {
            let (Member::Relation(was), Some(member @ Member::Relation(is))) = (was, self.after.members.get(name))
            else {
                continue;
            };
            let comment_changed = self.comments_before.get(name) != self.comments_after.get(name);
            let (removed, added) = (only_in(was, is), only_in(is, was));
            if !comment_changed && removed.is_empty() && added.is_empty() {
                continue;
            }
            let MemberShape::Relation(shape) = self.shape(&self.comments_after, name, member) else { continue };
            if comment_changed {
                changes.add(SchemaChange::RelationCommentChanged(shape.clone()))?;
            }
            for allowed in removed {
                changes.add(SchemaChange::SubjectTypeRemoved(shape.clone(), allowed.clone()))?;
            }
            for allowed in added {
                changes.add(SchemaChange::SubjectTypeAdded(shape.clone(), allowed.clone()))?;
            }
        }
        Ok(())
    }

    fn shape(&self, comments: &Comments<'_>, name: &RelationName, member: &Member) -> MemberShape {
        let comment = comments.get(name).copied().unwrap_or_default();
        member_shape(self.before.name.as_str(), name.as_str(), comment, member)
    }
}

fn is_permission(member: &Member) -> bool {
    match member {
        Member::Relation(_) => false,
        Member::Permission(_) => true,
    }
}

/// What `one` allows and `other` does not, in the order of the text.
fn only_in<'a>(one: &'a Relation, other: &Relation) -> Vec<&'a Allowed> {
    let known: BTreeSet<&Allowed> = other.allowed.iter().collect();
    one.allowed.iter().filter(|allowed| !known.contains(allowed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::spicedb;

    const OLD: &str = "use expiration
        // odd
        caveat odd(num int) { num % 2 == 1 }
        definition user {}
        definition team { relation member: user | team#member
        }
        // doc
        definition doc {
            // zed
            relation zed: user with odd | user:* | user with expiration
            relation own: user | team
            // the view
            permission view = zed + own
        }";

    fn shown(change: &SchemaChange) -> String {
        use SchemaChange as C;
        match change {
            C::DefinitionAdded(it) => format!("+definition {}", it.name),
            C::DefinitionRemoved(it) => format!("-definition {}", it.name),
            C::DefinitionCommentChanged(it) => format!("comment {} {:?}", it.name, it.comment),
            C::RelationAdded(it) => format!("+relation {}#{}", it.definition, it.name),
            C::RelationRemoved(it) => format!("-relation {}#{}", it.definition, it.name),
            C::RelationCommentChanged(it) => format!("comment {}#{} {:?}", it.definition, it.name, it.comment),
            C::SubjectTypeAdded(it, allowed) => format!("+type {}#{} {allowed}", it.definition, it.name),
            C::SubjectTypeRemoved(it, allowed) => format!("-type {}#{} {allowed}", it.definition, it.name),
            C::PermissionAdded(it) => format!("+permission {}#{}", it.definition, it.name),
            C::PermissionRemoved(it) => format!("-permission {}#{}", it.definition, it.name),
            C::PermissionCommentChanged(it) => format!("comment {}#{} {:?}", it.definition, it.name, it.comment),
            C::PermissionExpressionChanged(it) => format!("expression {}#{}", it.definition, it.name),
            C::CaveatAdded(it) => format!("+caveat {}", it.name),
            C::CaveatRemoved(it) => format!("-caveat {}", it.name),
            C::CaveatCommentChanged(it) => format!("comment {} {:?}", it.name, it.comment),
            C::CaveatExpressionChanged(it) => format!("expression {} {}", it.name, it.expression),
            C::ParameterAdded(it) => format!("+parameter {}.{} {}", it.caveat, it.name, it.type_text),
            C::ParameterRemoved(it) => format!("-parameter {}.{} {}", it.caveat, it.name, it.type_text),
            C::ParameterTypeChanged { parameter: it, previous_type } => {
                format!("type {}.{} {} was {previous_type}", it.caveat, it.name, it.type_text)
            }
        }
    }

    /// What SpiceDB 1.54 answered for the same changes; where it has no order of its own, ours.
    #[test]
    fn changes_are_those_that_spicedb_finds() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("", "", &[]),
            ("definition user {}", "\n\ndefinition user {}\n\n", &[]),
            ("user | team\n", "team | user\n", &[]),
            ("zed + own", "(zed + (own))", &[]),
            ("zed + own", "own + zed", &["expression doc#view"]),
            ("zed + own", "zed & own", &["expression doc#view"]),
            ("// the view", "//   the view ", &["comment doc#view \"//   the view\""]),
            ("// the view", "", &["comment doc#view \"\""]),
            ("// zed", "// zet", &["comment doc#zed \"// zet\""]),
            ("// doc", "/* doc */", &["comment doc \"/* doc */\""]),
            ("// odd", "// even", &["comment odd \"// even\""]),
            ("num % 2 == 1", "num %  2 == 1", &["expression odd num % 2 == 1"]),
            ("num int", "num uint", &["type odd.num uint was int", "expression odd num % 2 == 1"]),
            (
                "(num int) { num",
                "(num int, off bool) { off || num",
                &["+parameter odd.off bool", "expression odd off || num % 2 == 1"],
            ),
            ("num % 2 == 1", "true", &["expression odd true"]),
            (
                "own: user | team",
                "own: user with odd | team:* | robot",
                &[
                    "-type doc#own user",
                    "-type doc#own team",
                    "+type doc#own user with odd",
                    "+type doc#own team:*",
                    "+type doc#own robot",
                ],
            ),
            ("user:* | user with expiration", "user:*", &["-type doc#zed user with expiration"]),
            (
                "permission view = zed + own",
                "relation view: user\n permission more = view",
                &["+relation doc#view", "-permission doc#view", "+permission doc#more"],
            ),
            ("relation own: user | team", "", &["-relation doc#own"]),
            (
                "definition user {}",
                "definition robot {}\ndefinition alpha {}\ncaveat one(num int) { num == 1 }",
                &["+definition alpha", "+definition robot", "-definition user", "+caveat one"],
            ),
        ];
        for (from, to, expected) in cases {
            let old = spicedb::parse(OLD).expect("valid");
            let new = spicedb::parse_unjudged(&OLD.replacen(from, to, 1)).unwrap_or_else(|e| panic!("{to}: {e}"));
            let found: Vec<_> = diff(&old, &new).expect("small").iter().map(shown).collect();
            assert_eq!(found, *expected, "{from} → {to}");
        }
        let old = spicedb::parse(OLD).expect("valid");
        let gone: Vec<_> = diff(&old, &Schema::default()).expect("small").iter().map(shown).collect();
        assert_eq!(gone, ["-definition doc", "-definition team", "-definition user", "-caveat odd"]);
    }

    /// Each change of a relation shows the relation, so that the answer grows with the square of the text.
    #[test]
    fn a_difference_too_large_to_show_is_refused() {
        let types: Vec<_> = (0..1000).map(|n| format!("type{n}")).collect();
        let relation = |types: &str| {
            let text = format!("definition user {{}}\ndefinition doc {{\n relation own: {types}\n}}");
            spicedb::parse_unjudged(&text).expect("readable")
        };
        let (few, many) = (relation("user"), relation(&types.join(" | ")));
        let error = diff(&few, &many).expect_err("a million parts");
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert_eq!(diff(&many, &few).expect("each shows one").len(), 1001);
    }
}
