//! Exports: all tuples, or those that match a filter, in large pages from one view. A cursor goes on at the same state, on
//! any node.

use serde::Serialize;
use tokio::sync::mpsc;

use super::guard;
use super::pages::{self, Extent, PAGES_AHEAD};
use super::read::scope;
use crate::consistency::{Raised, Scope};
use crate::model::{Error, Tuple, TupleFilter, limits};
use crate::service::cursor::{Cursor, Digest, Place};
use crate::service::floors::Basis;
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

/// The answer to an export.
#[derive(Debug)]
pub struct ExportStream {
    /// The floor that made the request stricter.
    pub raised: Option<Raised>,
    /// It ends after the last page, or after an error. Dropping it ends the export.
    pub pages: mpsc::Receiver<Result<ExportPage, Error>>,
}

/// What a cursor of an export holds for. Its own type, so that no cursor of a read passes for one of an export.
#[derive(Serialize)]
enum CursorScope<'a> {
    Export(Option<&'a TupleFilter>),
}

impl Services {
    /// Exports tuples.
    pub async fn export_tuples(&self, call: Call, request: ExportTuples) -> Result<ExportStream, Error> {
        guard::check_limit(request.page_tuples, limits::EXPORT_PAGE)?;
        if let Some(filter) = &request.filter {
            guard::check_filter_shape(filter)?;
        }
        let digest = Digest::of(call.store, &CursorScope::Export(request.filter.as_ref()));
        let (cursor, scope) = (request.cursor.as_deref(), request.filter.as_ref().map_or(Scope::Everything, scope));
        let (basis, place) = self.resume_stream(call, &request.consistency, cursor, digest, scope).await?;
        let (Basis { view, zookie, raised }, after) = (basis, place.map(Place::tuple).transpose()?);
        let page_tuples = if request.page_tuples == 0 { limits::EXPORT_PAGE } else { request.page_tuples };
        let shape = move |tuples: Vec<Tuple>| {
            let last = tuples.last().expect("a page has tuples");
            let cursor = Cursor::after(zookie, digest, Place::Tuple(last.key.clone())).encode();
            ExportPage { tuples, cursor }
        };
        let (outlet, pages) = Outlet::new(PAGES_AHEAD, self.stream_terms(call, pages::ADVICE));
        let pager = self.pager(view, request.filter.unwrap_or_default())?;
        tokio::spawn(pager.run(outlet, Extent { after, page_tuples, limit: usize::MAX }, shape));
        Ok(ExportStream { raised, pages })
    }
}
