//! Which operators and functions there are, and for which types: the table that the checker resolves calls against.

use std::sync::Arc;

use super::ast::Operator;
use super::types::Type;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    ToBool,
    ToBytes,
    ToDouble,
    ToDuration,
    ToDyn,
    ToInt,
    ToString,
    ToTimestamp,
    ToUint,
    TypeOf,
    Time(TimePart),
    InCidr,
    IsSubtreeOf,
    OptionalOf,
    OptionalNone,
    OptionalOfNonZero,
    HasValue,
    ValueOf,
    OrOptional,
    OrValue,
}

/// What can be asked of a timestamp, and some of it of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimePart {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfYear,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// The type of an argument or a result; `A` and `B` stand for one type each in one signature.
#[derive(Debug, Clone, Copy)]
enum Shape {
    A,
    B,
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    Ip,
    Type,
    List(&'static Shape),
    Map(&'static Shape, &'static Shape),
    Optional(&'static Shape),
}

use Shape::{A, B, Bool, Bytes, Double, Duration, Dyn, Int, Ip, Timestamp, Uint};
const STRING: Shape = Shape::String;
const LIST: Shape = Shape::List(&A);
const MAP: Shape = Shape::Map(&A, &B);
const MAYBE: Shape = Shape::Optional(&A);

type Signature = (&'static [Shape], Shape);

const ADD: &[Signature] = &[
    (&[Int, Int], Int),
    (&[Uint, Uint], Uint),
    (&[Double, Double], Double),
    (&[STRING, STRING], STRING),
    (&[Bytes, Bytes], Bytes),
    (&[LIST, LIST], LIST),
    (&[Timestamp, Duration], Timestamp),
    (&[Duration, Timestamp], Timestamp),
    (&[Duration, Duration], Duration),
];
const SUBTRACT: &[Signature] = &[
    (&[Int, Int], Int),
    (&[Uint, Uint], Uint),
    (&[Double, Double], Double),
    (&[Timestamp, Timestamp], Duration),
    (&[Timestamp, Duration], Timestamp),
    (&[Duration, Duration], Duration),
];
const MULTIPLY: &[Signature] = &[(&[Int, Int], Int), (&[Uint, Uint], Uint), (&[Double, Double], Double)];
const REMAINDER: &[Signature] = &[(&[Int, Int], Int), (&[Uint, Uint], Uint)];
const NEGATE: &[Signature] = &[(&[Int], Int), (&[Double], Double)];
const NOT: &[Signature] = &[(&[Bool], Bool)];
const EQUAL: &[Signature] = &[(&[A, A], Bool)];
const ORDER: &[Signature] = &[
    (&[Bool, Bool], Bool),
    (&[Int, Int], Bool),
    (&[Uint, Uint], Bool),
    (&[Double, Double], Bool),
    (&[STRING, STRING], Bool),
    (&[Bytes, Bytes], Bool),
    (&[Timestamp, Timestamp], Bool),
    (&[Duration, Duration], Bool),
];
const IN: &[Signature] = &[(&[A, LIST], Bool), (&[A, MAP], Bool)];
const INDEX: &[Signature] = &[
    (&[LIST, Int], A),
    (&[MAP, A], B),
    (&[Shape::Optional(&LIST), Int], MAYBE),
    (&[Shape::Optional(&MAP), A], Shape::Optional(&B)),
];
const TERNARY: &[Signature] = &[(&[Bool, A, A], A)];
const SIZE: &[Signature] = &[(&[STRING], Int), (&[Bytes], Int), (&[LIST], Int), (&[MAP], Int)];
const TEXTS: &[Signature] = &[(&[STRING, STRING], Bool)];

impl Operator {
    fn signatures(self) -> &'static [Signature] {
        match self {
            Self::Add => ADD,
            Self::Subtract => SUBTRACT,
            Self::Multiply | Self::Divide => MULTIPLY,
            Self::Remainder => REMAINDER,
            Self::Negate => NEGATE,
            Self::Not => NOT,
            Self::Equal | Self::NotEqual => EQUAL,
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual => ORDER,
            Self::In => IN,
        }
    }

    /// The type of the operator's result, if it takes operands of these types.
    pub(super) fn result(self, operands: &[Type]) -> Option<Type> {
        resolve(self.signatures(), operands)
    }
}

/// The type of `operand[index]`.
pub(super) fn index_result(operand: &Type, index: &Type) -> Option<Type> {
    resolve(INDEX, &[operand.clone(), index.clone()])
}

/// The type of `condition ? yes : no`.
pub(super) fn ternary_result(parts: &[Type; 3]) -> Option<Type> {
    resolve(TERNARY, parts)
}

/// How a function may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Global,
    Receiver,
    Either,
}

/// The functions of a name and their signatures. A receiver counts as the first argument.
fn functions(name: &str) -> Option<(Function, Style, &'static [Signature])> {
    use Style::{Either, Global, Receiver};
    Some(match name {
        "size" => (Function::Size, Either, SIZE),
        "contains" => (Function::Contains, Receiver, TEXTS),
        "startsWith" => (Function::StartsWith, Receiver, TEXTS),
        "endsWith" => (Function::EndsWith, Receiver, TEXTS),
        "matches" => (Function::Matches, Either, TEXTS),
        "bool" => (Function::ToBool, Global, &[(&[Bool], Bool), (&[STRING], Bool)]),
        "bytes" => (Function::ToBytes, Global, &[(&[Bytes], Bytes), (&[STRING], Bytes)]),
        "double" => (
            Function::ToDouble,
            Global,
            &[(&[Double], Double), (&[Int], Double), (&[Uint], Double), (&[STRING], Double)],
        ),
        "duration" => {
            (Function::ToDuration, Global, &[(&[Duration], Duration), (&[Int], Duration), (&[STRING], Duration)])
        }
        "dyn" => (Function::ToDyn, Global, &[(&[A], Dyn)]),
        "int" => (
            Function::ToInt,
            Global,
            &[
                (&[Int], Int),
                (&[Uint], Int),
                (&[Double], Int),
                (&[STRING], Int),
                (&[Timestamp], Int),
                (&[Duration], Int),
            ],
        ),
        "string" => (
            Function::ToString,
            Global,
            &[
                (&[STRING], STRING),
                (&[Bool], STRING),
                (&[Int], STRING),
                (&[Uint], STRING),
                (&[Double], STRING),
                (&[Bytes], STRING),
                (&[Timestamp], STRING),
                (&[Duration], STRING),
            ],
        ),
        "timestamp" => {
            (Function::ToTimestamp, Global, &[(&[Timestamp], Timestamp), (&[Int], Timestamp), (&[STRING], Timestamp)])
        }
        "uint" => (Function::ToUint, Global, &[(&[Uint], Uint), (&[Int], Uint), (&[Double], Uint), (&[STRING], Uint)]),
        "type" => (Function::TypeOf, Global, &[(&[A], Shape::Type)]),
        "in_cidr" => (Function::InCidr, Receiver, &[(&[Ip, STRING], Bool)]),
        "isSubtreeOf" => {
            const ANY_MAP: Shape = Shape::Map(&STRING, &Dyn);
            (Function::IsSubtreeOf, Receiver, &[(&[ANY_MAP, ANY_MAP], Bool)])
        }
        "optional.of" => (Function::OptionalOf, Global, &[(&[A], MAYBE)]),
        "optional.none" => (Function::OptionalNone, Global, &[(&[], MAYBE)]),
        "optional.ofNonZeroValue" => (Function::OptionalOfNonZero, Global, &[(&[A], MAYBE)]),
        "hasValue" => (Function::HasValue, Receiver, &[(&[MAYBE], Bool)]),
        "value" => (Function::ValueOf, Receiver, &[(&[MAYBE], A)]),
        "or" => (Function::OrOptional, Receiver, &[(&[MAYBE, MAYBE], MAYBE)]),
        "orValue" => (Function::OrValue, Receiver, &[(&[MAYBE, A], A)]),
        _ => return time_part(name).map(|(part, of)| (Function::Time(part), Receiver, of)),
    })
}

fn time_part(name: &str) -> Option<(TimePart, &'static [Signature])> {
    const OF_TIMESTAMP: &[Signature] = &[(&[Timestamp], Int), (&[Timestamp, STRING], Int)];
    const OF_BOTH: &[Signature] = &[(&[Timestamp], Int), (&[Timestamp, STRING], Int), (&[Duration], Int)];
    Some(match name {
        "getFullYear" => (TimePart::FullYear, OF_TIMESTAMP),
        "getMonth" => (TimePart::Month, OF_TIMESTAMP),
        "getDate" => (TimePart::Date, OF_TIMESTAMP),
        "getDayOfMonth" => (TimePart::DayOfMonth, OF_TIMESTAMP),
        "getDayOfYear" => (TimePart::DayOfYear, OF_TIMESTAMP),
        "getDayOfWeek" => (TimePart::DayOfWeek, OF_TIMESTAMP),
        "getHours" => (TimePart::Hours, OF_BOTH),
        "getMinutes" => (TimePart::Minutes, OF_BOTH),
        "getSeconds" => (TimePart::Seconds, OF_BOTH),
        "getMilliseconds" => (TimePart::Milliseconds, OF_BOTH),
        _ => return None,
    })
}

/// Why a call cannot be resolved.
pub(super) enum NoCall {
    /// There is no function of that name.
    Unknown,
    /// There is, but not for these arguments, or not called this way.
    Mismatch,
}

/// The function that a call means, and the type of its result.
pub(super) fn function_result(name: &str, is_receiver: bool, args: &[Type]) -> Result<(Function, Type), NoCall> {
    let (function, style, signatures) = functions(name).ok_or(NoCall::Unknown)?;
    let fits = match style {
        Style::Global => !is_receiver,
        Style::Receiver => is_receiver,
        Style::Either => true,
    };
    let result = if fits { resolve(signatures, args) } else { None };
    result.map(|result| (function, result)).ok_or(NoCall::Mismatch)
}

/// The result of the signatures that fit: of one type, or not decided before evaluation.
fn resolve(signatures: &[Signature], args: &[Type]) -> Option<Type> {
    let mut result: Option<Type> = None;
    for (shapes, shape) in signatures {
        let mut bound = [None, None];
        let fits = shapes.len() == args.len() && shapes.iter().zip(args).all(|(s, arg)| s.takes(arg, &mut bound));
        if !fits {
            continue;
        }
        let found = shape.with(&bound);
        result = Some(match result {
            Some(other) if other != found => Type::Dyn,
            Some(_) | None => found,
        });
    }
    result
}

impl Shape {
    fn takes(&self, actual: &Type, bound: &mut [Option<Type>; 2]) -> bool {
        let inner = match self {
            A => return bind(&mut bound[0], actual),
            B => return bind(&mut bound[1], actual),
            Shape::List(element) => match actual {
                Type::List(inner) => return element.takes(inner, bound),
                _ => vec![*element],
            },
            Shape::Map(key, value) => match actual {
                Type::Map(k, v) => return key.takes(k, bound) && value.takes(v, bound),
                _ => vec![*key, *value],
            },
            Shape::Optional(element) => match actual {
                Type::Optional(inner) => return element.takes(inner, bound),
                _ => vec![*element],
            },
            Dyn | Bool | Int | Uint | Double | Shape::String | Bytes | Duration | Timestamp | Ip | Shape::Type => {
                return self.with(bound).join(actual).is_some();
            }
        };
        actual.is_undecided() && inner.into_iter().all(|shape| shape.takes(actual, bound))
    }

    /// The type that this shape is, given what its letters are bound to.
    fn with(&self, bound: &[Option<Type>; 2]) -> Type {
        match self {
            A => bound[0].clone().unwrap_or(Type::Free),
            B => bound[1].clone().unwrap_or(Type::Free),
            Dyn => Type::Dyn,
            Bool => Type::Bool,
            Int => Type::Int,
            Uint => Type::Uint,
            Double => Type::Double,
            Shape::String => Type::String,
            Bytes => Type::Bytes,
            Duration => Type::Duration,
            Timestamp => Type::Timestamp,
            Ip => Type::Ip,
            Shape::Type => Type::Meta,
            Shape::List(element) => Type::List(Arc::new(element.with(bound))),
            Shape::Map(key, value) => Type::Map(Arc::new(key.with(bound)), Arc::new(value.with(bound))),
            Shape::Optional(element) => Type::Optional(Arc::new(element.with(bound))),
        }
    }
}

fn bind(letter: &mut Option<Type>, actual: &Type) -> bool {
    let joined = match letter {
        None => Some(actual.clone()),
        Some(bound) => bound.join(actual),
    };
    let fits = joined.is_some();
    if fits {
        *letter = joined;
    }
    fits
}
