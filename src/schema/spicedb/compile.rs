//! From the tree to the representation, and from its faults back to places in the text.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::ast::{DefinitionNode, Expr, MemberBody, MemberNode};
use super::parser::parse_text;
use crate::model::{RelationName, TypeName, limits};
use crate::schema::validate::{Fault, find_faults};
use crate::schema::{Allowed, Definition, Member, Permission, Relation, Rewrite, Schema, SchemaError};

/// Reads a schema text. A text without definitions is a valid, empty schema.
///
/// Of several type errors, the first in the text is reported.
pub fn parse(text: &str) -> Result<Schema, SchemaError> {
    if text.len() > limits::SCHEMA_BYTES {
        let message = format!("the schema is {} bytes long, at most {} are allowed", text.len(), limits::SCHEMA_BYTES);
        return Err(SchemaError::parse(text, 0, message));
    }
    let mut compiler = Compiler { text, schema: Schema::default(), places: BTreeMap::new() };
    for node in parse_text(text)? {
        compiler.define(node)?;
    }
    let mut first: Option<(usize, Fault)> = None;
    find_faults(&compiler.schema, &mut |fault| {
        let offset = compiler.offset_of(&fault);
        if first.as_ref().is_none_or(|(earliest, _)| offset < *earliest) {
            first = Some((offset, fault));
        }
    });
    match first {
        Some((offset, fault)) => Err(SchemaError::type_check(text, offset, fault.message)),
        None => Ok(compiler.schema),
    }
}

/// Where a member and its parts stand in the text.
struct Places {
    name: usize,
    /// Allowed subjects, or the leaves of the expression from left to right.
    parts: Vec<usize>,
}

struct Compiler<'a> {
    text: &'a str,
    schema: Schema,
    places: BTreeMap<TypeName, BTreeMap<RelationName, Places>>,
}

impl Compiler<'_> {
    fn define(&mut self, node: DefinitionNode) -> Result<(), SchemaError> {
        let name = node.name.value;
        if self.schema.definitions.contains_key(&name) {
            let message = format!("definition `{name}` is defined twice");
            return Err(SchemaError::parse(self.text, node.name.offset, message));
        }
        let mut members = BTreeMap::new();
        let mut places = BTreeMap::new();
        for member in node.members {
            let MemberNode { name: member_name, body } = member;
            let (member, parts) = lower(body);
            match members.entry(member_name.value.clone()) {
                Entry::Vacant(free) => free.insert(member),
                Entry::Occupied(_) => {
                    let message = format!(
                        "relation or permission `{}` is defined twice under definition `{name}`",
                        member_name.value
                    );
                    return Err(SchemaError::type_check(self.text, member_name.offset, message));
                }
            };
            places.insert(member_name.value, Places { name: member_name.offset, parts });
        }
        self.refuse_self(&members, &places)?;
        self.places.insert(name.clone(), places);
        self.schema.definitions.insert(name.clone(), Definition { name, members });
        Ok(())
    }

    /// `self` is an ordinary name unless a schema asks for the feature, which it cannot. So it is refused by name only where
    /// no member is called that.
    fn refuse_self(
        &self,
        members: &BTreeMap<RelationName, Member>,
        places: &BTreeMap<RelationName, Places>,
    ) -> Result<(), SchemaError> {
        const SELF: &str = "self";
        if members.contains_key(SELF) {
            return Ok(());
        }
        let uses = members.iter().filter_map(|(name, member)| match member {
            Member::Relation(_) => None,
            Member::Permission(permission) => {
                let leaves = permission.rewrite.leaves();
                let part = leaves.iter().position(|leaf| matches!(leaf, Rewrite::Computed(n) if n.as_str() == SELF))?;
                places.get(name)?.parts.get(part).copied()
            }
        });
        match uses.min() {
            Some(offset) => Err(SchemaError::unsupported(self.text, offset, "the expression `self` is")),
            None => Ok(()),
        }
    }

    fn offset_of(&self, fault: &Fault) -> usize {
        let places = self.places.get(&fault.definition).and_then(|members| members.get(&fault.member));
        places.map_or(0, |places| fault.part.and_then(|part| places.parts.get(part)).copied().unwrap_or(places.name))
    }
}

fn lower(body: MemberBody) -> (Member, Vec<usize>) {
    let mut parts = Vec::new();
    let member = match body {
        MemberBody::Relation(subjects) => {
            parts.extend(subjects.iter().map(|subject| subject.offset));
            Member::Relation(Relation {
                allowed: subjects.into_iter().map(|subject| Allowed::plain(subject.value)).collect(),
            })
        }
        MemberBody::Permission(expr) => {
            let rewrite = lower_expression(expr, &mut parts);
            Member::Permission(Permission { rewrite })
        }
    };
    (member, parts)
}

/// Recursion is bounded by the parser, which bounds the depth of what it returns.
fn lower_expression(expr: Expr, parts: &mut Vec<usize>) -> Rewrite {
    let mut all = |operands: Vec<Expr>| operands.into_iter().map(|o| lower_expression(o, parts)).collect();
    match expr {
        Expr::Union(operands) => Rewrite::Union(all(operands)),
        Expr::Intersection(operands) => Rewrite::Intersection(all(operands)),
        Expr::Exclusion(base, removed) => {
            let base = lower_expression(*base, parts);
            Rewrite::Exclusion(Box::new(base), Box::new(lower_expression(*removed, parts)))
        }
        Expr::Nil(offset) => {
            parts.push(offset);
            Rewrite::Nil
        }
        Expr::Name(name) => {
            parts.push(name.offset);
            Rewrite::Computed(name.value)
        }
        Expr::Arrow { tupleset, target, kind } => {
            parts.push(tupleset.offset);
            Rewrite::Arrow { tupleset: tupleset.value, target, kind }
        }
    }
}
