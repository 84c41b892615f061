//! The protocol of SpiceDB, `authzed.api.v1`, over the services.

mod convert;
mod permissions;
mod schema;
mod watch;

pub(super) use permissions::Permissions;
pub(super) use schema::Schema;
pub(super) use watch::Watch;

use tonic::metadata::MetadataMap;

use super::deadline::deadline;
use crate::model::StoreId;
use crate::service::{Call, Services};

/// What a request brings besides its message. This protocol speaks of one store.
fn call(services: &Services, metadata: &MetadataMap) -> Call {
    Call { store: StoreId::DEFAULT, deadline: deadline(metadata, services.request_timeout()) }
}
