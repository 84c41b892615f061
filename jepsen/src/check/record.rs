//! Everything that a run wrote down, in the form that checkers read, and the folder that it lies in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Thresholds;
use crate::history::{
    ChainSample, Ending, Event, FaultRecord, FileError, Footprint, LogEntry, Operation, PairingError, SharedEntries,
    WatchSession,
};
use crate::history::{lines_of, pair, read_lines, write_lines};

/// What a run was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name.
    pub test: String,
    /// From which all else follows.
    pub seed: u64,
    /// How it was started.
    pub command: String,
    /// How many nodes vote. They have the numbers from 1 on.
    pub voters: usize,
    /// How many learners there are beside them. They have the numbers above.
    pub learners: usize,
    /// How long clients and faults were at work, in seconds.
    pub seconds: u64,
    /// The age, in milliseconds, that reads without any demand may have.
    pub ceiling_ms: u64,
    /// What the binary says of itself, and from which commit it is.
    pub versions: Vec<(String, String)>,
    /// The bug that was built in, if any.
    pub mutant: Option<String>,
    /// What could not be done here, and so was not tested.
    pub not_tested: Vec<String>,
    /// Why the end of the run is not known, if it is not.
    pub incomplete: Option<String>,
    /// What nodes did that nobody asked them to.
    #[serde(default)]
    pub endings: Vec<Ending>,
    /// What a run of this kind must have seen.
    pub thresholds: Thresholds,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it was.
    pub settings: Settings,
    /// What clients did.
    pub operations: Vec<Operation>,
    /// What the cluster committed, as told after the end.
    pub log: Vec<LogEntry>,
    /// What watchers were told meanwhile, and every node after the end.
    pub watches: Vec<WatchSession>,
    /// Hash chains.
    pub chain: Vec<ChainSample>,
    /// What was done to it.
    pub faults: Vec<FaultRecord>,
    /// What its nodes took up.
    pub footprints: Vec<Footprint>,
}

/// A run cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The history.
    #[error("history.jsonl: {0}")]
    Pairing(#[from] PairingError),
    /// An event could not be written when it happened.
    #[error("history.jsonl cannot be written: {0}")]
    Unwritten(std::io::Error),
    /// The settings.
    #[error("{0}: {1}")]
    Settings(&'static str, String),
}

const SETTINGS: &str = "test.json";
const HISTORY: &str = "history.jsonl";
const LOG: &str = "log.jsonl";
const WATCHES: &str = "watches.jsonl";
const CHAIN: &str = "chain.jsonl";
const FAULTS: &str = "faults.jsonl";
const FOOTPRINTS: &str = "footprints.jsonl";

impl Record {
    /// The log, if it is known. Of a run whose end is not known nothing may be concluded from what the log lacks.
    pub(super) fn known_log(&self) -> Option<&[LogEntry]> {
        self.settings.incomplete.is_none().then_some(self.log.as_slice())
    }

    /// Reads a run from its folder.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let text = std::fs::read_to_string(folder.join(SETTINGS))
            .map_err(|e| RecordError::Settings(SETTINGS, e.to_string()))?;
        let settings = serde_json::from_str(&text).map_err(|e| RecordError::Settings(SETTINGS, e.to_string()))?;
        Ok(Self {
            settings,
            operations: Self::operations_in(folder)?,
            log: read_lines(&folder.join(LOG))?,
            watches: Self::watches_in(folder)?,
            chain: read_lines(&folder.join(CHAIN))?,
            faults: read_lines(&folder.join(FAULTS))?,
            footprints: read_lines(&folder.join(FOOTPRINTS))?,
        })
    }

    /// Where the events of a run are written, when they happen.
    #[must_use]
    pub fn history_in(folder: &Path) -> PathBuf {
        folder.join(HISTORY)
    }

    /// What the clients of a run did, from its events.
    pub fn operations_in(folder: &Path) -> Result<Vec<Operation>, RecordError> {
        let path = Self::history_in(folder);
        let events = lines_of::<Event>(&path)?;
        pair(events.map(|event| event.map_err(RecordError::from)))
    }

    fn watches_in(folder: &Path) -> Result<Vec<WatchSession>, FileError> {
        let mut shared = SharedEntries::default();
        let path = folder.join(WATCHES);
        lines_of(&path)?.map(|session| session.map(|session| shared.session(session))).collect()
    }

    /// Writes all but the events of a run into its folder.
    pub fn write(&self, folder: &Path) -> Result<(), RecordError> {
        let text = serde_json::to_string_pretty(&self.settings).expect("settings have no maps with odd keys");
        std::fs::write(folder.join(SETTINGS), text).map_err(|e| RecordError::Settings(SETTINGS, e.to_string()))?;
        write_lines(&folder.join(LOG), &self.log)?;
        write_lines(&folder.join(WATCHES), &self.watches)?;
        write_lines(&folder.join(CHAIN), &self.chain)?;
        write_lines(&folder.join(FAULTS), &self.faults)?;
        write_lines(&folder.join(FOOTPRINTS), &self.footprints)?;
        Ok(())
    }
}
