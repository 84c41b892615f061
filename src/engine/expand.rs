//! How a permission on an object comes about, as a tree: operators over the subjects that tuples name.
//!
//! Permissions and arrows are opened down to relations; a userset that a relation holds stays closed. Conditions are not
//! judged, so what a caveat guards is shown; what has expired is not. A tree cannot show a cycle, so one that leads back to
//! itself is an error, as is one that is too deep or too large to be sent.

use std::ops::ControlFlow;

use super::check::resource_member;
use super::{CheckError, Plan, Waiter};
use crate::model::limits::EXPAND_LEVELS;
use crate::model::{Error, ErrorCode, ObjectRef, Qualifiers, RelationName, SubjectRef, TimestampMs};
use crate::schema::{AllowedSubject, ArrowKind, Member, Relation, Rewrite};
use crate::store::{ReadView, StoreError, SubjectRow};

/// Parts between two looks at whether anyone waits for the tree.
const PARTS_BETWEEN_GLANCES: usize = 1024;
/// Nodes and subjects of one tree.
const MAX_PARTS: usize = 100_000;

/// A node: what it says of a relation or permission on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpandedTree {
    /// The object.
    pub object: ObjectRef,
    /// The relation or permission.
    pub relation: RelationName,
    /// What it comes to.
    pub body: ExpandedBody,
}

/// What a node comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandedBody {
    /// Any of these.
    Union(Vec<ExpandedTree>),
    /// All of these.
    Intersection(Vec<ExpandedTree>),
    /// The first without the others.
    Exclusion(Vec<ExpandedTree>),
    /// These subjects, in the order of the store.
    Subjects(Vec<SubjectRef>),
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    /// A name is not in the schema, the resource is a wildcard, or nobody waits for the tree any more.
    #[error(transparent)]
    Question(#[from] CheckError),
    /// The tree would contain itself.
    #[error(
        "`{object}#{relation}` leads back to itself, which a tree cannot show; remove the relationship that closes the \
         cycle, or check single subjects instead"
    )]
    Cycle {
        /// Where it was met again.
        object: ObjectRef,
        /// What was met again.
        relation: RelationName,
    },
    /// Too many levels.
    #[error(
        "the tree has more than {max_levels} levels of nodes, more than clients can decode; expand what lies below in a \
         request of its own"
    )]
    TooDeep {
        /// The bound.
        max_levels: usize,
    },
    /// Too many nodes or subjects.
    #[error("the tree has more than {max_parts} nodes and subjects; expand a smaller part, or look the subjects up")]
    TooLarge {
        /// The bound.
        max_parts: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ExpandError> for Error {
    fn from(error: ExpandError) -> Self {
        let message = error.to_string();
        match error {
            ExpandError::Question(error) => error.into(),
            ExpandError::Cycle { object, relation } => {
                Self::new(ErrorCode::DepthExceeded, message).with("resource", object).with("permission", relation)
            }
            ExpandError::TooDeep { max_levels } => {
                Self::new(ErrorCode::DepthExceeded, message).with("maximum_depth_allowed", max_levels)
            }
            ExpandError::TooLarge { max_parts } => {
                Self::new(ErrorCode::DepthExceeded, message).with("maximum_parts_allowed", max_parts)
            }
            ExpandError::Store(error) => error.into(),
        }
    }
}

/// The tree of `permission` on `resource`. What expires at `now` or before is left out.
pub fn expand(
    plan: &Plan,
    view: &dyn ReadView,
    resource: &ObjectRef,
    permission: &RelationName,
    now: TimestampMs,
    waiter: &Waiter,
) -> Result<ExpandedTree, ExpandError> {
    resource_member(plan, resource, permission)?;
    Expansion { plan, view, now, waiter, path: Vec::new(), levels: 0, parts: 0 }
        .below(|it| it.member(resource, permission))
}

struct Expansion<'a> {
    plan: &'a Plan,
    view: &'a dyn ReadView,
    now: TimestampMs,
    waiter: &'a Waiter,
    /// What is open, from the root down.
    path: Vec<(ObjectRef, RelationName)>,
    /// Nodes that will stand above what is made next, that one included.
    levels: usize,
    parts: usize,
}

