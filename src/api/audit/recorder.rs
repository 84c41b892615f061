//! From a call to its line in the audit log.
//!
//! Invariant: a change whose client got an answer has a line, or, where lines are not required, was counted as lost; one that
//! its client gave up has a line that says so.

use std::sync::Arc;

use http::{HeaderMap, Response};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tonic::Status;
use tonic::body::Body;

use super::outcome::Ending;
use crate::api::answer::has_ended;
use crate::api::errors::to_status;
use crate::api::scopes;
use crate::audit::{Caller, Kind, Line, Outcome, Place, SharedNotes, Trail, Unwritten, with_audit_notes};
use crate::model::{Error, ErrorCode};
use crate::service::ClusterAdmin;
use crate::telemetry::noted;

/// Makes the lines of a node, if it keeps an audit log.
#[derive(Clone)]
pub(in crate::api) struct Recorder(Option<Arc<Inner>>);

struct Inner {
    trail: Arc<Trail>,
    node: Arc<dyn ClusterAdmin>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Recorder" } else { "Recorder(off)" })
    }
}

/// A call that is to be recorded and has not ended.
struct Open {
    inner: Arc<Inner>,
    kind: Kind,
    caller: Caller,
    notes: SharedNotes,
    place: Option<Place>,
    is_over: bool,
}

impl Recorder {
    pub(in crate::api) fn new(trail: Option<Arc<Trail>>, node: Arc<dyn ClusterAdmin>) -> Self {
        Self(trail.map(|trail| Arc::new(Inner { trail, node })))
    }

    /// Of a node that keeps none.
    #[cfg(test)]
    pub(in crate::api) fn off() -> Self {
        Self(None)
    }

    /// What a line about the call at `path` would be about, if there is to be one.
    pub(in crate::api) fn wants(&self, path: &str) -> Option<Kind> {
        let inner = self.0.as_ref()?;
        match scopes::changes(path)? {
            true => Some(Kind::Change),
            false => inner.trail.takes_this_read().then_some(Kind::Read),
        }
    }

    /// Records that a caller was not let in.
    pub(in crate::api) fn refuse(&self, caller: impl FnOnce() -> Caller, status: &Status) {
        let Some(inner) = &self.0 else { return };
        inner.trail.write_refused(|| {
            let ending = Ending::of(status.clone().into_http::<()>().headers(), true);
            line(inner, Kind::Refused, caller(), &SharedNotes::default(), ending)
        });
    }

    /// Makes a call, and its line.
    pub(in crate::api) async fn record<E>(
        &self,
        kind: Kind,
        caller: Caller,
        call: impl Future<Output = Result<Response<Body>, E>>,
    ) -> Result<Response<Body>, E> {
        let Some(inner) = self.0.clone() else { return call.await };
        let notes = SharedNotes::default();
        let place = match kind {
            Kind::Change => match inner.trail.place().await {
                Ok(place) => place,
                Err(Unwritten) => return Ok(refuse_unrecorded(&inner, caller)),
            },
            Kind::Read | Kind::Refused => None,
        };
        let is_stream = scopes::streams_progress(&caller.method);
        let open = Open { inner, kind, caller, notes: Arc::clone(&notes), place, is_over: false };
        let response = with_audit_notes(notes, call).await?;
        if is_stream && !has_ended(response.headers()) {
            return Ok(open.follow(response));
        }
        let ending = Ending::of(response.headers(), scopes::is_plain(&open.caller.method));
        match open.end(ending.clone()).await {
            Err(Unwritten) if matches!(ending.outcome, Outcome::Done | Outcome::Partly) => Ok(unrecorded_effect()),
            Ok(()) | Err(Unwritten) => Ok(response),
        }
    }
}

fn line(inner: &Inner, kind: Kind, caller: Caller, notes: &SharedNotes, ending: Ending) -> Line {
    let notes = std::mem::take(&mut *notes.lock());
    let Ending { outcome, code, reason } = ending;
    let is_read = kind == Kind::Read;
    Line {
        time: Timestamp::now(),
        kind,
        node: inner.node.position().map(|position| position.node_id),
        caller,
        what: notes.what,
        consistency: is_read.then(|| noted().consistency),
        answer: notes.answer,
        outcome,
        code,
        reason,
        first_index: notes.first_index.filter(|first| notes.index != Some(*first)),
        index: if is_read { notes.read_at } else { notes.index },
        repetition: notes.repetition,
        suppressed: None,
    }
}

/// Nothing is done that could not be recorded. The call is recorded all the same as soon as that is possible, which is also how
/// the writer finds out that it is.
fn refuse_unrecorded(inner: &Inner, caller: Caller) -> Response<Body> {
    const MESSAGE: &str = "nothing was done: this node may change nothing without a line in its audit log, and cannot write \
                           it; try another node";
    let status = to_status(Error::new(ErrorCode::Unavailable, MESSAGE));
    let response = status.into_http();
    let ending = Ending::of(response.headers(), true);
    inner.trail.write_later(None, &line(inner, Kind::Change, caller, &SharedNotes::default(), ending));
    response
}

/// For a change that took effect although its line could not be written: nobody is told of an effect that is not recorded.
fn unrecorded_effect() -> Response<Body> {
    const MESSAGE: &str =
        "the change may have taken effect, and this node could not write its line in the audit log; read to see";
    to_status(Error::new(ErrorCode::OutcomeUnknown, MESSAGE)).into_http()
}

impl Open {
    fn line(&self, ending: Ending) -> Line {
        line(&self.inner, self.kind, self.caller.clone(), &self.notes, ending)
    }

