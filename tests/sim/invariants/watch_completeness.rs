//! Watch completeness: over all its streams, a watcher was told exactly what changed, each transaction whole and once, in the
//! order of the log; and a snapshot is the state that its token names.

use crate::client::Watched;
use crate::model::{Change, Model};

pub fn broken(watched: &[Watched], model: &Model) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, watcher) in watched.iter().enumerate() {
        if let Some(snapshot) = &watcher.snapshot {
            let expected: Vec<String> = model.state(watcher.start).into_iter().collect();
            let mut told = snapshot.clone();
            told.sort();
            if told != expected {
                broken
                    .push(format!("watcher {number}: the snapshot at {} is {told:?}, not {expected:?}", watcher.start));
            }
        }
        let expected: Vec<(u64, Vec<Change>)> = model
            .effects
            .iter()
            .filter(|effect| {
                effect.index > watcher.start && effect.index <= watcher.through && !effect.changes.is_empty()
            })
            .map(|effect| (effect.index, effect.changes.clone()))
            .collect();
        if watcher.told != expected {
            let at = watcher.told.iter().zip(&expected).take_while(|(told, expected)| told == expected).count();
            let (told, expected) = (watcher.told.get(at), expected.get(at));
            broken.push(format!("watcher {number}: told {told:?}, not {expected:?}"));
        }
    }
    broken
}
