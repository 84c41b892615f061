//! One run from its beginning to its end: a cluster, clients, faults, the quiet after them, the record.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::check::{Property, Record, RecordError, Settings, Thresholds, judge};
use crate::cluster::{Cluster, ClusterError, Ground, Plan};
use crate::history::{Answer, FaultKind, FaultRecord, LogEntry, Operation, Request};
use crate::lookout::Lookout;
use crate::nemesis;
use crate::workload::{self, Recorder, Stage, tell_whole_log, watch};

/// Between two looks at whether what a run is for has been seen.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long such a look may wait for the log.
const LOOK_LIMIT: Duration = Duration::from_secs(3);
/// How long clients may take to end after the curtain.
const LAST_ANSWERS: Duration = Duration::from_secs(20);
const WATCHERS: u64 = 3;
const CEILING_MS: u64 = 3_000;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name.
    pub test: String,
    /// The binary under test.
    pub binary: PathBuf,
    /// How many voters.
    pub voters: usize,
    /// How many learners beside them.
    pub learners: usize,
    /// How long clients and faults are at work.
    pub seconds: u64,
    /// From which all else follows.
    pub seed: u64,
    /// Where everything is written.
    pub folder: PathBuf,
    /// The bug that the binary is asked to have.
    pub mutant: Option<String>,
    /// The run may end as soon as one of these is seen broken.
    pub looks_for: Vec<Property>,
    /// How many times the usual number of clients.
    pub factor: usize,
    /// How long a client waits between two requests.
    pub pace: Duration,
    /// Which faults.
    pub faults: Vec<FaultKind>,
    /// The least time between two faults of a track.
    pub apart: Duration,
    /// Log entries between snapshots.
    pub snapshot_after: u64,
    /// What must be seen.
    pub thresholds: Thresholds,
    /// How it was started.
    pub command: String,
    /// Versions that are known before the cluster is asked.
    pub versions: Vec<(String, String)>,
}

/// There is no record.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cluster did not form.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It takes no writes.
    #[error("{0}")]
    SetUp(String),
    /// What was recorded cannot be written, or is no history.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Somebody wants it to end.
    #[error("interrupted; everything that was made is removed again")]
    Interrupted,
}

/// Does it. The record is in the folder, too.
pub async fn run(options: &Options, interrupted: CancellationToken) -> Result<Record, RunError> {
    let ground = Ground::find();
    let doing = perform(options, &ground);
    tokio::select! {
        done = doing => done,
        // Dropping what is being done ends the processes and removes disks and network.
        () = interrupted.cancelled() => Err(RunError::Interrupted),
    }
}

