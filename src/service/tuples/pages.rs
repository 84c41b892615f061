//! The tuples of one view in pages, however long the reader takes. Never more than a few pages are in memory, and what has
//! expired is in none of them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{Error, TimestampMs, Tuple, TupleFilter, TupleKey};
use crate::service::evaluate::EvaluationPool;
use crate::service::outlet::{Ended, Outlet};
use crate::store::ReadView;

/// Pages that wait for the reader.
pub(super) const PAGES_AHEAD: usize = 2;
/// What a reader can do whose stream ended too early.
pub(super) const ADVICE: &str = "go on after the last cursor";
/// A page ends once its names and contexts take more than this, so that it fits into what clients take as one message.
const PAGE_BYTES: usize = 2 << 20;

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
    /// What has expired by now is left out.
    pub(super) now: TimestampMs,
}

/// Some tuples, and whether the scan may have more behind them.
struct Page {
    tuples: Vec<Tuple>,
    more: bool,
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
            let Some(last) = page.tuples.last() else { return Ok(()) };
            extent.after = Some(last.key.clone());
            extent.limit -= page.tuples.len();
            room.send(shape(page.tuples));
            if !page.more {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn page(&self, deadline: Instant, after: Option<TupleKey>, wanted: usize) -> Result<Page, Error> {
        let (view, filter, now) = (Arc::clone(&self.view), Arc::clone(&self.filter), self.now);
        let read = move || {
            let (mut tuples, mut more, mut bytes) = (Vec::new(), false, 0);
            view.scan(&filter, after.as_ref(), &mut |row| {
                if row.tuple.qualifiers.expired(now) {
                    return ControlFlow::Continue(());
                }
                bytes += row.tuple.text_bytes();
                tuples.push(row.tuple);
                more = tuples.len() >= wanted || bytes > PAGE_BYTES;
                if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            Ok(Page { tuples, more })
        };
        self.pool.run(deadline, read).await
    }
}
