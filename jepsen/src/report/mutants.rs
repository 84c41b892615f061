//! The table of bugs on purpose: which of them was caught, by what, how soon. It lies in the store beside the runs, and the
//! report of a run shows the newest one: a checker that never objects proves nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::check::Property;
use crate::history::FaultKind;

/// The folder in a store that holds a folder for each table.
pub const MUTANTS: &str = "mutants";
const TABLE: &str = "mutants.json";
const TEXT: &str = "mutants.txt";

/// What became of all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutantTable {
    /// When, in UTC; the name of its folder.
    pub time: String,
    /// How it was started.
    pub command: String,
    /// The commit of the binary.
    pub commit: String,
    /// A row for each bug.
    pub mutants: Vec<MutantRow>,
    /// A row for each run without any bug.
    pub controls: Vec<ControlRow>,
}

/// What became of one bug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutantRow {
    /// Its number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is wrong with the binary.
    pub bug: String,
    /// The properties that it breaks, any of which must be seen broken.
    pub meant: Vec<Property>,
    /// What was done to the cluster.
    pub faults: Vec<FaultKind>,
    /// Its runs.
    pub runs: Vec<MutantRun>,
    /// Why there is no run.
    pub skipped: Option<String>,
}

/// One run with a bug.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutantRun {
    /// Its seed.
    pub seed: u64,
    /// Everything that was seen broken.
    pub broken: Vec<Property>,
    /// Seconds under load: to the detection, else all of them.
    pub seconds: u64,
    /// Why the end of it is not known, if it is not.
    pub incomplete: Option<String>,
}

/// One run without any bug, by a plan of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlRow {
    /// The bugs whose plan it was.
    pub of: Vec<String>,
    /// Its seed.
    pub seed: u64,
    /// Seconds under load.
    pub seconds: u64,
    /// What was seen broken, which must be nothing.
    pub broken: Vec<Property>,
    /// What was seen too little of.
    #[serde(default)]
    pub too_few: Vec<String>,
    /// Why the end of it is not known, if it is not.
    pub incomplete: Option<String>,
}

impl MutantRow {
    /// The runs that a checker caught which is meant for the bug. What needs the log proves nothing where that is not known.
    fn detections(&self) -> impl Iterator<Item = &MutantRun> {
        let proves = |run: &MutantRun, property: &Property| run.incomplete.is_none() || !property.needs_log();
        let caught = move |run: &&MutantRun| run.broken.iter().any(|p| self.meant.contains(p) && proves(run, p));
        self.runs.iter().filter(caught)
    }

    /// Whether at least one of its runs was caught as it must be. One that could not be run was not.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.detections().next().is_some()
    }

    /// The row in words: number, name, meant, caught by, seed, seconds, detected.
    fn cells(&self) -> [String; 7] {
        let caught = self.detections().next();
        let by = match (caught, &self.skipped) {
            (_, Some(why)) => format!("not run: {why}"),
            (Some(run), None) => names(&run.broken),
            (None, None) => {
                let others: Vec<Property> = self.runs.iter().flat_map(|run| run.broken.iter().copied()).collect();
                if others.is_empty() { "NOBODY".to_owned() } else { format!("ONLY BY {}", names(&others)) }
            }
        };
        let seed = caught.map_or("-".to_owned(), |run| run.seed.to_string());
        let seconds = caught.map_or("-".to_owned(), |run| run.seconds.to_string());
        let detected = format!("{}/{}", self.detections().count(), self.runs.len());
        [self.id.clone(), self.name.clone(), names(&self.meant), by, seed, seconds, detected]
    }
}

impl ControlRow {
    /// Whether nothing was wrong, to the end, and enough was seen.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.broken.is_empty() && self.incomplete.is_none() && self.too_few.is_empty()
    }

    fn cells(&self) -> [String; 4] {
        let outcome = match &self.incomplete {
            _ if !self.broken.is_empty() => format!("BROKEN: {}", names(&self.broken)),
            Some(why) => format!("UNKNOWN: {}", why.lines().next().unwrap_or_default()),
            None if !self.too_few.is_empty() => format!("TOO FEW: {}", self.too_few.join(", ")),
            None => "valid".to_owned(),
        };
        [self.of.join(", "), self.seed.to_string(), self.seconds.to_string(), outcome]
    }
}

const MUTANT_HEADS: [&str; 7] = ["", "bug", "meant for", "caught by", "seed", "seconds", "detected"];
const CONTROL_HEADS: [&str; 4] = ["without a bug, as for", "seed", "seconds", "outcome"];

