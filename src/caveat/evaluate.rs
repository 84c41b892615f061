//! Three-valued evaluation. Operands are evaluated from the left, and the first that is missing or fails decides, except in
//! `&&` and `||`: there an operand that settles the answer wins over everything, then what is missing, then what failed. So an
//! answer that is reached without a parameter stays whatever the parameter is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ast::Operator;
use super::functions;
use super::node::{MapEntry, Node};
use super::operators;
use super::pattern::Pattern;
use super::signatures::Function;
use super::value::{Value, lookup};

/// The most work that one evaluation may do.
pub(super) const MAX_STEPS: u64 = 1_000_000;

/// What compiling a pattern during an evaluation counts for at least.
const PATTERN_STEPS: u64 = 5_000;
/// What it counts for beyond that, for the size of the program.
const PATTERN_BYTES_PER_STEP: u64 = 16;

/// Why an expression has no value.
#[derive(Debug)]
pub(super) enum Stop {
    /// Parameters without a value, by their places.
    Missing(BTreeSet<usize>),
    /// The expression fails, for this reason.
    Failed(String),
    /// The work is more than the budget.
    Exhausted,
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

pub(super) type Evaluated = Result<Value, Stop>;

/// One evaluation.
pub(super) struct Evaluator<'a> {
    /// The values of the parameters, by their places.
    parameters: &'a [Option<Value>],
    /// The values of the variables of the macros around, the innermost last.
    pub(super) locals: Vec<Value>,
    steps: u64,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(parameters: &'a [Option<Value>], steps: u64) -> Self {
        Self { parameters, locals: Vec::new(), steps }
    }

    /// What is left of the budget.
    pub(super) fn steps_left(&self) -> u64 {
        self.steps
    }

