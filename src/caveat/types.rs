//! The types that the checker reasons with, and when one may stand for another. Must not know syntax.

use std::fmt;
use std::sync::Arc;

use super::parameter_type::ParameterType;

/// The type of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    /// Known only when the expression is evaluated.
    Dyn,
    /// Not decided by anything: the elements of `[]`.
    Free,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    Ip,
    /// The type of a type.
    Meta,
    List(Arc<Type>),
    /// Keys are scalars: that keeps a type as small as its expression is deep.
    Map(Arc<Type>, Arc<Type>),
    Optional(Arc<Type>),
}

impl Type {
    /// The type that expressions see of a parameter. SpiceDB gives `uint` parameters the type `int`, so that they compare
    /// with plain numbers; their values are unsigned all the same.
    pub(super) fn of_parameter(parameter: &ParameterType) -> Self {
        match parameter {
            ParameterType::Any => Self::Dyn,
            ParameterType::Bool => Self::Bool,
            ParameterType::String => Self::String,
            ParameterType::Int | ParameterType::Uint => Self::Int,
            ParameterType::Double => Self::Double,
            ParameterType::Bytes => Self::Bytes,
            ParameterType::Duration => Self::Duration,
            ParameterType::Timestamp => Self::Timestamp,
            ParameterType::IpAddress => Self::Ip,
            ParameterType::List(inner) => Self::List(Arc::new(Self::of_parameter(inner))),
            ParameterType::Map(inner) => Self::Map(Arc::new(Self::String), Arc::new(Self::of_parameter(inner))),
        }
    }

    /// The type that covers both, if one stands for the other.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Self::Free, known) | (known, Self::Free) => Some(known.clone()),
            (Self::Dyn, _) | (_, Self::Dyn) => Some(Self::Dyn),
            (Self::Null, nullable) | (nullable, Self::Null) if nullable.is_nullable() => Some(nullable.clone()),
            (Self::List(a), Self::List(b)) => Some(Self::List(Arc::new(a.join(b)?))),
            (Self::Map(k, a), Self::Map(l, b)) => Some(Self::Map(Arc::new(k.join(l)?), Arc::new(a.join(b)?))),
            (Self::Optional(a), Self::Optional(b)) => Some(Self::Optional(Arc::new(a.join(b)?))),
            _ => None,
        }
    }

    fn is_nullable(&self) -> bool {
        matches!(self, Self::Duration | Self::Timestamp | Self::Ip | Self::Optional(_))
    }

    pub(super) fn is_undecided(&self) -> bool {
        matches!(self, Self::Dyn | Self::Free)
    }

    /// Whether a value of this type may be the key of a map.
    pub(super) fn is_key(&self) -> bool {
        self.is_undecided() || matches!(self, Self::Bool | Self::Int | Self::Uint | Self::Double | Self::String)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn | Self::Free => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Ip => f.write_str("ipaddress"),
            Self::Meta => f.write_str("type"),
            Self::List(inner) => write!(f, "list({inner})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(inner) => write!(f, "optional({inner})"),
        }
    }
}
