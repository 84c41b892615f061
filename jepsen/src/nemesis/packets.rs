//! Faults of the network. What is cut off here is healed here.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::json;

use super::inflict::{Bite, hold};
use crate::cluster::{Network, SystemError};
use crate::workload::Stage;

/// All nodes, in an order that follows from `luck`.
pub(super) fn shuffled(size: usize, luck: u64) -> Vec<usize> {
    let mut nodes: Vec<usize> = (1..=size).collect();
    nodes.shuffle(&mut StdRng::seed_from_u64(luck));
    nodes
}

/// Nothing passes between the ones and the others.
pub(super) fn both_ways(some: &[usize], others: &[usize]) -> Vec<(usize, usize)> {
    let pairs = |from: &[usize], to: &[usize]| -> Vec<(usize, usize)> {
        from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
    };
    [pairs(some, others), pairs(others, some)].concat()
}

/// Two halves that do not hear each other; the first node hears both.
pub(super) fn bridge(nodes: &[usize]) -> Vec<(usize, usize)> {
    let (one, other) = nodes[1..].split_at((nodes.len() - 1) / 2);
    both_ways(one, other)
}

/// Each node hears the one before and the one after it, and nobody else.
pub(super) fn ring(nodes: &[usize]) -> Vec<(usize, usize)> {
    let size = nodes.len();
    let apart = |a: usize, b: usize| a != b && (a + 1) % size != b && (b + 1) % size != a;
    let places = (0..size).flat_map(|a| (0..size).map(move |b| (a, b)));
    places.filter(|(a, b)| apart(*a, *b)).map(|(a, b)| (nodes[a], nodes[b])).collect()
}

/// Who is not heard, by who does not hear.
fn by_receiver(cuts: &[(usize, usize)]) -> BTreeMap<usize, Vec<usize>> {
    let mut receivers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in cuts {
        receivers.entry(*to).or_default().push(*from);
    }
    receivers
}

/// Does one thing to every receiver. What went wrong, in words.
fn each(cuts: &[(usize, usize)], make: impl Fn(&[usize], usize) -> Result<(), SystemError>) -> Vec<String> {
    let results = by_receiver(cuts).into_iter().map(|(to, from)| make(&from, to));
    results.filter_map(Result::err).map(|error| error.to_string()).collect()
}

fn cut(network: &Network, cuts: &[(usize, usize)]) -> Vec<String> {
    each(cuts, |from, to| network.cut(from, to))
}

/// How many packets were dropped, and what went wrong.
fn heal(network: &Network, size: usize) -> (u64, Vec<String>) {
    let (mut packets, mut complaints) = (0, Vec::new());
    for node in 1..=size {
        // Once more if it fails: what stays cut is cut for all that follows.
        match network.heal(node).or_else(|_| network.heal(node)) {
            Ok(dropped) => packets += dropped,
            Err(error) => complaints.push(error.to_string()),
        }
    }
    (packets, complaints)
}

/// Something was dropped, and everything that was to be dropped was.
fn did_bite(packets: u64, complaints: &[String]) -> Option<bool> {
    Some(packets > 0 && complaints.is_empty())
}

pub(super) async fn partition(stage: &Stage, cuts: &[(usize, usize)], lasts: Duration, nodes: Vec<usize>) -> Bite {
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let mut complaints = cut(network, cuts);
    hold(stage, lasts).await;
    let (packets, unhealed) = heal(network, stage.cluster.size());
    complaints.extend(unhealed);
    let effective = did_bite(packets, &complaints);
    let detail = json!({ "cuts": cuts, "packets dropped": packets, "complaints": complaints });
    Bite { nodes, effective, detail }
}

pub(super) async fn flapping(stage: &Stage, cuts: &[(usize, usize)], lasts: Duration, victim: usize) -> Bite {
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let (mut packets, mut complaints) = (0, Vec::new());
    for _ in 0..4 {
        complaints.extend(cut(network, cuts));
        hold(stage, lasts / 8).await;
        let (dropped, unhealed) = heal(network, stage.cluster.size());
        packets += dropped;
        complaints.extend(unhealed);
        hold(stage, lasts / 8).await;
    }
    let effective = did_bite(packets, &complaints);
    let detail = json!({ "packets dropped": packets, "complaints": complaints });
    Bite { nodes: vec![victim], effective, detail }
}