    /// Takes `steps` from the budget.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Stop> {
        let left = self.steps.checked_sub(steps);
        self.steps = left.unwrap_or(0);
        if left.is_some() { Ok(()) } else { Err(Stop::Exhausted) }
    }

    pub(super) fn evaluate(&mut self, node: &Node) -> Evaluated {
        self.spend(1)?;
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Parameter(place) => {
                self.parameters[*place].clone().ok_or_else(|| Stop::Missing(BTreeSet::from([*place])))
            }
            Node::Local(place) => Ok(self.locals[*place].clone()),
            Node::Select { operand, field, optional } => self.select(operand, field, *optional),
            Node::Has { operand, field } => self.has(operand, field),
            Node::Index { operand, index, optional } => self.index(operand, index, *optional),
            Node::Operator { operator, operands } => self.operator(*operator, operands),
            Node::And(operands) => self.logical(operands, false),
            Node::Or(operands) => self.logical(operands, true),
            Node::Ternary(parts) => self.ternary(parts),
            Node::Call { function, args, takes_int } => self.call(*function, args, *takes_int),
            Node::Matches { text, pattern } => match self.evaluate(text)? {
                Value::String(text) => {
                    self.spend(pattern.cost(text.len()))?;
                    Ok(Value::Bool(pattern.is_match(&text)))
                }
                other => Err(Stop::Failed(functions::no_overload(Function::Matches, &[other]))),
            },
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Fold(fold) => self.fold(fold),
            Node::OptionalMap { target, body } => self.optional_map(target, body),
        }
    }

    /// `&&` and `||`: `settles` is the operand that decides.
    pub(super) fn logical(&mut self, operands: &[Node], settles: bool) -> Evaluated {
        let mut undecided = Ok(Value::Bool(!settles));
        for operand in operands {
            let next = self.evaluate(operand);
            undecided = either(undecided, next, settles);
            if decides(&undecided, settles) {
                break;
            }
        }
        undecided
    }

    fn ternary(&mut self, parts: &[Node; 3]) -> Evaluated {
        let [condition, yes, no] = parts;
        if self.condition(condition)? { self.evaluate(yes) } else { self.evaluate(no) }
    }

    /// A condition that must be known.
    pub(super) fn condition(&mut self, node: &Node) -> Result<bool, Stop> {
        match self.evaluate(node)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(Stop::Failed(format!("a condition cannot be {}", other.type_name()))),
        }
    }

    fn operator(&mut self, operator: Operator, operands: &[Node]) -> Evaluated {
        match operands {
            [operand] => {
                let operand = self.evaluate(operand)?;
                Ok(operators::unary(operator, &operand)?)
            }
            [left, right] => {
                let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
                let is_scalar = |v: &Value| {
                    !matches!(
                        v,
                        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Optional(_)
                    )
                };
                if !(is_scalar(&left) && is_scalar(&right)) {
                    self.spend(operator_cost(operator, &left, &right))?;
                }
                Ok(operators::binary(operator, &left, &right)?)
            }
            _ => Err(Stop::Failed(format!("{} has one operand or two", operator.symbol()))),
        }
    }

    fn call(&mut self, function: Function, args: &[Node], takes_int: bool) -> Evaluated {
        if matches!(function, Function::OrOptional | Function::OrValue)
            && let [target, alternative] = args
        {
            return self.or_else(function, target, alternative);
        }
        let args: Vec<Value> = args.iter().map(|arg| self.evaluate(arg)).collect::<Result<_, _>>()?;
        if let (Function::Matches, [Value::String(text), Value::String(pattern)]) = (function, &args[..]) {
            return self.matches(text, pattern);
        }
        let converts = matches!(
            function,
            Function::ToInt | Function::ToUint | Function::ToDouble | Function::ToString | Function::ToTimestamp
        );
        if takes_int && converts && matches!(args[..], [Value::Uint(_)]) {
            return Err(Stop::Failed(functions::no_overload(function, &args)));
        }
        self.spend(functions::cost(function, &args))?;
        Ok(functions::call(function, &args)?)
    }

    /// `matches()` with a pattern that only the evaluation knows.
    fn matches(&mut self, text: &str, pattern: &str) -> Evaluated {
        self.spend(PATTERN_STEPS)?;
        let compiled = Pattern::compile(pattern, Pattern::MAX_COMPUTED_BYTES);
        let program_bytes = compiled.as_ref().map_or(Pattern::MAX_COMPUTED_BYTES, Pattern::program_bytes);
        self.spend(program_bytes as u64 / PATTERN_BYTES_PER_STEP)?;
        let compiled = compiled?;
        self.spend(compiled.cost(text.len()))?;
        Ok(Value::Bool(compiled.is_match(text)))
    }

    /// `or` and `orValue`: the alternative is evaluated only where the optional holds nothing.
    fn or_else(&mut self, function: Function, target: &Node, alternative: &Node) -> Evaluated {
        match self.evaluate(target)? {
            Value::Optional(None) => self.evaluate(alternative),
            Value::Optional(Some(held)) if function == Function::OrValue => Ok(Value::clone(&held)),
            held @ Value::Optional(Some(_)) => Ok(held),
            other => Err(Stop::Failed(functions::no_overload(function, &[other]))),
        }
    }

    fn select(&mut self, operand: &Node, field: &Arc<str>, optional: bool) -> Evaluated {
        let operand = self.evaluate(operand)?;
        let key = Value::String(Arc::clone(field));
        self.look_up(operand, &key, optional)
    }

    fn index(&mut self, operand: &Node, index: &Node, optional: bool) -> Evaluated {
        let operand = self.evaluate(operand)?;
        let index = self.evaluate(index)?;
        self.look_up(operand, &index, optional)
    }

    /// An element, by field or index; of an optional, or asked for optionally, it is an optional itself.
    fn look_up(&mut self, operand: Value, key: &Value, optional: bool) -> Evaluated {
        self.spend(key.weight())?;
        match operand {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(held)) => perhaps(&held, key),
            operand if optional => perhaps(&operand, key),
            operand => match element(&operand, key)? {
                Some(found) => Ok(found.clone()),
                None => Err(Stop::Failed("the list or map has no such element".to_owned())),
            },
        }
    }

    fn has(&mut self, operand: &Node, field: &Arc<str>) -> Evaluated {
        let key = Value::String(Arc::clone(field));
        let operand = match self.evaluate(operand)? {
            Value::Optional(None) => return Ok(Value::Bool(false)),
            Value::Optional(Some(held)) => Value::clone(&held),
            operand => operand,
        };
        self.spend(key.weight())?;
        Ok(Value::Bool(matches!(&operand, Value::Map(map) if lookup(map, &key).is_some())))
    }

    fn list(&mut self, elements: &[(Node, bool)]) -> Evaluated {
        let mut values = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let value = self.evaluate(element)?;
            values.extend(held(value, *optional)?);
        }
        Ok(Value::list(values))
    }

    fn map(&mut self, entries: &[MapEntry]) -> Evaluated {
        let mut map = BTreeMap::new();
        for entry in entries {
            let key = self.evaluate(&entry.key)?;
            let value = self.evaluate(&entry.value)?;
            self.spend(key.weight())?;
            let Some(value) = held(value, entry.optional)? else { continue };
            let key = key.as_key().ok_or_else(|| format!("{} cannot be the key of a map", key.type_name()))?;
            map.insert(key, value); // Of one key twice, the last counts.
        }
        Ok(Value::map(map))
    }

    fn optional_map(&mut self, target: &Node, body: &Node) -> Evaluated {
        match self.evaluate(target)? {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(held)) => {
                self.locals.push(Value::clone(&held));
                let mapped = self.evaluate(body);
                self.locals.pop();
                mapped.map(Value::some)
            }
            other => Err(Stop::Failed(format!("optMap takes an optional, not {}", other.type_name()))),
        }
    }
}

