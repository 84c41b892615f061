//! The tuples of one view in pages, however long the reader takes. Never more than a few pages are in memory, and what has
//! expired is in none of them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::Waiter;
use crate::model::{Error, Tuple, TupleFilter, TupleKey};
use crate::service::clock::Clock;
use crate::service::evaluate::EvaluationPool;
use crate::service::outlet::{Ended, Outlet};
use crate::store::ReadView;

/// Pages that wait for the reader.
pub(super) const PAGES_AHEAD: usize = 2;
/// What a reader can do whose stream ended too early.
pub(super) const ADVICE: &str = "go on after the last cursor";
/// A page ends once its names and contexts take more than this, so that it fits into what clients take as one message.
const PAGE_BYTES: usize = 2 << 20;
/// A page ends, even without a tuple, once so many rows were passed: a filter that matches little holds no thread for long, and
/// a reader that goes is noticed.
const PAGE_ROWS: usize = if cfg!(test) { 700 } else { 50_000 };

/// How much is read.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    /// Strictly after this one.
    pub(super) after: Option<TupleKey>,
    /// Most tuples in one page.
    pub(super) page_tuples: usize,
    /// Most tuples in all.
    pub(super) limit: usize,
}

/// A read in progress.
pub(super) struct Pager {
    pub(super) pool: EvaluationPool,
    pub(super) page_timeout: Duration,
    pub(super) view: Arc<dyn ReadView>,
    pub(super) filter: Arc<TupleFilter>,
    /// What has expired when a page is made is left out of it.
    pub(super) clock: Clock,
}

/// Some tuples, and where to go on behind them; `None` at the end.
struct Page {
    tuples: Vec<Tuple>,
    next: Option<TupleKey>,
}

impl Pager {
    /// Reads page by page and sends what `shape` makes of each.
    pub(super) async fn run<T>(self, pages: Outlet<T>, extent: Extent, shape: impl Fn(Vec<Tuple>) -> T) {
        let ended = self.read(&pages, extent, shape).await;
        pages.end(ended);
    }

    async fn read<T>(
        &self,
        pages: &Outlet<T>,
        mut extent: Extent,
        shape: impl Fn(Vec<Tuple>) -> T,
    ) -> Result<(), Ended> {
        while extent.limit > 0 {
            let room = pages.room().await?;
            let wanted = extent.limit.min(extent.page_tuples);
            let page = self.page(pages.step(self.page_timeout), extent.after.take(), wanted);
            let page = pages.while_read(page).await?;
            extent.limit -= page.tuples.len();
            if !page.tuples.is_empty() {
                room.send(shape(page.tuples));
            }
            extent.after = page.next;
            if extent.after.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn page(&self, deadline: Instant, after: Option<TupleKey>, wanted: usize) -> Result<Page, Error> {
        let (view, filter, clock) = (Arc::clone(&self.view), Arc::clone(&self.filter), self.clock.clone());
        let read = move |_: &Waiter| {
            let (now, mut tuples, mut bytes) = (clock.now(), Vec::<Tuple>::new(), 0);
            let passed = view.scan_some(&filter, after.as_ref(), PAGE_ROWS, &mut |row| {
                if row.tuple.qualifiers.expired(now) {
                    return ControlFlow::Continue(());
                }
                bytes += row.tuple.text_bytes();
                tuples.push(row.tuple);
                let full = tuples.len() >= wanted || bytes > PAGE_BYTES;
                if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            let full = tuples.len() >= wanted || bytes > PAGE_BYTES;
            let next = if full { tuples.last().map(|last| last.key.clone()) } else { passed };
            Ok(Page { tuples, next })
        };
        self.pool.go_on(deadline, read).await
    }
}
