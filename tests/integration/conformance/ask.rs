//! Every way to ask whether an assertion holds: checks, bulk checks, expanded trees and both lookups.

use std::collections::{BTreeMap, BTreeSet};

use tonic::Status;

use super::case::{Assertion, Verdict};
use super::tree::{Forest, Judge, userset_text, usersets};
use crate::harness::wire::authzed::check_bulk_permissions_pair::Response;
use crate::harness::wire::authzed::check_permission_response::Permissionship;
use crate::harness::wire::authzed::{
    CheckBulkPermissionsRequest, CheckBulkPermissionsRequestItem, CheckPermissionRequest, ExpandPermissionTreeRequest,
    LookupPermissionship, LookupResourcesRequest, LookupSubjectsRequest, ObjectReference, PermissionRelationshipTree,
    SubjectReference, ZedToken,
};
use crate::harness::{Client, at_least, check_item};

/// More pages, or more trees, than any case has; then something does not come to an end.
const MOST_STEPS: usize = 10_000;

/// A way to ask.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Check,
    Bulk,
    Expand,
    /// With the size of a page; zero is all at once.
    Resources(u32),
    Subjects,
}

pub(super) const WAYS: [Way; 6] =
    [Way::Check, Way::Bulk, Way::Expand, Way::Resources(0), Way::Resources(2), Way::Subjects];

/// A node, and how fresh its answers must be.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) at: ZedToken,
    pub(super) has_caveats: bool,
}

