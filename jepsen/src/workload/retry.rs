//! Writes under idempotency keys, sent again after any answer and after none, early and late. What they write is undone in
//! between, so that a second effect would change something.

use rand::RngExt as _;

use super::Hand;
use crate::history::{Relationship, Request, Update, Write};

pub(super) async fn run(mut hand: Hand) {
    while !hand.is_over() {
        let name = hand.name();
        let marker = Relationship::of(&format!("marker:{name}#holder@user:{name}"));
        let keyed = Request::Write(Write {
            op: name.clone(),
            only_if: vec![],
            updates: vec![Update::Touch(marker.clone())],
            idempotency_key: Some(name),
        });
        for _ in 0..hand.random.random_range(1..=3) {
            let node = hand.any_node();
            hand.ask(node, keyed.clone()).await;
        }
        let node = hand.any_node();
        hand.write(node, vec![Update::Delete(marker)]).await;
        let node = hand.any_node();
        hand.ask(node, keyed).await;
    }
}
