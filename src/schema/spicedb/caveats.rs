//! Caveats of a text: their parameters and expressions made ready, and what is wrong with them brought back to its place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use super::ast::{CaveatNode, ParameterNode};
use crate::caveat::{Caveat, CompileError, ParameterType};
use crate::schema::SchemaError;
use crate::schema::error::quoted;

/// The caveat that `node` describes. `place` is where it stands as a whole.
pub(super) fn compile_caveat(text: &str, node: &CaveatNode, place: &Range<usize>) -> Result<Arc<Caveat>, SchemaError> {
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
    Caveat::compile(&node.name, &parameters, expression)
        .map(Arc::new)
        .map_err(|error| not_compiled(text, node, place, &error))
}

fn not_compiled(text: &str, node: &CaveatNode, place: &Range<usize>, error: &CompileError) -> SchemaError {
    let Range { start, end } = node.expression;
    match &error.unused {
        // What SpiceDB finds only when it checks types.
        Some(parameter) => SchemaError::type_check(text, place.start, error.message.clone())
            .with_source(text, place.end, parameter.as_str())
            .with_details(vec![("caveat_name", node.name.to_string()), ("parameter_name", parameter.clone())]),
        None => {
            let message = format!("the expression of caveat `{}` is not valid: {}", node.name, error.message);
            let at = start + error.offset.unwrap_or(0).min(end - start);
            SchemaError::parse(text, at, message).with_source(text, end, &text[start..end])
        }
    }
}
