//! The command line: run a test, or judge again what an earlier run recorded.
//!
//! Exit codes: 0 valid, 1 invalid, 2 unknown, 3 there was no run to judge. Of `mutants`: 0 if every bug was caught, else 1.

mod mutants;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use quorate_jepsen::check::{Judgement, Record, Thresholds, Validity, judge, mutants_of};
use quorate_jepsen::cluster::{Ground, sweep, system};
use quorate_jepsen::history::FaultKind;
use quorate_jepsen::nemesis::{least, least_faults, schedule, spaced};
use quorate_jepsen::report;
use quorate_jepsen::runner::{Options, RunError, run};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// There was no run to judge.
const NO_RUN: u8 = 3;

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Form a cluster, put it under load and faults, judge what it answered.
    Run(Run),
    /// Run against each of the bugs that can be built into the binary; each must be caught by the property it breaks.
    Mutants(Mutants),
    /// Judge once more what a run recorded in DIR.
    Check {
        /// The folder of the run.
        dir: PathBuf,
        /// Tell so many lies in the record as well, one at a time, each of which must be found.
        #[arg(long, default_value_t = 0)]
        lies: usize,
        /// What must have been seen; unless given, what was demanded when it ran.
        #[arg(long)]
        expect: Option<Expect>,
    },
}

#[derive(Args)]
struct Run {
    /// The binary under test.
    #[arg(long)]
    binary: PathBuf,
    /// Name of the test.
    #[arg(long, default_value = "chaos")]
    name: String,
    /// Where reports go.
    #[arg(long, default_value = "store")]
    store: PathBuf,
    /// How many nodes vote.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=7))]
    voters: u8,
    /// How many learners there are beside them: a region that only reads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    learners: u8,
    /// How long clients and faults are at work.
    #[arg(long, default_value_t = 170)]
    seconds: u64,
    /// From which the schedule follows; at random, unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many times the usual number of clients.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=40))]
    clients: u8,
    /// Milliseconds that a client waits between two requests.
    #[arg(long, default_value_t = 5)]
    pace_ms: u64,
    /// Which faults, with commas; `none` for none, everything that this machine allows unless given.
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<String>>,
    /// Seconds between two faults of a track, at least. With any, faults of single kinds are not demanded.
    #[arg(long, default_value_t = 0)]
    apart: u64,
    /// The bug that the binary is asked to have; it must be built with such bugs.
    #[arg(long)]
    mutant: Option<String>,
    /// What must be seen for a run to be valid: nothing, or as much as a quick run, one of a release or a soak must have.
    #[arg(long, default_value = "none")]
    expect: Expect,
}

#[derive(Args)]
struct Mutants {
    /// The binary, built with the feature `mutants`.
    #[arg(long)]
    binary: PathBuf,
    /// The binary without any bug; unless given, the other one, which then is not asked to have any.
    #[arg(long)]
    clean: Option<PathBuf>,
    /// Where reports go.
    #[arg(long, default_value = "store")]
    store: PathBuf,
    /// The longest that each run may be; by the bug, unless given.
    #[arg(long)]
    seconds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of each, with seeds that follow each other, until the bug is caught.
    #[arg(long, default_value_t = 3)]
    tries: u16,
    /// Runs of each, all of them, to see how often the bug is caught.
    #[arg(long)]
    seeds: Option<u16>,
    /// Only these, by name or number, with commas.
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<String>>,
    /// Only the few that every change is tested with.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Expect {
    None,
    Quick,
    Release,
    Soak,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return no_run(&error.to_string()),
    };
    match Cli::parse().command {
        Command::Run(arguments) => runtime.block_on(start(arguments)),
        Command::Mutants(arguments) => runtime.block_on(mutants::catch_all(arguments)),
        Command::Check { dir, lies, expect } => again(&dir, lies, expect),
    }
}

fn no_run(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(NO_RUN)
}

