//! Which seeds are run: a process for each, two at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::run;
use crate::trace::Tracing;

const SEEDS: u64 = 200;
const AT_ONCE: usize = 2;
/// A run that takes longer than this hangs.
const LONGEST: Duration = Duration::from_secs(120);

/// The process of one seed. Prints one line about it, and exits with 1 where an invariant was broken.
pub fn child(dir: &Path) -> ExitCode {
    let seed = number("QUORATE_SIM_SEED").expect("the parent names a seed");
    let tracing = match std::env::var("QUORATE_SIM_TRACE").as_deref() {
        Ok("print") => Tracing::Print,
        Ok(_) => Tracing::Hash,
        Err(_) => Tracing::Off,
    };
    if tracing == Tracing::Print {
        tracing_subscriber::fmt().without_time().with_writer(std::io::stderr).init();
    }
    // Tasks swallow panics; here none is expected.
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        println!("seed {seed}: panic: {info}");
        std::process::exit(1);
    }));
    let outcome = run::run(seed, dir, tracing);
    println!("seed {seed}: trace {}; {}", outcome.trace.as_deref().unwrap_or("not kept"), outcome.report);
    // The first of each: one bug breaks the same invariant again and again, and others that say more about it.
    let mut said = BTreeSet::new();
    for violation in outcome.violations.iter().filter(|violation| said.insert(violation.invariant)) {
        println!("seed {seed}: {} is broken: {}", violation.invariant, violation.what);
    }
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, and not a number")))
}

/// What must have happened in a great many runs, or they prove nothing.
const NEEDED: [&str; 15] = [
    "answers that hang on time",
    "bounded answers of learners",
    "bounded reads refused",
    "checks that wait",
    "faults",
    "keys refused",
    "messages lost",
    "repeated at once",
    "repetitions acknowledged",
    "schemas",
    "snapshots sent",
    "streams",
    "transactions",
    "unsynced writes lost",
    "voters that lost power",
];
/// So many runs are a great many.
const MANY: usize = 100;

/// What one process said.
struct Said {
    seed: u64,
    good: bool,
    text: String,
}

struct Processes {
    folder: PathBuf,
    entropy: PathBuf,
}

impl Processes {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = root.join(format!("quorate-sim-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the runs can be made");
        let entropy = folder.join("entropy.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/entropy.c");
        let compiled = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&entropy).arg(source).status();
        assert!(compiled.is_ok_and(|status| status.success()), "tests/sim/entropy.c does not compile with cc");
        Self { folder, entropy }
    }

    fn run(&self, seed: u64, turn: u64, tracing: Tracing) -> Said {
        let dir = self.folder.join(format!("{seed}-{turn}"));
        let output = self.folder.join(format!("{seed}-{turn}.out"));
        fs::create_dir_all(&dir).expect("the folder is writable");
        let mut command = Command::new(std::env::current_exe().expect("this process knows its program"));
        command.env("QUORATE_SIM_DIR", &dir).env("QUORATE_SIM_SEED", seed.to_string());
        command.env("LD_PRELOAD", &self.entropy).stdin(Stdio::null());
        command.stdout(fs::File::create(&output).expect("the folder is writable"));
        match tracing {
            Tracing::Off => _ = command.stderr(Stdio::null()),
            Tracing::Hash => _ = command.stderr(Stdio::null()).env("QUORATE_SIM_TRACE", "hash"),
            Tracing::Print => _ = command.env("QUORATE_SIM_TRACE", "print"),
        }
        let mut process = command.spawn().expect("this program can be started again");
        let begun = Instant::now();
        let good = loop {
            match process.try_wait().expect("the process is ours") {
                Some(status) => break status.success(),
                None if begun.elapsed() > LONGEST => {
                    process.kill().and_then(|()| process.wait()).expect("the process is ours");
                    break false;
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let text = fs::read_to_string(&output).unwrap_or_default();
        fs::remove_dir_all(&dir).and_then(|()| fs::remove_file(&output)).expect("the folder is writable");
        Said { seed, good, text }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // What is left over is in memory, and goes with the machine at the latest.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The seeds that failed once: the first word of each line of `seeds/*.txt`.
fn kept() -> Vec<u64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/seeds");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of kept seeds is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    let texts = files.iter().map(|path| fs::read_to_string(path).expect("a kept seed is text"));
    let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let seeds = lines.iter().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    seeds.map(|line| line.split_whitespace().next().unwrap_or_default().parse().expect("a seed is a number")).collect()
}

/// Runs all seeds that are asked for.
pub fn parent() -> ExitCode {
    let processes = Processes::new();
    if let Some(seed) = number("QUORATE_SIM_SEED") {
        let said = processes.run(seed, 0, Tracing::Print);
        print!("{}", said.text);
        return ExitCode::from(u8::from(!said.good));
    }
    let first = number("QUORATE_SIM_FIRST").unwrap_or(1);
    let more = number("QUORATE_SIM_SEEDS").unwrap_or(SEEDS);
    let seeds: VecDeque<u64> = kept().into_iter().chain(first..first + more).collect();
    let (count, begun) = (seeds.len(), Instant::now());
    let same = same_twice(&processes, first);
    let (seeds, failed, totals) = (Mutex::new(seeds), Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().pop_front() else { return };
                    let said = processes.run(seed, 0, Tracing::Off);
                    add(&mut totals.lock(), &said.text);
                    if !said.good {
                        println!(
                            "{}",
                            if said.text.is_empty() { format!("seed {seed} died") } else { said.text.clone() }
                        );
                        failed.lock().push(said);
                    }
                }
            });
        }
    });
    let failed: Vec<u64> = failed.lock().iter().map(|said| said.seed).collect();
    let took = begun.elapsed().as_secs_f64();
    let totals = totals.into_inner();
    println!("{}", totals.iter().map(|(what, sum)| format!("{what}: {sum}")).collect::<Vec<_>>().join(", "));
    let vacuous = count >= MANY && NEEDED.iter().any(|what| totals.get(*what).copied().unwrap_or(0) == 0);
    if vacuous {
        println!("one of {NEEDED:?} never happened, so these runs prove too little");
    }
    println!("{count} seeds in {took:.1} s ({:.1} a second); failed: {failed:?}", count as f64 / took);
    if !same {
        println!("a seed does not give the same run twice, so failures cannot be repeated");
    }
    ExitCode::from(u8::from(!failed.is_empty() || !same || vacuous))
}

/// Adds up the counters that a process printed.
fn add(totals: &mut BTreeMap<String, u64>, text: &str) {
    let report = text.lines().next().and_then(|line| line.split_once("; ")).map_or("", |(_, report)| report);
    for (what, number) in report.split(", ").filter_map(|part| part.split_once(": ")) {
        *totals.entry(what.to_owned()).or_default() += number.parse().unwrap_or(0);
    }
}

/// Whether a seed gives the same trace twice, and another one a different trace.
fn same_twice(processes: &Processes, seed: u64) -> bool {
    let trace = |seed: u64, turn: u64| {
        let text = processes.run(seed, turn, Tracing::Hash).text;
        text.split("trace ").nth(1).and_then(|rest| rest.split(';').next().map(str::to_owned))
    };
    let (one, again, other) = (trace(seed, 1), trace(seed, 2), trace(seed + 1, 1));
    one.is_some() && one == again && one != other
}
