"""A case from a seed: the same seed gives the same case. Most of what it makes is valid; some of it is not, on purpose."""

import random
import re

from case import Case, has_cycle, identity, relationship_text
from caveats import random_caveat, random_context
from questions import random_questions
from schema import Allowed, Definition, Schema

TYPES = ["user", "team", "folder", "doc"]
RELATIONS = ["member", "owner", "parent", "banned"]
PERMISSIONS = ["view", "edit", "admin"]
IDS = ["a", "b", "c"]
MOST_CYCLIC_RELATIONSHIPS = 6
PAST, FUTURE = "2001-01-01T00:00:00Z", "2199-01-01T00:00:00Z"


class Chances:
    """What kind of case this seed makes."""

    def __init__(self, rng):
        self.caveats = rng.random() < 0.5
        self.expiration = rng.random() < 0.3
        self.self = rng.random() < 0.3
        self.cycles = rng.random() < 0.15
        self.wild = rng.random() < 0.15  # references that schemas must not have


def generate(seed):
    rng = random.Random(seed)
    chances = Chances(rng)
    schema = random_schema(rng, chances)
    relationships = random_relationships(rng, chances, schema)
    case = Case(schema, relationships, [])
    # SpiceDB's work grows exponentially where it goes round in circles: little data and few questions there.
    cyclic = has_cycle(case)
    if cyclic:
        case.relationships = relationships[:MOST_CYCLIC_RELATIONSHIPS]
    case.questions = random_questions(rng, schema, case.relationships, 0.1 if cyclic else 1)
    return case


def random_schema(rng, chances):
    caveats = [random_caveat(rng, f"cav{n}") for n in range(rng.randint(1, 3))] if chances.caveats else []
    kinds = TYPES[: rng.randint(2, 4)]
    definitions = [Definition(kind) for kind in kinds]
    for definition in definitions[1:] if rng.random() < 0.85 else definitions:
        # What may include a wildcard has a name of its own: SpiceDB remembers by the name alone whether a relation does, and so
        # judges others of the same name wrongly when a schema is written.
        names = [f"{name}_{definition.name}" for name in RELATIONS] if chances.wild else RELATIONS
        names = [*names, open_relation(definition.name)]
        definition.relations = {name: [] for name in rng.sample(names, rng.randint(1, 4))}
        definition.permissions = {name: None for name in rng.sample(PERMISSIONS, rng.randint(0, 3))}
    schema = Schema([], caveats, definitions)
    for definition in definitions:
        for name in definition.relations:
            is_open = name == open_relation(definition.name)
            definition.relations[name] = random_allowed(rng, chances, schema, is_open)
        earlier = []
        for name in definition.permissions:
            definition.permissions[name] = random_expression(rng, chances, schema, definition, earlier, 3)
            earlier.append(name)
    text = schema.text()
    schema.uses = [use for use, word in (("expiration", "expiration"), ("self", "self")) if re.search(rf"\b{word}\b", text)]
    if schema.uses and chances.wild and rng.random() < 0.3:
        schema.uses.pop()
    return schema


def open_relation(kind):
    """The one relation of a type that may take wildcards."""
    return f"open_{kind}"


def random_allowed(rng, chances, schema, is_open):
    allowed = []
    for _ in range(rng.randint(1, 3)):
        definition = rng.choice(schema.definitions)
        members = [m for m in (*definition.relations, *definition.permissions) if chances.wild or not m.startswith("open_")]
        relation = ""
        if rng.random() < 0.4 and members:
            relation = rng.choice(members)
        elif is_open and rng.random() < 0.6:
            relation = "*"
        entry = Allowed(definition.name, relation)
        if schema.caveats and rng.random() < 0.5:
            entry.caveat = rng.choice(schema.caveats).name
        entry.expires = chances.expiration and rng.random() < 0.4
        if entry not in allowed or chances.wild:
            allowed.append(entry)
    while any(confuses_spicedb(allowed, carries) for carries in (lambda a: bool(a.caveat), lambda a: a.expires)):
        allowed.pop()
    return allowed


