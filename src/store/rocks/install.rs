//! Replacing the whole state by a received checkpoint.
//!
//! The files become a new generation beside the live one; one rename of the pointer makes it the live one. A crash before
//! that leaves the old state, a crash after it the new one, never a mix: see [`Step`] for the points between.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::mutants::Mutant;

use super::super::StoreError;
use super::generation::{Generation, engine};
use super::layout::GenerationId;
use super::options::Family;
use super::{RocksStore, files};

/// The points of an install, in order. A test stops at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The new generation's folder exists.
    FolderMade,
    /// It holds every file, durably.
    FilesCopied,
    /// It was opened, and is a database of this format.
    Opened,
    /// The pointer's next content is written beside it.
    PointerWritten,
    /// The pointer names the new generation: from here on a restart sees the new state.
    PointerSwapped,
    /// This process reads and writes the new generation.
    HandleSwapped,
}

impl RocksStore {
    /// After an error the node stops: the pointer may have moved already.
    pub(super) fn replace_by(&self, checkpoint: &Path) -> Result<(), StoreError> {
        let _permit = self.writer.take();
        let next = self.next_generation()?;
        let installed = self.install_steps(checkpoint, next, &mut |_| Ok(()));
        if installed.is_err() && self.folder.current()? != Some(next) {
            files::remove_folder(&self.folder.generation(next))?;
        }
        installed
    }

    fn next_generation(&self) -> Result<GenerationId, StoreError> {
        // Above all that have a folder, not only above the live one: views may still read an older one.
        let newest = self.folder.generations()?.last().copied();
        Ok(newest.max(Some(self.generation().id())).map_or(GenerationId::FIRST, GenerationId::next))
    }

    /// `reached` is told of each step, and ends the install with an error as a crash there would.
    pub(super) fn install_steps(
        &self,
        checkpoint: &Path,
        next: GenerationId,
        reached: &mut dyn FnMut(Step) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let target = self.folder.generation(next);
        fs::create_dir(&target).map_err(files::failed("create", &target))?;
        reached(Step::FolderMade)?;

        for name in files::names(checkpoint)? {
            take_file(&checkpoint.join(&name), &target.join(&name))?;
        }
        files::sync_folder(&target)?;
        self.folder.sync()?;
        reached(Step::FilesCopied)?;

        let old = self.generation();
        let new = Generation::open(&self.folder, next, &self.options, &self.cache)?;
        if new.applied() < old.applied() {
            let what = format!("it is at revision {}, below the applied {}", new.applied(), old.applied());
            return Err(StoreError::Corrupt { place: "checkpoint", what });
        }
        if Mutant::SnapshotWithoutKeys.is_on() {
            for family in [Family::Requests, Family::RequestOrder] {
                new.db().delete_range_cf(new.handle(family), [0; 16], [u8::MAX; 16]).map_err(engine)?;
            }
        }
        reached(Step::Opened)?;

        self.folder.write_pointer(next)?;
        reached(Step::PointerWritten)?;
        self.folder.swap_pointer()?;
        reached(Step::PointerSwapped)?;

        tracing::info!(revision = %new.applied(), "installed a snapshot");
        *self.live.write() = Arc::new(new);
        old.retire();
        reached(Step::HandleSwapped)
    }
}

/// Table files never change once written, so a second name for the same file will do; a database appends to its others.
fn take_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let immutable = from.extension().is_some_and(|extension| extension == "sst");
    if immutable && fs::hard_link(from, to).is_ok() {
        return files::sync_file(to);
    }
    // Another file system, or one without links.
    fs::copy(from, to).map_err(files::failed("copy to", to))?;
    files::sync_file(to)
}
