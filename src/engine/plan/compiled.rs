//! The compiled form of a schema. Immutable; one per schema revision, shared by all requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::caveat::Caveat;
use crate::model::{RelationName, TypeName};
use crate::schema::Schema;

use super::reach::{self, Reach, ReachSet, SubjectKind};

/// A schema compiled for evaluation.
pub struct Plan {
    pub(super) schema: Arc<Schema>,
    pub(super) types: Vec<Type>,
    pub(super) type_ids: HashMap<TypeName, TypeId>,
    pub(super) members: Vec<Member>,
    pub(super) reach: Reach,
}

/// A type of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::engine) struct TypeId(pub(super) u32);

/// A relation or permission of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::engine) struct MemberId(pub(super) u32);

/// One type and what it has.
#[derive(Debug)]
pub(in crate::engine) struct Type {
    pub(super) name: TypeName,
    pub(super) members: HashMap<RelationName, MemberId>,
}

/// One relation or permission.
#[derive(Debug)]
pub(in crate::engine) struct Member {
    /// The type that has it.
    pub(in crate::engine) type_id: TypeId,
    /// The name of that type.
    pub(in crate::engine) object_type: TypeName,
    /// Its name there.
    pub(in crate::engine) name: RelationName,
    /// How it is computed.
    pub(in crate::engine) body: Body,
    /// Some relations of the same object whose tuples suffice for it: a subject that one of them names has it.
    pub(in crate::engine) relations: Box<[MemberId]>,
    /// Whether only unions lead on from it, however far one goes. What is pure needs no nesting and no bookkeeping of
    /// cycles: one walk over what it reaches gives the answer.
    pub(in crate::engine) pure: bool,
    /// Whether an exclusion can be met from it that stands in a circle with itself.
    pub(in crate::engine) circular: bool,
}

impl Member {
    /// The rewrite of a permission that is more than a union.
    pub(super) fn rewrite(&self) -> Option<&Expr> {
        match &self.body {
            Body::Rewrite(expr) => Some(expr),
            Body::Relation(_) | Body::Union(_) => None,
        }
    }
}

/// How a member is computed.
#[derive(Debug)]
pub(in crate::engine) enum Body {
    /// From tuples.
    Relation(RelationPlan),
    /// A permission in which one edge suffices; none at all is `nil`.
    Union(Box<[Edge]>),
    /// Any other permission.
    Rewrite(Expr),
}

/// What a relation can hold. A tuple that the relation does not admit does not count.
#[derive(Debug, Default)]
pub(in crate::engine) struct RelationPlan {
    /// Types whose objects it holds themselves; sorted.
    pub(super) direct: Vec<TypeId>,
    /// Types that it holds as a whole; sorted.
    pub(super) wildcard: Vec<TypeId>,
    /// Usersets that it holds, in the order of the schema.
    pub(in crate::engine) usersets: Vec<Userset>,
    /// Their members; sorted.
    pub(super) usersets_by_member: Vec<MemberId>,
    /// How many different types all of these name.
    pub(in crate::engine) subject_types: usize,
}

/// A userset that a relation admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Userset {
    /// The type before the `#`.
    pub(in crate::engine) object_type: TypeId,
    /// The member after it.
    pub(in crate::engine) member: MemberId,
}

/// A step from one member to others where one of them suffices.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Edge {
    /// A member of the same object.
    Member(MemberId),
    /// A member of every object that a relation names.
    Arrow(Arrow),
}

/// A walk over a relation to a member of the objects there.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Arrow {
    /// The relation to follow.
    pub(in crate::engine) tupleset: MemberId,
    /// One hop for each kind of subject that the relation admits.
    pub(in crate::engine) hops: Box<[Hop]>,
}

/// Where an arrow leads from one kind of subject. The subject's relation only says whether the tuple counts: the arrow goes
/// to the subject's object.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Hop {
    /// The subject's type.
    pub(in crate::engine) object_type: TypeName,
    /// The subject's relation.
    pub(in crate::engine) relation: Option<RelationName>,
    /// The arrow's target on that type; `None` where the type lacks it.
    pub(in crate::engine) target: Option<MemberId>,
}

