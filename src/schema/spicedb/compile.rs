//! From the tree to the representation, and from its faults back to places in the text.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::rc::Rc;

use super::ast::{Block, CaveatNode, Expr, File, MemberBody, MemberNode, Statement, StatementKind};
use super::caveats::{bad_pattern, compile_caveat, unused_parameter};
use super::features::Feature;
use super::parser::parse_text;
use super::partials::Partials;
use crate::model::{RelationName, TypeName, limits};
use crate::schema::annotations::{Annotations, incomplete_annotations};
use crate::schema::validate::{Fault, find_faults};
use crate::schema::{Definition, DefinitionOutline, Member, Permission, Relation, Rewrite, Schema, SchemaError};

/// The most memory that the patterns of one schema may take, compiled. A handful of bytes of text can stand for millions.
const MAX_PATTERNS_BYTES: usize = 1 << 26;

/// Reads a schema text and judges whether it holds together. A text without definitions is a valid, empty schema.
///
/// Of several type errors, the first in the text is reported.
pub fn parse(text: &str) -> Result<Schema, SchemaError> {
    let (mut compiler, annotations) = compile(text)?;
    if let Some(error) = compiler.unfit.take() {
        return Err(error);
    }
    let mut first: Option<(Range<usize>, Fault)> = None;
    let mut report = |fault: Fault| {
        let place = compiler.place_of(&fault);
        if first.as_ref().is_none_or(|(earliest, _)| place.start < earliest.start) {
            first = Some((place, fault));
        }
    };
    find_faults(&compiler.schema, &mut report);
    incomplete_annotations(&compiler.schema, &annotations, &mut report);
    match first {
        Some((place, fault)) => Err(SchemaError::type_check(text, place.start, fault.message)
            .with_source(text, place.end, fault.source_code)
            .with_details(fault.details)),
        None => Ok(compiler.schema),
    }
}

/// Reads a schema text without asking whether what it refers to exists, and what it declares is used: good for comparing, and
/// for nothing else.
pub fn parse_unjudged(text: &str) -> Result<Schema, SchemaError> {
    compile(text).map(|(compiler, _)| compiler.schema)
}

fn compile(text: &str) -> Result<(Compiler<'_>, Annotations), SchemaError> {
    if text.len() > limits::SCHEMA_BYTES {
        let message = format!("the schema is {} bytes long, at most {} are allowed", text.len(), limits::SCHEMA_BYTES);
        return Err(SchemaError::parse(text, 0, message));
    }
    let File { features, statements } = parse_text(text)?;
    let (partials, statements) = split(text, statements)?;
    let mut compiler = Compiler {
        text,
        schema: Schema::default(),
        places: BTreeMap::new(),
        partials: Partials::collect(text, partials)?,
        annotations: Annotations::new(),
        unfit: None,
        pattern_bytes: 0,
    };
    for statement in statements {
        match statement {
            Named::Definition(name, block, place) => compiler.define(name, block, place)?,
            Named::Caveat(node, place) => compiler.define_caveat(node, place)?,
        }
    }
    let annotations = std::mem::take(&mut compiler.annotations);
    // Without the feature, annotations are read and mean nothing, as in SpiceDB.
    let annotations = if features.has(Feature::Typechecking) { annotations } else { Annotations::new() };
    Ok((compiler, annotations))
}

enum Named {
    Definition(TypeName, Block, Range<usize>),
    Caveat(CaveatNode, Range<usize>),
}

/// A partial: its name and what is in it.
type Partial = (String, Block);

/// Partials are known before all definitions, wherever they stand.
fn split(text: &str, statements: Vec<Statement>) -> Result<(Vec<Partial>, Vec<Named>), SchemaError> {
    let (mut partials, mut named) = (Vec::new(), Vec::new());
    for Statement { kind, place, lead: _ } in statements {
        match kind {
            StatementKind::Partial(name, block) => partials.push((name, block)),
            StatementKind::Definition(name, block) => named.push(Named::Definition(name, block, place)),
            StatementKind::Caveat(node) => named.push(Named::Caveat(node, place)),
            StatementKind::Import(_) => {
                let message = "`import` is not allowed here: a server does not see your files; `quorate schema write` and \
                               the `schemaFile` of a validation file put imported files into one text";
                return Err(SchemaError::parse(text, place.start, message).with_source(text, place.end, ""));
            }
        }
    }
    Ok((partials, named))
}

/// Where a member and its parts stand in the text.
struct Places {
    whole: Range<usize>,
    /// Where allowed subjects, or the leaves of the expression from left to right, begin.
    parts: Vec<usize>,
}

struct Compiler<'a> {
    text: &'a str,
    schema: Schema,
    places: BTreeMap<TypeName, BTreeMap<RelationName, Places>>,
    partials: Partials<'a>,
    annotations: Annotations,
    /// The first caveat that leaves a parameter out or has a pattern that is none: nothing that keeps a text from being read.
    unfit: Option<SchemaError>,
    /// The memory that the patterns of all caveats take, roughly.
    pattern_bytes: usize,
}

