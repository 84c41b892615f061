//! What can go wrong with a caveat: when it is compiled, when a context is held against its parameters, when it is
//! evaluated.

use crate::model::{Error, ErrorCode};

/// Why an expression is not a caveat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// The byte of the expression at which it is wrong, where one place is to blame.
    pub offset: Option<usize>,
}

impl CompileError {
    pub(super) fn at(offset: u32, message: impl Into<String>) -> Self {
        Self { message: message.into(), offset: Some(offset as usize) }
    }

    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), offset: None }
    }
}

/// Why a context does not fit the parameters of a caveat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The context names what the caveat does not take.
    #[error("caveat {caveat} has no parameter {parameter:?}: remove it from the context")]
    UnknownParameter {
        /// The caveat.
        caveat: String,
        /// The name that is no parameter, shortened if it is long.
        parameter: String,
    },
    /// A value is not of the parameter's type.
    #[error("parameter {parameter} of caveat {caveat}: {reason}")]
    WrongType {
        /// The caveat.
        caveat: String,
        /// The parameter.
        parameter: String,
        /// What was wanted and what was found.
        reason: String,
    },
}

impl From<ContextError> for Error {
    fn from(error: ContextError) -> Self {
        let (caveat, parameter) = match &error {
            ContextError::UnknownParameter { caveat, parameter }
            | ContextError::WrongType { caveat, parameter, .. } => (caveat.clone(), parameter.clone()),
        };
        Self::new(ErrorCode::CaveatParameterType, error.to_string())
            .with("caveat_name", caveat)
            .with("parameter_name", parameter)
    }
}

/// Why a caveat has no answer for a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A value of the context is not of its parameter's type.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The expression itself failed: a division by zero, a key that is not there, an overflow.
    #[error("caveat {caveat} could not be evaluated: {reason}")]
    Failed {
        /// The caveat.
        caveat: String,
        /// What failed.
        reason: String,
    },
    /// The evaluation took more work than one caveat may.
    #[error(
        "caveat {caveat} could not be evaluated within its budget of {steps} steps: simplify it or shorten the lists"
    )]
    TooExpensive {
        /// The caveat.
        caveat: String,
        /// The budget.
        steps: u64,
    },
}

impl From<EvaluationError> for Error {
    fn from(error: EvaluationError) -> Self {
        let caveat = match error {
            EvaluationError::Context(inner) => return inner.into(),
            EvaluationError::Failed { ref caveat, .. } | EvaluationError::TooExpensive { ref caveat, .. } => {
                caveat.clone()
            }
        };
        Self::new(ErrorCode::CaveatEvaluation, error.to_string()).with("caveat_name", caveat)
    }
}
