//! The SpiceDB schema language: text to [`Schema`](super::Schema).
//!
//! `lexer` makes tokens, `parser` a tree with positions, `partials` puts shared members in, `caveats` hands expressions to
//! their own language, `compile` makes the representation. `imports` makes one text of several files, for clients.

mod ast;
mod caveats;
mod compile;
mod expression_text;
mod features;
mod imports;
mod lexer;
mod parser;
mod partials;
#[cfg(test)]
mod tests;

pub use compile::{parse, parse_unjudged};
pub use imports::{ImportError, Imported, compile_imports};
