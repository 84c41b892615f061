//! Keeping what is replicated of where the members are like what they say of themselves; on the leader.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use crate::model::Locality;
use crate::raft::leader::LeaderWatch;
use crate::raft::replica::Replica;
use crate::raft::{Applied, ClusterSettings, CommandBody, FeatureLevel, Outcome};

/// Between two looks at whether what was said is replicated: a proposal may fail.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long one proposal is waited for before the next look.
const PATIENCE: Duration = Duration::from_secs(10);

impl Replica {
    /// Goes on for as long as the replica lives.
    pub(in crate::raft) async fn keep_localities(replica: Weak<Self>, mut leader: LeaderWatch) {
        let Some(mut news) = replica.upgrade().map(|replica| replica.peers().news()) else { return };
        let Some(mut settings) = replica.upgrade().map(|replica| replica.watch_settings()) else { return };
        loop {
            let Some(now) = replica.upgrade() else { return };
            let unsaid = now.misplaced();
            for (node_id, locality) in &unsaid {
                now.place_member(*node_id, locality.clone()).await;
            }
            drop(now);
            let wait_again = async {
                tokio::select! {
                    // Who hears nothing new of nobody, and leads no more or not yet, has nothing to do.
                    more = leader.changed() => more,
                    more = news.changed() => more.is_ok(),
                    more = settings.changed() => more.is_ok(),
                }
            };
            let limit = if unsaid.is_empty() { None } else { Some(LOOK_EVERY) };
            let more = match limit {
                None => wait_again.await,
                Some(limit) => tokio::time::timeout(limit, wait_again).await.unwrap_or(true),
            };
            if !more {
                return;
            }
        }
    }

    /// Members that say that they are elsewhere than is replicated, where this node leads and may say so.
    fn misplaced(&self) -> BTreeMap<u64, Locality> {
        let settings = self.settings();
        if !self.leader().leads() || settings.level < FeatureLevel::LOCALITIES {
            return BTreeMap::new();
        }
        let heard = self.peers().heard();
        let own = &self.peers().announcement().locality;
        let said = self.leader().members().into_iter().filter_map(|id| {
            let said = if id == self.node_id() { Some(own) } else { heard.get(&id).map(|(_, said)| &said.locality) };
            said.map(|locality| (id, locality.clone()))
        });
        said.filter(|(id, said)| replicated(&settings, *id) != *said).collect()
    }

    async fn place_member(&self, node_id: u64, locality: Locality) {
        let body = CommandBody::PlaceNode { node_id, locality };
        match tokio::time::timeout(PATIENCE, self.proposer().propose_here(rand::random(), body)).await {
            Ok(Ok(Ok(Applied { outcome: Outcome::Done, .. }))) => {
                tracing::info!(member = node_id, "where this member is was replicated");
            }
            // The next look shows what became of it.
            other => tracing::debug!(member = node_id, ?other, "where this member is was not replicated yet"),
        }
    }
}

fn replicated(settings: &ClusterSettings, node_id: u64) -> Locality {
    settings.localities.get(&node_id).cloned().unwrap_or_default()
}
