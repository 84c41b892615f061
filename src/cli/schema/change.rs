//! One change of a schema, for people and for programs.

use std::fmt;

use serde_json::{Value, json};

use crate::wire::authzed::v1::reflection_schema_diff::Diff;
use crate::wire::authzed::v1::{ReflectionCaveatParameter, ReflectionRelation, ReflectionRelationSubjectTypeChange};
use crate::wire::quorate::v1::PlannedChange;

/// What happens to what: `+ relation document#viewer`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// `+` for what is new, `-` for what is gone, `~` for what changes.
    sign: char,
    /// What it is: a definition, a relation and so on.
    kind: &'static str,
    /// Its name: `document#viewer`, `on_weekdays.day`.
    name: String,
    /// What of it, where not the whole.
    detail: String,
}

impl Change {
    /// What a node told; `None` where it told of a kind of change that this version does not know.
    pub(super) fn of(planned: &PlannedChange) -> Option<Self> {
        const COMMENT: &str = "the comment";
        const EXPRESSION: &str = "the expression";
        let new = |sign, kind, name: String, detail: &str| Self { sign, kind, name, detail: detail.to_owned() };
        let subject_type = &planned.subject_type;
        Some(match planned.change.as_ref()?.diff.as_ref()? {
            Diff::DefinitionAdded(it) => new('+', "definition", it.name.clone(), ""),
            Diff::DefinitionRemoved(it) => new('-', "definition", it.name.clone(), ""),
            Diff::DefinitionDocCommentChanged(it) => new('~', "definition", it.name.clone(), COMMENT),
            Diff::RelationAdded(it) => new('+', "relation", relation(it), ""),
            Diff::RelationRemoved(it) => new('-', "relation", relation(it), ""),
            Diff::RelationDocCommentChanged(it) => new('~', "relation", relation(it), COMMENT),
            Diff::RelationSubjectTypeAdded(it) => new('+', "subject type", changed_relation(it), subject_type),
            Diff::RelationSubjectTypeRemoved(it) => new('-', "subject type", changed_relation(it), subject_type),
            Diff::PermissionAdded(it) => new('+', "permission", member(&it.parent_definition_name, &it.name), ""),
            Diff::PermissionRemoved(it) => new('-', "permission", member(&it.parent_definition_name, &it.name), ""),
            Diff::PermissionDocCommentChanged(it) => {
                new('~', "permission", member(&it.parent_definition_name, &it.name), COMMENT)
            }
            Diff::PermissionExprChanged(it) => {
                new('~', "permission", member(&it.parent_definition_name, &it.name), EXPRESSION)
            }
            Diff::CaveatAdded(it) => new('+', "caveat", it.name.clone(), ""),
            Diff::CaveatRemoved(it) => new('-', "caveat", it.name.clone(), ""),
            Diff::CaveatDocCommentChanged(it) => new('~', "caveat", it.name.clone(), COMMENT),
            Diff::CaveatExprChanged(it) => new('~', "caveat", it.name.clone(), EXPRESSION),
            Diff::CaveatParameterAdded(it) => new('+', "caveat parameter", parameter(it), &it.r#type),
            Diff::CaveatParameterRemoved(it) => new('-', "caveat parameter", parameter(it), &it.r#type),
            Diff::CaveatParameterTypeChanged(it) => {
                let now = it.parameter.as_ref()?;
                new('~', "caveat parameter", parameter(now), &format!("{} → {}", it.previous_type, now.r#type))
            }
        })
    }

    /// One object.
    pub(super) fn to_json(&self) -> Value {
        let change = match self.sign {
            '+' => "added",
            '-' => "removed",
            _ => "changed",
        };
        json!({ "change": change, "kind": self.kind, "name": self.name, "detail": self.detail })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.sign, self.kind, self.name)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

fn member(definition: &str, name: &str) -> String {
    format!("{definition}#{name}")
}

fn relation(it: &ReflectionRelation) -> String {
    member(&it.parent_definition_name, &it.name)
}

fn changed_relation(it: &ReflectionRelationSubjectTypeChange) -> String {
    it.relation.as_ref().map(relation).unwrap_or_default()
}

fn parameter(it: &ReflectionCaveatParameter) -> String {
    format!("{}.{}", it.parent_caveat_name, it.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::authzed::v1::{ReflectionCaveatParameterTypeChange, ReflectionDefinition, ReflectionSchemaDiff};

    #[test]
    fn a_change_is_one_line() {
        let relation = ReflectionRelation {
            name: "own".to_owned(),
            parent_definition_name: "doc".to_owned(),
            ..Default::default()
        };
        let changed =
            || ReflectionRelationSubjectTypeChange { relation: Some(relation.clone()), changed_subject_type: None };
        let parameter = ReflectionCaveatParameter {
            name: "num".to_owned(),
            r#type: "uint".to_owned(),
            parent_caveat_name: "odd".to_owned(),
        };
        let added = Diff::DefinitionAdded(ReflectionDefinition { name: "doc".to_owned(), ..Default::default() });
        let retyped = Diff::CaveatParameterTypeChanged(ReflectionCaveatParameterTypeChange {
            parameter: Some(parameter),
            previous_type: "int".to_owned(),
        });
        let cases = [
            (added, "", "+ definition doc"),
            (Diff::RelationDocCommentChanged(relation.clone()), "", "~ relation doc#own: the comment"),
            (Diff::RelationSubjectTypeAdded(changed()), "user:* with odd", "+ subject type doc#own: user:* with odd"),
            (
                Diff::RelationSubjectTypeRemoved(changed()),
                "user with expiration",
                "- subject type doc#own: user with expiration",
            ),
            (retyped, "", "~ caveat parameter odd.num: int → uint"),
        ];
        for (diff, subject_type, expected) in cases {
            let change = Some(ReflectionSchemaDiff { diff: Some(diff) });
            let planned = PlannedChange { change, subject_type: subject_type.to_owned() };
            assert_eq!(Change::of(&planned).expect("known").to_string(), expected);
        }
        let unknown = Some(ReflectionSchemaDiff { diff: None });
        assert_eq!(Change::of(&PlannedChange { change: unknown, subject_type: String::new() }), None);
    }
}
