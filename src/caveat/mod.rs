//! Caveats: conditions in the Common Expression Language that decide, at check time, whether a relationship holds. An
//! expression is compiled once against typed parameters and then evaluated in three values: true, false, or not known for
//! want of the named parameters.
//!
//! Nothing here may be true by mistake: what cannot be evaluated is an error, and an answer given without some parameter is
//! the answer for every value of it. Must not know schemas, relationships, storage or the wire.

mod ast;
mod canonical;
mod check;
mod compiled;
mod context;
mod convert;
mod error;
mod evaluate;
mod fold;
mod functions;
mod lexer;
mod literal;
mod node;
mod operators;
mod parameter_type;
mod parser;
mod pattern;
mod pattern_syntax;
mod signatures;
mod subtree;
mod time;
mod types;
mod value;
mod weighed;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod property;

pub use compiled::{Caveat, MAX_EXPRESSION_BYTES, Outcome};
pub use context::{Context, ContextParseError};
pub use error::{CompileError, ContextError, EvaluationError};
pub use parameter_type::{ParameterType, ParameterTypeError};
