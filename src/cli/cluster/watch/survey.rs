//! One look at the cluster: every node that is known is asked at once, and the answers make one picture.
//!
//! Unlike a single look, it does not rest on the node that was named: once members are known, any of them will do.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join, join_all};

use crate::cli::cluster::status::ask;
use crate::cli::cluster::view::ClusterView;
use crate::cli::connection::{Connection, ConnectionArgs};
use crate::cli::failure::Failure;
use crate::wire::quorate::v1::StatusResponse;
use crate::wire::quorate::v1::status_response::State;

/// Looks, with connections that are kept from one to the next.
pub(super) struct Surveyor<'a> {
    flags: &'a ConnectionArgs,
    named: Vec<Connection>,
    /// Members by the address that they advertise.
    members: BTreeMap<String, Connection>,
    /// The cluster that is looked at.
    lineage: Option<String>,
    /// For all that were known before, and then for those that were just heard of: together less than the interval.
    patience: Duration,
}

impl<'a> Surveyor<'a> {
    pub(super) fn new(flags: &'a ConnectionArgs, interval: Duration) -> Result<Self, Failure> {
        let patience = interval.mul_f32(0.45);
        let named = flags.open_each(patience)?;
        Ok(Self { flags, named, members: BTreeMap::new(), lineage: None, patience })
    }

    /// What all nodes say now. An error where none says anything.
    pub(super) async fn look(&mut self) -> Result<ClusterView, Failure> {
        let named = join_all(self.named.iter().map(|node| self.ask(node)));
        let members = join_all(self.members.values().map(|node| self.ask(node)));
        let (named, members) = join(named, members).await;
        let mut problem = None;
        let mut answers = Vec::new();
        for said in named.into_iter().chain(members) {
            match said {
                Ok(said) => answers.push(said),
                Err(failure) => problem = problem.or(Some(failure)),
            }
        }
        let Some(view) = self.choose(&answers) else {
            return Err(problem.unwrap_or_else(|| Failure::new("no node of the cluster answers")));
        };
        let known: Vec<u64> = answers.iter().map(|said| said.node_id).collect();
        let strangers = self.meet(&view, &known);
        answers.extend(
            join_all(strangers.iter().filter_map(|at| self.members.get(at)).map(|node| self.ask(node)))
                .await
                .into_iter()
                .flatten(),
        );
        let each = view.members.iter().map(|member| {
            let is_it = |said: &&StatusResponse| said.node_id == member.node_id && said.lineage == view.lineage;
            answers.iter().find(is_it).cloned()
        });
        let each = each.collect();
        Ok(ClusterView::new(view, each))
    }

    async fn ask(&self, node: &Connection) -> Result<StatusResponse, Failure> {
        let late = |_| Failure::new("the nodes did not answer in time");
        tokio::time::timeout(self.patience, ask(node)).await.map_err(late)?
    }

    /// The answer that tells of the members: the newest leader's, who also knows how far each log is; else the newest.
    fn choose(&mut self, answers: &[StatusResponse]) -> Option<StatusResponse> {
        if self.lineage.is_none() {
            let member = answers.iter().find(|said| said.state() != State::Waiting);
            self.lineage = member.map(|said| said.lineage.clone());
        }
        let Some(lineage) = &self.lineage else { return answers.first().cloned() };
        let ours = answers.iter().filter(|said| said.lineage == *lineage && !said.members.is_empty());
        ours.max_by_key(|said| (said.state() == State::Leader, said.term, said.committed_index)).cloned()
    }

    /// Connections to the members of `view`, and to no others; gives the addresses of those that are new and said nothing yet.
    fn meet(&mut self, view: &StatusResponse, known: &[u64]) -> Vec<String> {
        let addresses: Vec<_> = view.members.iter().map(|it| (it.client_address.clone(), it.node_id)).collect();
        self.members.retain(|address, _| addresses.iter().any(|(at, _)| at == address));
        let mut strangers = Vec::new();
        for (address, node_id) in addresses {
            if self.members.contains_key(&address) {
                continue;
            }
            // What a member advertises may be no address, or of no use from here.
            if let Ok(node) = self.flags.open_at(&address, self.patience) {
                self.members.insert(address.clone(), node);
                if !known.contains(&node_id) {
                    strangers.push(address);
                }
            }
        }
        strangers
    }
}
