//! The type checker: turns a syntax tree into the form that is evaluated, or says what does not fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Element, Entry, Expr, FoldExpr, FoldKind, Kind};
use super::error::CompileError;
use super::node::{FoldNode, MapEntry, Node};
use super::parameter_type::ParameterType;
use super::pattern::Pattern;
use super::signatures::{Function, NoCall, function_result, index_result, ternary_result};
use super::types::Type;
use super::value::Value;

/// Names that mean types where no variable has them.
const TYPE_NAMES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// The most memory that the patterns of one expression may take.
const MAX_PATTERNS_BYTES: usize = 2 * Pattern::MAX_CONSTANT_BYTES;

/// An expression that fits its parameters.
pub(super) struct CheckedExpr {
    pub(super) node: Node,
    /// The first parameter that it does not mention.
    pub(super) unused: Option<String>,
    /// Its first pattern that is none.
    pub(super) bad_pattern: Option<CompileError>,
    /// The memory that its patterns take, roughly.
    pub(super) pattern_bytes: usize,
}

/// Checks `expr` against the parameters: it must be a bool.
pub(super) fn check(expr: &Expr, parameters: &BTreeMap<String, ParameterType>) -> Result<CheckedExpr, CompileError> {
    let places = parameters.iter().enumerate();
    let parameters: BTreeMap<&str, (usize, Type)> =
        places.map(|(place, (name, of))| (name.as_str(), (place, Type::of_parameter(of)))).collect();
    let mentioned = vec![false; parameters.len()];
    let mut checker = Checker { parameters, mentioned, scope: Vec::new(), bad_pattern: None, pattern_bytes: 0 };
    let (node, found) = checker.check(expr)?;
    if found != Type::Bool {
        return Err(CompileError::whole(format!("a caveat's expression must be a bool, this one is {found}")));
    }
    let unused = checker.parameters.iter().find(|(_, (place, _))| !checker.mentioned[*place]);
    let unused = unused.map(|(name, _)| (*name).to_owned());
    Ok(CheckedExpr { node, unused, bad_pattern: checker.bad_pattern, pattern_bytes: checker.pattern_bytes })
}

type Checked = Result<(Node, Type), CompileError>;

struct Checker<'a> {
    parameters: BTreeMap<&'a str, (usize, Type)>,
    /// Which parameters the expression names, by place.
    mentioned: Vec<bool>,
    /// The variables of the macros around, the innermost last.
    scope: Vec<(Arc<str>, Type)>,
    bad_pattern: Option<CompileError>,
    pattern_bytes: usize,
}

