//! Conversion between the messages of `authzed.api.v1` and the vocabulary of the product. What is not valid by the protocol's
//! own rules is refused here; what needs a schema or a bound is judged by the services.

mod checks;
mod filters;
mod json;
mod requests;
mod responses;
mod traces;

pub(super) use checks::{from_bulk_check, from_check, to_bulk_check, to_check, to_explain};
pub(super) use requests::{to_delete, to_read, to_write};
pub(super) use responses::{from_delete, from_read, from_write, to_zed_token};
