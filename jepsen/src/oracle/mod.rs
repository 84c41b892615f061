//! What is right, written from the contract: the test's schema, the state after each entry of a log, and who may do what then.
//!
//! Naive on purpose: sets, recursion, no plan and no cache. Must not know histories' outcomes, nor anything of the product.

mod evaluate;
mod lookup;
mod schema;
mod state;

pub use evaluate::is_allowed;
pub use lookup::{members, resources, users, wrong_leaves};
pub use schema::{Definition, Rule, Rules, VERSIONS};
pub use state::State;
