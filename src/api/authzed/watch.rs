//! `authzed.api.v1.WatchService`.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::{call, convert};
use crate::api::errors::to_status;
use crate::service::Services;
use crate::wire::authzed::v1::watch_service_server::WatchService;
use crate::wire::authzed::v1::{WatchRequest, WatchResponse};

/// Request metadata that asks for all current tuples first. The protocol has no field for it.
const SNAPSHOT: &str = "quorate-watch-snapshot";

/// Serves what changes.
pub(in crate::api) struct Watch {
    services: Arc<Services>,
}

impl Watch {
    pub(in crate::api) fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

fn wants_snapshot(metadata: &MetadataMap) -> bool {
    metadata.get(SNAPSHOT).is_some_and(|value| value.as_bytes() == b"true")
}

#[tonic::async_trait]
impl WatchService for Watch {
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let call = call(&self.services, request.metadata());
        let snapshot = wants_snapshot(request.metadata());
        let watch = convert::to_watch(request.into_inner(), snapshot).map_err(to_status)?;
        let events = self.services.watch(call, watch).await.map_err(to_status)?;
        let responses = ReceiverStream::new(events).map(|event| event.map(convert::from_watch).map_err(to_status));
        Ok(Response::new(responses.boxed()))
    }
}
