//! Arithmetic and comparison of values. Every overflow and every pair of types that an operator does not take is an error.

use std::cmp::Ordering;
use std::sync::Arc;

use super::ast::Operator;
use super::value::{Value, compare_numbers, equal, lookup};

/// The result of an operator with one operand.
pub(super) fn unary(operator: Operator, operand: &Value) -> Result<Value, String> {
    match (operator, operand) {
        (Operator::Not, Value::Bool(b)) => Ok(Value::Bool(!b)),
        (Operator::Negate, Value::Int(i)) => i.checked_neg().map(Value::Int).ok_or_else(overflow),
        (Operator::Negate, Value::Double(d)) => Ok(Value::Double(-d)),
        _ => Err(format!("{} does not take {}", operator.symbol(), operand.type_name())),
    }
}

/// The result of an operator with two operands.
pub(super) fn binary(operator: Operator, left: &Value, right: &Value) -> Result<Value, String> {
    match operator {
        Operator::Equal => Ok(Value::Bool(equal(left, right))),
        Operator::NotEqual => Ok(Value::Bool(!equal(left, right))),
        Operator::Less => ordered(operator, left, right, |o| o == Ordering::Less),
        Operator::LessEqual => ordered(operator, left, right, |o| o != Ordering::Greater),
        Operator::Greater => ordered(operator, left, right, |o| o == Ordering::Greater),
        Operator::GreaterEqual => ordered(operator, left, right, |o| o != Ordering::Less),
        Operator::In => contains(left, right),
        Operator::Add => add(left, right),
        Operator::Subtract => subtract(left, right),
        Operator::Multiply | Operator::Divide | Operator::Remainder => scale(operator, left, right),
        Operator::Negate | Operator::Not => Err(mismatch(operator, left, right)), // They have one operand.
    }
}

fn overflow() -> String {
    "the number overflows".to_owned()
}

fn mismatch(operator: Operator, left: &Value, right: &Value) -> String {
    format!("{} does not take {} and {}", operator.symbol(), left.type_name(), right.type_name())
}

fn ordered(operator: Operator, left: &Value, right: &Value, holds: fn(Ordering) -> bool) -> Result<Value, String> {
    let order = match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.nanos().cmp(&b.nanos()),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
            compare_numbers(left, right).ok_or_else(|| "not-a-number has no order".to_owned())?
        }
        _ => return Err(mismatch(operator, left, right)),
    };
    Ok(Value::Bool(holds(order)))
}

fn contains(element: &Value, within: &Value) -> Result<Value, String> {
    match within {
        Value::List(list) => Ok(Value::Bool(list.iter().any(|e| equal(element, e)))),
        Value::Map(map) => Ok(Value::Bool(lookup(map, element).is_some())),
        _ => Err(mismatch(Operator::In, element, within)),
    }
}

fn add(left: &Value, right: &Value) -> Result<Value, String> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(overflow),
        (Value::Uint(a), Value::Uint(b)) => a.checked_add(*b).map(Value::Uint).ok_or_else(overflow),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => Ok(Value::String(Arc::from([&**a, &**b].concat()))),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes(Arc::from([&**a, &**b].concat()))),
        (Value::List(a), Value::List(b)) => Ok(Value::list([a.as_slice(), b.as_slice()].concat())),
        (Value::Duration(a), Value::Duration(b)) => a.checked_add(*b).map(Value::Duration).ok_or_else(overflow),
        (Value::Timestamp(t), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(t)) => {
            t.plus(i128::from(*d)).map(Value::Timestamp).ok_or_else(overflow)
        }
        _ => Err(mismatch(Operator::Add, left, right)),
    }
}

fn subtract(left: &Value, right: &Value) -> Result<Value, String> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.checked_sub(*b).map(Value::Int).ok_or_else(overflow),
        (Value::Uint(a), Value::Uint(b)) => a.checked_sub(*b).map(Value::Uint).ok_or_else(overflow),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => a.checked_sub(*b).map(Value::Duration).ok_or_else(overflow),
        (Value::Timestamp(t), Value::Duration(d)) => t.plus(-i128::from(*d)).map(Value::Timestamp).ok_or_else(overflow),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.since(b).map(Value::Duration).ok_or_else(overflow),
        _ => Err(mismatch(Operator::Subtract, left, right)),
    }
}

/// `*`, `/` and `%`.
fn scale(operator: Operator, left: &Value, right: &Value) -> Result<Value, String> {
    let is_product = operator == Operator::Multiply;
    let is_quotient = operator == Operator::Divide;
    match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) if !is_product => {
            Err(format!("{} by zero", operator.symbol()))
        }
        (Value::Int(a), Value::Int(b)) => {
            let result = match operator {
                _ if is_product => a.checked_mul(*b),
                _ if is_quotient => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Value::Int).ok_or_else(overflow)
        }
        (Value::Uint(a), Value::Uint(b)) => {
            let result = match operator {
                _ if is_product => a.checked_mul(*b),
                _ if is_quotient => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Value::Uint).ok_or_else(overflow)
        }
        (Value::Double(a), Value::Double(b)) if is_product => Ok(Value::Double(a * b)),
        (Value::Double(a), Value::Double(b)) if is_quotient => Ok(Value::Double(a / b)),
        _ => Err(mismatch(operator, left, right)),
    }
}