fn again(folder: &Path, lies: usize, expect: Option<Expect>) -> ExitCode {
    let mut record = match Record::read(folder) {
        Ok(record) => record,
        Err(error) => return no_run(&error.to_string()),
    };
    if let Some(expect) = expect {
        let settings = &mut record.settings;
        let faults: Vec<FaultKind> = settings.thresholds.by_kind.keys().copied().collect();
        if faults.is_empty() {
            return no_run(
                "which kinds of faults this run was to have is not recorded, so nothing else can be expected of it",
            );
        }
        let extent =
            Extent { seconds: settings.seconds, voters: settings.voters, learners: settings.learners, apart: 0 };
        // Where it ran, these kinds were possible.
        settings.thresholds = thresholds(expect, &extent, &Ground::firm(), &faults);
    }
    if lies > 0 { tell_lies(&record, lies) } else { conclude(folder, &record) }
}

/// Whether the checkers find lies in this very record, which must be clean.
fn tell_lies(record: &Record, count: usize) -> ExitCode {
    if judge(record).valid == Validity::Invalid {
        return no_run("a record with violations in it is not one to tell lies in");
    }
    let mut lies = mutants_of(record);
    lies.shuffle(&mut StdRng::seed_from_u64(record.settings.seed));
    lies.truncate(count);
    let told = lies.len();
    let missed: Vec<_> = lies.into_iter().filter(|lie| judge(&lie.tell(record)).valid != Validity::Invalid).collect();
    println!("{} of {told} lies were found", told - missed.len());
    for lie in &missed {
        println!("not found: {lie:?}");
    }
    ExitCode::from(u8::from(!missed.is_empty()))
}

async fn start(arguments: Run) -> ExitCode {
    let faults = match faults(arguments.faults.as_deref()) {
        Ok(faults) => faults,
        Err(why) => return no_run(&why),
    };
    for leftover in sweep() {
        eprintln!("removed, left behind by an earlier run: {leftover}");
    }
    let ground = Ground::find();
    for line in ground.not_tested() {
        eprintln!("not tested here: {line}");
    }
    let folder = arguments.store.join(&arguments.name).join(system("date -u +%Y%m%dT%H%M%SZ"));
    let folder = match std::fs::create_dir_all(&folder).and_then(|()| folder.canonicalize()) {
        Ok(folder) => folder,
        Err(error) => return no_run(&format!("{}: {error}", folder.display())),
    };
    let binary = match arguments.binary.canonicalize() {
        Ok(binary) => binary,
        Err(error) => return no_run(&format!("{}: {error}", arguments.binary.display())),
    };
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let extent = Extent {
        seconds: arguments.seconds,
        voters: usize::from(arguments.voters),
        learners: usize::from(arguments.learners),
        apart: arguments.apart,
    };
    let expected = thresholds(arguments.expect, &extent, &ground, &faults);
    let options = Options {
        test: arguments.name,
        binary,
        voters: usize::from(arguments.voters),
        learners: usize::from(arguments.learners),
        seconds: arguments.seconds,
        seed,
        folder: folder.clone(),
        mutant: arguments.mutant,
        looks_for: Vec::new(),
        factor: usize::from(arguments.clients),
        pace: Duration::from_millis(arguments.pace_ms),
        faults,
        apart: Duration::from_secs(arguments.apart),
        snapshot_after: 1_000,
        thresholds: expected,
        command: std::env::args().collect::<Vec<_>>().join(" "),
        versions: vec![
            ("harness".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("commit".to_owned(), system("git rev-parse HEAD")),
            ("kernel".to_owned(), system("uname -sr")),
            ("processors".to_owned(), system("nproc")),
        ],
    };
    eprintln!(
        "{}: {} voters, {} learners, {} s, seed {seed}; writing to {}",
        options.test,
        options.voters,
        options.learners,
        options.seconds,
        folder.display()
    );
    let interrupted = CancellationToken::new();
    tokio::spawn(interrupt(interrupted.clone()));
    match run(&options, interrupted).await {
        Ok(record) => conclude(&folder, &record),
        Err(error @ RunError::Interrupted) => no_run(&error.to_string()),
        Err(error) => no_run(&format!("there was no run: {error}")),
    }
}

async fn interrupt(interrupted: CancellationToken) {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return;
    };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    interrupted.cancel();
}

