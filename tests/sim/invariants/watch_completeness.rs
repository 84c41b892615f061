//! Watch completeness: over all its streams, a watcher was told exactly what changed of what it asked for, each transaction
//! whole and once, in the order of the log; and a snapshot is the state that its token names, less what had expired.

use crate::history::Watched;
use crate::model::{Change, Effect, Model, SCHEMA, is_over, name};

pub fn broken(watched: &[Watched], model: &Model) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, watcher) in watched.iter().enumerate() {
        if let Some(what) = snapshot(watcher, model) {
            broken.push(format!("watcher {number}: {what}"));
        }
        let after = |effect: &&Effect| effect.index > watcher.start && effect.index <= watcher.through;
        let expected: Vec<(u64, Vec<Change>)> = model
            .effects
            .iter()
            .filter(after)
            .map(|effect| (effect.index, in_order(wanted(watcher, &effect.changes))))
            .filter(|(_, changes)| !changes.is_empty())
            .collect();
        let told: Vec<_> = watcher.told.iter().map(|(index, changes)| (*index, in_order(changes.clone()))).collect();
        if told != expected {
            let at = told.iter().zip(&expected).take_while(|(told, expected)| told == expected).count();
            let (told, expected) = (told.get(at), expected.get(at));
            broken.push(format!("watcher {number}: told {told:?}, not {expected:?}"));
        }
    }
    broken
}

/// A removal by filter goes in the order in which the store looks, which is the store's own affair.
fn in_order(mut changes: Vec<Change>) -> Vec<Change> {
    if changes.iter().all(|(comes, _)| !comes) {
        changes.sort();
    }
    changes
}

fn wanted(watcher: &Watched, changes: &[Change]) -> Vec<Change> {
    let of_relation = |tuple: &str, relation: &str| tuple.contains(&format!("#{relation}@"));
    let wanted =
        |(_, tuple): &&Change| watcher.only.is_none_or(|relation| tuple == SCHEMA || of_relation(tuple, relation));
    changes.iter().filter(wanted).cloned().collect()
}

fn snapshot(watcher: &Watched, model: &Model) -> Option<String> {
    let (told, seen) = (watcher.snapshot.as_ref()?, watcher.snapshot_seen.as_ref()?);
    let [earliest, last] = model.times(watcher.start, seen);
    let state = model.state(watcher.start);
    let must = state.iter().filter(|tuple| !is_over(&tuple.qualifiers, last)).map(name);
    let may: Vec<String> = state.iter().filter(|tuple| !is_over(&tuple.qualifiers, earliest)).map(name).collect();
    let missing: Vec<String> = must.filter(|tuple| !told.contains(tuple)).collect();
    let wrong: Vec<&String> = told.iter().filter(|tuple| !may.contains(tuple)).collect();
    let twice = (1..told.len()).any(|at| told[..at].contains(&told[at]));
    let broken = !missing.is_empty() || !wrong.is_empty() || twice;
    broken.then(|| format!("the snapshot at {} lacks {missing:?}, has {wrong:?} too: {told:?}", watcher.start))
}
