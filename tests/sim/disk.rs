//! The disk under a node's log: what was not synced may be lost in a crash, from the end on.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quorate::raft::{Completion, EntryVisitor, LogChange, LogDevice, LogSpace};
use rand::RngExt;

use crate::net::Net;

type Content = BTreeMap<(LogSpace, Vec<u8>), Vec<u8>>;

#[derive(Default)]
struct State {
    /// What a reader sees.
    live: Content,
    /// What a crash certainly leaves.
    durable: Content,
    /// The writes between the two, in order.
    unsynced: Vec<Vec<LogChange>>,
    /// So many writes are in `durable`.
    synced: usize,
    /// Entries that were removed since the process began.
    removed: Content,
    waiting: Vec<Completion>,
    syncing: bool,
}

/// One node's log disk. Outlives the node's crashes.
pub struct Disk {
    node: usize,
    net: Net,
    state: Arc<Mutex<State>>,
}

impl Disk {
    pub fn new(node: usize, net: Net) -> Self {
        Self { node, net, state: Arc::default() }
    }

    /// The machine stops: a prefix of the writes survives, all that was synced included.
    pub fn crash(&self) {
        let mut state = self.state.lock();
        let kept = self.net.random(|rng| match rng.random_range(0..4) {
            0 | 1 => 0,
            2 => state.unsynced.len(),
            _ => rng.random_range(0..=state.unsynced.len()),
        });
        let lost = state.unsynced.len() - kept;
        let mut content = std::mem::take(&mut state.durable);
        for changes in state.unsynced.drain(..).take(kept) {
            _ = change(&mut content, &changes);
        }
        *state = State { live: content.clone(), durable: content, ..State::default() };
        drop(state);
        self.net.count("unsynced writes lost", lost as u64);
    }

    /// The bytes of the entry at `index`, even where it was removed since the process began.
    pub fn entry(&self, index: u64) -> Option<Vec<u8>> {
        let state = self.state.lock();
        entry_of(&state.live, index).or_else(|| entry_of(&state.removed, index))
    }

    fn live_entry(&self, index: u64) -> Option<Vec<u8>> {
        entry_of(&self.state.lock().live, index)
    }
}

fn entry_of(content: &Content, index: u64) -> Option<Vec<u8>> {
    let (space, any) = content.keys().find(|(space, _)| *space == LogSpace::Entries)?;
    // The keys of the entries differ in their last eight bytes only.
    let mut key = any.clone();
    let at = key.len().checked_sub(8)?;
    key[at..].copy_from_slice(&index.to_be_bytes());
    content.get(&(*space, key)).cloned()
}

/// Makes the changes, and returns what they removed.
fn change(content: &mut Content, changes: &[LogChange]) -> Content {
    let mut removed = Content::new();
    for one in changes {
        match one {
            LogChange::Put { space, key, value } => {
                content.insert((*space, key.clone()), value.clone());
            }
            LogChange::RemoveEntries { from, end } => {
                let range = (LogSpace::Entries, from.clone())..(LogSpace::Entries, end.clone());
                let gone: Vec<_> = content.range(range).map(|(key, _)| key.clone()).collect();
                for key in gone {
                    let value = content.remove(&key).expect("it is in the range");
                    removed.insert(key, value);
                }
            }
        }
    }
    removed
}

impl LogDevice for Disk {
    fn write(&self, changes: Vec<LogChange>) -> io::Result<()> {
        let mut state = self.state.lock();
        let removed = change(&mut state.live, &changes);
        state.removed.extend(removed);
        let put = changes.iter().filter_map(|change| match change {
            LogChange::Put { space: LogSpace::Entries, value, .. } => Some(value.clone()),
            LogChange::Put { .. } | LogChange::RemoveEntries { .. } => None,
        });
        let put: Vec<Vec<u8>> = put.collect();
        state.unsynced.push(changes);
        drop(state);
        for entry in put {
            self.net.appended(self.node, &entry, |index| self.live_entry(index));
        }
        Ok(())
    }

    fn sync(&self, done: Completion) {
        let mut state = self.state.lock();
        state.waiting.push(done);
        if std::mem::replace(&mut state.syncing, true) {
            return;
        }
        let (shared, net, node) = (Arc::clone(&self.state), self.net.clone(), self.node);
        // Dies with the node's runtime, as the process that waits for the disk does.
        tokio::spawn(async move {
            loop {
                let (batch, covered) = {
                    let mut state = shared.lock();
                    if state.waiting.is_empty() {
                        state.syncing = false;
                        return;
                    }
                    (std::mem::take(&mut state.waiting), state.synced + state.unsynced.len())
                };
                tokio::time::sleep(Duration::from_millis(net.sync_time(node))).await;
                {
                    let mut state = shared.lock();
                    let newly = covered - state.synced;
                    let written: Vec<_> = state.unsynced.drain(..newly).collect();
                    for changes in &written {
                        _ = change(&mut state.durable, changes);
                    }
                    state.synced = covered;
                }
                for done in batch {
                    done(Ok(()));
                }
            }
        });
    }

    fn get(&self, space: LogSpace, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state.lock().live.get(&(space, key.to_vec())).cloned())
    }

    fn scan(&self, from: &[u8], end: &[u8], visit: EntryVisitor<'_>) -> io::Result<()> {
        let state = self.state.lock();
        for ((_, key), value) in state.live.range((LogSpace::Entries, from.to_vec())..(LogSpace::Entries, end.to_vec()))
        {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, from: &[u8], end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let state = self.state.lock();
        let range = (LogSpace::Entries, from.to_vec())..(LogSpace::Entries, end.to_vec());
        Ok(state.live.range(range).next_back().map(|(_, value)| value.clone()))
    }
}
