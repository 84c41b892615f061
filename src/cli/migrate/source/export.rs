//! All relationships of one state, in pages, from a place on.
//!
//! Three calls can do it, and not every server has each: the bulk export, the same under its earlier name, and reading type by
//! type. The first that is served is used. A place remembers which, since each has cursors of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tonic::{Code, Streaming};

use super::exactly;
use crate::cli::call_error::CallError;
use crate::cli::connection::Connection;
use crate::wire::authzed::v1::{
    BulkExportRelationshipsRequest, BulkExportRelationshipsResponse, Cursor, ExportBulkRelationshipsRequest,
    ExportBulkRelationshipsResponse, ReadRelationshipsRequest, ReadRelationshipsResponse, Relationship,
    RelationshipFilter,
};

/// Relationships in one page: as many as one write takes.
const PAGE: u32 = 1000;

/// By which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    ExportBulk,
    BulkExport,
    ByType,
}

/// Behind a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli::migrate) struct Place {
    way: Way,
    /// Where pages are of one type: which.
    object_type: Option<String>,
    /// Absent before the first page of a type.
    cursor: Option<String>,
}

/// Some relationships.
#[derive(Debug)]
pub(in crate::cli::migrate) struct Page {
    pub(in crate::cli::migrate) relationships: Vec<Relationship>,
    /// For what follows.
    pub(in crate::cli::migrate) place: Place,
}

enum Stream {
    ExportBulk(Streaming<ExportBulkRelationshipsResponse>),
    BulkExport(Streaming<BulkExportRelationshipsResponse>),
    ByType(Streaming<ReadRelationshipsResponse>),
}

/// The pages of one state.
pub(in crate::cli::migrate) struct Pages {
    connection: Arc<Connection>,
    token: String,
    place: Place,
    /// Types that are still to be read, where pages are of one type.
    types: VecDeque<String>,
    stream: Option<Stream>,
    ended: bool,
}

impl Pages {
    pub(super) fn new(connection: Arc<Connection>, token: &str, types: &[String], place: Option<Place>) -> Self {
        let place = place.unwrap_or(Place { way: Way::ExportBulk, object_type: None, cursor: None });
        let mut types: VecDeque<String> = types.iter().cloned().collect();
        if let Some(at) = &place.object_type {
            while types.pop_front().is_some_and(|read| read != *at) {}
        }
        Self { connection, token: token.to_owned(), place, types, stream: None, ended: false }
    }

    /// The next page; `None` at the end. After an error that may pass, asking again goes on behind the last page.
    pub(in crate::cli::migrate) async fn next(&mut self) -> Result<Option<Page>, CallError> {
        while !self.ended {
            let Some(stream) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            let read = match stream {
                Stream::ExportBulk(stream) => {
                    stream.message().await.map(|page| page.map(|page| (page.relationships, page.after_result_cursor)))
                }
                Stream::BulkExport(stream) => {
                    stream.message().await.map(|page| page.map(|page| (page.relationships, page.after_result_cursor)))
                }
                Stream::ByType(stream) => gather(stream).await,
            };
            match read {
                // Servers that do not know the call may say so only here.
                Err(status) if status.code() == Code::Unimplemented && self.place.cursor.is_none() => {
                    self.other_way(CallError::in_stream(status))?;
                }
                Err(status) => {
                    self.stream = None;
                    return Err(CallError::in_stream(status));
                }
                Ok(None) => self.end_of_stream(),
                Ok(Some((relationships, cursor))) => {
                    self.place.cursor = cursor.map(|cursor| cursor.token);
                    if !relationships.is_empty() {
                        return Ok(Some(Page { relationships, place: self.place.clone() }));
                    }
                }
            }
        }
        Ok(None)
    }

    fn end_of_stream(&mut self) {
        self.stream = None;
        if self.place.way == Way::ByType {
            self.next_type();
        } else {
            self.ended = true;
        }
    }

    fn next_type(&mut self) {
        self.place.cursor = None;
        self.place.object_type = self.types.pop_front();
        self.ended = self.place.object_type.is_none();
    }

    /// The next call that may do it, after one that is not served; `error` where there is none.
    fn other_way(&mut self, error: CallError) -> Result<(), CallError> {
        self.stream = None;
        match self.place.way {
            Way::ExportBulk => self.place.way = Way::BulkExport,
            Way::BulkExport => {
                self.place.way = Way::ByType;
                self.next_type();
            }
            Way::ByType => return Err(error),
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<(), CallError> {
        let consistency = Some(exactly(&self.token));
        let optional_cursor = self.place.cursor.clone().map(|token| Cursor { token });
        let opened = match self.place.way {
            Way::ExportBulk => {
                let request = ExportBulkRelationshipsRequest {
                    consistency,
                    optional_limit: PAGE,
                    optional_cursor,
                    ..Default::default()
                };
                let call = self.connection.read(|node| {
                    let request = request.clone();
                    async move { node.permissions().export_bulk_relationships(request).await }
                });
                call.await.map(Stream::ExportBulk)
            }
            Way::BulkExport => {
                let request = BulkExportRelationshipsRequest {
                    consistency,
                    optional_limit: PAGE,
                    optional_cursor,
                    ..Default::default()
                };
                let call = self.connection.read(|node| {
                    let request = request.clone();
                    async move { node.experimental().bulk_export_relationships(request).await }
                });
                call.await.map(Stream::BulkExport)
            }
            Way::ByType => {
                let relationship_filter = Some(RelationshipFilter {
                    resource_type: self.place.object_type.clone().unwrap_or_default(),
                    ..RelationshipFilter::default()
                });
                let request = ReadRelationshipsRequest {
                    consistency,
                    relationship_filter,
                    optional_cursor,
                    ..Default::default()
                };
                let call = self.connection.read(|node| {
                    let request = request.clone();
                    async move { node.permissions().read_relationships(request).await }
                });
                call.await.map(Stream::ByType)
            }
        };
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                Ok(())
            }
            Err(error) if error.code() == Code::Unimplemented && self.place.cursor.is_none() => self.other_way(error),
            Err(error) => Err(error),
        }
    }
}

type Gathered = Option<(Vec<Relationship>, Option<Cursor>)>;

/// A page of what comes one by one.
async fn gather(stream: &mut Streaming<ReadRelationshipsResponse>) -> Result<Gathered, tonic::Status> {
    let (mut relationships, mut cursor) = (Vec::new(), None);
    while relationships.len() < PAGE as usize {
        let Some(item) = stream.message().await? else { break };
        relationships.extend(item.relationship);
        cursor = item.after_result_cursor;
    }
    Ok((!relationships.is_empty()).then_some((relationships, cursor)))
}