impl Checker<'_> {
    fn check(&mut self, expr: &Expr) -> Checked {
        match &expr.kind {
            Kind::Literal(value) => Ok((Node::Constant(value.clone()), literal_type(value))),
            Kind::Ident(name) => self.name(name, expr.at),
            Kind::Select { operand, field, optional } => self.select(operand, field, *optional, expr.at),
            Kind::Has { operand, field } => {
                let (operand, of) = self.check(operand)?;
                field_type(&of, expr.at)?;
                Ok((Node::Has { operand: Box::new(operand), field: Arc::clone(field) }, Type::Bool))
            }
            Kind::Index { operand, index, optional } => self.index(operand, index, *optional, expr.at),
            Kind::Call { function, target, args } => self.call(function, target.as_deref(), args, expr.at),
            Kind::Operator { operator, operands } => {
                let (operands, types) = self.all(operands)?;
                let result = operator.result(&types).ok_or_else(|| mismatch(operator.symbol(), &types, expr.at))?;
                Ok((Node::Operator { operator: *operator, operands }, result))
            }
            Kind::And(operands) => Ok((Node::And(self.bools("&&", operands, expr.at)?), Type::Bool)),
            Kind::Or(operands) => Ok((Node::Or(self.bools("||", operands, expr.at)?), Type::Bool)),
            Kind::Ternary(parts) => self.ternary(parts, expr.at),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Fold(fold) => self.fold(fold),
            Kind::OptionalMap { target, variable, body } => self.optional_map(target, variable, body),
        }
    }

    fn all(&mut self, exprs: &[Expr]) -> Result<(Vec<Node>, Vec<Type>), CompileError> {
        let checked: Vec<(Node, Type)> = exprs.iter().map(|e| self.check(e)).collect::<Result<_, _>>()?;
        Ok(checked.into_iter().unzip())
    }

    fn bools(&mut self, symbol: &str, operands: &[Expr], at: u32) -> Result<Vec<Node>, CompileError> {
        let (operands, types) = self.all(operands)?;
        if types.iter().all(|t| Type::Bool.join(t).is_some()) {
            Ok(operands)
        } else {
            Err(mismatch(symbol, &types, at))
        }
    }

    fn name(&mut self, name: &str, at: u32) -> Checked {
        let parameter = self.parameters.get(name);
        if let Some((place, _)) = parameter {
            self.mentioned[*place] = true; // By name alone, also where a macro's variable hides it: so does SpiceDB.
        }
        if let Some(place) = self.scope.iter().rposition(|(variable, _)| **variable == *name) {
            return Ok((Node::Local(place), self.scope[place].1.clone()));
        }
        if let Some((place, of)) = parameter {
            return Ok((Node::Parameter(*place), of.clone()));
        }
        match TYPE_NAMES.into_iter().find(|known| *known == name) {
            Some(known) => Ok((Node::Constant(Value::Type(known)), Type::Meta)),
            None => {
                let name: String = name.chars().take(80).collect();
                Err(CompileError::at(at, format!("nothing is named {name}: declare it as a parameter")))
            }
        }
    }

    fn is_variable(&self, name: &str) -> bool {
        self.parameters.contains_key(name) || self.scope.iter().any(|(variable, _)| **variable == *name)
    }

    fn select(&mut self, operand: &Expr, field: &Arc<str>, optional: bool, at: u32) -> Checked {
        if let Some(name) = self.qualified_type(operand, field) {
            return Ok((Node::Constant(Value::Type(name)), Type::Meta));
        }
        let (operand, of) = self.check(operand)?;
        let found = field_type(&of, at)?;
        let is_optional = optional || matches!(of, Type::Optional(_));
        let found = if is_optional { Type::Optional(Arc::new(found)) } else { found };
        Ok((Node::Select { operand: Box::new(operand), field: Arc::clone(field), optional }, found))
    }

    /// `google.protobuf.Timestamp` and `.Duration`, which are names of types.
    fn qualified_type(&self, operand: &Expr, field: &str) -> Option<&'static str> {
        let Kind::Select { operand: root, field: package, optional: false } = &operand.kind else { return None };
        match (&root.kind, &**package, field) {
            (Kind::Ident(root), "protobuf", _) if **root != *"google" || self.is_variable(root) => None,
            (Kind::Ident(_), "protobuf", "Timestamp") => Some("google.protobuf.Timestamp"),
            (Kind::Ident(_), "protobuf", "Duration") => Some("google.protobuf.Duration"),
            _ => None,
        }
    }

    fn index(&mut self, operand: &Expr, index: &Expr, optional: bool, at: u32) -> Checked {
        let (operand, of) = self.check(operand)?;
        let (index, by) = self.check(index)?;
        let found = index_result(&of, &by).ok_or_else(|| mismatch("[]", &[of.clone(), by.clone()], at))?;
        let already = matches!(of, Type::Optional(_));
        let found = if optional && !already { Type::Optional(Arc::new(found)) } else { found };
        Ok((Node::Index { operand: Box::new(operand), index: Box::new(index), optional }, found))
    }

    fn call(&mut self, name: &str, target: Option<&Expr>, args: &[Expr], at: u32) -> Checked {
        let is_namespace = |t: &&Expr| matches!(&t.kind, Kind::Ident(root) if **root == *"optional");
        let namespaced = target.filter(is_namespace).map(|_| format!("optional.{name}"));
        let namespaced = namespaced.filter(|_| matches!(name, "of" | "none" | "ofNonZeroValue"));
        let target = if namespaced.is_some() { None } else { target };
        let first = target.map(|t| self.check(t)).transpose()?;
        let (rest, rest_types) = self.all(args)?;
        let (mut nodes, mut types) = first.map_or((Vec::new(), Vec::new()), |(node, of)| (vec![node], vec![of]));
        nodes.extend(rest);
        types.extend(rest_types);
        let name = namespaced.as_deref().unwrap_or(name);
        let (function, result) = function_result(name, target.is_some(), &types).map_err(|why| match why {
            NoCall::Unknown => CompileError::at(at, format!("no function is named {}", shortened(name))),
            NoCall::Mismatch => mismatch(name, &types, at),
        })?;
        let takes_int = types.first() == Some(&Type::Int);
        Ok((self.call_node(function, nodes, takes_int, at), result))
    }

    fn ternary(&mut self, parts: &[Expr; 3], at: u32) -> Checked {
        let [(condition, a), (yes, b), (no, c)] =
            [self.check(&parts[0])?, self.check(&parts[1])?, self.check(&parts[2])?];
        let types = [a, b, c];
        let result = ternary_result(&types).ok_or_else(|| mismatch("? :", &types, at))?;
        Ok((Node::Ternary(Box::new([condition, yes, no])), result))
    }

    fn list(&mut self, elements: &[Element]) -> Checked {
        let mut nodes = Vec::new();
        let mut common = Type::Free;
        for Element { value, optional } in elements {
            let (node, of) = self.check(value)?;
            let of = held_type(of, *optional, value.at)?;
            common = common.join(&of).unwrap_or(Type::Dyn);
            nodes.push((node, *optional));
        }
        Ok((Node::List(nodes), Type::List(Arc::new(common))))
    }

    fn map(&mut self, entries: &[Entry]) -> Checked {
        let mut nodes = Vec::new();
        let (mut keys, mut values) = (Type::Free, Type::Free);
        for Entry { key, value, optional } in entries {
            let at = key.at;
            let (key, key_type) = self.check(key)?;
            if !key_type.is_key() {
                return Err(CompileError::at(at, format!("the key of a map cannot be {key_type}")));
            }
            let (node, of) = self.check(value)?;
            let of = held_type(of, *optional, value.at)?;
            keys = keys.join(&key_type).unwrap_or(Type::Dyn);
            values = values.join(&of).unwrap_or(Type::Dyn);
            nodes.push(MapEntry { key, value: node, optional: *optional });
        }
        Ok((Node::Map(nodes), Type::Map(Arc::new(keys), Arc::new(values))))
    }

    fn fold(&mut self, fold: &FoldExpr) -> Checked {
        let (range, of) = self.check(&fold.range)?;
        let element = match &of {
            Type::List(element) => (**element).clone(),
            Type::Map(key, _) => (**key).clone(),
            Type::Dyn | Type::Free => Type::Dyn,
            other => {
                return Err(CompileError::at(fold.range.at, format!("only lists and maps can be walked, not {other}")));
            }
        };
        self.scope.push((Arc::clone(&fold.variable), element.clone()));
        let condition = fold
            .condition
            .as_ref()
            .map(|condition| self.bools("a macro", std::slice::from_ref(condition), condition.at));
        let condition = condition.transpose()?.and_then(|mut nodes| nodes.pop());
        let transform = fold.transform.as_ref().map(|transform| self.check(transform)).transpose()?;
        self.scope.pop();
        let result = match (fold.kind, &transform) {
            (FoldKind::Map, Some((_, of))) => Type::List(Arc::new(of.clone())),
            (FoldKind::Filter | FoldKind::Map, _) => Type::List(Arc::new(element)),
            (FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne, _) => Type::Bool,
        };
        let transform = transform.map(|(node, _)| node);
        Ok((Node::Fold(Box::new(FoldNode { kind: fold.kind, range, condition, transform })), result))
    }

    fn optional_map(&mut self, target: &Expr, variable: &Arc<str>, body: &Expr) -> Checked {
        let at = target.at;
        let (target, of) = self.check(target)?;
        let inner = match of {
            Type::Optional(inner) => (*inner).clone(),
            Type::Dyn | Type::Free => Type::Dyn,
            other => return Err(CompileError::at(at, format!("optMap takes an optional, not {other}"))),
        };
        self.scope.push((Arc::clone(variable), inner));
        let (body, result) = self.check(body)?;
        self.scope.pop();
        let node = Node::OptionalMap { target: Box::new(target), body: Box::new(body) };
        Ok((node, Type::Optional(Arc::new(result))))
    }

    /// A call; a pattern that is known now is compiled now. One that is none stays a call, which fails when it is reached.
    fn call_node(&mut self, function: Function, mut args: Vec<Node>, takes_int: bool, at: u32) -> Node {
        if function == Function::Matches
            && let [_, Node::Constant(Value::String(text))] = &args[..]
        {
            match self.pattern(text) {
                Ok(pattern) => {
                    args.truncate(1);
                    let text = Box::new(args.pop().expect("it had two arguments"));
                    return Node::Matches { text, pattern: Arc::new(pattern) };
                }
                Err(why) => _ = self.bad_pattern.get_or_insert(CompileError::at(at, why)),
            }
        }
        Node::Call { function, args, takes_int }
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, String> {
        let pattern = Pattern::compile(text, Pattern::MAX_CONSTANT_BYTES)?;
        self.pattern_bytes += pattern.program_bytes();
        if self.pattern_bytes > MAX_PATTERNS_BYTES {
            return Err(format!("the patterns of one expression may take {MAX_PATTERNS_BYTES} bytes in all"));
        }
        Ok(pattern)
    }
}