impl Compiler<'_> {
    fn define(&mut self, name: TypeName, block: Block, place: Range<usize>) -> Result<(), SchemaError> {
        self.claim(name.as_str(), &place)?;
        let mut members = BTreeMap::new();
        let mut places = BTreeMap::new();
        let mut outline = DefinitionOutline { comment: block.comment, members: Vec::new() };
        for member in self.partials.members_of(block.items)? {
            let MemberNode { name: member_name, comment, body } = Rc::as_ref(&member);
            let (member, parts) = lower(body);
            match members.entry(member_name.value.clone()) {
                Entry::Vacant(free) => free.insert(member),
                Entry::Occupied(_) => return Err(self.member_twice(&name, &member_name.value, &member_name.place)),
            };
            if let MemberBody::Permission { annotation: Some(types), .. } = body {
                self.annotations.insert((name.clone(), member_name.value.clone()), types.clone());
            }
            outline.members.push((member_name.value.clone(), comment.clone()));
            places.insert(member_name.value.clone(), Places { whole: member_name.place.clone(), parts });
        }
        self.places.insert(name.clone(), places);
        self.schema.outline.definitions.insert(name.clone(), outline);
        self.schema.definitions.insert(name.clone(), Definition { name, members });
        Ok(())
    }

    fn define_caveat(&mut self, node: CaveatNode, place: Range<usize>) -> Result<(), SchemaError> {
        self.claim(node.name.as_str(), &place)?;
        let caveat = compile_caveat(self.text, &node)?;
        if self.unfit.is_none() {
            self.unfit = unused_parameter(self.text, &caveat, &place)
                .or_else(|| bad_pattern(self.text, &caveat, &node.expression));
        }
        self.pattern_bytes += caveat.pattern_bytes();
        if self.pattern_bytes > MAX_PATTERNS_BYTES {
            let message = format!(
                "the patterns of `matches` take more than {MAX_PATTERNS_BYTES} bytes of memory from here on: shorten \
                 their repetitions of Unicode classes"
            );
            return Err(SchemaError::parse(self.text, place.start, message).with_source(self.text, place.end, ""));
        }
        self.schema.outline.caveats.insert(node.name.clone(), node.comment);
        self.schema.caveats.insert(node.name, caveat);
        Ok(())
    }

    /// Definitions, caveats and partials share one name space.
    fn claim(&self, name: &str, place: &Range<usize>) -> Result<(), SchemaError> {
        let taken_by = if self.schema.definitions.contains_key(name) {
            "a definition"
        } else if self.schema.caveats.contains_key(name) {
            "a caveat"
        } else if self.partials.has(name) {
            "a partial"
        } else {
            return Ok(());
        };
        let message = format!("the name `{name}` is given twice: {taken_by} has it already");
        Err(SchemaError::parse(self.text, place.start, message).with_source(self.text, place.end, name))
    }

    fn member_twice(&self, definition: &TypeName, member: &RelationName, place: &Range<usize>) -> SchemaError {
        let message = format!("relation or permission `{member}` is defined twice under definition `{definition}`");
        SchemaError::type_check(self.text, place.start, message)
            .with_source(self.text, place.end, member.as_str())
            .with_details(vec![
                ("definition_name", definition.to_string()),
                ("relation_or_permission_name", member.to_string()),
            ])
    }

    fn place_of(&self, fault: &Fault) -> Range<usize> {
        let places = self.places.get(&fault.definition).and_then(|members| members.get(&fault.member));
        let Some(Places { whole, parts }) = places else { return 0..0 };
        match fault.part.and_then(|part| parts.get(part)) {
            Some(start) => *start..whole.end.max(*start),
            None => whole.clone(),
        }
    }
}

fn lower(body: &MemberBody) -> (Member, Vec<usize>) {
    let mut parts = Vec::new();
    let member = match body {
        MemberBody::Relation(subjects) => {
            parts.extend(subjects.iter().map(|subject| subject.place.start));
            let allowed = subjects.iter().map(|subject| subject.value.clone()).collect();
            Member::Relation(Relation { allowed })
        }
        MemberBody::Permission { annotation: _, expr } => {
            let rewrite = lower_expression(expr, &mut parts);
            Member::Permission(Permission { rewrite })
        }
    };
    (member, parts)
}

/// Recursion is bounded by the parser, which bounds the depth of what it returns.
fn lower_expression(expr: &Expr, parts: &mut Vec<usize>) -> Rewrite {
    let mut all = |operands: &[Expr]| operands.iter().map(|o| lower_expression(o, parts)).collect();
    match expr {
        Expr::Union(operands) => Rewrite::Union(all(operands)),
        Expr::Intersection(operands) => Rewrite::Intersection(all(operands)),
        Expr::Exclusion(base, removed) => {
            let base = lower_expression(base, parts);
            Rewrite::Exclusion(Box::new(base), Box::new(lower_expression(removed, parts)))
        }
        Expr::Nil(offset) => {
            parts.push(*offset);
            Rewrite::Nil
        }
        Expr::Itself(offset) => {
            parts.push(*offset);
            Rewrite::Itself
        }
        Expr::Name(name) => {
            parts.push(name.place.start);
            Rewrite::Computed(name.value.clone())
        }
        Expr::Arrow { tupleset, target, kind } => {
            parts.push(tupleset.place.start);
            Rewrite::Arrow { tupleset: tupleset.value.clone(), target: target.clone(), kind: *kind }
        }
    }
}
