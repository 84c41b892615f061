//! Reads of every kind and mode. What comes in parts is read to its end, page after page, each page at another node, and all
//! parts must name one state.

use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request as Rpc, Status};

use super::client::{Client, Trouble, ascii};
use super::convert::{object, relationship_from_wire, subject_to_wire, tree_from_wire};
use super::wire::authzed::api::v1 as api;
use super::wire::authzed::api::v1::permissions_service_client::PermissionsServiceClient;
use super::wire::quorate::v1::ContentChangeCheckRequest;
use super::wire::quorate::v1::consistency_service_client::ConsistencyServiceClient;
use super::zookie::Zookie;
use crate::history::{Answer, Beside, Mode, Relationship, Subject};

const NODE_APPLIED: &str = "quorate-applied";
const RAISED: &str = "quorate-consistency-raised";
const MAX_STALENESS: &str = "quorate-max-staleness";
const MAX_LAG: &str = "quorate-max-lag";

/// Page after page until one is not full: the first from one node, the others from all of `nodes` in turn.
struct Pages<'a> {
    nodes: &'a [Client],
    size: Option<u32>,
    /// The node and the cursor of the next page.
    next: Option<(&'a Client, Option<api::Cursor>)>,
    read: usize,
}

impl<'a> Pages<'a> {
    fn of(first: &'a Client, size: Option<u32>, nodes: &'a [Client]) -> Self {
        Self { nodes, size, next: Some((first, None)), read: 0 }
    }

    /// Where to ask for what.
    fn next(&mut self) -> Option<(&'a Client, Option<api::Cursor>)> {
        self.next.take()
    }

    /// So many rows were on the page, and after the last of them it goes on there.
    fn was(&mut self, rows: usize, after: Option<api::Cursor>) {
        let node = self.nodes.get(self.read % self.nodes.len().max(1));
        self.read += 1;
        if let (Some(size), Some(node), Some(after)) = (self.size, node, after)
            && rows >= size as usize
        {
            self.next = Some((node, Some(after)));
        }
    }
}

/// The one state that all parts of an answer name.
#[derive(Default)]
struct OneState {
    index: Option<u64>,
}

