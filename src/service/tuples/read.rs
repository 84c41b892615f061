//! Reads by filter: tuples one by one, each with a cursor, all from one view.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;

use super::guard;
use super::pages::{self, Extent, PAGES_AHEAD, Pager};
use crate::consistency::{Raised, Scope, Zookie};
use crate::model::{Error, ErrorCode, Tuple, TupleFilter, limits};
use crate::schema::{Member, Schema};
use crate::service::cursor::{Cursor, Digest, Place};
use crate::service::floors::Basis;
use crate::service::outlet::Outlet;
use crate::service::{Call, Consistency, Services};
use crate::store::ReadView;

/// Tuples read from the store at a time.
const PAGE_TUPLES: usize = 500;

/// A read of the tuples that match a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadTuples {
    /// How fresh. Without effect where there is a cursor.
    pub consistency: Consistency,
    /// Which tuples.
    pub filter: TupleFilter,
    /// At most so many; 0 for all.
    pub limit: usize,
    /// Go on after the tuple that this came with, at the same state. All else must be as it was.
    #[serde(skip)]
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
    /// The floor that made the request stricter.
    pub raised: Option<Raised>,
    /// The tuples. It ends after the last page, or after an error. Dropping it ends the read.
    pub pages: mpsc::Receiver<Result<Vec<TupleWithCursor>, Error>>,
}

impl Services {
    /// Reads tuples, in the order of the store.
    pub async fn read_tuples(&self, call: Call, request: ReadTuples) -> Result<TupleStream, Error> {
        guard::check_limit(request.limit, limits::READ_LIMIT)?;
        guard::check_filter_shape(&request.filter)?;
        // As in SpiceDB, the cursor holds for the very same request only.
        let digest = Digest::of(call.store, &request);
        let (cursor, scope) = (request.cursor.as_deref(), scope(&request.filter));
        let (basis, place) = self.resume_stream(call, &request.consistency, cursor, digest, scope).await?;
        let (Basis { view, zookie, raised }, after) = (basis, place.map(Place::tuple).transpose()?);

        let (schemas, names_view, filter) = (Arc::clone(&self.schemas), Arc::clone(&view), request.filter.clone());
        self.pool
            .run(call.deadline, move || {
                let ready = schemas.of(call.store, names_view.as_ref())?;
                ready.schema().check_filter(&filter)?;
                check_stored(ready.schema(), &filter)
            })
            .await?;

        let (outlet, pages) = Outlet::new(PAGES_AHEAD, self.stream_terms(call, pages::ADVICE));
        let limit = if request.limit == 0 { usize::MAX } else { request.limit };
        let shape = move |tuples: Vec<Tuple>| {
            let with_cursor = |tuple: Tuple| {
                let cursor = Cursor::after(zookie, digest, Place::Tuple(tuple.key.clone())).encode();
                TupleWithCursor { tuple, cursor }
            };
            tuples.into_iter().map(with_cursor).collect()
        };
        let pager = self.pager(view, request.filter)?;
        tokio::spawn(pager.run(outlet, Extent { after, page_tuples: PAGE_TUPLES, limit }, shape));
        Ok(TupleStream { zookie, raised, pages })
    }

    pub(super) fn pager(&self, view: Arc<dyn ReadView>, filter: TupleFilter) -> Result<Pager, Error> {
        Ok(Pager {
            pool: self.pool.clone(),
            page_timeout: self.limits.request_timeout,
            view,
            filter: Arc::new(filter),
            clock: self.clock()?,
        })
    }
}

/// What a filter can find objects of.
pub(super) fn scope(filter: &TupleFilter) -> Scope<'_> {
    filter.resource_type.as_ref().map_or(Scope::Everything, Scope::Type)
}

/// A permission holds no tuples: whoever reads them by its name has mistaken it for a relation.
fn check_stored(schema: &Schema, filter: &TupleFilter) -> Result<(), Error> {
    let definition = filter.resource_type.as_ref().and_then(|name| schema.definitions.get(name));
    let member = filter.relation.as_ref().and_then(|name| definition?.members.get(name));
    match (member, &filter.relation) {
        (Some(Member::Permission(_)), Some(name)) => {
            let message =
                format!("`{name}` is a permission, of which no relationships are stored; read a relation of it");
            Err(Error::new(ErrorCode::SchemaType, message).with("permission_name", name))
        }
        (Some(Member::Permission(_) | Member::Relation(_)) | None, _) => Ok(()),
    }
}