fn told(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

fn verdict(permissionship: Permissionship) -> Verdict {
    match permissionship {
        Permissionship::HasPermission => Verdict::Allowed,
        Permissionship::NoPermission => Verdict::Denied,
        Permissionship::ConditionalPermission => Verdict::Conditional,
        Permissionship::Unspecified => panic!("an answer without a permissionship"),
    }
}

fn looked_up(permissionship: LookupPermissionship) -> Verdict {
    match permissionship {
        LookupPermissionship::HasPermission => Verdict::Allowed,
        LookupPermissionship::ConditionalPermission => Verdict::Conditional,
        LookupPermissionship::Unspecified => panic!("an answer without a permissionship"),
    }
}

fn either(a: Verdict, b: Verdict) -> Verdict {
    match (a, b) {
        (Verdict::Allowed, _) | (_, Verdict::Allowed) => Verdict::Allowed,
        (Verdict::Conditional, _) | (_, Verdict::Conditional) => Verdict::Conditional,
        (Verdict::Denied, Verdict::Denied) => Verdict::Denied,
    }
}

impl Asker {
    /// Asks for all assertions in this way; what is not as asserted, in words.
    pub(super) async fn wrong(&self, way: Way, assertions: &[Assertion]) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Way::Bulk = way {
            if let Err(why) = self.bulk(assertions).await {
                wrong.push(why);
            }
            return wrong;
        }
        for assertion in assertions {
            let item = item(assertion);
            let said = match way {
                Way::Check => self.check(item).await,
                Way::Expand => self.expand(item, assertion.expected).await,
                Way::Resources(page) => self.resources(item, page).await,
                Way::Subjects => self.subjects(item).await,
                Way::Bulk => unreachable!("asked above"),
            };
            if said != Ok(assertion.expected) {
                wrong.push(format!("{way:?} {} should be {:?}: {said:?}", assertion.check, assertion.expected));
            }
        }
        wrong
    }

    /// What single checks say of these, as assertions.
    pub(super) async fn judged(&self, checks: Vec<String>) -> Result<Vec<Assertion>, String> {
        let mut judged = Vec::new();
        for check in checks {
            let expected = self.check(check_item(&check)).await.map_err(|why| format!("{check}: {why}"))?;
            judged.push(Assertion { check, context: None, expected });
        }
        Ok(judged)
    }

    async fn check(&self, item: CheckBulkPermissionsRequestItem) -> Result<Verdict, String> {
        let request = CheckPermissionRequest {
            consistency: at_least(&self.at),
            resource: item.resource,
            permission: item.permission,
            subject: item.subject,
            context: item.context,
            with_tracing: false,
        };
        let answer = self.client.permissions.clone().check_permission(request).await.map_err(|s| told(&s))?;
        let answer = answer.into_inner();
        let missing = answer.partial_caveat_info.as_ref().map_or(0, |info| info.missing_required_context.len());
        let verdict = verdict(answer.permissionship());
        if (verdict == Verdict::Conditional) == (missing > 0) {
            Ok(verdict)
        } else {
            Err(format!("{verdict:?} with {missing} missing parameters"))
        }
    }

    async fn bulk(&self, assertions: &[Assertion]) -> Result<(), String> {
        if assertions.is_empty() {
            return Ok(());
        }
        let items = assertions.iter().map(item).collect();
        let request = CheckBulkPermissionsRequest { consistency: at_least(&self.at), items, with_tracing: false };
        let answer = self.client.permissions.clone().check_bulk_permissions(request).await.map_err(|s| told(&s))?;
        let pairs = answer.into_inner().pairs;
        if pairs.len() != assertions.len() {
            return Err(format!("{} answers for {} checks", pairs.len(), assertions.len()));
        }
        for (pair, assertion) in pairs.into_iter().zip(assertions) {
            match pair.response {
                Some(Response::Item(answer)) if verdict(answer.permissionship()) == assertion.expected => {}
                other => {
                    return Err(format!("in bulk {} should be {:?}: {other:?}", assertion.check, assertion.expected));
                }
            }
        }
        Ok(())
    }

    /// A tree shows neither caveats nor what they would say, so with them it can only be wrong by leaving someone out.
    async fn expand(&self, item: CheckBulkPermissionsRequestItem, expected: Verdict) -> Result<Verdict, String> {
        let resource = item.resource.expect("an assertion names a resource");
        let subject = item.subject.expect("an assertion names a subject");
        let start = userset_text(&resource, &item.permission);
        let forest = self.forest(resource, item.permission).await?;
        let judge = Judge { forest: &forest, subject: &subject, exact: !self.has_caveats };
        let is_in = judge.is_in(&start, &mut BTreeSet::new());
        Ok(match (is_in, self.has_caveats) {
            (true, false) => Verdict::Allowed,
            (true, true) => expected,
            (false, _) => Verdict::Denied,
        })
    }

    async fn forest(&self, resource: ObjectReference, permission: String) -> Result<Forest, String> {
        let (mut forest, mut waiting) = (Forest::new(), vec![(resource, permission)]);
        for _ in 0..MOST_STEPS {
            let Some((object, relation)) = waiting.pop() else { return Ok(forest) };
            let name = userset_text(&object, &relation);
            if let std::collections::btree_map::Entry::Vacant(vacant) = forest.entry(name) {
                let tree = self.tree(object, relation).await?;
                waiting.extend(usersets(&tree));
                vacant.insert(tree);
            }
        }
        Err("the trees come to no end".to_owned())
    }

    async fn tree(&self, resource: ObjectReference, permission: String) -> Result<PermissionRelationshipTree, String> {
        let request =
            ExpandPermissionTreeRequest { consistency: at_least(&self.at), resource: Some(resource), permission };
        let answer = self.client.permissions.clone().expand_permission_tree(request).await.map_err(|s| told(&s))?;
        answer.into_inner().tree_root.ok_or_else(|| "no tree".to_owned())
    }

    async fn resources(&self, item: CheckBulkPermissionsRequestItem, page: u32) -> Result<Verdict, String> {
        let resource = item.resource.expect("an assertion names a resource");
        let mut request = LookupResourcesRequest {
            consistency: at_least(&self.at),
            resource_object_type: resource.object_type,
            permission: item.permission,
            subject: item.subject,
            context: item.context,
            optional_limit: page,
            ..Default::default()
        };
        let mut found = BTreeMap::new();
        for _ in 0..MOST_STEPS {
            let answer = self.client.permissions.clone().lookup_resources(request.clone()).await;
            let mut stream = answer.map_err(|s| told(&s))?.into_inner();
            let mut count = 0;
            while let Some(answer) = stream.message().await.map_err(|s| told(&s))? {
                count += 1;
                let verdict = looked_up(answer.permissionship());
                request.optional_cursor = answer.after_result_cursor;
                if found.insert(answer.resource_object_id.clone(), verdict).is_some() {
                    return Err(format!("{} was found twice", answer.resource_object_id));
                }
            }
            if page == 0 || count < page {
                return Ok(found.get(&resource.object_id).copied().unwrap_or(Verdict::Denied));
            }
        }
        Err("the pages come to no end".to_owned())
    }

    async fn subjects(&self, item: CheckBulkPermissionsRequestItem) -> Result<Verdict, String> {
        let SubjectReference { object, optional_relation } = item.subject.expect("an assertion names a subject");
        let sought = object.expect("an assertion names a subject");
        let request = LookupSubjectsRequest {
            consistency: at_least(&self.at),
            resource: item.resource,
            permission: item.permission,
            subject_object_type: sought.object_type,
            optional_subject_relation: optional_relation,
            context: item.context,
            ..Default::default()
        };
        let answer = self.client.permissions.clone().lookup_subjects(request).await;
        let mut stream = answer.map_err(|s| told(&s))?.into_inner();
        let mut said = Verdict::Denied;
        while let Some(answer) = stream.message().await.map_err(|s| told(&s))? {
            let subject = answer.subject.as_ref().ok_or("an answer without a subject")?;
            let verdict = looked_up(subject.permissionship());
            if subject.subject_object_id == sought.object_id {
                said = either(said, verdict);
            } else if subject.subject_object_id == "*" {
                let excluded = answer.excluded_subjects.iter().find(|e| e.subject_object_id == sought.object_id);
                said = either(said, excluded.map_or(verdict, |e| without(verdict, looked_up(e.permissionship()))));
            }
        }
        Ok(said)
    }
}

/// What a wildcard says of a subject that is excluded from it.
fn without(wildcard: Verdict, excluded: Verdict) -> Verdict {
    match (wildcard, excluded) {
        (_, Verdict::Allowed) | (Verdict::Denied, _) => Verdict::Denied,
        (_, Verdict::Conditional) => Verdict::Conditional,
        (_, Verdict::Denied) => wildcard,
    }
}

fn item(assertion: &Assertion) -> CheckBulkPermissionsRequestItem {
    CheckBulkPermissionsRequestItem { context: assertion.context.clone(), ..check_item(&assertion.check) }
}
