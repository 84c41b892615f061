//! The way of lines to the writer: a queue with a bound, and what happens at it.
//!
//! A change waits for its place and for its line to be written, for a bounded time. Reads and refused calls never wait, and
//! only half of the queue is theirs. What finds no place is lost, counted, and told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::file::{AuditTarget, Sink};
use super::rate::Rate;
use super::writer::{self, Entry, Health};
use super::{Kind, Line};
use crate::telemetry::{AuditLabels, METRICS};

/// Lines that may wait to be written.
const WAITING_LINES: usize = 4096;
/// Of them so many may be of reads and refused calls.
const WAITING_OTHERS: usize = WAITING_LINES / 2;
/// How long a change waits for the writer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two lines of the log on lost ones.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How an audit log is kept.
#[derive(Debug, Clone)]
pub struct TrailOptions {
    /// Where the lines go.
    pub target: AuditTarget,
    /// Whether a change without a line must not be.
    pub required: bool,
    /// Of so many reads one is recorded; 0: none.
    pub reads_sampled: u64,
}

/// A line of a change could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwritten;

/// A place in the queue.
pub struct Place(mpsc::OwnedPermit<Entry>);

/// An audit log. It is written for as long as one of these lives.
pub struct Trail {
    queue: mpsc::Sender<Entry>,
    health: Arc<Health>,
    required: bool,
    reads_sampled: u64,
    refusals: Mutex<Rate>,
    lost: Mutex<Lost>,
}

/// Lines that were lost, and when that was told.
#[derive(Default)]
struct Lost {
    count: u64,
    told: Option<Instant>,
}

impl Trail {
    /// Opens the target and starts the writer.
    pub fn open(options: TrailOptions) -> io::Result<Self> {
        let sink = Sink::open(options.target)?;
        let (queue, waiting) = mpsc::channel(WAITING_LINES);
        let health = Arc::new(Health::default());
        let of_writer = Arc::clone(&health);
        let writer = std::thread::Builder::new().name("audit".to_owned());
        writer.spawn(move || writer::run(sink, waiting, &of_writer))?;
        Ok(Self {
            queue,
            health,
            required: options.required,
            reads_sampled: options.reads_sampled,
            refusals: Mutex::new(Rate::new(Instant::now())),
            lost: Mutex::default(),
        })
    }

    /// Whether a read is to be recorded.
    #[must_use]
    pub fn takes_this_read(&self) -> bool {
        self.reads_sampled > 0 && rand::random_range(0..self.reads_sampled) == 0
    }

    /// A place for the line of a change that is about to be made; `None` if there is none. An error: then the change must not
    /// be made.
    pub async fn place(&self) -> Result<Option<Place>, Unwritten> {
        let is_failing = self.health.failing.load(Ordering::Acquire);
        if self.required && is_failing {
            return Err(Unwritten);
        }
        let place = match self.queue.clone().try_reserve_owned() {
            Ok(place) => Some(Place(place)),
            // Where nothing is written, waiting would only make it worse.
            Err(_) if is_failing => None,
            Err(_) => timeout(PATIENCE, self.queue.clone().reserve_owned()).await.ok().and_then(Result::ok).map(Place),
        };
        match place {
            None if self.required => {
                self.health.set_failing(true, &"no place in the queue");
                Err(Unwritten)
            }
            place => Ok(place),
        }
    }