/// Cuts nodes off from all others, one by one, and lets them back in another order.
pub(super) async fn swizzle(stage: &Stage, shuffled: &[usize], lasts: Duration, luck: u64) -> Bite {
    let size = stage.cluster.size();
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let mut clogged = shuffled[..size.div_ceil(2)].to_vec();
    let between = lasts / u32::try_from(2 * clogged.len()).unwrap_or(1);
    let mut complaints = Vec::new();
    for node in &clogged {
        complaints.extend(cut(network, &around(*node, size)));
        hold(stage, between).await;
    }
    clogged.shuffle(&mut StdRng::seed_from_u64(luck.wrapping_add(1)));
    for position in 0..clogged.len() {
        let still = &clogged[position + 1..];
        let mut free = around(clogged[position], size);
        free.retain(|(from, to)| !still.contains(from) && !still.contains(to));
        complaints.extend(each(&free, |from, to| network.mend(from, to)));
        hold(stage, between).await;
    }
    let (packets, unhealed) = heal(network, size);
    complaints.extend(unhealed);
    let effective = did_bite(packets, &complaints);
    let detail = json!({ "packets dropped": packets, "complaints": complaints });
    Bite { nodes: clogged, effective, detail }
}

/// Everything that a node sends to others or is sent by them.
fn around(node: usize, size: usize) -> Vec<(usize, usize)> {
    let others: Vec<usize> = (1..=size).filter(|other| *other != node).collect();
    both_ways(&[node], &others)
}

pub(super) async fn loss(stage: &Stage, all: &[usize], lasts: Duration) -> Bite {
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let pairs = all.iter().flat_map(|to| all.iter().map(move |from| (*from, *to)));
    let pairs: Vec<(usize, usize)> = pairs.filter(|(from, to)| from != to).collect();
    let mut complaints = each(&pairs, |from, to| network.lose(from, to));
    hold(stage, lasts).await;
    let (packets, unhealed) = heal(network, all.len());
    complaints.extend(unhealed);
    let effective = did_bite(packets, &complaints);
    let detail = json!({ "packets dropped": packets, "complaints": complaints });
    Bite { nodes: all.to_vec(), effective, detail }
}

pub(super) async fn delay(stage: &Stage, nodes: Vec<usize>, lasts: Duration) -> Bite {
    let Some(network) = stage.cluster.network() else { return Bite::none("no network of its own") };
    let delay = match network.delay() {
        Ok(delay) => delay,
        Err(error) => return Bite::none(&error.to_string()),
    };
    hold(stage, lasts).await;
    let seen = delay.so_far();
    drop(delay);
    let detail = json!({ "packets delayed": seen.late, "packets overtaken": seen.overtaken });
    Bite { nodes, effective: Some(seen.late > 0 && seen.overtaken > 0), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hears(cuts: &[(usize, usize)], size: usize, node: usize) -> Vec<usize> {
        (1..=size).filter(|other| *other != node && !cuts.contains(&(*other, node))).collect()
    }

    #[test]
    fn a_bridge_is_heard_by_all_and_halves_hear_themselves() {
        let cuts = bridge(&[3, 1, 2, 4, 5]);
        assert_eq!(hears(&cuts, 5, 3), [1, 2, 4, 5]);
        assert_eq!(hears(&cuts, 5, 1), [2, 3]);
        assert_eq!(hears(&cuts, 5, 5), [3, 4]);
    }

    #[test]
    fn in_a_ring_everybody_hears_two() {
        let cuts = ring(&[1, 2, 3, 4, 5]);
        for (node, neighbours) in [(1, [2, 5]), (2, [1, 3]), (5, [1, 4])] {
            assert_eq!(hears(&cuts, 5, node), neighbours);
        }
        assert!(ring(&[1, 2, 3]).is_empty(), "a ring of three is whole");
    }

    #[test]
    fn half_of_a_partition_is_none() {
        assert_eq!(did_bite(5, &[]), Some(true));
        assert_eq!(did_bite(0, &[]), Some(false));
        assert_eq!(did_bite(5, &["nft: no".to_owned()]), Some(false));
    }

    #[test]
    fn luck_decides_the_order() {
        assert_eq!(shuffled(5, 7), shuffled(5, 7));
        assert!((0..20).any(|luck| shuffled(5, luck) != shuffled(5, 20)));
    }
}
