//! The SpiceDB schema language: text to [`Schema`](super::Schema).
//!
//! `lexer` makes tokens, `parser` a tree with positions, `compile` the representation. Whatever the language has and this
//! version does not (caveats, expiration, `use`, partials, imports, `self`) is refused by name, never ignored.

mod ast;
mod compile;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub use compile::parse;