    /// Writes the line of a change and waits until it was handed to the system. An error, where lines are required only: it was
    /// not, and may be later.
    pub async fn write(&self, place: Option<Place>, line: &Line) -> Result<(), Unwritten> {
        let (told, written) = oneshot::channel();
        if !self.put(place, line, Some(told)) {
            return if self.required { Err(Unwritten) } else { Ok(()) };
        }
        if !self.required && self.health.failing.load(Ordering::Acquire) {
            return Ok(());
        }
        match timeout(PATIENCE, written).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false) | Err(_)) if self.required => Err(Unwritten),
            Ok(Ok(false) | Err(_)) => Ok(()),
            Err(_) => {
                self.health.set_failing(true, &"the system does not take the lines");
                if self.required { Err(Unwritten) } else { Ok(()) }
            }
        }
    }

    /// Writes a line without waiting for anything.
    pub fn write_later(&self, place: Option<Place>, line: &Line) {
        self.put(place, line, None);
    }

    /// The same for a call that was not let in, of which only so many are written.
    pub fn write_refused(&self, line: impl FnOnce() -> Line) {
        let Some(suppressed) = self.refusals.lock().take(Instant::now()) else { return };
        let suppressed = Some(suppressed).filter(|count| *count > 0);
        self.put(None, &Line { suppressed, ..line() }, None);
    }

    fn put(&self, place: Option<Place>, line: &Line, waiter: Option<oneshot::Sender<bool>>) -> bool {
        METRICS.audit_lines.get_or_create(&AuditLabels { kind: line.kind.name() }).inc();
        let entry = Entry::Line(line.to_bytes(), waiter);
        let sent = match place {
            Some(Place(place)) => {
                place.send(entry);
                true
            }
            None if line.kind != Kind::Change && self.queue.capacity() <= WAITING_LINES - WAITING_OTHERS => false,
            None => self.queue.try_send(entry).is_ok(),
        };
        if !sent {
            self.lose();
        }
        sent
    }

    fn lose(&self) {
        METRICS.audit_lost.inc();
        let mut lost = self.lost.lock();
        lost.count += 1;
        if lost.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            lost.told = Some(Instant::now());
            tracing::error!(
                lines = lost.count,
                "lines of the audit log are lost: they cannot be written as fast as they come"
            );
        }
    }

    /// Goes on in a new file of the old name, before the next line.
    pub fn reopen(&self) {
        self.health.reopen.store(true, Ordering::Release);
        match self.queue.try_send(Entry::Wake) {
            // A full queue keeps the writer awake, and without a writer there is nothing to wake.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {}
        }
    }

    /// Waits until everything before was written, for a bounded time.
    pub async fn flush(&self) {
        let (told, written) = oneshot::channel();
        let flushed = async {
            self.queue.send(Entry::Flush(told)).await.ok()?;
            written.await.ok()
        };
        if timeout(PATIENCE, flushed).await != Ok(Some(true)) {
            tracing::error!("the audit log was not written to its end; its last lines are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use jiff::Timestamp;

    use super::*;
    use crate::audit::{Caller, Outcome};

    fn line(kind: Kind, request_id: &str) -> Line {
        let caller =
            Caller { request_id: request_id.to_owned(), key: None, peer: None, via: "grpc", method: "a/B".to_owned() };
        Line {
            time: Timestamp::now(),
            kind,
            node: None,
            caller,
            what: None,
            consistency: None,
            answer: None,
            outcome: Outcome::Done,
            code: "OK",
            reason: None,
            first_index: None,
            index: None,
            repetition: None,
            suppressed: None,
        }
    }

    fn trail(path: PathBuf, required: bool) -> Trail {
        let target = AuditTarget::File { path, most_bytes: 0, keep: 0 };
        Trail::open(TrailOptions { target, required, reads_sampled: 1 }).expect("the folder is writable")
    }

    fn ids(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["request_id"].clone();
        text.lines().map(|line| id(line).as_str().expect("text").to_owned()).collect()
    }

    #[tokio::test]
    async fn a_change_is_in_the_file_when_it_is_told_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let trail = trail(path.clone(), true);
        for number in 0..20 {
            let place = trail.place().await.expect("it is written");
            trail.write(place, &line(Kind::Change, &number.to_string())).await.expect("it is written");
            assert_eq!(ids(&path).len(), number + 1);
        }
        trail.write_later(None, &line(Kind::Read, "read"));
        trail.flush().await;
        assert_eq!(ids(&path).last().map(String::as_str), Some("read"));
    }

    /// `/dev/full` takes nothing, as a full disk.
    #[tokio::test]
    async fn what_cannot_be_written_stops_changes_only_where_lines_are_required() {
        for required in [false, true] {
            let trail = trail("/dev/full".into(), required);
            let place = trail.place().await.expect("nothing is known yet");
            let written = trail.write(place, &line(Kind::Change, "first")).await;
            assert_eq!(written, if required { Err(Unwritten) } else { Ok(()) });
            let place = trail.place().await;
            assert_eq!(place.is_ok(), !required);
            // More than the queue has places for: nobody waits, and what is too much is counted.
            let before = METRICS.audit_lost.get();
            let begin = Instant::now();
            for _ in 0..2 * WAITING_LINES {
                trail.write_later(None, &line(Kind::Read, "read"));
            }
            assert!(METRICS.audit_lost.get() - before >= WAITING_OTHERS as u64);
            if !required {
                let place = trail.place().await.expect("the other half is for changes");
                assert!(place.is_some());
                trail.write(place, &line(Kind::Change, "second")).await.expect("lines are not required");
            }
            assert!(begin.elapsed() < PATIENCE);
            for _ in 0..WAITING_LINES {
                trail.write_later(None, &line(Kind::Change, "more"));
            }
            let written = trail.write(None, &line(Kind::Change, "last")).await;
            assert_eq!(written, if required { Err(Unwritten) } else { Ok(()) }, "there is no place for it");
        }
    }

    #[tokio::test]
    async fn what_waited_is_written_once_it_can_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let (home, away) = (folder.path().join("home"), folder.path().join("away"));
        std::fs::create_dir(&home).expect("writable");
        let path = home.join("audit.log");
        let trail = trail(path.clone(), true);
        std::fs::rename(&home, &away).expect("writable");
        trail.reopen();
        let place = trail.place().await.expect("nothing is known yet");
        let written = trail.write(place, &line(Kind::Change, "waits")).await;
        assert_eq!(written, Err(Unwritten));
        assert!(trail.place().await.is_err());
        std::fs::rename(&away, &home).expect("writable");
        let deadline = Instant::now() + Duration::from_secs(10);
        while trail.place().await.is_err() {
            assert!(Instant::now() < deadline, "it is never written again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ids(&path), ["waits"]);
    }

    #[tokio::test]
    async fn a_flood_of_refusals_leaves_a_few_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let trail = trail(path.clone(), false);
        for _ in 0..1000 {
            trail.write_refused(|| line(Kind::Refused, "stranger"));
        }
        trail.flush().await;
        let written = ids(&path).len();
        assert!((1..1000).contains(&written), "{written}");
    }
}
