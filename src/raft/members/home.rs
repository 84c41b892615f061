//! Leadership in the home region: a leader outside of it hands over to a voter inside that could lead at once.
//!
//! Nobody hands over out of the home region, so leadership comes to rest there, and stays outside where nobody inside can take
//! it. What must not be is that it goes to and fro, when those at home lose it again and again: a leader outside waits before
//! it hands over, twice as long after each time that it did so lately.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::judge;
use crate::model::{Error, ErrorCode, PlaceName};
use crate::raft::clock::monotonic;
use crate::raft::leader::LeaderWatch;
use crate::raft::replica::Replica;
use crate::raft::{CommandBody, FeatureLevel, Outcome, Propose};

/// For so long somebody at home must have been able to lead before he is to.
const SHORTEST: Duration = Duration::from_secs(2);
/// It is never waited for longer.
const LONGEST: Duration = Duration::from_secs(600);
/// A hand-over is not remembered for longer.
const FORGOTTEN: Duration = Duration::from_secs(1800);
/// More of them are not remembered: they make no difference.
const REMEMBERED: usize = 16;
/// Between two looks of a leader outside of the home region.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long to wait, by what was done before.
#[derive(Debug, Default)]
struct BackOff {
    handed_over: VecDeque<Instant>,
}

impl BackOff {
    fn note(&mut self, now: Instant) {
        self.handed_over.push_back(now);
        if self.handed_over.len() > REMEMBERED {
            self.handed_over.pop_front();
        }
    }

    fn pause(&mut self, now: Instant) -> Duration {
        self.handed_over.retain(|at| now.saturating_duration_since(*at) < FORGOTTEN);
        let times = u32::try_from(self.handed_over.len()).expect("few are remembered");
        (SHORTEST * 2_u32.pow(times)).min(LONGEST)
    }
}

impl Replica {
    /// Sets where the leader is to be; `None` for anywhere. Whether that changed anything, as far as this node had applied.
    pub async fn set_home_region(&self, region: Option<PlaceName>, deadline: Instant) -> Result<bool, Error> {
        let settings = self.settings();
        let refused = |why: String| Err(Error::new(ErrorCode::WrongState, format!("nothing was changed: {why}")));
        if settings.level < FeatureLevel::LOCALITIES {
            let (level, needed) = (settings.level, FeatureLevel::LOCALITIES);
            return refused(format!(
                "a home region needs feature level {needed}, and the cluster is at {level}; see `quorate cluster upgrade`"
            ));
        }
        if let Some(region) = &region {
            let roster = self.roster();
            let of = |id: &u64| settings.localities.get(id).and_then(|locality| locality.region.as_ref());
            if !roster.voters.iter().any(|id| of(id) == Some(region)) {
                return refused(format!("no voter says that it is in region {region}; see `node.region`"));
            }
        }
        let changed = settings.home_region != region;
        match self.proposer().propose(CommandBody::SetHomeRegion { region }, deadline).await {
            Ok(applied) => match applied.outcome {
                Outcome::Refused(refusal) => refused(format!("the cluster refused it: {refusal:?}")),
                Outcome::Done | Outcome::Deleted { .. } | Outcome::Admitted { .. } => Ok(changed),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this node leads, and is not where the leader is to be.
    fn leads_abroad(&self) -> bool {
        self.leader().leads() && !self.settings().is_home(self.node_id())
    }

    /// Goes on for as long as the replica lives.
    pub(in crate::raft) async fn keep_home(replica: Weak<Self>, mut leader: LeaderWatch) {
        let Some(mut settings) = replica.upgrade().map(|replica| replica.watch_settings()) else { return };
        let mut back_off = BackOff::default();
        let mut able_since = None;
        loop {
            let Some(now) = replica.upgrade() else { return };
            if now.leads_abroad() {
                now.look_home(&mut able_since, &mut back_off).await;
                drop(now);
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            drop(now);
            able_since = None;
            let more = tokio::select! {
                more = leader.changed() => more,
                more = settings.changed() => more.is_ok(),
            };
            if !more {
                return;
            }
        }
    }

    /// Hands over, if somebody at home has been able to lead for long enough.
    async fn look_home(self: &Arc<Self>, able_since: &mut Option<Instant>, back_off: &mut BackOff) {
        let settings = self.settings();
        let Some(node_id) = judge::successor_at_home(&self.roster(), |id| settings.is_home(id)) else {
            *able_since = None;
            return;
        };
        let now = monotonic();
        let since = *able_since.get_or_insert(now);
        if now.saturating_duration_since(since) < back_off.pause(now) {
            return;
        }
        // Who changes the members has the turn; the next look is soon.
        let Ok(_turn) = self.changing().try_lock() else { return };
        *able_since = None;
        back_off.note(now);
        match self.transfer_here(Some(node_id)).await {
            Ok(done) => tracing::info!(leader = done.leader, term = done.term, "leadership went to the home region"),
            Err(error) => tracing::info!(%error, to = node_id, "leadership did not go to the home region"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hand_over_makes_the_next_one_wait_twice_as_long_until_it_is_forgotten() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut back_off = BackOff::default();
        let mut pauses = Vec::new();
        for time in 0..12 {
            let now = begin + second * time;
            pauses.push(back_off.pause(now).as_secs());
            back_off.note(now);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
        for time in 0..1000 {
            back_off.note(begin + second * time);
        }
        assert_eq!(back_off.handed_over.len(), REMEMBERED);
        assert_eq!(back_off.pause(begin + second * 1000), LONGEST);
        assert_eq!(back_off.pause(begin + second * 999 + FORGOTTEN), SHORTEST);
    }
}
