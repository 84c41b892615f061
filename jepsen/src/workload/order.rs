//! Chains of writes: two writers add links to one chain, each link after the one before was acknowledged, each at any node; two
//! readers look at it all the while, in every mode, at every node.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngExt as _;

use super::Hand;
use crate::history::{Relationship, Request, Update};

/// Links that each writer adds to one chain.
const LINKS: usize = 6;

fn link(chain: &str, writer: &str, number: usize) -> Relationship {
    Relationship::of(&format!("chain:{chain}#link@item:{writer}-{number}"))
}

pub(super) async fn run(writers: [Hand; 2], readers: [Hand; 2]) {
    let ([mut first, mut second], [mut third, mut fourth]) = (writers, readers);
    while !first.is_over() {
        let chain = first.name();
        let writing = AtomicUsize::new(2);
        tokio::join!(
            write(&mut first, &chain, "a", &writing),
            write(&mut second, &chain, "b", &writing),
            read(&mut third, &chain, &writing),
            read(&mut fourth, &chain, &writing),
        );
    }
}

async fn write(hand: &mut Hand, chain: &str, writer: &str, writing: &AtomicUsize) {
    for number in 0..LINKS {
        let node = hand.any_node();
        hand.write(node, vec![Update::Touch(link(chain, writer, number))]).await;
    }
    writing.fetch_sub(1, Ordering::Relaxed);
}

async fn read(hand: &mut Hand, chain: &str, writing: &AtomicUsize) {
    let mut last_look = false;
    while !last_look {
        last_look = writing.load(Ordering::Relaxed) == 0;
        let (mode, node) = (hand.any_mode(), hand.any_node());
        let questions = || ["a", "b"].iter().flat_map(|writer| (0..LINKS).map(|number| link(chain, writer, number)));
        let request = if hand.random.random_bool(0.5) {
            Request::Check { mode, questions: questions().collect() }
        } else {
            Request::list(mode, "chain", Some(chain))
        };
        hand.ask(node, request).await;
    }
}
