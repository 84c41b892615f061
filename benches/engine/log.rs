//! Proposals of a replica that is a cluster by itself, which share fsyncs when they come together; beside one fsync.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use quorate::model::{Revision, StoreId, TimestampMs, TupleUpdate, UpdateKind};
use quorate::raft::{
    Announcement, CommandBody, Connections, HistoryOptions, Membership, NodeAddress, Outcome, Propose, Replica,
    ReplicaOptions, WriteSchema, WriteTuples,
};
use quorate::store::StoreOptions;
use tokio::runtime::Runtime;

use crate::data::{SCHEMA, object, tuple, user};
use crate::floor::Synced;
use crate::folder;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn benches(criterion: &mut Criterion) {
    let folder = folder();
    let mut synced = Synced::create(&folder.path().join("synced"));
    let runtime = Runtime::new().expect("threads can be started");
    let (replica, schema) = runtime.block_on(start(folder.path()));
    let mut group = criterion.benchmark_group("log");
    group.sample_size(20);
    group.bench_function("fsync", |b| b.iter(|| synced.append()));
    let mut written = 0;
    for together in [1_u64, 64, 1000] {
        group.throughput(Throughput::Elements(together));
        group.bench_function(BenchmarkId::new("proposals together", together), |b| {
            b.iter(|| {
                let numbers = written..written + together;
                written += together;
                runtime.block_on(write(&replica, schema, numbers));
            });
        });
    }
    group.finish();
    runtime.block_on(replica.shutdown());
}

/// A replica that leads itself, and the revision of its schema.
async fn start(folder: &Path) -> (Arc<Replica>, Revision) {
    let (dir, membership) = (folder.join("node"), Membership { lineage: 1, node_id: 1 });
    std::fs::create_dir(&dir).expect("the folder is writable");
    let store = StoreOptions::default();
    Replica::format(&dir, membership, &store).await.expect("an empty folder");
    let options = ReplicaOptions {
        dir,
        membership,
        heartbeat: Duration::from_millis(100),
        election_timeout: (Duration::from_millis(1000), Duration::from_millis(2000)),
        snapshot_after_entries: u64::MAX,
        keep_entries: 10_000,
        waiting_writes: 10_000,
        history: HistoryOptions { retain: Duration::from_secs(86_400), retain_entries: 1_000_000 },
        store,
        announcement: Announcement::none(),
    };
    let replica = Replica::open(options, Arc::new(Connections::new(None))).await.expect("it was formatted");
    let nowhere = NodeAddress { client: "127.0.0.1:1".to_owned(), peer: "127.0.0.1:2".to_owned() };
    replica.bootstrap(nowhere).await.expect("it is new");
    let body = CommandBody::WriteSchema(WriteSchema {
        store: StoreId::DEFAULT,
        replaces: None,
        orphan_guards: Vec::new(),
        judged_at: Revision::ZERO,
        expired_by: TimestampMs(0),
        text: SCHEMA.to_owned(),
        request: None,
    });
    let applied = loop {
        // Until it has elected itself.
        match replica.proposer().propose(body.clone(), Instant::now() + PATIENCE).await {
            Ok(applied) => break applied,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    (replica, applied.revision)
}

async fn write(replica: &Replica, schema: Revision, numbers: std::ops::Range<u64>) {
    let proposals = numbers.map(|number| {
        let document = object("doc", &format!("w{number}"));
        let update = TupleUpdate { kind: UpdateKind::Touch, tuple: tuple(document, "viewer", user("w")) };
        let body = CommandBody::WriteTuples(WriteTuples {
            store: StoreId::DEFAULT,
            schema_revision: schema,
            preconditions: Vec::new(),
            updates: vec![update],
            metadata_json: String::new(),
            request: None,
        });
        replica.proposer().propose(body, Instant::now() + PATIENCE)
    });
    for applied in futures::future::join_all(proposals).await {
        assert_eq!(applied.expect("it leads").outcome, Outcome::Done);
    }
}
