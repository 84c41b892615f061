//! Keys of tuples as they lie on disk, there and back.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use quorate::model::{Revision, StoreId};
use quorate::store::{ScanOrder, decode_tuple_key, tuple_key};

use crate::data::{object, tuple, user};

pub(crate) fn benches(criterion: &mut Criterion) {
    let key = tuple(object("document", "handbook-2026"), "viewer", user("somebody@example.com")).key;
    let (store, at) = (StoreId::new(7), Revision::new(123_456));
    let mut group = criterion.benchmark_group("key");
    for (name, order) in [("by resource", ScanOrder::ByResource), ("by subject", ScanOrder::BySubject)] {
        let bytes = tuple_key(store, order, &key, at);
        group.bench_function(BenchmarkId::new("encode", name), |b| {
            b.iter(|| tuple_key(store, order, black_box(&key), at));
        });
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            b.iter(|| decode_tuple_key(order, black_box(&bytes)).expect("it is one"));
        });
    }
    group.finish();
}
