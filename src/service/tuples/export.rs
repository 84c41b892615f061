//! Exports: all tuples, or those that match a filter, in large pages from one view. A cursor goes on at the same state, on
//! any node.

use serde::Serialize;
use tokio::sync::mpsc;

use super::guard;
use super::pages::{self, Extent, PAGES_AHEAD};
use crate::model::{Error, Tuple, TupleFilter, limits};
use crate::service::cursor::{Cursor, Digest, Place};
use crate::service::outlet::Outlet;
use crate::service::{Call, Consistency, Services};

/// An export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportTuples {
    /// How fresh. Without effect where there is a cursor.
    pub consistency: Consistency,
    /// Which tuples; `None` for all.
    pub filter: Option<TupleFilter>,
    /// Most tuples in one page; 0 for the most that there may be.
    pub page_tuples: usize,
    /// Go on after the page that this came with, at the same state. The filter must be the same.
    pub cursor: Option<String>,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPage {
    /// The tuples, never none.
    pub tuples: Vec<Tuple>,
    /// For what follows the last of them. Opaque.
    pub cursor: String,
}

/// What a cursor of an export holds for. Its own type, so that no cursor of a read passes for one of an export.
#[derive(Serialize)]
enum CursorScope<'a> {
    Export(Option<&'a TupleFilter>),
}

impl Services {
    /// Exports tuples. The stream ends after the last page, or after an error. Dropping it ends the export.
    pub async fn export_tuples(
        &self,
        call: Call,
        request: ExportTuples,
    ) -> Result<mpsc::Receiver<Result<ExportPage, Error>>, Error> {
        guard::check_limit(request.page_tuples, limits::EXPORT_PAGE)?;
        if let Some(filter) = &request.filter {
            guard::check_filter_shape(filter)?;
        }
        let digest = Digest::of(call.store, &CursorScope::Export(request.filter.as_ref()));
        let (view, after) = self.resume(call, &request.consistency, request.cursor.as_deref(), digest).await?;
        let zookie = self.zookie(view.revision())?;
        let page_tuples = if request.page_tuples == 0 { limits::EXPORT_PAGE } else { request.page_tuples };
        let shape = move |tuples: Vec<Tuple>| {
            let last = tuples.last().expect("a page has tuples");
            let cursor = Cursor::after(zookie, digest, Place::Tuple(last.key.clone())).encode();
            ExportPage { tuples, cursor }
        };
        let (outlet, pages) = Outlet::new(PAGES_AHEAD, self.stream_terms(call, pages::ADVICE));
        let pager = self.pager(view, request.filter.unwrap_or_default())?;
        tokio::spawn(pager.run(outlet, Extent { after, page_tuples, limit: usize::MAX }, shape));
        Ok(pages)
    }
}