fn literal_type(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        // The lexer makes no other literals; what is not known is left to the evaluation.
        Value::List(_)
        | Value::Map(_)
        | Value::Duration(_)
        | Value::Timestamp(_)
        | Value::Ip(..)
        | Value::Optional(_)
        | Value::Type(_) => Type::Dyn,
    }
}

/// The type of a field of `of`.
fn field_type(of: &Type, at: u32) -> Result<Type, CompileError> {
    match of {
        Type::Map(_, value) => Ok((**value).clone()),
        Type::Dyn | Type::Free => Ok(Type::Dyn),
        Type::Optional(inner) if !matches!(**inner, Type::Optional(_)) => field_type(inner, at),
        other => Err(CompileError::at(at, format!("{other} has no fields"))),
    }
}

/// What an element or a value puts into a literal: itself, or what it holds.
fn held_type(of: Type, optional: bool, at: u32) -> Result<Type, CompileError> {
    match of {
        of if !optional => Ok(of),
        Type::Optional(inner) => Ok((*inner).clone()),
        Type::Dyn | Type::Free => Ok(Type::Dyn),
        other => Err(CompileError::at(at, format!("after ? an optional is expected, not {other}"))),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

fn mismatch(name: &str, types: &[Type], at: u32) -> CompileError {
    let types: Vec<String> = types.iter().take(8).map(Type::to_string).collect();
    CompileError::at(at, format!("{} does not take ({})", shortened(name), types.join(", ")))
}
