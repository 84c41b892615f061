//! Reads by filter: a stream of pages, all from one view, however long the reader takes. Never more than a few pages are in
//! memory.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::cursor::{Cursor, Digest};
use super::guard;
use crate::consistency::{Requirement, Zookie};
use crate::model::{Error, ErrorCode, Tuple, TupleFilter, TupleKey, limits};
use crate::service::evaluate::EvaluationPool;
use crate::service::{Call, Consistency, Services};
use crate::store::ReadView;

/// Tuples read from the store at a time.
const PAGE_TUPLES: usize = 500;
/// Pages that wait for the reader.
const PAGES_AHEAD: usize = 2;
/// A reader that takes nothing for so long is given up, since its view holds on to old data.
const STALLED_READER: Duration = Duration::from_secs(60);

/// A read of the tuples that match a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTuples {
    /// How fresh. Without effect where there is a cursor.
    pub consistency: Consistency,
    /// Which tuples.
    pub filter: TupleFilter,
    /// At most so many; 0 for all.
    pub limit: usize,
    /// Go on after the tuple that this came with, at the same state.
    pub cursor: Option<String>,
}

/// A tuple, and the cursor for what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TupleWithCursor {
    /// The tuple.
    pub tuple: Tuple,
    /// Opaque.
    pub cursor: String,
}

/// The answer to a read.
#[derive(Debug)]
pub struct TupleStream {
    /// The state that all pages are about.
    pub zookie: Zookie,
    /// The tuples. It ends after the last page, or after an error. Dropping it ends the read.
    pub pages: mpsc::Receiver<Result<Vec<TupleWithCursor>, Error>>,
}

/// Whether a client may ask for at most `limit` at once.
pub(super) fn check_limit(limit: usize) -> Result<(), Error> {
    let most = limits::READ_LIMIT;
    if limit > most {
        let message = format!("the limit of {limit} is above the highest one allowed, {most}");
        return Err(Error::new(ErrorCode::LimitTooLarge, message)
            .with("limit_provided", limit)
            .with("maximum_limit_allowed", most));
    }
    Ok(())
}

impl Services {
    /// Reads tuples, in the order of the store.
    pub async fn read_tuples(&self, call: Call, request: ReadTuples) -> Result<TupleStream, Error> {
        check_limit(request.limit)?;
        guard::check_filter_shape(&request.filter)?;
        let lineage = self.lineage()?;
        let digest = Digest::of(call.store, &request.filter);
        let (requirement, after) = match &request.cursor {
            None => (request.consistency.requirement(lineage)?, None),
            Some(token) => {
                let cursor = Cursor::decode(token)?;
                cursor.belongs(lineage, digest)?;
                (Requirement::AtExactSnapshot(cursor.revision), Some(cursor.after))
            }
        };
        let view = self.view(call, requirement).await?;
        let zookie = self.zookie(view.revision())?;

        let (schemas, names_view, filter) = (Arc::clone(&self.schemas), Arc::clone(&view), request.filter.clone());
        self.pool
            .run(call.deadline, move || schemas.of(call.store, names_view.as_ref())?.schema().check_filter(&filter))
            .await?;

        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let reader = Reader {
            pool: self.pool.clone(),
            page_timeout: self.limits.request_timeout,
            view,
            filter: Arc::new(request.filter),
            zookie,
            digest,
        };
        tokio::spawn(reader.run(sender, request.limit, after));
        Ok(TupleStream { zookie, pages })
    }
}

/// What a read in progress holds.
struct Reader {
    pool: EvaluationPool,
    page_timeout: Duration,
    view: Arc<dyn ReadView>,
    filter: Arc<TupleFilter>,
    zookie: Zookie,
    digest: Digest,
}

type PageSender = mpsc::Sender<Result<Vec<TupleWithCursor>, Error>>;

impl Reader {
    async fn run(self, pages: PageSender, limit: usize, mut after: Option<TupleKey>) {
        let mut left = if limit == 0 { usize::MAX } else { limit };
        while left > 0 {
            let wanted = left.min(PAGE_TUPLES);
            let page = self.page(after.take(), wanted).await;
            let (last, failed) = match &page {
                Ok(page) => (page.last().map(|row| row.tuple.key.clone()), false),
                Err(_) => (None, true),
            };
            let found = page.as_ref().map_or(0, Vec::len);
            // An error of `send` is a reader that has gone, or one that takes nothing.
            if found + usize::from(failed) > 0 && pages.send_timeout(page, STALLED_READER).await.is_err() {
                return;
            }
            if failed || found < wanted {
                return;
            }
            left -= found;
            after = last;
        }
    }

    async fn page(&self, after: Option<TupleKey>, wanted: usize) -> Result<Vec<TupleWithCursor>, Error> {
        let (view, filter) = (Arc::clone(&self.view), Arc::clone(&self.filter));
        let (zookie, digest) = (self.zookie, self.digest);
        let read = move || {
            let mut page = Vec::new();
            view.scan(&filter, after.as_ref(), &mut |row| {
                let cursor =
                    Cursor { lineage: zookie.lineage, revision: zookie.revision, digest, after: row.tuple.key.clone() };
                page.push(TupleWithCursor { tuple: row.tuple, cursor: cursor.encode() });
                if page.len() < wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok(page)
        };
        self.pool.run(Instant::now() + self.page_timeout, read).await
    }
}
