//! Tests of the SpiceDB front end: what it reads, what it refuses and where.
