//! Types with floors: somebody is let in and shut out, and then asked about with promises that are weaker than the floor.

use std::time::Duration;

use rand::RngExt as _;

use super::{FLOORS, Hand};
use crate::history::{Mode, Relationship, Update};

/// So that some questions come after the bound of a floor, and some before.
const BETWEEN: Duration = Duration::from_millis(60);

pub(super) async fn run(mut hand: Hand) {
    while !hand.is_over() {
        let name = hand.name();
        let (kind, _) = FLOORS[hand.random.random_range(0..FLOORS.len())];
        let granted = Relationship::of(&format!("{kind}:{name}#viewer@user:{name}"));
        let question = Relationship::of(&format!("{kind}:{name}#view@user:{name}"));
        let node = hand.any_node();
        let Some(before) = hand.write(node, vec![Update::Touch(granted.clone())]).await else { continue };
        if hand.write(node, vec![Update::Delete(granted)]).await.is_none() {
            continue;
        }
        // The zookie is of when they were still in: without the floor, a node that lags may say so.
        let modes = [Mode::Minimal, Mode::Fresh(before), Mode::Stale(1_000), Mode::Lag(1_000), Mode::Minimal];
        for mode in modes {
            let node = hand.any_node();
            hand.check(node, mode, std::slice::from_ref(&question)).await;
            tokio::time::sleep(BETWEEN).await;
        }
        if hand.random.random_bool(0.3) {
            let node = hand.any_node();
            hand.check(node, Mode::Exact(before), std::slice::from_ref(&question)).await;
        }
    }
}