/// A rewrite without names. Unions and intersections are flat and never have fewer than two operands.
#[derive(Debug, Clone)]
pub(in crate::engine) enum Expr {
    /// Nobody.
    Nil,
    /// The object itself.
    Itself,
    /// One edge.
    Edge(Edge),
    /// Every object of the arrow must have the target, and there must be one.
    All(Arrow),
    /// One suffices.
    Union(Vec<Expr>),
    /// All are needed.
    Intersection(Vec<Expr>),
    /// The first without the second.
    Exclusion(Box<(Expr, Expr)>),
}

impl Plan {
    /// The schema that this plan was made from.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub(in crate::engine) fn type_id(&self, name: &TypeName) -> Option<TypeId> {
        self.type_ids.get(name).copied()
    }

    pub(in crate::engine) fn type_name(&self, id: TypeId) -> &TypeName {
        &self.types[id.index()].name
    }

    pub(in crate::engine) fn member_id(&self, object_type: TypeId, name: &RelationName) -> Option<MemberId> {
        self.types[object_type.index()].members.get(name).copied()
    }

    pub(in crate::engine) fn member(&self, id: MemberId) -> &Member {
        &self.members[id.index()]
    }

    /// The member that a subject names, if `relation` admits it as a userset.
    pub(in crate::engine) fn userset(
        &self,
        relation: &RelationPlan,
        object_type: &str,
        name: Option<&str>,
    ) -> Option<MemberId> {
        // Names by their texts: what a tuple holds costs no allocation.
        let object_type = *self.type_ids.get(object_type)?;
        let member = *self.types[object_type.index()].members.get(name?)?;
        relation.admits(SubjectKind::Userset(member)).then_some(member)
    }

    /// The type of the object in a subject of `kind`.
    pub(in crate::engine) fn subject_type(&self, kind: SubjectKind) -> TypeId {
        match kind {
            SubjectKind::Object(object_type) => object_type,
            SubjectKind::Userset(member) => self.member(member).type_id,
        }
    }

    /// The caveat of that name.
    pub(in crate::engine) fn caveat(&self, name: &str) -> Option<&Caveat> {
        self.schema.caveats.get(name).map(Arc::as_ref)
    }

    /// Every member that can be met from `from`, itself included.
    pub(in crate::engine) fn members_met_from(&self, from: MemberId) -> Vec<MemberId> {
        reach::met_from(&self.members, from)
    }

    /// Which members a subject of `kind` can have at all.
    pub(in crate::engine) fn reach(&self, kind: SubjectKind) -> &ReachSet {
        self.reach.set(self, kind)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("types", &self.types.len()).field("members", &self.members.len()).finish()
    }
}

impl TypeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl MemberId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl RelationPlan {
    /// Whether a tuple of this relation can name a subject of `kind` itself.
    pub(in crate::engine) fn admits(&self, kind: SubjectKind) -> bool {
        match kind {
            SubjectKind::Object(object_type) => self.direct.binary_search(&object_type).is_ok(),
            SubjectKind::Userset(member) => self.usersets_by_member.binary_search(&member).is_ok(),
        }
    }

    /// Whether a wildcard tuple of this relation can name all subjects of a type. A wildcard stands for the objects of its
    /// type and for every userset of each, as in SpiceDB.
    pub(in crate::engine) fn admits_wildcard_of(&self, object_type: TypeId) -> bool {
        self.wildcard.binary_search(&object_type).is_ok()
    }
}

impl Arrow {
    /// The hop of a subject's kind; `None` where the relation does not admit it.
    pub(in crate::engine) fn hop(&self, object_type: &str, relation: Option<&str>) -> Option<&Hop> {
        self.hops.iter().find(|hop| {
            hop.object_type.as_str() == object_type && hop.relation.as_ref().map(|r| r.as_str()) == relation
        })
    }
}
