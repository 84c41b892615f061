//! What one side has and the other has not, one by one, as far as that is bounded, and asked for again until it settles.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Sides;
use super::fingerprint::{Fingerprint, bucket, hash, text};
use crate::cli::failure::Failure;
use crate::cli::migrate::copy::ahead;
use crate::cli::migrate::destination::types_of;
use crate::wire::authzed::v1::subject_filter::RelationFilter;
use crate::wire::authzed::v1::{Relationship, RelationshipFilter, SubjectFilter};

/// Parts that are looked at again, and relationships in them that are kept meanwhile.
const MOST_BUCKETS: usize = 256;
const MOST_KEPT: usize = 500_000;
/// Differences that are asked for again one by one.
const MOST_ASKED: usize = 1000;
/// Between two times.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) only_source: Vec<String>,
    pub(super) only_here: Vec<String>,
    /// There are more than were looked at.
    pub(super) more: bool,
    /// Those that were gone when they were asked for again.
    pub(super) settled: usize,
}

/// A relationship that only one side told of.
struct Candidate {
    text: String,
    relationship: Relationship,
}

impl Differences {
    pub(super) fn is_empty(&self) -> bool {
        self.only_source.is_empty() && self.only_here.is_empty() && !self.more
    }

    /// Looks for what makes the sums of the two sides differ.
    pub(super) async fn find(
        sides: &Sides<'_>,
        there: &Fingerprint,
        here: &Fingerprint,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let mut buckets = there.differing(here);
        if buckets.is_empty() {
            return Ok(Self::default());
        }
        let mut found = Self { more: buckets.len() > MOST_BUCKETS, ..Self::default() };
        buckets.truncate(MOST_BUCKETS);
        let of_source = members(sides, true, &buckets, patience).await?;
        let of_here = members(sides, false, &buckets, patience).await?;
        let (Some(mut of_source), Some(mut of_here)) = (of_source, of_here) else {
            return Ok(Self { more: true, ..found });
        };
        of_source.retain(|text, _| of_here.remove(text).is_none());
        let mut candidates: Vec<Candidate> =
            of_source.into_iter().chain(of_here).map(|(text, relationship)| Candidate { text, relationship }).collect();
        candidates.sort_by(|one, other| one.text.cmp(&other.text));
        found.more |= candidates.len() > MOST_ASKED;
        candidates.truncate(MOST_ASKED);
        found.settle(sides, candidates).await?;
        Ok(found)
    }

    /// Asks both sides for each candidate, until they agree or there is no more time.
    async fn settle(&mut self, sides: &Sides<'_>, mut candidates: Vec<Candidate>) -> Result<(), Failure> {
        let deadline = Instant::now() + sides.settle;
        let asked = candidates.len();
        loop {
            (self.only_source, self.only_here) = (Vec::new(), Vec::new());
            let mut left = Vec::new();
            for candidate in candidates {
                let (there, here) = (find(sides, true, &candidate).await?, find(sides, false, &candidate).await?);
                if there == here {
                    continue;
                }
                self.only_source.extend(there);
                self.only_here.extend(here);
                left.push(candidate);
            }
            // Each side may have told of the same relationship with other limits.
            for found in [&mut self.only_source, &mut self.only_here] {
                found.sort();
                found.dedup();
            }
            self.settled = asked - left.len();
            if left.is_empty() || Instant::now() > deadline {
                return Ok(());
            }
            candidates = left;
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// The relationships of one side that belong to `buckets`, by their texts; `None` where there are too many.
async fn members(
    sides: &Sides<'_>,
    is_source: bool,
    buckets: &[usize],
    patience: Duration,
) -> Result<Option<HashMap<String, Relationship>>, Failure> {
    let side = if is_source { sides.source } else { sides.here };
    let head = side.head().await.map_err(|error| sides.explain(is_source, error))?;
    let Some(head) = head else { return Ok(Some(HashMap::new())) };
    let mut pages = ahead(side.export(&head.token, &types_of(&head.schema)?, None), patience);
    let mut found = HashMap::new();
    while let Some(page) = pages.recv().await {
        for relationship in page.map_err(|error| sides.explain(is_source, error))?.relationships {
            let text = text(&relationship);
            if buckets.binary_search(&bucket(hash(&text))).is_ok() {
                found.insert(text, relationship);
            }
        }
        if found.len() > MOST_KEPT {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// What one side has in place of `candidate` now.
async fn find(sides: &Sides<'_>, is_source: bool, candidate: &Candidate) -> Result<Option<String>, Failure> {
    let relationship = &candidate.relationship;
    let resource = relationship.resource.clone().unwrap_or_default();
    let subject = relationship.subject.clone().unwrap_or_default();
    let object = subject.object.unwrap_or_default();
    let filter = RelationshipFilter {
        resource_type: resource.object_type,
        optional_resource_id: resource.object_id,
        optional_relation: relationship.relation.clone(),
        optional_subject_filter: Some(SubjectFilter {
            subject_type: object.object_type,
            optional_subject_id: object.object_id,
            // Empty: only a subject without a relation.
            optional_relation: Some(RelationFilter { relation: subject.optional_relation }),
        }),
        ..RelationshipFilter::default()
    };
    let side = if is_source { sides.source } else { sides.here };
    match side.find(filter, 1).await {
        Ok(found) => Ok(found.first().map(text)),
        // A type or a relation that only the other side knows.
        Err(error) if error.code() == tonic::Code::FailedPrecondition => Ok(None),
        Err(error) => Err(sides.explain(is_source, error)),
    }
}
