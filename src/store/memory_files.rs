//! Checkpoints of the store in memory: all of it in one file.

use std::fs;
use std::path::Path;

use super::memory::{State, read};
use super::rocks::describe;
use super::{CheckpointInfo, CheckpointStore, MemoryStore, MetaKey, StoreError, codec};

/// The one file.
const FILE: &str = "state";

fn failed(error: std::io::Error) -> StoreError {
    StoreError::Engine(error.to_string())
}

impl CheckpointStore for MemoryStore {
    fn checkpoint(&self, into: &Path) -> Result<CheckpointInfo, StoreError> {
        let state = self.state();
        let state = read(&state);
        fs::create_dir(into).map_err(failed)?;
        let path = into.join(FILE);
        fs::write(&path, codec::encode("checkpoint", &*state)?).map_err(failed)?;
        let files = vec![describe(&path, FILE.to_owned())?];
        let (revision, oldest) = (state.applied, state.oldest);
        Ok(CheckpointInfo { revision, oldest, applied: state.meta.get(&MetaKey::Applied).cloned(), files })
    }

    fn install(&self, from: &Path) -> Result<(), StoreError> {
        let _permit = self.writer.take();
        let next: State = codec::decode("checkpoint", &fs::read(from.join(FILE)).map_err(failed)?)?;
        let applied = read(&self.state()).applied;
        if next.applied < applied {
            let what = format!("it is at revision {}, below the applied {applied}", next.applied);
            return Err(StoreError::Corrupt { place: "checkpoint", what });
        }
        self.replace(next);
        Ok(())
    }

    fn peek(&self, from: &Path, key: MetaKey) -> Result<Option<Vec<u8>>, StoreError> {
        let state: State = codec::decode("checkpoint", &fs::read(from.join(FILE)).map_err(failed)?)?;
        Ok(state.meta.get(&key).cloned())
    }
}
