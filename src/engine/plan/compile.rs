//! From a schema to a plan: names become numbers, rewrites become flat and lose what cannot matter.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{RelationName, TypeName};
use crate::schema::{self, AllowedSubject, ArrowKind, Rewrite, Schema};

use super::circles::circular;
use super::compiled::{Arrow, Body, Edge, Expr, Hop, Member, MemberId, Plan, RelationPlan, Type, TypeId, Userset};
use super::reach::{Reach, dependents, impure};

impl Plan {
    /// Compiles `schema`.
    ///
    /// # Panics
    /// On a schema that no front end returns: a rewrite or an allowed subject that names what is not defined.
    #[must_use]
    pub fn new(schema: Arc<Schema>) -> Self {
        let names = Names::of(&schema);
        let members: Vec<Member> = schema
            .definitions
            .values()
            .flat_map(|definition| definition.members.iter().map(move |member| (&definition.name, member)))
            .map(|(object_type, (name, member))| Member {
                type_id: names.type_id(object_type),
                object_type: object_type.clone(),
                name: name.clone(),
                body: names.body(&schema, object_type, member),
                relations: Box::default(),
                pure: false,
                circular: false,
            })
            .collect();
        let Names { types, type_ids } = names;
        let dependents = dependents(&members);
        let (impure, circular) = (impure(&members, &dependents), circular(&members, &dependents));
        let ids = || (0..members.len() as u32).map(MemberId);
        let relations: Vec<Box<[MemberId]>> = ids().map(|id| sufficient(&members, id)).collect();
        let members = ids()
            .zip(relations)
            .zip(members)
            .map(|((id, relations), member)| Member {
                relations,
                pure: !impure.contains(id),
                circular: circular.contains(id),
                ..member
            })
            .collect();
        let reach = Reach::new(types.len(), dependents);
        Self { schema, types, type_ids, members, reach }
    }
}

/// Members that are looked at for what suffices for one of them. Schemas can be long chains, and to know less is not wrong.
const SUFFICIENT_SEEN: usize = 32;
/// Relations that are kept for each member.
const SUFFICIENT_KEPT: usize = 8;

/// Relations of the same object that suffice for `member`: the nearest, if there are many.
fn sufficient(members: &[Member], member: MemberId) -> Box<[MemberId]> {
    let (mut relations, mut seen, mut next) = (Vec::new(), vec![member], 0);
    while let Some(id) = seen.get(next).copied().filter(|_| relations.len() < SUFFICIENT_KEPT) {
        next += 1;
        let mut follow = |edge: &Edge| {
            if let Edge::Member(member) = edge
                && seen.len() < SUFFICIENT_SEEN
                && !seen.contains(member)
            {
                seen.push(*member);
            }
        };
        match &members[id.index()].body {
            Body::Relation(_) => relations.push(id),
            Body::Union(edges) => edges.iter().for_each(follow),
            Body::Rewrite(Expr::Union(operands)) => {
                for operand in operands {
                    if let Expr::Edge(edge) = operand {
                        follow(edge);
                    }
                }
            }
            Body::Rewrite(_) => {}
        }
    }
    relations.into_boxed_slice()
}

/// The numbering: types, and the members of each type, in the order of their names.
struct Names {
    types: Vec<Type>,
    type_ids: HashMap<TypeName, TypeId>,
}

impl Names {
    fn of(schema: &Schema) -> Self {
        let mut types = Vec::with_capacity(schema.definitions.len());
        let mut type_ids = HashMap::new();
        let mut next = 0u32;
        for definition in schema.definitions.values() {
            type_ids.insert(definition.name.clone(), TypeId(types.len() as u32));
            let members = definition.members.keys().cloned().zip((next..).map(MemberId)).collect();
            next += definition.members.len() as u32;
            types.push(Type { name: definition.name.clone(), members });
        }
        Self { types, type_ids }
    }

    fn type_id(&self, name: &TypeName) -> TypeId {
        *self.type_ids.get(name).expect("a valid schema names only types that it defines")
    }

    fn find(&self, object_type: TypeId, name: &RelationName) -> Option<MemberId> {
        self.types[object_type.index()].members.get(name).copied()
    }

    fn member_id(&self, object_type: TypeId, name: &RelationName) -> MemberId {
        self.find(object_type, name).expect("a valid schema names only relations and permissions that it defines")
    }

    fn body(&self, schema: &Schema, object_type: &TypeName, member: &schema::Member) -> Body {
        match member {
            schema::Member::Relation(relation) => Body::Relation(self.relation(relation)),
            schema::Member::Permission(permission) => into_body(self.rewrite(schema, object_type, &permission.rewrite)),
        }
    }

    fn relation(&self, relation: &schema::Relation) -> RelationPlan {
        let mut plan = RelationPlan::default();
        let mut types = BTreeSet::new();
        // With different traits a kind can stand in the list more than once.
        let (mut direct, mut usersets) = (HashSet::new(), HashSet::new());
        for allowed in &relation.allowed {
            match &allowed.subject {
                AllowedSubject::Direct(name) => {
                    if direct.insert(self.type_id(name)) {
                        types.insert(self.type_id(name));
                        plan.direct.push(self.type_id(name));
                    }
                }
                AllowedSubject::Wildcard(name) => {
                    types.insert(self.type_id(name));
                    plan.wildcard.push(self.type_id(name));
                }
                AllowedSubject::Userset(name, member) => {
                    let object_type = self.type_id(name);
                    types.insert(object_type);
                    let userset = Userset { object_type, member: self.member_id(object_type, member) };
                    if usersets.insert(userset.member) {
                        plan.usersets.push(userset);
                    }
                }
            }
        }
        plan.usersets_by_member = plan.usersets.iter().map(|userset| userset.member).collect();
        plan.usersets_by_member.sort_unstable();
        plan.direct.sort_unstable();
        plan.wildcard.sort_unstable();
        plan.subject_types = types.len();
        plan
    }

