//! Runs against binaries with a bug on purpose, and against the one without, by the same plans. A test that does not catch a
//! bug proves nothing by passing, and one that objects without a bug proves nothing by failing.

mod plans;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use quorate_jepsen::check::{Judgement, Property, Record, Thresholds, judge};
use quorate_jepsen::cluster::{Ground, sweep, system};
use quorate_jepsen::nemesis::possible;
use quorate_jepsen::report::{self, ControlRow, MUTANTS as TABLES, MutantRow, MutantRun, MutantTable};
use quorate_jepsen::runner::{Options, run};
use tokio_util::sync::CancellationToken;

use self::plans::{MUTANTS, Mutant, Plan};
use super::{Mutants, interrupt, no_run};

/// Tries to catch each, and says what became of it.
pub(super) async fn catch_all(arguments: Mutants) -> ExitCode {
    for leftover in sweep() {
        eprintln!("removed, left behind by an earlier run: {leftover}");
    }
    let interrupted = CancellationToken::new();
    tokio::spawn(interrupt(interrupted.clone()));
    let mut hunt = match Hunt::begin(arguments, interrupted) {
        Ok(hunt) => hunt,
        Err(why) => return no_run(&why),
    };
    if let Err(why) = hunt.all().await {
        return no_run(&why);
    }
    print!("{}", hunt.table.text());
    println!("table: {}", hunt.folder.display());
    ExitCode::from(u8::from(!hunt.table.is_in_order()))
}

struct Hunt {
    arguments: Mutants,
    interrupted: CancellationToken,
    ground: Ground,
    folder: PathBuf,
    table: MutantTable,
}

fn canonical(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))
}

impl Hunt {
    fn begin(arguments: Mutants, interrupted: CancellationToken) -> Result<Self, String> {
        let time = system("date -u +%Y%m%dT%H%M%SZ");
        let folder = arguments.store.join(TABLES).join(&time);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let table = MutantTable {
            time,
            command: std::env::args().collect::<Vec<_>>().join(" "),
            commit: system("git rev-parse HEAD"),
            mutants: Vec::new(),
            controls: Vec::new(),
        };
        Ok(Self { arguments, interrupted, ground: Ground::find(), folder: canonical(&folder)?, table })
    }

    async fn all(&mut self) -> Result<(), String> {
        let wanted: Vec<&Mutant> = MUTANTS.iter().filter(|mutant| self.is_wanted(mutant)).collect();
        if wanted.is_empty() {
            return Err(format!("there is no such bug; there are {}", MUTANTS.map(|mutant| mutant.name).join(", ")));
        }
        for mutant in &wanted {
            let row = self.catch(mutant).await?;
            self.table.mutants.push(row);
            self.keep()?;
        }
        let mut plans: Vec<Plan> = Vec::new();
        for mutant in wanted.iter().filter(|mutant| self.is_possible(mutant)) {
            if !plans.contains(&mutant.plan) {
                plans.push(mutant.plan);
            }
        }
        for plan in plans {
            let row = self.control(plan, &wanted).await?;
            self.table.controls.push(row);
            self.keep()?;
        }
        Ok(())
    }

    fn is_wanted(&self, mutant: &Mutant) -> bool {
        let is_named = |only: &Vec<String>| only.iter().any(|name| name == mutant.name || name == mutant.id);
        self.arguments.only.as_ref().is_none_or(is_named) && (mutant.is_quick || !self.arguments.quick)
    }

    fn is_possible(&self, mutant: &Mutant) -> bool {
        mutant.plan.faults.is_empty() || mutant.plan.faults.iter().any(|kind| possible(*kind, &self.ground))
    }

    /// Written after each row: what is known stays, however the rest ends.
    fn keep(&self) -> Result<(), String> {
        self.table.write(&self.folder).map_err(|error| format!("{}: {error}", self.folder.display()))
    }