impl MutantTable {
    /// Whether every bug was caught by a checker that is meant for it, and every run without one passed.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.mutants.iter().all(MutantRow::is_in_order) && self.controls.iter().all(ControlRow::is_in_order)
    }

    /// The table as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = columns(&MUTANT_HEADS, self.mutants.iter().map(MutantRow::cells));
        out.push('\n');
        out.push_str(&columns(&CONTROL_HEADS, self.controls.iter().map(ControlRow::cells)));
        out
    }

    /// Heads and rows of the bugs, and of the runs without any.
    pub(super) fn parts(&self) -> [(Vec<&'static str>, Vec<Vec<String>>); 2] {
        [
            (MUTANT_HEADS.to_vec(), self.mutants.iter().map(|row| row.cells().to_vec()).collect()),
            (CONTROL_HEADS.to_vec(), self.controls.iter().map(|row| row.cells().to_vec()).collect()),
        ]
    }

    /// Writes it into `folder`, for programs and for people.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::write(folder.join(TABLE), serde_json::to_string_pretty(self)? + "\n")?;
        std::fs::write(folder.join(TEXT), self.text())
    }

    /// The newest table in the store that the run in `folder` lies in; `None` where there is none that can be read.
    pub(super) fn newest_beside(folder: &Path) -> Option<Self> {
        let store = folder.ancestors().skip(1).map(|above| above.join(MUTANTS)).find(|tables| tables.is_dir())?;
        let mut tables: Vec<PathBuf> =
            std::fs::read_dir(store).ok()?.filter_map(|entry| Some(entry.ok()?.path().join(TABLE))).collect();
        // The folders are named by time.
        tables.sort();
        tables.iter().rev().find_map(|path| serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok())
    }
}

fn names(properties: &[Property]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for property in properties {
        if !names.contains(&property.name()) {
            names.push(property.name());
        }
    }
    names.join(", ")
}

fn columns<const N: usize>(heads: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(broken: &[&[Property]]) -> MutantRow {
        let run = |(seed, broken): (u64, &&[Property])| MutantRun {
            seed,
            broken: broken.to_vec(),
            seconds: 4,
            incomplete: None,
        };
        MutantRow {
            id: "M1".to_owned(),
            name: "skip-wait".to_owned(),
            bug: "does not wait".to_owned(),
            meant: vec![Property::Freshness],
            faults: vec![FaultKind::Lagging],
            runs: (1..).zip(broken).map(run).collect(),
            skipped: None,
        }
    }

    fn table(row: MutantRow, control: ControlRow) -> MutantTable {
        let (time, command, commit) = ("t".to_owned(), "c".to_owned(), "1".to_owned());
        MutantTable { time, command, commit, mutants: vec![row], controls: vec![control] }
    }

    fn control(broken: &[Property]) -> ControlRow {
        ControlRow {
            of: vec!["M1".to_owned()],
            seed: 1,
            seconds: 9,
            broken: broken.to_vec(),
            too_few: vec![],
            incomplete: None,
        }
    }

    #[test]
    fn a_bug_must_be_caught_by_who_is_meant_for_it_and_no_bug_by_nobody() {
        let meant: &[Property] = &[Property::Answers, Property::Freshness];
        let other: &[Property] = &[Property::Answers];
        for (broken, expected, words) in [
            (&[meant][..], true, "answers, freshness  1     4        1/1"),
            (&[&[], meant], true, "answers, freshness  2     4        1/2"),
            (&[other], false, "ONLY BY answers"),
            (&[&[]], false, "NOBODY"),
            (&[], false, "0/0"),
        ] {
            let table = table(row(broken), control(&[]));
            assert_eq!(table.is_in_order(), expected, "{broken:?}");
            assert!(table.text().contains(words), "{}", table.text());
        }
        assert!(!table(row(&[meant]), control(other)).is_in_order());
        let unknown = ControlRow { incomplete: Some("late".to_owned()), ..control(&[]) };
        assert!(!table(row(&[meant]), unknown).is_in_order());
        let idle = ControlRow { too_few: vec!["writes".to_owned()], ..control(&[]) };
        assert!(!table(row(&[meant]), idle).is_in_order());
        let skipped = MutantRow { skipped: Some("no network".to_owned()), ..row(&[]) };
        assert!(!table(skipped, control(&[])).is_in_order());
        // Without the log, only what needs none is a detection.
        for (property, expected) in [(Property::ExactlyOnce, false), (Property::Registers, true)] {
            let mut row = MutantRow { meant: vec![property], ..row(&[&[property]]) };
            row.runs[0].incomplete = Some("late".to_owned());
            assert_eq!(table(row, control(&[])).is_in_order(), expected, "{property:?}");
        }
    }

    #[test]
    fn a_run_finds_the_newest_table_of_its_store() {
        let store = std::env::temp_dir().join(format!("quorate-mutant-tables-{}", std::process::id()));
        let run = store.join("chaos").join("now");
        std::fs::create_dir_all(&run).unwrap();
        assert_eq!(MutantTable::newest_beside(&run), None);
        let table = |time: &str| MutantTable { time: time.to_owned(), ..table(row(&[]), control(&[])) };
        for time in ["1", "2"] {
            let folder = store.join(MUTANTS).join(time);
            std::fs::create_dir_all(&folder).unwrap();
            table(time).write(&folder).unwrap();
        }
        // One that is still being made.
        std::fs::create_dir_all(store.join(MUTANTS).join("3")).unwrap();
        assert_eq!(MutantTable::newest_beside(&run), Some(table("2")));
        std::fs::remove_dir_all(store).unwrap();
    }
}
