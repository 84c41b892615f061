//! The protocol of SpiceDB, `authzed.api.v1`, over the services.

mod convert;
mod experimental;
mod permissions;
mod schema;
mod watch;

pub(super) use convert::{from_change, from_content_change, to_check_item, to_zed_token};
pub use convert::{from_json_text, to_json_text};
pub(super) use experimental::Experimental;
pub(super) use permissions::Permissions;
pub(super) use schema::Schema;
pub(super) use watch::Watch;

use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;

use super::deadline::{deadline, stream_deadline};
use super::staleness::staleness;
use crate::model::StoreId;
use crate::service::{Call, Services};

/// What a request brings besides its message. This protocol speaks of one store.
pub(super) fn call(services: &Services, metadata: &MetadataMap) -> Call {
    Call {
        store: StoreId::DEFAULT,
        deadline: deadline(metadata, services.request_timeout()),
        stream_deadline: stream_deadline(metadata),
        staleness: staleness(metadata),
    }
}

/// The same for what takes as long as its stream is: each step of it has the time of one request, the whole has an hour where
/// the client does not say.
fn long_call(metadata: &MetadataMap) -> Call {
    const LONGEST: Duration = Duration::from_secs(3600);
    let stream_deadline = stream_deadline(metadata);
    let deadline = stream_deadline.unwrap_or_else(|| Instant::now() + LONGEST);
    Call { store: StoreId::DEFAULT, deadline, stream_deadline, staleness: staleness(metadata) }
}
