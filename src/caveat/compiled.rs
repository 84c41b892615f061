//! A compiled caveat: what the rest of the product holds, checks contexts against and evaluates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::CaveatName;

use super::canonical::canonical;
use super::check::{CheckedExpr, check};
use super::context::Context;
use super::convert::convert;
use super::error::{CompileError, ContextError, EvaluationError};
use super::evaluate::{Evaluator, MAX_STEPS, Stop};
use super::node::Node;
use super::parameter_type::ParameterType;
use super::parser::parse;
use super::value::{Value, sum};

/// The longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 100_000;

/// A caveat whose expression was checked against its parameters. Two are equal if they were made of the same text.
pub struct Caveat {
    name: CaveatName,
    parameters: BTreeMap<String, ParameterType>,
    expression: String,
    node: Node,
    unused: Option<String>,
    bad_pattern: Option<CompileError>,
    pattern_bytes: usize,
}

/// What a caveat says in a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds, whatever the parameters without a value are.
    True,
    /// It does not hold, whatever the parameters without a value are.
    False,
    /// That depends on these parameters, which have no value. Others may turn out to be needed once these have one.
    Missing(BTreeSet<String>),
}

impl Caveat {
    /// Compiles `expression`, which must be a bool. Whether it uses all of the parameters, [`Caveat::unused_parameter`] says.
    pub fn compile(
        name: &CaveatName,
        parameters: &BTreeMap<String, ParameterType>,
        expression: &str,
    ) -> Result<Self, CompileError> {
        if parameters.is_empty() {
            return Err(CompileError::whole(format!("caveat {name} has no parameters: give it at least one")));
        }
        if expression.len() > MAX_EXPRESSION_BYTES {
            let length = expression.len();
            let message = format!("the expression has {length} bytes, at most {MAX_EXPRESSION_BYTES} are allowed");
            return Err(CompileError::whole(message));
        }
        let CheckedExpr { node, unused, bad_pattern, pattern_bytes } = check(&parse(expression)?, parameters)?;
        let (name, parameters, expression) = (name.clone(), parameters.clone(), expression.to_owned());
        Ok(Self { name, parameters, expression, node, unused, bad_pattern, pattern_bytes })
    }

    /// The caveat's name.
    #[must_use]
    pub fn name(&self) -> &CaveatName {
        &self.name
    }

    /// The parameters and their types.
    #[must_use]
    pub fn parameters(&self) -> &BTreeMap<String, ParameterType> {
        &self.parameters
    }

    /// The text of the expression.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The first parameter, by name, that the expression does not mention. A schema that is to be written may have none.
    #[must_use]
    pub fn unused_parameter(&self) -> Option<&str> {
        self.unused.as_deref()
    }

    /// The first constant pattern of `matches()` that is none, which fails whenever it is reached. A schema that is to be
    /// written may have none.
    #[must_use]
    pub fn bad_pattern(&self) -> Option<&CompileError> {
        self.bad_pattern.as_ref()
    }

    /// The memory that the patterns take, roughly; far more than their text.
    #[must_use]
    pub fn pattern_bytes(&self) -> usize {
        self.pattern_bytes
    }

    /// The expression in the form in which SpiceDB shows it, however it was written.
    #[must_use]
    pub fn canonical_expression(&self) -> String {
        canonical(&parse(&self.expression).expect("it was parsed when the caveat was made"))
    }

    /// Checks a context that is to be stored with a relationship: it may name parameters only, with values of their types.
    pub fn check_context(&self, context: &Context) -> Result<(), ContextError> {
        for (name, value) in context.iter() {
            let Some(of) = self.parameters.get(name) else {
                let parameter = name.chars().take(80).collect();
                return Err(ContextError::UnknownParameter { caveat: self.name.to_string(), parameter });
            };
            convert(of, value).map_err(|reason| self.wrong_type(name, reason))?;
        }
        Ok(())
    }

    /// Evaluates the caveat. A stored value wins over one of the request; request values that are no parameters of this
    /// caveat belong to others and do not matter.
    ///
    /// The work is taken from `steps`, at most a million of them. Where it comes to [`EvaluationError::TooExpensive`] and
    /// leaves nothing of `steps`, a larger budget might have sufficed.
    pub fn evaluate_within(
        &self,
        stored: &Context,
        request: &Context,
        steps: &mut u64,
    ) -> Result<Outcome, EvaluationError> {
        let mut values = Vec::with_capacity(self.parameters.len());
        for (name, of) in &self.parameters {
            let json = stored.get(name).or_else(|| request.get(name));
            let value = json.map(|json| convert(of, json)).transpose();
            values.push(value.map_err(|reason| self.wrong_type(name, reason))?);
        }
        let caveat = || self.name.to_string();
        let granted = MAX_STEPS.min(*steps);
        let mut evaluator = Evaluator::new(&values, granted);
        // Reading the values is work, too.
        let read = sum(values.iter().flatten().map(Value::weight));
        let evaluated = evaluator.spend(read).and_then(|()| evaluator.evaluate(&self.node));
        *steps -= granted - evaluator.steps_left();
        match evaluated {
            Ok(Value::Bool(true)) => Ok(Outcome::True),
            Ok(Value::Bool(false)) => Ok(Outcome::False),
            Ok(other) => {
                let reason = format!("the result is {}, not a bool", other.type_name());
                Err(EvaluationError::Failed { caveat: caveat(), reason })
            }
            Err(Stop::Missing(places)) => {
                let names = self.parameters.keys().enumerate().filter(|(place, _)| places.contains(place));
                Ok(Outcome::Missing(names.map(|(_, name)| name.clone()).collect()))
            }
            Err(Stop::Failed(reason)) => Err(EvaluationError::Failed { caveat: caveat(), reason }),
            Err(Stop::Exhausted) => Err(EvaluationError::TooExpensive { caveat: caveat(), steps: MAX_STEPS }),
        }
    }

    fn wrong_type(&self, parameter: &str, reason: String) -> ContextError {
        ContextError::WrongType { caveat: self.name.to_string(), parameter: parameter.to_owned(), reason }
    }
}

impl PartialEq for Caveat {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.parameters == other.parameters && self.expression == other.expression
    }
}

impl Eq for Caveat {}

impl fmt::Debug for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Caveat");
        shown.field("name", &self.name).field("parameters", &self.parameters).field("expression", &self.expression);
        shown.finish_non_exhaustive()
    }
}
