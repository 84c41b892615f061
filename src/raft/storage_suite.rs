//! openraft's own storage suite on this log and this state machine.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::SupportedLevels;
use super::log::LogStore;
use super::snapshot::SnapshotFolder;
use super::state_machine::StateMachine;
use super::types::TypeConfig;
use crate::store::{RocksStore, StoreOptions};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = LogStore::open(&dir.path().join("log")).expect("an empty log opens");
        let store = RocksStore::open(&dir.path().join("state"), StoreOptions::default()).expect("an empty store opens");
        let snapshots = SnapshotFolder::open(&dir.path().join("snapshots")).expect("an empty folder opens");
        let machine = StateMachine::open(Arc::new(store), Arc::new(snapshots), SupportedLevels::OURS)
            .expect("an empty state machine opens");
        Ok((dir, log, machine))
    }
}

#[test]
fn openrafts_storage_suite_passes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(Suite::test_all(Builder)).expect("every case of the suite holds");
}
