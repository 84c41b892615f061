//! Schemas: one intermediate representation of userset rewrites, and the front ends that produce it.
//!
//! Knows nothing of storage or wire formats.

mod ir;

pub use ir::{AllowedSubject, ArrowKind, Definition, Member, Permission, Relation, Rewrite, Schema};
