//! Both lookups against the check: every question that can be asked over a few objects must be answered alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Budget, CheckError, Circumstances, Plan, check};
use crate::model::{Decision, ObjectId, ObjectRef, RelationName, SubjectRef, TypeName};
use crate::store::ReadView;

use super::*;

/// What the lookups are asked over.
pub(in crate::engine) struct World<'a> {
    pub(in crate::engine) plan: &'a Plan,
    pub(in crate::engine) view: &'a dyn ReadView,
    pub(in crate::engine) circumstances: &'a Circumstances,
    /// Every object that a tuple names.
    pub(in crate::engine) universe: &'a BTreeSet<ObjectRef>,
}

/// Decisions by id; what is denied is absent.
type Decisions = BTreeMap<ObjectId, Decision>;

impl World<'_> {
    /// Asks everything; an error says where a lookup and the check disagree.
    pub(in crate::engine) fn lookups_agree_with_checks(&self) -> Result<(), String> {
        let spots = self.spots();
        let usersets =
            spots.iter().map(|(object, name)| SubjectRef { object: object.clone(), relation: Some(name.clone()) });
        let subjects: Vec<SubjectRef> = self.universe.iter().cloned().map(SubjectRef::direct).chain(usersets).collect();
        let members: BTreeSet<(TypeName, RelationName)> =
            spots.iter().map(|(object, name)| (object.object_type.clone(), name.clone())).collect();
        for (resource_type, permission) in &members {
            for subject in &subjects {
                self.resources_agree(resource_type, permission, subject)?;
            }
        }
        let types: BTreeSet<&TypeName> = self.universe.iter().map(|object| &object.object_type).collect();
        let kinds: Vec<(TypeName, Option<RelationName>)> = types
            .into_iter()
            .map(|name| (name.clone(), None))
            .chain(members.iter().map(|(object_type, name)| (object_type.clone(), Some(name.clone()))))
            .collect();
        for (resource, permission) in &spots {
            for (subject_type, subject_relation) in &kinds {
                self.subjects_agree(SubjectQuestion {
                    resource: resource.clone(),
                    permission: permission.clone(),
                    subject_type: subject_type.clone(),
                    subject_relation: subject_relation.clone(),
                })?;
            }
        }
        Ok(())
    }

    fn spots(&self) -> Vec<(ObjectRef, RelationName)> {
        let definitions = &self.plan.schema().definitions;
        let of = |object: &ObjectRef| definitions[&object.object_type].members.keys().cloned().collect::<Vec<_>>();
        self.universe.iter().flat_map(|object| of(object).into_iter().map(|name| (object.clone(), name))).collect()
    }

    fn check(
        &self,
        resource: &ObjectRef,
        permission: &RelationName,
        subject: &SubjectRef,
    ) -> Result<Decision, CheckError> {
        let budget = Budget::default();
        Ok(check(self.plan, self.view, resource, permission, subject, self.circumstances, &budget)?.decision)
    }

    fn resources_agree(
        &self,
        resource_type: &TypeName,
        permission: &RelationName,
        subject: &SubjectRef,
    ) -> Result<(), String> {
        let mut expected = Decisions::new();
        for object in self.universe.iter().filter(|object| object.object_type == *resource_type) {
            match self.check(object, permission, subject) {
                Ok(Decision::Denied) => {}
                Ok(decision) => drop(expected.insert(object.object_id.clone(), decision)),
                // The lookup may meet the same; then it must not seem complete.
                Err(_) => return Ok(()),
            }
        }
        let question = ResourceQuestion {
            resource_type: resource_type.clone(),
            permission: permission.clone(),
            subject: subject.clone(),
        };
        let text = format!("resources {resource_type}#{permission}@{subject}");
        let whole = self.resources(&question, 0, usize::MAX).map_err(|error| format!("{text}: {error}"))?;
        let mut paged = Vec::new();
        while let page @ [_, ..] = self
            .resources(&question, paged.last().map_or(0, |last: &FoundResource| last.position), 2)
            .map_err(|error| format!("{text}: {error}"))?
            .as_slice()
        {
            paged.extend_from_slice(page);
        }
        if paged != whole {
            return Err(format!("{text}: {whole:?} in one, {paged:?} in pages of 2"));
        }
        let found: Decisions = whole.iter().map(|found| (found.id.clone(), found.decision.clone())).collect();
        if found.len() != whole.len() || found != expected {
            return Err(format!("{text}: found {whole:?}, checks say {expected:?}"));
        }
        Ok(())
    }

    fn resources(
        &self,
        question: &ResourceQuestion,
        position: u64,
        most: usize,
    ) -> Result<Vec<FoundResource>, LookupError> {
        let now = self.circumstances.now;
        let bounds = LookupBounds { batch_reads: 3, ..LookupBounds::default() };
        let mut lookup =
            ResourceLookup::new(self.plan, question.clone(), self.circumstances.clone(), now, position, bounds)?;
        let mut all = Vec::new();
        while let Some(batch) = lookup.next_batch(self.plan, self.view, &Turn::default(), usize::MAX)? {
            all.extend(batch);
        }
        all.truncate(most);
        Ok(all)
    }

    fn subjects_agree(&self, question: SubjectQuestion) -> Result<(), String> {
        let SubjectQuestion { resource, permission, subject_type, subject_relation } = &question;
        let mut expected = BTreeMap::new();
        // One whom no tuple names has what everyone has; and where that cannot be judged, a lookup cannot either.
        let unnamed = ObjectRef::new(subject_type.as_str(), "unnamed").expect("valid");
        let of_type = self.universe.iter().filter(|object| object.object_type == *subject_type);
        for object in of_type.chain([&unnamed]) {
            let subject = SubjectRef { object: object.clone(), relation: subject_relation.clone() };
            match self.check(resource, permission, &subject) {
                Ok(decision) => drop(expected.insert(object.object_id.clone(), decision)),
                Err(_) => return Ok(()),
            }
        }
        let kind = subject_relation.as_ref().map(|name| format!("#{name}")).unwrap_or_default();
        let text = format!("subjects {resource}#{permission}@{subject_type}{kind}");
        let found = self.subjects(&question).map_err(|error| format!("{text}: {error}"))?;
        let listed: BTreeMap<&ObjectId, &FoundSubject> = found.iter().map(|found| (&found.id, found)).collect();
        if listed.len() != found.len() || listed.keys().any(|id| !id.is_wildcard() && !expected.contains_key(*id)) {
            return Err(format!("{text}: strange or repeated subjects in {found:?}"));
        }
        let everyone = listed.get(&ObjectId::wildcard());
        for (id, decision) in &expected {
            let by_name = listed.get(id).map(|found| &found.decision);
            let excluded = everyone.and_then(|everyone| everyone.excluded.iter().find(|excluded| excluded.id == *id));
            let agrees = match (by_name, everyone, excluded) {
                (Some(listed), _, _) => listed == decision,
                (None, Some(_), Some(excluded)) if excluded.missing.is_empty() => *decision == Decision::Denied,
                (None, Some(_), Some(_)) => matches!(decision, Decision::Conditional { .. }),
                (None, Some(everyone), None) => same_kind(&everyone.decision, decision),
                // A wildcard of the type grants usersets of it too, and they are not listed for it.
                (None, None, _) => *decision == Decision::Denied || subject_relation.is_some(),
            };
            if !agrees {
                return Err(format!("{text}: found {found:?}, the check says {decision:?} of {id}"));
            }
        }
        Ok(())
    }

    fn subjects(&self, question: &SubjectQuestion) -> Result<Vec<FoundSubject>, LookupError> {
        let bounds = LookupBounds { batch_reads: 3, ..LookupBounds::default() };
        let mut lookup = SubjectLookup::new(self.plan, question.clone(), self.circumstances.clone(), bounds)?;
        let mut all = Vec::new();
        while let Some(batch) = lookup.next_batch(self.plan, self.view, &Turn::default())? {
            all.extend(batch);
        }
        Ok(all)
    }
}

fn same_kind(a: &Decision, b: &Decision) -> bool {
    match (a, b) {
        (Decision::Conditional { .. }, Decision::Conditional { .. }) => true,
        (a, b) => a == b,
    }
}
