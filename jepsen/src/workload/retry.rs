//! Writes under idempotency keys, sent again after any answer and after none: at once at two nodes, after what they wrote was
//! undone, and much later, when other nodes lead and some were started anew. Now and then something else is sent under a key.

use rand::RngExt as _;

use super::Hand;
use crate::history::{Relationship, Request, Update, Write};

/// Earlier writes that a client repeats.
const KEPT: usize = 100;

/// Two clients that send the same.
pub(super) async fn run(mut hand: Hand, mut other: Hand) {
    let mut earlier: Vec<Request> = Vec::new();
    while !hand.is_over() {
        let name = hand.name();
        let marker = Relationship::of(&format!("marker:{name}#holder@user:{name}"));
        let keyed = keyed(&name, &name, &marker);
        let (node, elsewhere) = (hand.any_node(), hand.any_node());
        if hand.random.random_bool(0.5) {
            tokio::join!(hand.ask(node, keyed.clone()), other.ask(elsewhere, keyed.clone()));
        } else {
            for _ in 0..hand.random.random_range(1..=2) {
                let node = hand.any_node();
                hand.ask(node, keyed.clone()).await;
            }
        }
        // A second effect would bring it back.
        hand.write(elsewhere, vec![Update::Delete(marker)]).await;
        let node = hand.any_node();
        hand.ask(node, keyed.clone()).await;
        if hand.random.random_bool(0.3) {
            let other_name = hand.name();
            let other = Relationship::of(&format!("marker:{other_name}#holder@user:{name}"));
            let node = hand.any_node();
            hand.ask(node, self::keyed(&name, &other_name, &other)).await;
        }
        if earlier.len() == KEPT {
            let out = hand.random.random_range(0..KEPT);
            earlier.swap_remove(out);
        }
        earlier.push(keyed);
        let again = earlier[hand.random.random_range(0..earlier.len())].clone();
        let node = hand.any_node();
        hand.ask(node, again).await;
    }
}

fn keyed(key: &str, op: &str, marker: &Relationship) -> Request {
    Request::Write(Write {
        op: op.to_owned(),
        only_if: vec![],
        updates: vec![Update::Touch(marker.clone())],
        idempotency_key: Some(key.to_owned()),
    })
}
