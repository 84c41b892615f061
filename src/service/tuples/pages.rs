//! The tuples of one view in pages, however long the reader takes. Never more than a few pages are in memory, and what has
//! expired is in none of them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::model::{Error, TimestampMs, Tuple, TupleFilter, TupleKey};
use crate::service::evaluate::EvaluationPool;
use crate::store::ReadView;

/// Pages that wait for the reader.
pub(super) const PAGES_AHEAD: usize = 2;
/// A reader that takes nothing for so long is given up, since its view holds on to old data.
const STALLED_READER: Duration = Duration::from_secs(60);
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
    /// Reads page by page and sends what `shape` makes of each. Ends after the last page, after an error, or when the reader
    /// has gone or takes nothing.
    pub(super) async fn run<T>(
        self,
        pages: mpsc::Sender<Result<T, Error>>,
        mut extent: Extent,
        shape: impl Fn(Vec<Tuple>) -> T,
    ) {
        while extent.limit > 0 {
            let wanted = extent.limit.min(extent.page_tuples);
            let page = match self.page(extent.after.take(), wanted).await {
                Ok(page) => page,
                Err(error) => {
                    // The reader may have gone; then nobody asks why.
                    let _ = pages.send_timeout(Err(error), STALLED_READER).await;
                    return;
                }
            };
            let Some(last) = page.tuples.last() else { return };
            extent.after = Some(last.key.clone());
            extent.limit -= page.tuples.len();
            if pages.send_timeout(Ok(shape(page.tuples)), STALLED_READER).await.is_err() || !page.more {
                return;
            }
        }
    }

    async fn page(&self, after: Option<TupleKey>, wanted: usize) -> Result<Page, Error> {
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
        self.pool.run(Instant::now() + self.page_timeout, read).await
    }
}