fn faults(wanted: Option<&[String]>) -> Result<Vec<FaultKind>, String> {
    let Some(names) = wanted else { return Ok(FaultKind::ALL.to_vec()) };
    let find = |name: &String| {
        let known = || FaultKind::ALL.map(FaultKind::name).join(", ");
        FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("there is no fault {name:?}; there are {}, and none", known()))
    };
    names.iter().filter(|name| *name != "none").map(find).collect()
}

/// How large a run is.
struct Extent {
    seconds: u64,
    voters: usize,
    learners: usize,
    /// Seconds between two faults of a track.
    apart: u64,
}

/// The least that a run must have seen, in proportion to its length; of faults, what its schedule has.
fn thresholds(expect: Expect, extent: &Extent, ground: &Ground, faults: &[FaultKind]) -> Thresholds {
    // What a second brings: acknowledged writes, decisions, whole chains, waits (in ten seconds), entries that are watched.
    let (writes, checks, chains, waits, entries) = match expect {
        Expect::None => return Thresholds::default(),
        Expect::Quick => (10, 200, 1, 5, 60),
        Expect::Release => (110, 550, 8, 27, 330),
        Expect::Soak => (110, 550, 8, 0, 330),
    };
    let Extent { seconds, voters, learners, apart } = *extent;
    let (by_kind, least_of_all) = if apart == 0 {
        (least(seconds, voters, ground, faults), least_faults(seconds, voters, ground, faults))
    } else {
        let planned = schedule(0, seconds, voters, ground, faults);
        let planned = spaced(planned, Duration::from_secs(apart)).concat().len() as u64;
        (BTreeMap::new(), planned * 3 / 4)
    };
    // Of each node one long life at least, and two looks at it.
    let long_lives = 2 * (voters + learners) as u64;
    Thresholds {
        writes: seconds * writes,
        checks: seconds * checks,
        chains: seconds * chains,
        waits: seconds * waits / 10,
        watch_entries: seconds * entries,
        lookups: seconds * 2,
        replays: seconds / 2,
        raised: seconds,
        by_learners: if learners > 0 { seconds * 2 } else { 0 },
        opportunities: 5,
        footprints: if matches!(expect, Expect::Soak) { long_lives } else { 0 },
        faults: least_of_all.max(by_kind.values().sum()),
        partitions: by_kind.iter().filter(|(kind, _)| kind.is_partition()).map(|(_, least)| least).sum(),
        leader_in_minority: by_kind.get(&FaultKind::LeaderAlone).copied().unwrap_or_default(),
        by_kind,
    }
}

fn conclude(folder: &Path, record: &Record) -> ExitCode {
    let judgement = judge(record);
    say(record, &judgement);
    match report::write(folder, record, &judgement) {
        Ok(()) => println!("report: {}", folder.join("report.html").display()),
        // The judgement stands, whether or not it can be shown.
        Err(error) => eprintln!("the report is not complete: {error}"),
    }
    ExitCode::from(judgement.valid.exit_code())
}

fn say(record: &Record, judgement: &Judgement) {
    for verdict in &judgement.verdicts {
        let undecided =
            if verdict.undecided > 0 { format!(", {} undecided", verdict.undecided) } else { String::new() };
        println!(
            "{:>9} opportunities {:>5} violations{undecided}  {}",
            verdict.opportunities,
            verdict.violations,
            verdict.property.statement()
        );
        for anomaly in verdict.examples.iter().take(5) {
            println!("          {} (operations {:?})", anomaly.what, anomaly.operations);
        }
    }
    let counts: Vec<String> = judgement.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    println!("seen: {}", counts.join(", "));
    for short in &judgement.shortfalls {
        println!("too few: {} {}, and {} are needed", short.what, short.seen, short.needed);
    }
    if let Some(why) = &record.settings.incomplete {
        println!("the end of the run is not known: {why}");
    }
    println!("{:?} (seed {})", judgement.valid, record.settings.seed);
}
