//! What only an administrator asks a node for: who leads, and who votes.

use std::time::Duration;

use tonic::{Code, Request, Status};

use super::client::Client;
use super::wire::quorate::v1::cluster_service_client::ClusterServiceClient;
use super::wire::quorate::v1::{DemoteRequest, PromoteRequest, TransferLeaderRequest};

/// A change of the members waits for the log to get around.
const PATIENCE: Duration = Duration::from_secs(10);

fn patient<T>(message: T) -> Request<T> {
    let mut rpc = Client::rpc(message);
    rpc.set_timeout(PATIENCE);
    rpc
}

impl Client {
    /// Has the leader hand over, to the voter with this id or, with 0, to whom it likes. The new leader's id, and whether it
    /// led already.
    pub async fn transfer(&self, to: u64) -> Result<(u64, bool), Status> {
        let mut admin = ClusterServiceClient::new(self.channel.clone());
        let asked = admin.transfer_leader(patient(TransferLeaderRequest { to }));
        let done = within(asked).await?.into_inner();
        Ok((done.leader_id, !done.changed))
    }

    /// Takes a voter's vote. Whether it had one.
    pub async fn demote(&self, node_id: u64) -> Result<bool, Status> {
        let mut admin = ClusterServiceClient::new(self.channel.clone());
        Ok(within(admin.demote(patient(DemoteRequest { node_id }))).await?.into_inner().changed)
    }

    /// Gives a learner a vote. Whether it had none.
    pub async fn promote(&self, node_id: u64) -> Result<bool, Status> {
        let mut admin = ClusterServiceClient::new(self.channel.clone());
        Ok(within(admin.promote(patient(PromoteRequest { node_id }))).await?.into_inner().changed)
    }
}

async fn within<T>(asked: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Status::new(Code::DeadlineExceeded, "no answer in time");
    tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
}