impl OneState {
    fn note(&mut self, index: u64) -> Result<(), Trouble> {
        match self.index.replace(index) {
            Some(before) if before != index => {
                Err(Trouble::Nonsense(format!("parts of one answer are of the states {before} and {index}")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Client {
    pub(super) async fn check(&self, mode: Mode, questions: &[Relationship]) -> Result<Answer, Trouble> {
        let mut permissions = PermissionsServiceClient::new(self.channel.clone());
        if let [question] = questions {
            let message = api::CheckPermissionRequest {
                consistency: self.consistency(mode),
                resource: Some(object(&question.kind, &question.id)),
                permission: question.relation.clone(),
                subject: Some(subject_to_wire(&question.subject)),
                ..Default::default()
            };
            let response = permissions.check_permission(self.read(message, mode)).await?;
            let beside = beside(response.metadata());
            let response = response.into_inner();
            let allowed = vec![is_allowed(response.permissionship())];
            return Ok(Answer::Decided { index: self.index(response.checked_at.as_ref())?, beside, allowed });
        }
        let item = |question: &Relationship| api::CheckBulkPermissionsRequestItem {
            resource: Some(object(&question.kind, &question.id)),
            permission: question.relation.clone(),
            subject: Some(subject_to_wire(&question.subject)),
            ..Default::default()
        };
        let items = questions.iter().map(item).collect();
        let message =
            api::CheckBulkPermissionsRequest { consistency: self.consistency(mode), items, with_tracing: false };
        let response = permissions.check_bulk_permissions(self.read(message, mode)).await?;
        let beside = beside(response.metadata());
        let response = response.into_inner();
        let mut allowed = Vec::with_capacity(questions.len());
        for pair in &response.pairs {
            match &pair.response {
                Some(api::check_bulk_permissions_pair::Response::Item(item)) => {
                    allowed.push(is_allowed(item.permissionship()));
                }
                Some(api::check_bulk_permissions_pair::Response::Error(error)) => {
                    return Err(part(error).into());
                }
                None => return Err(Trouble::Nonsense("part of a bulk check has no answer".to_owned())),
            }
        }
        Ok(Answer::Decided { index: self.index(response.checked_at.as_ref())?, beside, allowed })
    }

    pub(super) async fn content_check(&self, question: &Relationship) -> Result<Answer, Trouble> {
        let message = ContentChangeCheckRequest {
            resource: Some(object(&question.kind, &question.id)),
            permission: question.relation.clone(),
            subject: Some(subject_to_wire(&question.subject)),
            context: None,
        };
        let mut service = ConsistencyServiceClient::new(self.channel.clone());
        let response = service.content_change_check(self.read(message, Mode::Full)).await?;
        let beside = beside(response.metadata());
        let response = response.into_inner();
        let allowed = vec![is_allowed(response.permissionship())];
        Ok(Answer::Decided { index: self.index(response.zookie.as_ref())?, beside, allowed })
    }

    pub(super) async fn list(
        &self,
        mode: Mode,
        (kind, id): (&str, Option<&str>),
        page: Option<u32>,
        nodes: &[Self],
    ) -> Result<Answer, Trouble> {
        let filter = api::RelationshipFilter {
            resource_type: kind.to_owned(),
            optional_resource_id: id.unwrap_or_default().to_owned(),
            ..Default::default()
        };
        let (mut state, mut first, mut relationships) = (OneState::default(), None, Vec::new());
        let mut pages = Pages::of(self, page, nodes);
        while let Some((node, cursor)) = pages.next() {
            let message = api::ReadRelationshipsRequest {
                consistency: self.consistency(mode),
                relationship_filter: Some(filter.clone()),
                optional_limit: page.unwrap_or_default(),
                optional_cursor: cursor,
            };
            let mut permissions = PermissionsServiceClient::new(node.channel.clone());
            let response = permissions.read_relationships(self.read(message, mode)).await?;
            let mut said = beside(response.metadata());
            let (mut stream, mut rows, mut after) = (response.into_inner(), 0, None);
            while let Some(row) = stream.message().await? {
                state.note(self.index(row.read_at.as_ref())?)?;
                relationships.extend(row.relationship.as_ref().and_then(relationship_from_wire));
                (rows, after) = (rows + 1, row.after_result_cursor);
            }
            said.applied = stream.trailers().await?.as_ref().and_then(applied_of);
            first.get_or_insert(said);
            pages.was(rows, after);
        }
        Ok(Answer::Listed { index: state.index, beside: first.unwrap_or_default(), relationships })
    }

    pub(super) async fn resources(
        &self,
        mode: Mode,
        (kind, permission): (&str, &str),
        user: &str,
        page: Option<u32>,
        nodes: &[Self],
    ) -> Result<Answer, Trouble> {
        let (mut state, mut first, mut ids) = (OneState::default(), None, Vec::new());
        let mut pages = Pages::of(self, page, nodes);
        while let Some((node, cursor)) = pages.next() {
            let message = api::LookupResourcesRequest {
                consistency: self.consistency(mode),
                resource_object_type: kind.to_owned(),
                permission: permission.to_owned(),
                subject: Some(subject_to_wire(&Subject::user(user))),
                optional_limit: page.unwrap_or_default(),
                optional_cursor: cursor,
                ..Default::default()
            };
            let mut permissions = PermissionsServiceClient::new(node.channel.clone());
            let response = permissions.lookup_resources(self.read(message, mode)).await?;
            let mut said = beside(response.metadata());
            let (mut stream, mut rows, mut after) = (response.into_inner(), 0, None);
            while let Some(row) = stream.message().await? {
                state.note(self.index(row.looked_up_at.as_ref())?)?;
                ids.push(row.resource_object_id);
                (rows, after) = (rows + 1, row.after_result_cursor);
            }
            said.applied = stream.trailers().await?.as_ref().and_then(applied_of);
            first.get_or_insert(said);
            pages.was(rows, after);
        }
        Ok(Answer::Found { index: state.index, beside: first.unwrap_or_default(), ids })
    }

    pub(super) async fn subjects(
        &self,
        mode: Mode,
        (kind, id): (&str, &str),
        permission: &str,
    ) -> Result<Answer, Trouble> {
        let message = api::LookupSubjectsRequest {
            consistency: self.consistency(mode),
            resource: Some(object(kind, id)),
            permission: permission.to_owned(),
            subject_object_type: "user".to_owned(),
            ..Default::default()
        };
        let mut permissions = PermissionsServiceClient::new(self.channel.clone());
        let response = permissions.lookup_subjects(self.read(message, mode)).await?;
        let mut said = beside(response.metadata());
        let mut stream = response.into_inner();
        let (mut state, mut ids) = (OneState::default(), Vec::new());
        while let Some(row) = stream.message().await? {
            state.note(self.index(row.looked_up_at.as_ref())?)?;
            let lacking = || Trouble::Nonsense("a subject that was found is not named".to_owned());
            ids.push(row.subject.ok_or_else(lacking)?.subject_object_id);
        }
        said.applied = stream.trailers().await?.as_ref().and_then(applied_of);
        Ok(Answer::Found { index: state.index, beside: said, ids })
    }

    pub(super) async fn expand(
        &self,
        mode: Mode,
        (kind, id): (&str, &str),
        permission: &str,
    ) -> Result<Answer, Trouble> {
        let message = api::ExpandPermissionTreeRequest {
            consistency: self.consistency(mode),
            resource: Some(object(kind, id)),
            permission: permission.to_owned(),
        };
        let mut permissions = PermissionsServiceClient::new(self.channel.clone());
        let response = permissions.expand_permission_tree(self.read(message, mode)).await?;
        let beside = beside(response.metadata());
        let response = response.into_inner();
        let tree = response.tree_root.as_ref().and_then(tree_from_wire);
        let tree = tree.ok_or_else(|| Trouble::Nonsense("an expansion without a whole tree".to_owned()))?;
        Ok(Answer::Expanded { index: self.index(response.expanded_at.as_ref())?, beside, tree })
    }

    fn consistency(&self, mode: Mode) -> Option<api::Consistency> {
        use api::consistency::Requirement;
        let token = |index: u64| api::ZedToken { token: Zookie { lineage: self.lineage, index }.encode() };
        let requirement = match mode {
            Mode::Full => Requirement::FullyConsistent(true),
            Mode::Fresh(known) => Requirement::AtLeastAsFresh(token(known.index)),
            Mode::Exact(known) => Requirement::AtExactSnapshot(token(known.index)),
            Mode::Stale(_) | Mode::Lag(_) | Mode::Minimal => Requirement::MinimizeLatency(true),
        };
        Some(api::Consistency { requirement: Some(requirement) })
    }

    fn read<T>(&self, message: T, mode: Mode) -> Rpc<T> {
        let mut rpc = self.timed(message);
        match mode {
            Mode::Stale(ms) => {
                rpc.metadata_mut().insert(MAX_STALENESS, ascii(&format!("{ms}ms")));
            }
            Mode::Lag(entries) => {
                rpc.metadata_mut().insert(MAX_LAG, ascii(&entries.to_string()));
            }
            Mode::Full | Mode::Fresh(_) | Mode::Exact(_) | Mode::Minimal => {}
        }
        rpc
    }
}

/// The error of a part of a bulk check, with its reason, as if all of it had failed.
fn part(error: &tonic_types::Status) -> Status {
    Status::with_details(Code::from(error.code), error.message.clone(), error.encode_to_vec().into())
}

fn applied_of(metadata: &MetadataMap) -> Option<u64> {
    metadata.get(NODE_APPLIED)?.to_str().ok()?.parse().ok()
}

fn beside(metadata: &MetadataMap) -> Beside {
    let raised = metadata.get(RAISED).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Beside { applied: applied_of(metadata), raised }
}

fn is_allowed(permissionship: api::check_permission_response::Permissionship) -> bool {
    permissionship == api::check_permission_response::Permissionship::HasPermission
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;
    use crate::cluster::failure_of;

    #[test]
    fn a_part_of_a_bulk_check_fails_for_its_own_reason() {
        let details = ErrorDetails::with_error_info("ERROR_REASON_UNKNOWN_DEFINITION", "authzed.com", []);
        let whole = Status::with_error_details(Code::FailedPrecondition, "no such type", details);
        let error = tonic_types::Status::decode(whole.details()).unwrap();
        let failure = failure_of(&part(&error));
        assert_eq!((failure.reason.as_str(), failure.message.as_str()), ("UNKNOWN_DEFINITION", "no such type"));
    }
}
