//! Caveats of a text: their parameters and expressions made ready, and what is wrong with them brought back to its place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use super::ast::{CaveatNode, ParameterNode};
use crate::caveat::{Caveat, CompileError, ParameterType};
use crate::schema::SchemaError;
use crate::schema::error::quoted;

/// The caveat that `node` describes.
pub(super) fn compile_caveat(text: &str, node: &CaveatNode) -> Result<Arc<Caveat>, SchemaError> {
    let mut parameters = BTreeMap::new();
    for ParameterNode { name, type_text } in &node.parameters {
        let refused = |message: String| {
            SchemaError::parse(text, name.place.start, message).with_source(text, name.place.end, name.value.as_str())
        };
        let parameter_type = ParameterType::parse(type_text).map_err(|error| {
            refused(format!("parameter {} of caveat `{}`: {error}", quoted(&name.value), node.name))
        })?;
        match parameters.entry(name.value.clone()) {
            Entry::Vacant(free) => free.insert(parameter_type),
            Entry::Occupied(_) => {
                let message = format!("parameter {} of caveat `{}` is defined twice", quoted(&name.value), node.name);
                return Err(refused(message));
            }
        };
    }
    let expression = &text[node.expression.clone()];
    Caveat::compile(&node.name, &parameters, expression).map(Arc::new).map_err(|error| not_compiled(text, node, &error))
}

/// Why a schema with this caveat cannot be written, if its expression leaves a parameter out. SpiceDB finds that only when it
/// checks types.
pub(super) fn unused_parameter(text: &str, caveat: &Caveat, place: &Range<usize>) -> Option<SchemaError> {
    let parameter = caveat.unused_parameter()?;
    let message = format!("parameter {parameter} is never used: remove it or use it");
    let details = vec![("caveat_name", caveat.name().to_string()), ("parameter_name", parameter.to_owned())];
    Some(
        SchemaError::type_check(text, place.start, message)
            .with_source(text, place.end, parameter)
            .with_details(details),
    )
}

/// Why a schema with this caveat cannot be written, if a pattern in its expression is none. SpiceDB finds that only when it
/// evaluates it, each time.
pub(super) fn bad_pattern(text: &str, caveat: &Caveat, expression: &Range<usize>) -> Option<SchemaError> {
    let error = caveat.bad_pattern()?;
    let message = format!("the expression of caveat `{}` is not valid: {}", caveat.name(), error.message);
    let at = expression.start + error.offset.unwrap_or(0).min(expression.len());
    let details = vec![("caveat_name", caveat.name().to_string())];
    let error = SchemaError::type_check(text, at, message).with_details(details);
    Some(error.with_source(text, expression.end, &text[expression.clone()]))
}

fn not_compiled(text: &str, node: &CaveatNode, error: &CompileError) -> SchemaError {
    let Range { start, end } = node.expression;
    let message = format!("the expression of caveat `{}` is not valid: {}", node.name, error.message);
    let at = start + error.offset.unwrap_or(0).min(end - start);
    SchemaError::parse(text, at, message).with_source(text, end, &text[start..end])
}
