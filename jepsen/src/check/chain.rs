//! Hash chains: two nodes at the same index, or one node at two times, have applied the same.

use std::collections::BTreeMap;

use super::{Property, Record, Verdict};

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::HashChain);
    let mut known: BTreeMap<u64, (&str, usize)> = BTreeMap::new();
    for sample in record.chain.iter().filter(|sample| sample.applied > 0) {
        let (hash, node) = *known.entry(sample.applied).or_insert((&sample.hash, sample.node));
        if node != sample.node || hash != sample.hash {
            verdict.expect(hash == sample.hash, &[], || {
                let (index, other) = (sample.applied, sample.node);
                format!("at {index}, node {node} has {hash} and node {other} has {}", sample.hash)
            });
        }
    }
    verdict
}
