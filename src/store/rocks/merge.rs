//! Merging of small table files in column families that are only added to.
//!
//! What a snapshot flushes of such a family lies behind all that is older. So a compaction that carries it down a level meets
//! nothing there to merge it with, and the number of files, each held open, would grow with the number of snapshots.
//!
//! The newest files of a row of small ones are merged while each is at most twice as large as all that is behind it together.
//! What is left grows in size from file to file towards the older end, so a row of `n` bytes has O(log n) files, and each byte
//! is written O(log n) times, up to the size at which a file is left alone.

use std::ops::Range;

use rocksdb::{BottommostLevelCompaction, CompactOptions, LiveFile};

use super::super::StoreError;
use super::generation::{Generation, engine};
use super::options::Family;

/// The families whose keys grow, or each of which is a version of the same.
const GROWING: [Family; 4] = [Family::Schemas, Family::Counters, Family::Changelog, Family::RequestOrder];
/// A file as large as this, in bytes, is left alone.
const LARGE: usize = 32 << 20;
/// Fewer files than this are not worth it.
const FEWEST: usize = 4;

/// Merges what there is to merge. Takes time in proportion to it: a few times [`LARGE`] bytes at the most for each row.
pub(super) fn merge_small_files(generation: &Generation) -> Result<(), StoreError> {
    let mut of_families = GROWING.map(|family| (family, Vec::new()));
    for file in generation.db().live_files().map_err(engine)? {
        // The first level is compacted for the number of its files already.
        let family =
            of_families.iter_mut().find(|(family, _)| file.level > 0 && family.name() == file.column_family_name);
        if let Some((_, files)) = family {
            files.push(file);
        }
    }
    let mut options = CompactOptions::default();
    options.set_exclusive_manual_compaction(false);
    // Otherwise files that are at the bottom already stay as they are.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    for (family, mut files) in of_families {
        files.sort_by(|a, b| a.start_key.cmp(&b.start_key));
        let sizes: Vec<usize> = files.iter().map(|file| file.size).collect();
        for row in worth_merging(&sizes) {
            let (first, last): (&LiveFile, &LiveFile) = (&files[row.start], &files[row.end - 1]);
            let (from, to) = (first.start_key.as_deref(), last.end_key.as_deref());
            generation.db().compact_range_cf_opt(generation.handle(family), from, to, &options);
        }
    }
    Ok(())
}

/// Which of files of these sizes, in the order of their keys, to merge.
fn worth_merging(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut end = 0;
    for row in sizes.split_inclusive(|size| *size >= LARGE) {
        let begin = end;
        end += row.len();
        let small = row.iter().take_while(|size| **size < LARGE).count();
        let mut together = 0;
        let newest = row[..small].iter().rev().take_while(|size| {
            let is_next = together == 0 || **size <= 2 * together;
            together += **size;
            is_next
        });
        let newest = newest.count();
        if newest >= FEWEST {
            found.push(begin + small - newest..begin + small);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_row_are_merged_while_the_older_are_not_much_larger() {
        let of = |sizes: &[usize]| -> Vec<(usize, usize)> {
            worth_merging(sizes).into_iter().map(|row| (row.start, row.end)).collect()
        };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[1, 1, 1]), []);
        assert_eq!(of(&[1, 1, 1, 1]), [(0, 4)]);
        assert_eq!(of(&[9, 8, 1, 1, 1, 1]), [(0, 6)]);
        assert_eq!(of(&[90, 9, 1, 1, 1, 1]), [(2, 6)]);
        assert_eq!(of(&[LARGE, 1, 1, 1, 1, LARGE, 1, 1, LARGE]), [(1, 5)]);
        assert_eq!(of(&[LARGE - 1; 4]), [(0, 4)]);
        assert_eq!(of(&[LARGE; 4]), []);
    }

    #[test]
    fn files_stay_few_and_are_not_written_often() {
        let (mut files, mut written) = (Vec::new(), 0);
        for _ in 0..10_000 {
            files.extend([1_usize]);
            for row in worth_merging(&files).into_iter().rev() {
                let merged = files[row.clone()].iter().sum();
                written += merged;
                files.splice(row, [merged]);
            }
        }
        assert_eq!(files.iter().sum::<usize>(), 10_000);
        assert!(files.len() < 12, "{files:?}");
        assert!(written < 15 * 10_000, "{written}");
    }
}
