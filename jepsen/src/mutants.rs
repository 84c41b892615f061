//! Runs against binaries with a bug on purpose. A test that does not catch it proves nothing by passing.

use std::process::ExitCode;
use std::time::Duration;

use quorate_jepsen::check::{Judgement, Property, Thresholds, judge};
use quorate_jepsen::cluster::{Ground, sweep, system};
use quorate_jepsen::history::FaultKind;
use quorate_jepsen::nemesis::possible;
use quorate_jepsen::report;
use quorate_jepsen::runner::{Options, run};
use tokio_util::sync::CancellationToken;

use super::{Mutants, interrupt, no_run};

/// A bug, the faults that bring it out, and the properties that it breaks.
struct Mutant {
    name: &'static str,
    faults: &'static [FaultKind],
    breaks: &'static [Property],
}

const MUTANTS: [Mutant; 5] = [
    Mutant { name: "skip-wait", faults: &[FaultKind::Lagging], breaks: &[Property::Freshness] },
    Mutant {
        name: "local-token",
        faults: &[FaultKind::Lagging],
        breaks: &[Property::ContentTokens, Property::RealTime, Property::NeverRegranted],
    },
    Mutant {
        name: "no-quorum",
        faults: &[FaultKind::LeaderAlone, FaultKind::Pause],
        breaks: &[Property::RealTime, Property::Registers],
    },
    Mutant {
        name: "ack-before-fsync",
        faults: &[FaultKind::PowerCut],
        breaks: &[Property::ExactlyOnce, Property::WriteOrder],
    },
    Mutant { name: "watch-off-by-one", faults: &[], breaks: &[Property::Watch] },
];

/// Catches each, or says which was not caught.
pub(super) async fn catch_all(arguments: Mutants) -> ExitCode {
    for leftover in sweep() {
        eprintln!("removed, left behind by an earlier run: {leftover}");
    }
    let interrupted = CancellationToken::new();
    tokio::spawn(interrupt(interrupted.clone()));
    let ground = Ground::find();
    let wanted =
        |mutant: &&Mutant| arguments.only.as_ref().is_none_or(|only| only.iter().any(|name| name == mutant.name));
    let mut missed = Vec::new();
    for mutant in MUTANTS.iter().filter(wanted) {
        if !mutant.faults.is_empty() && !mutant.faults.iter().any(|kind| possible(*kind, &ground)) {
            println!("{:<18} skipped: the faults that bring it out cannot be made here", mutant.name);
            continue;
        }
        match catch(&arguments, mutant, &interrupted).await {
            Ok(Some((seed, by))) => println!("{:<18} caught with seed {seed}: {by}", mutant.name),
            Ok(None) => missed.push(mutant.name),
            Err(why) => return no_run(&why),
        }
    }
    for name in &missed {
        println!("{name:<18} NOT CAUGHT in {} runs", arguments.tries);
    }
    ExitCode::from(u8::from(!missed.is_empty()))
}

/// The seed that caught it, and which properties said so.
async fn catch(
    arguments: &Mutants,
    mutant: &Mutant,
    interrupted: &CancellationToken,
) -> Result<Option<(u64, String)>, String> {
    for seed in (arguments.seed..).take(usize::try_from(arguments.tries).unwrap_or(usize::MAX)) {
        let folder = arguments.store.join(format!("mutant-{}", mutant.name)).join(format!("seed-{seed}"));
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let options = Options {
            test: format!("mutant {}", mutant.name),
            binary: arguments
                .binary
                .canonicalize()
                .map_err(|error| format!("{}: {error}", arguments.binary.display()))?,
            voters: 3,
            learners: 0,
            seconds: arguments.seconds,
            seed,
            folder: folder.canonicalize().map_err(failed)?,
            mutant: Some(mutant.name.to_owned()),
            factor: 1,
            pace: Duration::from_millis(5),
            faults: mutant.faults.to_vec(),
            thresholds: Thresholds::default(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            versions: vec![("commit".to_owned(), system("git rev-parse HEAD"))],
        };
        let (record, events) = run(&options, interrupted.clone()).await.map_err(|error| error.to_string())?;
        let judgement = judge(&record);
        report::write(&folder, &record, &events, &judgement).map_err(|error| error.to_string())?;
        let by = broken(&judgement);
        if mutant.breaks.iter().any(|property| by.contains(property)) {
            return Ok(Some((seed, format!("{by:?}"))));
        }
    }
    Ok(None)
}

fn broken(judgement: &Judgement) -> Vec<Property> {
    judgement.verdicts.iter().filter(|verdict| verdict.violations > 0).map(|verdict| verdict.property).collect()
}