/// Whether `so_far` is the operand that decides a chain.
pub(super) fn decides(so_far: &Evaluated, settles: bool) -> bool {
    matches!(so_far, Err(Stop::Exhausted)) || matches!(so_far, Ok(Value::Bool(b)) if *b == settles)
}

/// Two operands of a chain in which `settles` decides: it wins, then what is missing, then what failed.
pub(super) fn either(left: Evaluated, right: Evaluated, settles: bool) -> Evaluated {
    let (left, right) = (bool_or_failure(left), bool_or_failure(right));
    if decides(&left, settles) {
        return left;
    }
    match (left, right) {
        (_, right) if decides(&right, settles) => right,
        (Err(Stop::Missing(mut names)), Err(Stop::Missing(more))) => {
            names.extend(more);
            Err(Stop::Missing(names))
        }
        (missing @ Err(Stop::Missing(_)), _) | (_, missing @ Err(Stop::Missing(_))) => missing,
        (failed @ Err(_), _) | (_, failed @ Err(_)) => failed,
        (left, Ok(_)) => left,
    }
}

fn bool_or_failure(evaluated: Evaluated) -> Evaluated {
    match evaluated {
        Ok(Value::Bool(_)) | Err(_) => evaluated,
        Ok(other) => Err(Stop::Failed(format!("&& and || do not take {}", other.type_name()))),
    }
}

/// What an element or value puts into a literal: itself, or what it holds.
fn held(value: Value, optional: bool) -> Result<Option<Value>, Stop> {
    match value {
        value if !optional => Ok(Some(value)),
        Value::Optional(held) => Ok(held.map(|held| Value::clone(&held))),
        other => Err(Stop::Failed(format!("after ? an optional is expected, not {}", other.type_name()))),
    }
}

/// The element of a list or map that `key` finds, if there is one.
fn element<'v>(operand: &'v Value, key: &Value) -> Result<Option<&'v Value>, Stop> {
    match operand {
        Value::Map(map) => Ok(lookup(map, key)),
        Value::List(list) => match key.as_whole_number() {
            Some(index) => Ok(usize::try_from(index).ok().and_then(|index| list.get(index))),
            None => Err(Stop::Failed(format!("the index of a list cannot be {}", key.type_name()))),
        },
        other => Err(Stop::Failed(format!("{} has no elements", other.type_name()))),
    }
}

/// The element that `key` finds as an optional. What has no elements is asked in vain, but not wrongly.
fn perhaps(operand: &Value, key: &Value) -> Evaluated {
    let found = match operand {
        Value::Map(_) | Value::List(_) => element(operand, key)?,
        _ => None,
    };
    Ok(found.cloned().map_or(Value::Optional(None), Value::some))
}

fn operator_cost(operator: Operator, left: &Value, right: &Value) -> u64 {
    match operator {
        // What is looked for in a list is compared with each element.
        Operator::In => match right {
            Value::List(list) => (1 + list.len() as u64).saturating_add(right.weight()),
            _ => left.weight(), // A key that is compared with a few others.
        },
        // The result is a copy of both.
        Operator::Add => match (left, right) {
            (Value::List(a), Value::List(b)) => (a.len() + b.len()) as u64,
            _ => left.weight().saturating_add(right.weight()),
        },
        // A comparison ends with the shorter.
        Operator::Equal
        | Operator::NotEqual
        | Operator::Less
        | Operator::LessEqual
        | Operator::Greater
        | Operator::GreaterEqual => left.weight().min(right.weight()),
        Operator::Subtract
        | Operator::Multiply
        | Operator::Divide
        | Operator::Remainder
        | Operator::Negate
        | Operator::Not => 1,
    }
}
