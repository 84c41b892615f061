//! Conversion between the messages of `authzed.api.v1` and the vocabulary of the product. What is not valid by the protocol's
//! own rules is refused here; what needs a schema or a bound is judged by the services.

mod bulk;
mod checks;
mod filters;
mod json;
mod lookups;
mod reflection;
mod requests;
mod responses;
mod traces;
mod watch;

pub(super) use bulk::{from_count, from_export, to_counter, to_counter_name, to_export, to_import};
pub(super) use checks::{from_bulk_check, from_check, to_bulk_check, to_check, to_explain};
pub(in crate::api) use checks::{from_content_change, to_check_item};
pub use json::{from_json_text, to_json_text};
pub(super) use lookups::{
    from_expand, from_lookup_resources, from_lookup_subjects, to_expand, to_lookup_resources, to_lookup_subjects,
};
pub(in crate::api) use reflection::from_change;
pub(super) use reflection::{from_computable, from_dependent, from_diff, from_reflection, to_reflection_filters};
pub(super) use requests::{to_consistency, to_delete, to_read, to_write};
pub(in crate::api) use responses::to_zed_token;
pub(super) use responses::{from_delete, from_read, from_write};
pub(super) use watch::{from_watch, to_watch};
