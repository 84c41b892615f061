//! Memory and open files of a node that stays up come to rest: what leaks grows for as long as the process lives.

use std::collections::BTreeMap;

use super::{Property, Record, Verdict};
use crate::history::Footprint;

/// How long a process must have lived to show anything: caches and buffers fill at first.
const LONG_NS: u64 = 600_000_000_000;
/// By so much the last quarter of a life may be above its second one, in percent.
const GROWTH_PERCENT: u64 = 25;
/// And by so much more, however little it was.
const GROWTH_KIB: u64 = 32 * 1024;
const GROWTH_FILES: u64 = 32;

pub(super) fn check(record: &Record) -> Verdict {
    let mut verdict = Verdict::new(Property::Footprint);
    for ((node, process), life) in lives(&record.footprints) {
        let (early, late) = (quarter(&life, 1), quarter(&life, 3));
        for (what, of, slack) in [
            ("KiB resident", resident as fn(&Footprint) -> u64, GROWTH_KIB),
            ("open files", files as fn(&Footprint) -> u64, GROWTH_FILES),
        ] {
            let (before, after) = (median(early, of), median(late, of));
            verdict.expect(after <= before + before * GROWTH_PERCENT / 100 + slack, &[], || {
                format!(
                    "node {node}, process {process}: {before} {what} in the second quarter of its life, {after} in its \
                         last"
                )
            });
        }
    }
    verdict
}

fn resident(footprint: &Footprint) -> u64 {
    footprint.resident_kib
}

fn files(footprint: &Footprint) -> u64 {
    footprint.files
}

/// What was seen of each process that lived long, by node and process.
fn lives(footprints: &[Footprint]) -> BTreeMap<(usize, u32), Vec<Footprint>> {
    let mut lives: BTreeMap<(usize, u32), Vec<Footprint>> = BTreeMap::new();
    for footprint in footprints {
        lives.entry((footprint.node, footprint.process)).or_default().push(*footprint);
    }
    lives.retain(|_, life| life[life.len() - 1].time - life[0].time >= LONG_NS && life.len() >= 8);
    lives
}

fn quarter(life: &[Footprint], number: usize) -> &[Footprint] {
    &life[life.len() * number / 4..life.len() * (number + 1) / 4]
}

fn median(life: &[Footprint], of: fn(&Footprint) -> u64) -> u64 {
    let mut values: Vec<u64> = life.iter().map(of).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen;

    fn growing(kib_each: u64, files_each: u64, step_ns: u64) -> Record {
        let mut record = specimen::clean(1, 1);
        record.footprints = (0..40)
            .map(|at| Footprint {
                time: at * step_ns,
                node: 1,
                process: 7,
                resident_kib: 100_000 + at * kib_each,
                files: 50 + at * files_each,
            })
            .collect();
        record
    }

    #[test]
    fn what_grows_for_long_is_found_and_what_is_young_proves_nothing() {
        for (kib, files, step, opportunities, violations) in [
            (0, 0, 20_000_000_000, 2, 0),
            (1_000, 1, 20_000_000_000, 2, 0),
            (10_000, 1, 20_000_000_000, 2, 1),
            (0, 5, 20_000_000_000, 2, 1),
            (10_000, 5, 20_000_000_000, 2, 2),
            (10_000, 5, 2_000_000_000, 0, 0),
        ] {
            let verdict = check(&growing(kib, files, step));
            assert_eq!((verdict.opportunities, verdict.violations), (opportunities, violations), "{kib} {files}");
        }
    }
}