    fn rewrite(&self, schema: &Schema, object_type: &TypeName, rewrite: &Rewrite) -> Expr {
        match rewrite {
            Rewrite::Nil => Expr::Nil,
            Rewrite::Itself => Expr::Itself,
            Rewrite::Computed(name) => Expr::Edge(Edge::Member(self.member_id(self.type_id(object_type), name))),
            Rewrite::Arrow { tupleset, target, kind } => {
                let arrow = self.arrow(schema, object_type, tupleset, target);
                // Where no type on the left has the target, nobody has it on any, and nobody has it on all.
                match kind {
                    _ if arrow.hops.iter().all(|hop| hop.target.is_none()) => Expr::Nil,
                    ArrowKind::Any => Expr::Edge(Edge::Arrow(arrow)),
                    ArrowKind::All => Expr::All(arrow),
                }
            }
            Rewrite::Union(operands) => {
                union(operands.iter().map(|operand| self.rewrite(schema, object_type, operand)).collect())
            }
            Rewrite::Intersection(operands) => {
                intersection(operands.iter().map(|operand| self.rewrite(schema, object_type, operand)).collect())
            }
            Rewrite::Exclusion(left, right) => {
                exclusion(self.rewrite(schema, object_type, left), self.rewrite(schema, object_type, right))
            }
        }
    }

    fn arrow(&self, schema: &Schema, object_type: &TypeName, tupleset: &RelationName, target: &RelationName) -> Arrow {
        let Some(schema::Member::Relation(relation)) = schema.member(object_type.as_str(), tupleset.as_str()) else {
            panic!("a valid schema has a relation left of every arrow, and {object_type}#{tupleset} is none");
        };
        let hop = |name: &TypeName, relation: Option<&RelationName>| Hop {
            object_type: name.clone(),
            relation: relation.cloned(),
            target: self.find(self.type_id(name), target),
        };
        let hops = relation
            .allowed
            .iter()
            .filter_map(|allowed| match &allowed.subject {
                AllowedSubject::Direct(name) => Some(hop(name, None)),
                AllowedSubject::Userset(name, relation) => Some(hop(name, Some(relation))),
                // A wildcard names no object to go to; a valid schema has none here.
                AllowedSubject::Wildcard(_) => None,
            })
            .collect();
        Arrow { tupleset: self.member_id(self.type_id(object_type), tupleset), hops }
    }
}

/// Cheapest first: an operand that decides early saves the others.
fn rank(expr: &Expr) -> u8 {
    match expr {
        Expr::Nil | Expr::Itself => 0,
        Expr::Edge(Edge::Member(_)) => 1,
        Expr::Edge(Edge::Arrow(_)) => 2,
        Expr::All(_) | Expr::Union(_) | Expr::Intersection(_) | Expr::Exclusion(_) => 3,
    }
}

fn union(operands: Vec<Expr>) -> Expr {
    let mut flat = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            Expr::Nil => {}
            Expr::Union(inner) => flat.extend(inner),
            other @ (Expr::Itself | Expr::Edge(_) | Expr::All(_) | Expr::Intersection(_) | Expr::Exclusion(_)) => {
                flat.push(other)
            }
        }
    }
    flat.sort_by_key(rank);
    if flat.len() > 1 { Expr::Union(flat) } else { flat.pop().unwrap_or(Expr::Nil) }
}

fn intersection(operands: Vec<Expr>) -> Expr {
    let mut flat = Vec::with_capacity(operands.len());
    for operand in operands {
        match operand {
            Expr::Nil => return Expr::Nil,
            Expr::Intersection(inner) => flat.extend(inner),
            other @ (Expr::Itself | Expr::Edge(_) | Expr::All(_) | Expr::Union(_) | Expr::Exclusion(_)) => {
                flat.push(other)
            }
        }
    }
    flat.sort_by_key(rank);
    if flat.len() > 1 { Expr::Intersection(flat) } else { flat.pop().unwrap_or(Expr::Nil) }
}

fn exclusion(left: Expr, right: Expr) -> Expr {
    match (left, right) {
        (Expr::Nil, _) => Expr::Nil,
        (left, Expr::Nil) => left,
        (left, right) => Expr::Exclusion(Box::new((left, right))),
    }
}

fn into_body(expr: Expr) -> Body {
    match expr {
        Expr::Nil => Body::Union(Box::default()),
        Expr::Edge(edge) => Body::Union(Box::new([edge])),
        Expr::Union(operands) => {
            let edges: Option<Box<[Edge]>> = operands.iter().map(as_edge).collect();
            edges.map_or(Body::Rewrite(Expr::Union(operands)), Body::Union)
        }
        other @ (Expr::Itself | Expr::All(_) | Expr::Intersection(_) | Expr::Exclusion(_)) => Body::Rewrite(other),
    }
}

fn as_edge(expr: &Expr) -> Option<Edge> {
    match expr {
        Expr::Edge(edge) => Some(edge.clone()),
        Expr::Nil | Expr::Itself | Expr::All(_) | Expr::Union(_) | Expr::Intersection(_) | Expr::Exclusion(_) => None,
    }
}
