//! What only an administrator asks a node for.

use std::time::SystemTime;

use tonic::Status;

use super::client::{Client, DEADLINE};
use super::wire::admin::StatusRequest;
use super::wire::admin::cluster_service_client::ClusterServiceClient;

impl Client {
    /// By how many seconds the node's wall clock is ahead of this program's: its answers carry the time at which they were made.
    pub async fn clock_ahead(&self) -> Result<f64, Status> {
        let mut rpc = Self::rpc(StatusRequest {});
        rpc.set_timeout(DEADLINE);
        let response = ClusterServiceClient::new(self.channel.clone()).status(rpc).await?;
        let date = response.metadata().get("date").and_then(|date| date.to_str().ok());
        let there = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let there = there.ok_or_else(|| Status::internal("the answer carries no time"))?;
        Ok(match there.duration_since(SystemTime::now()) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        })
    }
}
