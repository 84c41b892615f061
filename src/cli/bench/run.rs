//! A whole run: the data, the levels of load, the report.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::drive::{Load, Measured, Stage};
use super::lane::Stamp;
use super::levels::Levels;
use super::report::{self, Setting};
use super::script::{Own, Script, Turn, Writes};
use super::target::{Prepared, Target, Wanted};
use super::workload::Workload;
use super::world::{SMALLEST, World};
use super::{BenchArgs, plot};
use crate::cli::connection::DEFAULT_TIMEOUT;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{Output, note};

pub(in crate::cli) async fn run(args: BenchArgs) -> Result<Exit, Failure> {
    let world = World::new(args.tuples.max(SMALLEST), args.seed);
    let (ways, authorization) = args.connection.ways()?;
    let stamp = Stamp::new(authorization, args.connection.timeout_or(DEFAULT_TIMEOUT));
    let target = Target::new(&args.connection, args.etcd, &ways, &stamp)?;
    let wanted = Wanted {
        world: &world,
        workload: args.workload,
        args: &args.what,
        lag: args.consistency,
        zookie: args.zookie.as_deref(),
        seed: args.seed,
        loads: !args.no_load,
    };
    let prepared = target.prepare(&wanted).await?;
    let stage = Stage {
        endpoints: ways,
        stamp,
        connections: usize::from(args.connections),
        threads: args.threads.map_or_else(half_of_the_processors, usize::from),
        warm_up: args.warm_up,
        seconds: std::time::Duration::from_secs(args.seconds),
        pids: args.pid.clone(),
    };
    let setting = setting(&args, &world, &stage, &prepared);
    if let Some(loaded) = prepared.loaded {
        let rate = loaded.relationships as f64 / loaded.took.as_secs_f64();
        note(format_args!("loaded {} relationships in {:.1?}, {rate:.0}/s", loaded.relationships, loaded.took));
    }
    let measured = measure(&args, &target, &stage, &prepared).await?;
    tell(&args, &setting, &measured)?;
    judge(&measured)
}

/// Level after level, until one has a wrong answer.
async fn measure(
    args: &BenchArgs,
    target: &Target,
    stage: &Stage,
    prepared: &Prepared,
) -> Result<Vec<Measured>, Failure> {
    // Names of what is written: nobody has written them before.
    let run: u32 = rand::random();
    let mut levels = Levels::new(args);
    let mut measured: Vec<Measured> = Vec::new();
    while let Some(load) = levels.next(measured.last()) {
        let scripts = scripts(args, prepared, load, &format!("{run:08x}-{}", measured.len()));
        let stage = stage.clone();
        let running = tokio::task::spawn_blocking(move || stage.run(load, scripts));
        let mut level = running.await.map_err(|_| Failure::new("the generator panicked"))??;
        if level.tally.wrong == 0 {
            let lost = target.wrong_answers(&level.written).await?;
            level.tally.wrong += lost.len() as u64;
            level.tally.wrong_ones.extend(
                lost.into_iter()
                    .take(5)
                    .map(|one| format!("doc:{} was written and acknowledged, and is not there", one.document)),
            );
        }
        let is_wrong = level.tally.wrong > 0;
        measured.push(level);
        if is_wrong {
            break;
        }
    }
    Ok(measured)
}

/// What each client does.
fn scripts(args: &BenchArgs, prepared: &Prepared, load: Load, run: &str) -> Vec<Script> {
    let (clients, items) = (load.clients(), args.what.items(args.workload));
    let share = args.what.write_share();
    let script = |client: usize| {
        let name = format!("{run}-{client}");
        let random = || StdRng::seed_from_u64(args.seed.wrapping_add(client as u64));
        let turn = || Turn::new(prepared.operations.clone(), client, clients);
        match args.workload {
            Workload::Write | Workload::Import => Script::Writes(Writes::new(prepared.by, name, items)),
            Workload::ReadYourWrites => Script::Own(Box::new(Own::new(name, share, prepared.zookie.clone(), random()))),
            Workload::Mix => Script::Mixed {
                turn: turn(),
                writes: Writes::new(prepared.by, name, 1),
                share,
                random: Box::new(random()),
            },
            Workload::Empty
            | Workload::Flat
            | Workload::Negative
            | Workload::NestedGroups
            | Workload::ArrowChain
            | Workload::FanOut
            | Workload::SetAlgebra
            | Workload::CacheHot
            | Workload::CacheCold
            | Workload::LookupResources
            | Workload::LookupSubjects
            | Workload::BulkCheck => Script::Prepared(turn()),
        }
    };
    (0..clients).map(script).collect()
}

fn half_of_the_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

fn setting(args: &BenchArgs, world: &World, stage: &Stage, prepared: &Prepared) -> Setting {
    use clap::ValueEnum;

    let consistency = args.consistency.to_possible_value().map(|value| value.get_name().to_owned());
    Setting {
        workload: args.workload.describe(&args.what),
        consistency: consistency.unwrap_or_default(),
        relationships: world.size(),
        seed: args.seed,
        endpoints: stage.endpoints.len(),
        connections: stage.connections,
        threads: stage.threads,
        warm_up: stage.warm_up,
        seconds: stage.seconds,
        loaded: prepared.loaded,
    }
}

fn tell(args: &BenchArgs, setting: &Setting, measured: &[Measured]) -> Result<(), Failure> {
    let mut output = Output::new();
    if args.connection.json {
        output.json(&report::document(setting, measured))?;
    } else {
        output.line(setting.line())?;
        output.table(&report::rows(measured))?;
    }
    output.flush()?;
    if let Some(file) = &args.plot {
        std::fs::write(file, plot::page(setting, measured))
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?;
    }
    for level in measured {
        for (code, message) in &level.tally.messages {
            note(format_args!("{code}: {message}"));
        }
    }
    Ok(())
}

/// A run with a wrong answer, or without any, has failed.
fn judge(measured: &[Measured]) -> Result<Exit, Failure> {
    let wrong: u64 = measured.iter().map(|level| level.tally.wrong).sum();
    if wrong > 0 {
        let which = measured.iter().flat_map(|level| &level.tally.wrong_ones).cloned().collect::<Vec<_>>().join("; ");
        return Err(Failure::new(format!("{wrong} wrong answers: {which}")));
    }
    if measured.iter().all(|level| level.tally.completed == 0) {
        return Err(Failure::new("no operation was completed"));
    }
    Ok(Exit::Done)
}
