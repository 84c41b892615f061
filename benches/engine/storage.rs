//! Batches of tuples as the log is applied, beside batches of plain keys.

use criterion::{BenchmarkId, Criterion, Throughput};
use quorate::model::{Revision, Tuple};
use quorate::store::{RocksStore, StoreOptions};

use crate::data::{object, put, tuple, user};
use crate::floor::Plain;
use crate::folder;

pub(crate) fn benches(criterion: &mut Criterion) {
    let folder = folder();
    let store = RocksStore::open(&folder.path().join("store"), StoreOptions::default()).expect("an empty folder");
    let plain = Plain::open(&folder.path().join("plain"), 0);
    let (mut revision, mut number) = (0, 0);
    let mut group = criterion.benchmark_group("batch");
    for size in [1_u64, 100, 1000] {
        group.throughput(Throughput::Elements(size));
        group.bench_function(BenchmarkId::new("store", size), |b| {
            b.iter_batched(
                || {
                    revision += 1;
                    let next = |at: u64| tuple(object("doc", &format!("w{revision}-{at}")), "viewer", user("w"));
                    (Revision::new(revision), (0..size).map(next).collect::<Vec<Tuple>>())
                },
                |(revision, tuples)| put(&store, revision, &tuples),
                criterion::BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("rocksdb", size), |b| {
            b.iter(|| {
                plain.put(number..number + size);
                number += size;
            });
        });
    }
    group.finish();
}
