//! What the members say of themselves, for whoever looks at the cluster.
//!
//! A report is the fronts' own message; nothing here reads it.

use std::time::Duration;

use futures::future::join_all;

use super::replica::Replica;

/// What another member said when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberReport {
    /// Its id.
    pub node_id: u64,
    /// Its report, or why there is none.
    pub report: Result<Vec<u8>, String>,
}

impl Replica {
    /// Asks all other members at once, for `patience` at most.
    pub async fn ask_members(&self, patience: Duration) -> Vec<MemberReport> {
        let me = self.node_id();
        let others = self.status().members.into_iter().filter(|member| member.node_id != me);
        let asked = others.map(|member| async move {
            let said = self.peers().ask_status(&member.address.peer, member.node_id, patience).await;
            MemberReport { node_id: member.node_id, report: said.map_err(|error| error.to_string()) }
        });
        join_all(asked).await
    }
}
