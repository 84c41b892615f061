//! `quorate relationship read`: relationships that match a filter.
//!
//! A person gets a table; a pipe gets one relationship a line, which `quorate relationship import` reads back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::call_error::CallError;
use crate::cli::connection::ConnectionArgs;
use crate::cli::consistency::ConsistencyArgs;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{Output, is_terminal, note, table};
use crate::cli::reference::Shown;
use crate::model::limits;
use crate::wire::authzed::v1::subject_filter::RelationFilter;
use crate::wire::authzed::v1::{ReadRelationshipsRequest, RelationshipFilter, SubjectFilter};

const EXAMPLES: &str = "\
Examples:
  quorate relationship read --resource-type document
  quorate relationship read --resource-type document --resource-id readme --relation viewer --json
  quorate relationship read --subject-type user --subject-id emil --consistency full
  quorate relationship read --resource-type document > documents.txt
  quorate relationship read --resource-type folder --consistency exact --zookie GhUKEzE3 > folders.txt

On a terminal a short list is a table. Elsewhere there is one relationship a line, as `import` reads it. A list is of one
state, whose zookie is told on standard error; with `exact` another list can be of the same state.";

/// A listing can be long; the deadline is for all of it.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Rows of a table must all be known before the first is shown.
const LONGEST_TABLE: usize = 1000;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReadArgs {
    /// Only resources of this type
    #[arg(long, value_name = "TYPE", help_heading = "Filter")]
    resource_type: Option<String>,
    /// Only the resource with this id
    #[arg(long, value_name = "ID", help_heading = "Filter")]
    resource_id: Option<String>,
    /// Only resources whose id begins so
    #[arg(long, value_name = "PREFIX", conflicts_with = "resource_id", help_heading = "Filter")]
    resource_id_prefix: Option<String>,
    /// Only this relation
    #[arg(long, help_heading = "Filter")]
    relation: Option<String>,
    /// Only subjects of this type
    #[arg(long, value_name = "TYPE", help_heading = "Filter")]
    subject_type: Option<String>,
    /// Only the subject with this id
    #[arg(long, value_name = "ID", requires = "subject_type", help_heading = "Filter")]
    subject_id: Option<String>,
    /// Only subjects with this relation; empty: only subjects without one
    #[arg(long, value_name = "RELATION", requires = "subject_type", help_heading = "Filter")]
    subject_relation: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    consistency: ConsistencyArgs,
}

impl ReadArgs {
    fn filter(&self) -> RelationshipFilter {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let optional_subject_filter = self.subject_type.as_ref().map(|subject_type| SubjectFilter {
            subject_type: subject_type.clone(),
            optional_subject_id: text(&self.subject_id),
            optional_relation: self.subject_relation.clone().map(|relation| RelationFilter { relation }),
        });
        RelationshipFilter {
            resource_type: text(&self.resource_type),
            optional_resource_id: text(&self.resource_id),
            optional_resource_id_prefix: text(&self.resource_id_prefix),
            optional_relation: text(&self.relation),
            optional_subject_filter,
        }
    }

    fn request(&self) -> Result<ReadRelationshipsRequest, Failure> {
        let filter = self.filter();
        if filter == RelationshipFilter::default() {
            return Err(Failure::usage("name at least one part to look for, for example --resource-type document"));
        }
        // A server takes limits up to a bound; beyond it the listing is unlimited and cut off here.
        let limit =
            self.limit.and_then(|limit| u32::try_from(limit).ok()).filter(|l| *l as usize <= limits::READ_LIMIT);
        Ok(ReadRelationshipsRequest {
            consistency: Some(self.consistency.to_wire()?),
            relationship_filter: Some(filter),
            optional_limit: limit.unwrap_or(0),
            optional_cursor: None,
        })
    }
}

pub(super) async fn run(connection: &ConnectionArgs, args: ReadArgs) -> Result<Exit, Failure> {
    let request = args.request()?;
    let cluster = connection.open(TIMEOUT)?;
    let mut stream = cluster
        .read(|node| {
            let request = request.clone();
            async move { node.permissions().read_relationships(request).await }
        })
        .await?;
    let mut listing = Listing::new(connection.json);
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut zookie = None;
    while left > 0 && !listing.output.is_abandoned() {
        let Some(item) = stream.message().await.map_err(CallError::in_stream)? else {
            break;
        };
        zookie = zookie.or(item.read_at);
        listing.add(Shown::of(item.relationship.unwrap_or_default()))?;
        left -= 1;
    }
    listing.finish()?;
    if let Some(zookie) = zookie {
        note(format_args!("zookie: {}", zookie.token));
    }
    Ok(Exit::Done)
}

/// A table as long as it is short enough to be one.
struct Listing {
    output: Output,
    as_json: bool,
    rows: Option<Vec<Shown>>,
}

impl Listing {
    fn new(as_json: bool) -> Self {
        Self { output: Output::new(), as_json, rows: (is_terminal() && !as_json).then(Vec::new) }
    }

    fn add(&mut self, row: Shown) -> Result<(), Failure> {
        let Some(rows) = &mut self.rows else {
            return self.line(row);
        };
        rows.push(row);
        if rows.len() > LONGEST_TABLE {
            for row in std::mem::take(&mut self.rows).unwrap_or_default() {
                self.line(row)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, row: Shown) -> Result<(), Failure> {
        if self.as_json {
            return self.output.json(&to_json(row));
        }
        self.output.line(row)
    }

    fn finish(mut self) -> Result<(), Failure> {
        match self.rows.take() {
            Some(rows) if rows.is_empty() => self.output.line("no relationships match")?,
            Some(rows) => {
                let mut listed = table(&["RESOURCE", "RELATION", "SUBJECT"]);
                listed.add_rows(rows.into_iter().map(|row| {
                    let limits = row.limits();
                    [row.resource, row.relation, row.subject + &limits]
                }));
                self.output.table(&listed)?;
            }
            None => {}
        }
        self.output.flush()
    }
}

/// For programs. What limits nothing is left out.
fn to_json(row: Shown) -> Value {
    let mut json = json!({ "resource": row.resource, "relation": row.relation, "subject": row.subject });
    if let Some((name, context)) = row.caveat {
        let context: Value = serde_json::from_str(&context).unwrap_or(json!({}));
        json["caveat"] = json!({ "name": name, "context": context });
    }
    if let Some(time) = row.expires_at {
        json["expires_at"] = json!(time);
    }
    json
}