    /// Writes the line; for a change, waits until the system has it.
    async fn end(mut self, ending: Ending) -> Result<(), Unwritten> {
        self.is_over = true;
        let line = self.line(ending);
        let (trail, place) = (Arc::clone(&self.inner.trail), self.place.take());
        match self.kind {
            Kind::Change => trail.write(place, &line).await,
            Kind::Read | Kind::Refused => {
                trail.write_later(place, &line);
                Ok(())
            }
        }
    }

    /// For what reports on its way: a line that it was begun, and one when it is over.
    fn follow(self, response: Response<Body>) -> Response<Body> {
        let what = self.notes.lock().what.clone();
        let begun = self.line(Ending { outcome: Outcome::Begun, code: "OK", reason: None });
        self.notes.lock().what = what;
        self.inner.trail.write_later(None, &begun);
        let mut open = Some(self);
        response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(open) = open.take()
                {
                    open.end_with(trailers);
                }
                frame
            }))
        })
    }

    fn end_with(mut self, trailers: &HeaderMap) {
        self.is_over = true;
        let line = self.line(Ending::of(trailers, false));
        self.inner.trail.write_later(self.place.take(), &line);
    }
}

/// Whoever goes away before the answer leaves a line all the same.
impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_over && self.kind == Kind::Change {
            let line = self.line(Ending::abandoned());
            self.inner.trail.write_later(self.place.take(), &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::path::{Path, PathBuf};
    use std::task::Poll;

    use serde_json::{Value, json};
    use tonic::Code;

    use super::*;
    use crate::api::tests::TestAdmin;
    use crate::audit::{AuditTarget, TrailOptions};

    const WRITE: &str = "/authzed.api.v1.PermissionsService/WriteRelationships";

    /// Of a node that changes nothing without a line.
    fn recorder(path: PathBuf) -> Recorder {
        let target = AuditTarget::File { path, most_bytes: 0, keep: 0 };
        let options = TrailOptions { target, required: true, reads_sampled: 0 };
        Recorder::new(Some(Arc::new(Trail::open(options).expect("it can be opened"))), Arc::new(TestAdmin))
    }

    fn caller() -> Caller {
        super::super::caller(&http::Extensions::new(), &HeaderMap::new(), WRITE, Some("k"))
    }

    /// The code of the answer to a change that is recorded, where it ends like this.
    async fn change(recorder: &Recorder, ending: Result<(), ErrorCode>) -> Code {
        let answer = async {
            let failed = ending.map_err(|code| to_status(Error::new(code, "why")).into_http());
            Ok::<_, Infallible>(failed.map_or_else(|refused| refused, |()| Response::new(Body::empty())))
        };
        let answer = recorder.record(Kind::Change, caller(), answer).await.unwrap_or_else(|never| match never {});
        Status::from_header_map(answer.headers()).map_or(Code::Ok, |status| status.code())
    }

    async fn lines(recorder: &Recorder, path: &Path) -> Vec<Value> {
        recorder.0.as_ref().expect("it is on").trail.flush().await;
        let text = std::fs::read_to_string(path).expect("a file");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// `/dev/full` takes nothing, as a full disk.
    #[tokio::test]
    async fn nobody_is_told_of_an_effect_that_is_not_recorded_and_nothing_more_is_begun() {
        let recorder = recorder("/dev/full".into());
        let unknown = to_status(Error::new(ErrorCode::OutcomeUnknown, "")).code();
        assert_eq!(change(&recorder, Ok(())).await, unknown, "it took effect, and has no line");
        let never = poll_fn(|_| -> Poll<Result<Response<Body>, Infallible>> { panic!("it was begun") });
        let refused = recorder.record(Kind::Change, caller(), never).await;
        let refused = refused.unwrap_or_else(|never| match never {});
        assert_eq!(Status::from_header_map(refused.headers()).map(|s| s.code()), Some(Code::Unavailable));
    }

    /// What had no effect needs no line to be told.
    #[tokio::test]
    async fn a_refusal_that_is_not_recorded_is_told_as_it_is() {
        let recorder = recorder("/dev/full".into());
        assert_eq!(change(&recorder, Err(ErrorCode::PreconditionFailed)).await, Code::FailedPrecondition);
    }

    #[tokio::test]
    async fn a_change_that_its_client_gave_up_has_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let recorder = recorder(path.clone());
        assert_eq!(change(&recorder, Ok(())).await, Code::Ok);
        let pending = std::future::pending::<Result<Response<Body>, Infallible>>();
        let mut call = Box::pin(recorder.record(Kind::Change, caller(), pending));
        assert!(futures::poll!(&mut call).is_pending(), "it was begun");
        drop(call);
        let found = lines(&recorder, &path).await;
        let outcomes: Vec<&Value> = found.iter().map(|line| &line["outcome"]).collect();
        assert_eq!(outcomes, [&json!("done"), &json!("unknown")], "{found:?}");
    }

    #[tokio::test]
    async fn what_was_refused_for_want_of_a_line_has_one_in_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let (home, away) = (folder.path().join("home"), folder.path().join("away"));
        std::fs::create_dir(&home).expect("writable");
        let path = home.join("audit.log");
        let recorder = recorder(path.clone());
        let trail = &recorder.0.as_ref().expect("it is on").trail;
        std::fs::rename(&home, &away).expect("writable");
        trail.reopen();
        assert_ne!(change(&recorder, Ok(())).await, Code::Ok, "it has no line yet");
        assert_eq!(change(&recorder, Ok(())).await, Code::Unavailable);
        std::fs::rename(&away, &home).expect("writable");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while trail.place().await.is_err() {
            assert!(std::time::Instant::now() < deadline, "it is never written again");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let found = lines(&recorder, &path).await;
        let outcomes: Vec<&Value> = found.iter().map(|line| &line["outcome"]).collect();
        assert_eq!(outcomes, [&json!("done"), &json!("refused")], "{found:?}");
    }
}
