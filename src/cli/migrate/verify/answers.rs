//! Whether both sides answer alike: for a sample of relationships, whether their subjects, and those of others, have each
//! relation and permission of the resource.

use std::time::Instant;

use super::Sides;
use super::fingerprint::subject_text;
use super::sample::Sample;
use crate::cli::failure::Failure;
use crate::cli::reference::wire_object_to_text;
use crate::schema::spicedb;
use crate::wire::authzed::v1::check_bulk_permissions_pair::Response;
use crate::wire::authzed::v1::check_permission_response::Permissionship;
use crate::wire::authzed::v1::{CheckBulkPermissionsPair, CheckBulkPermissionsRequestItem, Relationship};

/// Checks of one request.
const CHECKS_PER_REQUEST: usize = 100;
/// Between two times that answers which differ are asked for again.
const ASK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// How the answers stand to each other.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Checks that both sides answered.
    pub(super) compared: u64,
    /// Checks that one of them did not, which proves nothing.
    pub(super) without_answer: u64,
    /// For a person: which check, and both answers.
    pub(super) differ: Vec<String>,
}

/// An answer, as far as it is compared. `None` where there is none.
type Answer = Option<(Permissionship, Vec<String>)>;

impl Answers {
    /// Puts as many checks to both sides as `sample` was made for.
    pub(super) async fn compare(sides: &Sides<'_>, schema: &str, sample: Sample) -> Result<Self, Failure> {
        let items = questions(schema, &sample.into_vec())?;
        let mut answers = Self::default();
        for items in items.chunks(CHECKS_PER_REQUEST) {
            answers.ask(sides, items).await?;
        }
        Ok(answers)
    }

    async fn ask(&mut self, sides: &Sides<'_>, items: &[CheckBulkPermissionsRequestItem]) -> Result<(), Failure> {
        let deadline = Instant::now() + sides.settle;
        let mut items = items.to_vec();
        loop {
            let there = ask(sides, true, &items).await?;
            let here = ask(sides, false, &items).await?;
            let may_wait = Instant::now() < deadline;
            let mut again = Vec::new();
            for ((item, there), here) in items.into_iter().zip(there).zip(here) {
                match (there, here) {
                    (Some(there), Some(here)) if there == here => self.compared += 1,
                    (Some(_), Some(_)) if may_wait => again.push(item),
                    (Some(there), Some(here)) => {
                        self.compared += 1;
                        self.differ.push(format!("{}: {} there, {} here", question(&item), show(&there), show(&here)));
                    }
                    _ => self.without_answer += 1,
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            items = again;
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// The checks: each member of the type of a resource, for its own subject and for that of the next relationship.
fn questions(schema: &str, sample: &[Relationship]) -> Result<Vec<CheckBulkPermissionsRequestItem>, Failure> {
    let schema = spicedb::parse(schema).map_err(|error| Failure::new(error.to_string()))?;
    let mut items = Vec::new();
    for (at, relationship) in sample.iter().enumerate() {
        if items.len() >= sample.len() {
            break;
        }
        let Some(resource) = &relationship.resource else { continue };
        let members = schema.definitions.iter().find(|(name, _)| name.as_str() == resource.object_type);
        for subject_of in [relationship, &sample[(at + 1) % sample.len()]] {
            // A wildcard stands for many and is no subject to ask about.
            if subject_text(subject_of).ends_with(":*") {
                continue;
            }
            let names = members.iter().flat_map(|(_, definition)| definition.members.keys());
            items.extend(names.map(|name| CheckBulkPermissionsRequestItem {
                resource: Some(resource.clone()),
                permission: name.to_string(),
                subject: subject_of.subject.clone(),
                context: None,
            }));
        }
    }
    items.truncate(sample.len());
    Ok(items)
}

async fn ask(
    sides: &Sides<'_>,
    is_source: bool,
    items: &[CheckBulkPermissionsRequestItem],
) -> Result<Vec<Answer>, Failure> {
    let side = if is_source { sides.source } else { sides.here };
    let answer = side.check(items.to_vec()).await.map_err(|error| sides.explain(is_source, error))?;
    if answer.pairs.len() != items.len() {
        return Err(Failure::new("a side answered another number of checks than it was asked"));
    }
    Ok(answer.pairs.into_iter().map(to_answer).collect())
}

fn to_answer(pair: CheckBulkPermissionsPair) -> Answer {
    let Some(Response::Item(item)) = pair.response else { return None };
    let mut missing =
        item.partial_caveat_info.as_ref().map(|it| it.missing_required_context.clone()).unwrap_or_default();
    missing.sort();
    Some((item.permissionship(), missing))
}

fn question(item: &CheckBulkPermissionsRequestItem) -> String {
    let subject = crate::cli::reference::wire_subject_to_text(item.subject.clone().unwrap_or_default());
    format!("{}#{}@{subject}", wire_object_to_text(item.resource.clone()), item.permission)
}

fn show((permissionship, missing): &(Permissionship, Vec<String>)) -> String {
    match permissionship {
        Permissionship::HasPermission => "allowed".to_owned(),
        Permissionship::NoPermission => "denied".to_owned(),
        Permissionship::ConditionalPermission => format!("conditional, for want of {}", missing.join(", ")),
        Permissionship::Unspecified => "no answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reference::{parse_tuple, relationship_to_wire};

    #[test]
    fn a_sample_is_asked_about_in_every_way_and_with_the_subject_of_another() {
        let schema =
            "definition user {}\ndefinition doc {\n relation viewer: user | user:*\n permission view = viewer\n}";
        let texts = ["doc:1#viewer@user:a", "doc:2#viewer@user:*", "doc:3#viewer@user:b", "doc:4#viewer@user:c"];
        let mut sample: Vec<Relationship> =
            texts.map(|text| relationship_to_wire(&parse_tuple(text).expect("a relationship"))).to_vec();
        sample.extend(sample.clone());
        let asked: Vec<String> = questions(schema, &sample).expect("a schema").iter().map(question).collect();
        let expected = [
            "doc:1#view@user:a",
            "doc:1#viewer@user:a",
            "doc:2#view@user:b",
            "doc:2#viewer@user:b",
            "doc:3#view@user:b",
            "doc:3#viewer@user:b",
            "doc:3#view@user:c",
            "doc:3#viewer@user:c",
        ];
        assert_eq!(asked, expected);
    }
}
