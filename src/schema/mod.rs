//! Schemas: one intermediate representation of userset rewrites, the front ends that produce it, and what requests and
//! schema changes must respect.
//!
//! Knows nothing of storage or wire formats.

mod annotations;
mod dependencies;
mod diff;
mod error;
#[cfg(test)]
mod fuzz;
pub mod guards;
mod ir;
mod reflect;
pub mod spicedb;
mod validate;
mod write_check;

pub use dependencies::{MemberRef, computable, dependencies};
pub use diff::{SchemaChange, diff};
pub use error::{Position, SchemaError, SchemaErrorKind};
pub use ir::{
    Allowed, AllowedSubject, ArrowKind, Definition, DefinitionOutline, Member, Outline, Permission, Relation, Rewrite,
    Schema,
};
pub use reflect::{
    CaveatShape, DefinitionShape, ParameterShape, PermissionShape, Reflection, ReflectionFilter, RelationShape, reflect,
};