    async fn catch(&self, mutant: &Mutant) -> Result<MutantRow, String> {
        let mut row = MutantRow {
            id: mutant.id.to_owned(),
            name: mutant.name.to_owned(),
            bug: mutant.bug.to_owned(),
            meant: mutant.meant.to_vec(),
            faults: mutant.plan.faults.to_vec(),
            runs: Vec::new(),
            skipped: None,
        };
        if !self.is_possible(mutant) {
            row.skipped = Some("the faults that bring it out cannot be made here".to_owned());
            return Ok(row);
        }
        let all = self.arguments.seeds;
        for seed in (self.arguments.seed..).take(usize::from(all.unwrap_or(self.arguments.tries))) {
            let (record, judgement) = self.run(mutant.plan, seed, Some(mutant)).await?;
            let run = MutantRun {
                seed,
                broken: broken(&judgement),
                seconds: record.settings.seconds,
                incomplete: record.settings.incomplete.clone(),
            };
            eprintln!("{} {}, seed {seed}, {} s: {:?}", mutant.id, mutant.name, run.seconds, run.broken);
            row.runs.push(run);
            if all.is_none() && row.is_in_order() {
                break;
            }
        }
        Ok(row)
    }

    /// The same without any bug, which must pass.
    async fn control(&self, plan: Plan, wanted: &[&Mutant]) -> Result<ControlRow, String> {
        let seed = self.arguments.seed;
        let (record, judgement) = self.run(plan, seed, None).await?;
        let broken = broken(&judgement);
        eprintln!("without a bug, {:?}, seed {seed}: {broken:?}", plan.faults);
        let of = wanted.iter().filter(|mutant| mutant.plan == plan).map(|mutant| mutant.id.to_owned()).collect();
        let incomplete = record.settings.incomplete.clone();
        let too_few = judgement.shortfalls.iter().map(|short| format!("{} {}", short.seen, short.what)).collect();
        Ok(ControlRow { of, seed, seconds: record.settings.seconds, broken, too_few, incomplete })
    }

    async fn run(&self, plan: Plan, seed: u64, mutant: Option<&Mutant>) -> Result<(Record, Judgement), String> {
        let name = match mutant {
            Some(mutant) => mutant.name.to_owned(),
            None => {
                let faults: Vec<&str> = plan.faults.iter().map(|kind| kind.name()).collect();
                ["control", &faults.join("-"), &plan.snapshot_after.to_string()].join("-")
            }
        };
        let folder = self.folder.join(&name).join(format!("seed-{seed}"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let clean = self.arguments.clean.as_ref().filter(|_| mutant.is_none());
        let seconds = self.arguments.seconds.unwrap_or(plan.seconds);
        // One that passes because nothing happened proves nothing.
        let thresholds = match mutant {
            Some(_) => Thresholds::default(),
            None => Thresholds { writes: seconds * 5, checks: seconds * 50, ..Thresholds::default() },
        };
        let options = Options {
            test: format!("mutants {name}"),
            binary: canonical(clean.unwrap_or(&self.arguments.binary))?,
            voters: 3,
            learners: 0,
            seconds,
            seed,
            folder: folder.clone(),
            mutant: mutant.map(|mutant| mutant.name.to_owned()),
            looks_for: mutant.map(|mutant| mutant.meant.to_vec()).unwrap_or_default(),
            factor: 1,
            pace: Duration::from_millis(5),
            apart: Duration::ZERO,
            faults: plan.faults.to_vec(),
            snapshot_after: plan.snapshot_after,
            thresholds,
            command: self.table.command.clone(),
            versions: vec![("commit".to_owned(), self.table.commit.clone())],
        };
        let record = run(&options, self.interrupted.clone()).await.map_err(|error| error.to_string())?;
        let judgement = judge(&record);
        report::write(&folder, &record, &judgement).map_err(|error| error.to_string())?;
        Ok((record, judgement))
    }
}

fn broken(judgement: &Judgement) -> Vec<Property> {
    judgement.verdicts.iter().filter(|verdict| verdict.violations > 0).map(|verdict| verdict.property).collect()
}