impl<'a> Expansion<'a> {
    /// A member that the schema has.
    fn member(&mut self, object: &ObjectRef, name: &RelationName) -> Result<ExpandedTree, ExpandError> {
        if self.path.iter().any(|(open, open_name)| open == object && open_name == name) {
            return Err(ExpandError::Cycle { object: object.clone(), relation: name.clone() });
        }
        self.path.push((object.clone(), name.clone()));
        let plan = self.plan;
        let tree = match plan.schema().member(object.object_type.as_str(), name.as_str()) {
            Some(Member::Relation(relation)) => {
                let subjects = self.subjects(object, name, relation)?;
                self.leaf(subjects)?
            }
            Some(Member::Permission(permission)) => match &permission.rewrite {
                // A permission always shows an operator, be it over one operand.
                single @ (Rewrite::Nil | Rewrite::Itself | Rewrite::Computed(_) | Rewrite::Arrow { .. }) => {
                    let operand = self.below(|it| it.rewrite(single))?;
                    self.node(ExpandedBody::Union(vec![operand]))?
                }
                operator @ (Rewrite::Union(_) | Rewrite::Intersection(_) | Rewrite::Exclusion(..)) => {
                    self.rewrite(operator)?
                }
            },
            None => self.leaf(Vec::new())?,
        };
        self.path.pop();
        Ok(tree)
    }

    /// A part of the rewrite of the member that was opened last.
    fn rewrite(&mut self, rewrite: &Rewrite) -> Result<ExpandedTree, ExpandError> {
        match rewrite {
            Rewrite::Nil => self.leaf(Vec::new()),
            Rewrite::Itself => {
                let object = self.here().0.clone();
                self.leaf(vec![SubjectRef::direct(object)])
            }
            Rewrite::Computed(name) => {
                let object = self.here().0.clone();
                self.member(&object, name)
            }
            Rewrite::Arrow { tupleset, target, kind } => self.arrow(tupleset, target, *kind),
            Rewrite::Union(operands) => {
                let operands = self.operands(operands)?;
                self.node(ExpandedBody::Union(operands))
            }
            Rewrite::Intersection(operands) => {
                let operands = self.operands(operands)?;
                self.node(ExpandedBody::Intersection(operands))
            }
            Rewrite::Exclusion(left, right) => {
                let sides = self.below(|it| Ok(vec![it.rewrite(left)?, it.rewrite(right)?]))?;
                self.node(ExpandedBody::Exclusion(sides))
            }
        }
    }

    /// Makes what stands a level below. An error ends the whole, so only success counts the level back.
    fn below<T>(&mut self, make: impl FnOnce(&mut Self) -> Result<T, ExpandError>) -> Result<T, ExpandError> {
        if self.levels == EXPAND_LEVELS {
            return Err(ExpandError::TooDeep { max_levels: EXPAND_LEVELS });
        }
        self.levels += 1;
        let made = make(self)?;
        self.levels -= 1;
        Ok(made)
    }

    fn operands(&mut self, operands: &[Rewrite]) -> Result<Vec<ExpandedTree>, ExpandError> {
        self.below(|it| operands.iter().map(|operand| it.rewrite(operand)).collect())
    }

    fn arrow(
        &mut self,
        tupleset: &RelationName,
        target: &RelationName,
        kind: ArrowKind,
    ) -> Result<ExpandedTree, ExpandError> {
        let object = self.here().0.clone();
        let plan = self.plan;
        let objects = match plan.schema().member(object.object_type.as_str(), tupleset.as_str()) {
            Some(Member::Relation(relation)) => self.subjects(&object, tupleset, relation)?,
            Some(Member::Permission(_)) | None => Vec::new(),
        };
        let mut operands = Vec::new();
        for subject in objects.into_iter().filter(|subject| !subject.is_wildcard()) {
            let subject_type = subject.object.object_type.as_str();
            operands.push(match plan.schema().member(subject_type, target.as_str()) {
                Some(_) => self.below(|it| it.member(&subject.object, target))?,
                None => self.below(|it| it.leaf(Vec::new()))?,
            });
        }
        self.node(match kind {
            ArrowKind::Any => ExpandedBody::Union(operands),
            ArrowKind::All => ExpandedBody::Intersection(operands),
        })
    }

