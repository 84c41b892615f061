//! Lookups by example, and against the check.