def confuses_spicedb(allowed, carries):
    """Whether SpiceDB's checks would overlook what relationships carry, against its own lookups.

    It decides from two counts whether a subject found directly can carry a caveat (or an expiration) at all: the allowed
    types that may hold the subject, and those of the subject's type, with whatever relation, that carry none. When they
    happen to be equal it neither evaluates the caveat nor sees that the relationship has expired.
    """
    for kind in {a.kind for a in allowed}:
        of_kind = [a for a in allowed if a.kind == kind]
        for relation in {"", "a relation that is not named", *(a.relation for a in of_kind)}:
            holding = [a for a in of_kind if a.relation in ("*", relation)]
            if any(carries(a) for a in holding) and len(holding) == sum(not carries(a) for a in of_kind):
                return True
    return False


def random_expression(rng, chances, schema, definition, earlier, depth):
    if depth > 0 and rng.random() < 0.5:
        sides = [random_expression(rng, chances, schema, definition, earlier, depth - 1) for _ in range(2)]
        return [rng.choices(["+", "&", "-"], [3, 2, 2])[0], *sides, rng.random() < 0.5]
    relations = list(definition.relations)
    direct = [r for r in relations if all(a.relation != "*" for a in definition.relations[r]) or chances.wild]
    kind = rng.choices(["ref", "arrow", "any", "all", "nil", "self"], [10, 6, 1, 2, 0.4, 1 if chances.self else 0])[0]
    if kind in ("nil", "self"):
        return [kind]
    if kind == "ref" or not direct:
        pool = relations + earlier + (PERMISSIONS if chances.wild or chances.cycles and rng.random() < 0.3 else [])
        return ["ref", rng.choice(pool)]
    left = rng.choice(direct)
    targets = [m for a in definition.relations[left] for m in members_of(schema, a.kind)]
    return [kind, left, rng.choice(targets if targets and not chances.wild else RELATIONS + PERMISSIONS)]


def members_of(schema, kind):
    definition = schema.definition(kind)
    return [*definition.relations, *definition.permissions]


def random_relationships(rng, chances, schema):
    """Without cycles unless they are wanted: what a relationship leads to is later in an order of all objects."""
    objects = [f"{d.name}:{name}" for d in schema.definitions for name in IDS]
    rng.shuffle(objects)
    place = {name: index for index, name in enumerate(objects)}
    made = {}
    slots = [(d.name, name, allowed) for d in schema.definitions for name, allowed in d.relations.items()]
    for _ in range(rng.randint(4, 36) if slots else 0):
        kind, relation, allowed = rng.choice(slots)
        entry = rng.choice(allowed)
        resource, subject = f"{kind}:{rng.choice(IDS)}", f"{entry.kind}:{rng.choice(IDS)}"
        if entry.relation == "*":
            subject = f"{entry.kind}:*"
        elif not chances.cycles and place[subject] == place[resource]:
            continue
        elif not chances.cycles and place[subject] < place[resource] and schema.definition(entry.kind).relations:
            resource, subject = _turned(resource, subject, kind, entry.kind)
            if resource is None:
                continue
        if entry.relation not in ("", "*"):
            subject += f"#{entry.relation}"
        made_text = _carrying(rng, schema, entry, resource, relation, subject)
        made[identity(made_text)] = made_text
    return list(made.values())


def _turned(resource, subject, resource_kind, subject_kind):
    """Both of one kind may change places; otherwise there is no way to keep the order."""
    return (subject, resource) if resource_kind == subject_kind else (None, None)


def _carrying(rng, schema, entry, resource, relation, subject):
    context = {}
    if entry.caveat:
        parameters = schema.caveat(entry.caveat).parameters
        context = random_context(rng, parameters, rng.choice([0, 0.3, 0.6, 1]), mistakes=0.01)
    expires = (PAST if rng.random() < 0.3 else FUTURE) if entry.expires else ""
    return relationship_text(resource, relation, subject, entry.caveat, context, expires)