    fn subjects(
        &mut self,
        object: &ObjectRef,
        name: &RelationName,
        relation: &Relation,
    ) -> Result<Vec<SubjectRef>, ExpandError> {
        let now = self.now;
        let mut subjects = Vec::new();
        let mut end = Ok(());
        self.view.subjects(object, name, &mut |row| {
            end = self.part().and_then(|()| {
                if !has_expired(row.qualifiers, now) {
                    let subject = subject(row)?;
                    subjects.extend(AllowedSubject::of(&subject).filter(|kind| relation.allows(kind)).map(|_| subject));
                }
                Ok(())
            });
            if end.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        end.map(|()| subjects)
    }

    fn leaf(&mut self, subjects: Vec<SubjectRef>) -> Result<ExpandedTree, ExpandError> {
        self.node(ExpandedBody::Subjects(subjects))
    }

    /// A node that speaks of the member that was opened last.
    fn node(&mut self, body: ExpandedBody) -> Result<ExpandedTree, ExpandError> {
        self.part()?;
        let (object, relation) = self.here().clone();
        Ok(ExpandedTree { object, relation, body })
    }

    fn here(&self) -> &(ObjectRef, RelationName) {
        self.path.last().expect("parts of a tree are made while their member is open")
    }

    fn part(&mut self) -> Result<(), ExpandError> {
        if self.parts.is_multiple_of(PARTS_BETWEEN_GLANCES) && !self.waiter.waits() {
            return Err(CheckError::GivenUp.into());
        }
        self.parts += 1;
        if self.parts > MAX_PARTS { Err(ExpandError::TooLarge { max_parts: MAX_PARTS }) } else { Ok(()) }
    }
}

fn has_expired(qualifiers: &Qualifiers, now: TimestampMs) -> bool {
    qualifiers.expires_at.is_some_and(|expires_at| expires_at <= now)
}

fn subject(row: SubjectRow<'_>) -> Result<SubjectRef, ExpandError> {
    SubjectRef::new(row.subject_type, row.subject_id, row.subject_relation.unwrap_or_default())
        .map_err(|error| ExpandError::Store(StoreError::Corrupt { place: "tuples", what: error.to_string() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testbed::{Bench, SchemaText, all, and, any, computed, minus, object, or, relation_name};
    use crate::schema::Rewrite;

    fn show(tree: &ExpandedTree) -> String {
        let each = |trees: &[ExpandedTree]| trees.iter().map(show).collect::<Vec<_>>().join(" ");
        let body = match &tree.body {
            ExpandedBody::Union(trees) => format!("+({})", each(trees)),
            ExpandedBody::Intersection(trees) => format!("&({})", each(trees)),
            ExpandedBody::Exclusion(trees) => format!("-({})", each(trees)),
            ExpandedBody::Subjects(subjects) => {
                format!("[{}]", subjects.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
        };
        format!("{}#{}{body}", tree.object, tree.relation)
    }

    fn expanded(bench: &Bench, question: &str) -> Result<String, ExpandError> {
        let (resource, name) = question.split_once('#').unwrap();
        let now = bench.circumstances.now;
        expand(&bench.plan, &*bench.view, &object(resource), &relation_name(name), now, &Waiter::default())
            .map(|tree| show(&tree))
    }

    fn bench() -> Bench {
        let schema = SchemaText::with_users()
            .definition("group")
            .relation("member", "user group#member")
            .definition("folder")
            .relation("parent", "folder")
            .relation("viewer", "user")
            .permission("view", or([computed("viewer"), any("parent", "view")]))
            .definition("doc")
            .relation("aaa", "user user:* group#member")
            .relation("bbb", "user")
            .relation("parent", "folder group")
            .permission("single", computed("aaa"))
            .permission("less", minus(minus(computed("aaa"), computed("bbb")), computed("bbb")))
            .permission("both", and([computed("bbb"), or([Rewrite::Nil, Rewrite::Itself])]))
            .permission("arrow", any("parent", "view"))
            .permission("every", all("parent", "member"));
        let tuples = [
            "doc:one#aaa@user:*",
            "doc:one#aaa@user:tom",
            "doc:one#aaa@group:eng#member",
            "doc:one#bbb@user:amy",
            "doc:one#parent@folder:sub",
            "doc:one#parent@group:eng",
            "folder:sub#parent@folder:top",
            "folder:top#viewer@user:bob",
            "group:eng#member@user:eve",
            "doc:two#parent@folder:loop",
            "folder:loop#parent@folder:loop",
        ];
        Bench::new(schema, &tuples)
    }

    /// The expected trees are what SpiceDB 1.54 gives for the same schema and relationships.
    #[test]
    fn trees_have_the_shape_that_clients_of_spicedb_know() {
        let bench = bench();
        let aaa = "doc:one#aaa[group:eng#member user:* user:tom]";
        let bbb = "doc:one#bbb[user:amy]";
        let top = "folder:top#view+(folder:top#viewer[user:bob] folder:top#view+())";
        let sub = format!("folder:sub#view+(folder:sub#viewer[] folder:sub#view+({top}))");
        for (question, expected) in [
            ("doc:one#aaa", aaa.to_owned()),
            ("doc:none#aaa", "doc:none#aaa[]".to_owned()),
            ("doc:one#single", format!("doc:one#single+({aaa})")),
            ("doc:one#less", format!("doc:one#less-(doc:one#less-({aaa} {bbb}) {bbb})")),
            ("doc:one#both", format!("doc:one#both&({bbb} doc:one#both+(doc:one#both[] doc:one#both[doc:one]))")),
            ("doc:one#arrow", format!("doc:one#arrow+(doc:one#arrow+({sub} doc:one#arrow[]))")),
            ("doc:one#every", "doc:one#every+(doc:one#every&(doc:one#every[] group:eng#member[user:eve]))".to_owned()),
            ("doc:none#every", "doc:none#every+(doc:none#every&())".to_owned()),
        ] {
            assert_eq!(expanded(&bench, question).unwrap(), expected);
        }
    }

    #[test]
    fn what_has_expired_is_left_out_and_what_is_conditional_is_shown() {
        let schema = SchemaText::with_users().caveat("big", "n", "n > 5").definition("doc").relation("viewer", "user");
        let mut bench = Bench::new(schema, &[]);
        let key = |user: &str| crate::engine::testbed::tuple(&format!("doc:one#viewer@user:{user}"));
        let qualified = |user: &str, caveat: Option<&str>, expires_at: Option<u64>| crate::model::Tuple {
            key: key(user),
            qualifiers: Qualifiers {
                caveat: caveat.map(|name| crate::model::CaveatUse { name: name.into(), context_json: String::new() }),
                expires_at: expires_at.map(TimestampMs),
            },
        };
        bench.view = crate::engine::testbed::stored([
            qualified("gone", None, Some(100)),
            qualified("here", None, Some(101)),
            qualified("maybe", Some("big"), None),
        ]);
        let bench = bench.under(100, "{}");
        assert_eq!(expanded(&bench, "doc:one#viewer").unwrap(), "doc:one#viewer[user:here user:maybe]");
    }

    #[test]
    fn what_cannot_be_shown_is_an_error() {
        let bench = bench();
        assert!(matches!(expanded(&bench, "doc:two#arrow"), Err(ExpandError::Cycle { .. })));
        assert!(matches!(expanded(&bench, "doc:one#nothing"), Err(ExpandError::Question(_))));
        let chain = |length: usize| {
            let schema = SchemaText::with_users()
                .definition("folder")
                .relation("parent", "folder")
                .permission("view", any("parent", "view"));
            let tuples: Vec<String> = (1..length).map(|n| format!("folder:f{n}#parent@folder:f{}", n + 1)).collect();
            Bench::large(schema, tuples)
        };
        // A permission and its arrow are two nodes.
        let longest = EXPAND_LEVELS / 2;
        expanded(&chain(longest), "folder:f1#view").unwrap();
        assert!(matches!(expanded(&chain(longest + 1), "folder:f1#view"), Err(ExpandError::TooDeep { .. })));
        let nested = |operators: usize| {
            let schema = SchemaText::with_users().definition("doc").relation("aaa", "user");
            let deep = (0..operators).fold(computed("aaa"), |inner, _| minus(inner, computed("aaa")));
            expanded(&Bench::new(schema.permission("deep", deep), &[]), "doc:one#deep")
        };
        nested(EXPAND_LEVELS - 1).unwrap();
        assert!(matches!(nested(EXPAND_LEVELS), Err(ExpandError::TooDeep { .. })));
        let tuples = (0..=MAX_PARTS).map(|n| format!("group:big#member@user:u{n}"));
        let wide = Bench::large(crate::engine::testbed::groups(), tuples);
        assert!(matches!(expanded(&wide, "group:big#member"), Err(ExpandError::TooLarge { .. })));
    }
}
