//! Who is in an expanded tree, once the usersets in its leaves were expanded too. It knows nothing of nodes.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::wire::authzed::algebraic_subject_set::Operation;
use crate::harness::wire::authzed::permission_relationship_tree::TreeType;
use crate::harness::wire::authzed::{ObjectReference, PermissionRelationshipTree, SubjectReference};

/// `type:id#relation`.
pub(super) fn userset_text(object: &ObjectReference, relation: &str) -> String {
    format!("{}:{}#{relation}", object.object_type, object.object_id)
}

fn object_of(subject: &SubjectReference) -> &ObjectReference {
    subject.object.as_ref().expect("a subject in an answer is complete")
}

/// The usersets in the leaves of a tree.
pub(super) fn usersets(tree: &PermissionRelationshipTree) -> Vec<(ObjectReference, String)> {
    match &tree.tree_type {
        Some(TreeType::Leaf(leaf)) => leaf
            .subjects
            .iter()
            .filter(|subject| !subject.optional_relation.is_empty())
            .map(|subject| (object_of(subject).clone(), subject.optional_relation.clone()))
            .collect(),
        Some(TreeType::Intermediate(inner)) => inner.children.iter().flat_map(usersets).collect(),
        None => Vec::new(),
    }
}

/// The trees of a userset and of all that its leaves lead to, by [`userset_text`].
pub(super) type Forest = BTreeMap<String, PermissionRelationshipTree>;

/// Judges trees for one subject.
pub(super) struct Judge<'a> {
    pub(super) forest: &'a Forest,
    pub(super) subject: &'a SubjectReference,
    /// Whether what is subtracted counts. With caveats it may not apply, and then the answer is only who may be in.
    pub(super) exact: bool,
}

impl Judge<'_> {
    /// Whether the subject is in the userset; `within` are those that are being judged, since data may be cyclic.
    pub(super) fn is_in(&self, userset: &str, within: &mut BTreeSet<String>) -> bool {
        if self.is_itself(userset) {
            return true;
        }
        let Some(tree) = self.forest.get(userset) else { return false };
        if !within.insert(userset.to_owned()) {
            return false;
        }
        let found = self.is_under(tree, within);
        within.remove(userset);
        found
    }

    /// A userset is in itself.
    fn is_itself(&self, userset: &str) -> bool {
        let SubjectReference { optional_relation, .. } = self.subject;
        !optional_relation.is_empty() && userset_text(object_of(self.subject), optional_relation) == userset
    }

    fn is_under(&self, tree: &PermissionRelationshipTree, within: &mut BTreeSet<String>) -> bool {
        let expanded = tree.expanded_object.as_ref();
        if expanded.is_some_and(|object| self.is_itself(&userset_text(object, &tree.expanded_relation))) {
            return true;
        }
        match &tree.tree_type {
            Some(TreeType::Leaf(leaf)) => leaf.subjects.iter().any(|member| self.is_member(member, within)),
            Some(TreeType::Intermediate(inner)) => {
                let mut children = inner.children.iter().map(|child| self.is_under(child, within));
                match inner.operation() {
                    Operation::Union => children.any(|is_in| is_in),
                    Operation::Intersection => children.len() > 0 && children.all(|is_in| is_in),
                    Operation::Exclusion => {
                        let first = children.next().unwrap_or(false);
                        first && !(self.exact && children.any(|is_in| is_in))
                    }
                    Operation::Unspecified => panic!("a tree without an operation"),
                }
            }
            None => false,
        }
    }

    fn is_member(&self, member: &SubjectReference, within: &mut BTreeSet<String>) -> bool {
        let (found, sought) = (object_of(member), object_of(self.subject));
        if !member.optional_relation.is_empty() {
            return self.is_in(&userset_text(found, &member.optional_relation), within);
        }
        found == sought && self.subject.optional_relation.is_empty()
            || found.object_id == "*" && found.object_type == sought.object_type
    }
}
