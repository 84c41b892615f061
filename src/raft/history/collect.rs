//! The task that removes history which is no longer readable, in steps, so that serving does not suffer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::store::{Collector, RocksStore};

/// The rest after a step, in lengths of that step: collection uses a fifth of one core at the most.
const REST: u32 = 4;

/// However seldom history ends: each snapshot leaves small files, and they are merged at each look.
const SELDOMEST: Duration = Duration::from_secs(15);

/// Looks every so often whether there is something to remove. Goes on for as long as it is polled.
pub(in crate::raft) async fn collect(store: Arc<RocksStore>, look_every: Duration) {
    let mut collector = Collector::new(store);
    let mut ticks = tokio::time::interval(look_every.min(SELDOMEST));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        loop {
            let began = Instant::now();
            let step = tokio::task::spawn_blocking(move || {
                let more = collector.step();
                (collector, more)
            });
            let more;
            match step.await {
                Ok(stepped) => (collector, more) = stepped,
                Err(error) => {
                    tracing::error!(%error, "history is no longer collected on this node until it is started again");
                    return;
                }
            }
            match more {
                Ok(true) => tokio::time::sleep(began.elapsed() * REST).await,
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(%error, "history is not being collected; it is tried again later");
                    break;
                }
            }
        }
    }
}