async fn perform(options: &Options, ground: &Ground) -> Result<Record, RunError> {
    let plan = Plan {
        binary: options.binary.clone(),
        voters: options.voters,
        learners: options.learners,
        folder: options.folder.clone(),
        snapshot_after: options.snapshot_after,
        ceiling_ms: CEILING_MS,
        mutant: options.mutant.clone(),
        faketime: ground.clocks.clone().ok(),
    };
    let cluster = Arc::new(Cluster::form(ground, &plan).await?);
    let stage = Stage {
        cluster: Arc::clone(&cluster),
        recorder: Arc::new(Recorder::begin(&options.folder).map_err(RecordError::Unwritten)?),
        curtain: CancellationToken::new(),
        seed: options.seed,
        registers: 20 + options.seconds,
        pace: options.pace,
        tokens: Arc::default(),
        watches: Arc::default(),
        entries: Arc::default(),
    };
    // Whatever ends this early ends the tasks with it.
    let _curtain = stage.curtain.clone().drop_guard();
    workload::set_up(&stage).await.map_err(RunError::SetUp)?;
    cluster.settled().await?;

    let lookout = Arc::new(Lookout::default());
    let faults = Arc::new(Mutex::new(Vec::new()));
    let mut nemeses = JoinSet::new();
    let tracks = nemesis::schedule(options.seed, options.seconds, options.voters, ground, &options.faults);
    for (track, steps) in (1..).zip(nemesis::spaced(tracks, options.apart)) {
        nemeses.spawn(nemesis::run(stage.clone(), track, steps, Arc::clone(&faults)));
    }
    let mut tasks = workload::start(&stage, options.factor);
    for number in 1..=WATCHERS {
        tasks.spawn(watch(stage.clone(), number, 0));
    }
    let (on_the, look) = (stage.clone(), Arc::clone(&lookout));
    tasks.spawn(async move { look.stand(&on_the).await });
    let seconds = load(&stage, options, &lookout).await;

    stage.curtain.cancel();
    // Faults first: each makes its own end.
    let mut panics: Vec<String> = Vec::new();
    while let Some(ended) = nemeses.join_next().await {
        panics.extend(panicked(ended));
    }
    let ended = async {
        while let Some(ended) = tasks.join_next().await {
            panics.extend(panicked(ended));
        }
    };
    let _ = tokio::time::timeout(LAST_ANSWERS, ended).await;
    tasks.abort_all();
    while let Some(ended) = tasks.join_next().await {
        panics.extend(panicked(ended));
    }
    let (log, unknown) = match quiet(&stage, &lookout).await {
        Ok(log) => (log, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    lookout.look(&stage);
    let incomplete = unknown.or(panics.into_iter().next());
    let operations = stage.recorder.operations()?;
    let faults = std::mem::take(&mut *faults.lock().expect("nothing panics while it holds the faults"));
    let faults = with_recovery(faults, &operations);
    let mut not_tested = ground.not_tested();
    not_tested.extend(["caveats and relationships that expire", "floors that change under load"].map(str::to_owned));
    let mut versions = options.versions.clone();
    versions.push(("quorate".to_owned(), cluster.version().to_owned()));
    let endings = lookout.endings();
    let settings = Settings { seconds, versions, not_tested, incomplete, endings, ..settings(options) };
    let watches = std::mem::take(&mut *stage.watches.lock().expect("nothing panics while it holds the watches"));
    let footprints = lookout.footprints();
    let record = Record { settings, operations, log, watches, chain: lookout.chain(), faults, footprints };
    record.write(&options.folder)?;
    Ok(record)
}

/// What is known of a run before its end.
fn settings(options: &Options) -> Settings {
    Settings {
        test: options.test.clone(),
        seed: options.seed,
        command: options.command.clone(),
        voters: options.voters,
        learners: options.learners,
        seconds: options.seconds,
        ceiling_ms: CEILING_MS,
        versions: options.versions.clone(),
        mutant: options.mutant.clone(),
        not_tested: Vec::new(),
        incomplete: None,
        endings: Vec::new(),
        thresholds: options.thresholds.clone(),
    }
}

/// Lets clients and faults work until their time is over, or what is looked for is seen. For how many seconds.
async fn load(stage: &Stage, options: &Options, lookout: &Lookout) -> u64 {
    let (begun, whole) = (Instant::now(), Duration::from_secs(options.seconds));
    while !options.looks_for.is_empty() && begun.elapsed() + LOOK_EVERY < whole {
        tokio::time::sleep(LOOK_EVERY).await;
        if is_seen(stage, options, lookout).await {
            return begun.elapsed().as_secs();
        }
    }
    tokio::time::sleep(whole.saturating_sub(begun.elapsed())).await;
    options.seconds
}

/// Whether what is looked for shows in what happened so far: all of it up to some place in the log. Only says when a run may
/// end; what it shows is judged by its whole record.
async fn is_seen(stage: &Stage, options: &Options, lookout: &Lookout) -> bool {
    let statuses = stage.cluster.statuses().await;
    let Some((node, status)) = statuses.into_iter().max_by_key(|(_, status)| status.applied) else { return false };
    let through = status.applied;
    let Ok(Ok(mut log)) = tokio::time::timeout(LOOK_LIMIT, tell_whole_log(stage, node, through)).await else {
        return false;
    };
    log.retain(|entry| entry.index <= through);
    // After the log: whoever is named there has asked by now.
    let Ok(mut operations) = stage.recorder.operations() else { return false };
    // What names no index may be of a later state than this one.
    let is_told = |answer: &Answer| answer.index().is_some_and(|index| index <= through);
    operations.retain(|operation| operation.answer().is_none_or(is_told));
    let chain = lookout.chain();
    let (watches, faults, footprints) = (Vec::new(), Vec::new(), Vec::new());
    let record = Record { settings: settings(options), operations, log, watches, chain, faults, footprints };
    let Ok(judgement) = tokio::task::spawn_blocking(move || judge(&record)).await else { return false };
    options.looks_for.iter().any(|property| judgement.of(*property).is_some_and(|verdict| verdict.violations > 0))
}

/// After the last fault: everybody is up, has applied the same and tells the same log.
async fn quiet(stage: &Stage, lookout: &Lookout) -> Result<Vec<LogEntry>, String> {
    let cluster = &stage.cluster;
    // Before those that ended are started again.
    lookout.look(stage);
    for number in 1..=cluster.size() {
        let mut node = cluster.node(number).lock().await;
        if !node.runs() {
            node.kill();
            node.start().map_err(|error| format!("node {number} does not start: {error}"))?;
        }
    }
    let settled = cluster.settled().await;
    let statuses = match settled {
        Ok(statuses) => statuses,
        Err(error) => {
            let mut words = format!("the cluster does not come to rest: {error}");
            for number in 1..=cluster.size() {
                let mut node = cluster.node(number).lock().await;
                if !node.runs() {
                    words.push_str(&format!("\nnode {number} ended by itself:\n{}", node.last_words()));
                }
            }
            return Err(words);
        }
    };
    let through = statuses.first().map(|(_, status)| status.applied).unwrap_or_default();
    lookout.keep(stage, statuses);
    workload::audit(stage).await?;
    let mut log = Vec::new();
    for number in 1..=cluster.size() {
        let told = tell_whole_log(stage, number, through).await?;
        if number == 1 {
            log = told;
        }
    }
    Ok(log)
}

/// The words of a task of the harness that panicked. One that was told to end is none.
fn panicked(ended: Result<(), JoinError>) -> Option<String> {
    let error = ended.err().filter(JoinError::is_panic)?;
    Some(format!("a task of the harness did not do its part: {error}"))
}

/// Adds to each fault how long it took until a write that began after it was acknowledged.
fn with_recovery(mut faults: Vec<FaultRecord>, operations: &[Operation]) -> Vec<FaultRecord> {
    faults.sort_by_key(|fault| fault.from);
    for fault in &mut faults {
        let writes = operations.iter().filter(|o| matches!(o.request, Request::Write(_)) && o.answer().is_some());
        fault.recovered_after = writes.filter(|o| o.start >= fault.until).map(|o| o.end - fault.until).min();
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_told_from_one_that_ends() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async { panic!("oh") });
        assert!(tasks.join_next().await.and_then(panicked).is_some());
        tasks.spawn(async {});
        assert_eq!(tasks.join_next().await.and_then(panicked), None);
        tasks.spawn(std::future::pending());
        tasks.abort_all();
        assert_eq!(tasks.join_next().await.and_then(panicked), None);
    }
}
