"""Random questions about a schema and its relationships: data only, `ask.py` says what each kind means.

Questions that change data come last, so that all others see the same data.
"""

import copy

from case import identity, parts
from caveats import random_context

IDS = ["a", "b", "c", "zz"]


class Universe:
    """The names that questions draw from."""

    def __init__(self, rng, schema):
        self.rng, self.schema = rng, schema
        self.odd = 0.02  # the share of names that are not there, and of wildcards where there can be none
        self.kinds = [d.name for d in schema.definitions]
        self.members = [(d.name, m) for d in schema.definitions for m in (*d.relations, *d.permissions)]
        self.parameters = sorted({name for caveat in schema.caveats for name in caveat.parameters})

    def object(self, kind):
        return f"{kind}:{self.rng.choice(IDS)}"

    def member(self):
        """A type and one of its relations and permissions; now and then one that is not there."""
        if not self.members or self.rng.random() < self.odd:
            return self.rng.choice([*self.kinds, "nowhere"]), "nothing"
        return self.rng.choice(self.members)

    def subject_kind(self):
        """A type of subject and, for usersets, the relation."""
        if self.rng.random() < 0.3:
            return self.member()
        return self.rng.choice(self.kinds), ""

    def subject(self):
        kind, relation = self.subject_kind()
        if self.rng.random() < self.odd:
            return f"{kind}:*"
        return self.object(kind) + (f"#{relation}" if relation else "")

    def context(self):
        if not self.parameters or self.rng.random() < 0.3:
            return {}
        return random_context(self.rng, self.parameters, self.rng.choice([0.3, 0.7, 1]), mistakes=0.01)


def random_questions(rng, schema, relationships, share=1):
    """`share` is how many of the usual number are asked."""
    universe = Universe(rng, schema)

    def some(count, make):
        return [make(universe) for _ in range(max(1, int(count * share)))]

    universe.odd = 0  # one of them would refuse the whole request
    questions = [{"ask": "bulk", "items": some(150, random_check)} for _ in range(2)]
    universe.odd = 0.02
    questions.append({"ask": "bulk", "items": some(20, random_check)})
    questions += [{"ask": "check", **check} for check in some(25, random_check)]
    questions += some(12, random_expand)
    questions += some(20, random_lookup_resources)
    questions += some(20, random_lookup_subjects)
    questions += some(6, random_read)
    questions += random_reflections(universe)
    questions += some(6, lambda u: random_odd_write(u, relationships))
    questions += some(2, random_delete)
    questions += some(5, lambda u: random_schema_change(rng, schema))
    return questions


def random_check(universe):
    kind, member = universe.member()
    return {
        "resource": universe.object(kind),
        "permission": member,
        "subject": universe.subject(),
        "context": universe.context(),
    }


def random_expand(universe):
    kind, member = universe.member()
    return {"ask": "expand", "resource": universe.object(kind), "permission": member}


def random_lookup_resources(universe):
    kind, member = universe.member()
    return {
        "ask": "lookup_resources",
        "kind": kind,
        "permission": member,
        "subject": universe.subject(),
        "context": universe.context(),
        "page": universe.rng.choice([0, 2]),
    }


def random_lookup_subjects(universe):
    kind, member = universe.member()
    subject_kind, subject_relation = universe.subject_kind()
    return {
        "ask": "lookup_subjects",
        "resource": universe.object(kind),
        "permission": member,
        "subject_kind": subject_kind,
        "subject_relation": subject_relation,
        "context": universe.context(),
        "wildcards": universe.rng.random() < 0.8,
    }


def random_filter(universe):
    rng = universe.rng
    kind, relation = universe.member()
    chosen = {"kind": kind} if rng.random() < 0.9 else {}
    if rng.random() < 0.3:
        chosen["id"] = rng.choice(IDS)
    elif rng.random() < 0.2:
        chosen["prefix"] = rng.choice(["a", "", "z"])
    if rng.random() < 0.3:
        chosen["relation"] = relation
    if rng.random() < 0.4:
        subject_kind, subject_relation = universe.subject_kind()
        chosen["subject_kind"] = subject_kind
        if rng.random() < 0.5:
            chosen["subject_id"] = rng.choice([*IDS, "*"])
        if rng.random() < 0.5:
            chosen["subject_relation"] = subject_relation
    return chosen


def random_read(universe):
    return {"ask": "read", "filter": random_filter(universe), "page": universe.rng.choice([0, 2])}


def random_reflections(universe):
    rng = universe.rng
    changed = random_schema_change(rng, universe.schema)["schema"]
    questions = [{"ask": "reflect", "filters": []}, {"ask": "diff", "schema": changed}]
    for _ in range(2):
        kind, member = universe.member()
        chosen = rng.choice([{"definition": kind[:2]}, {"definition": kind, "relation": member}, {"definition": kind,
                             "permission": member}, {"caveat": "cav"}, {"relation": member}])
        questions.append({"ask": "reflect", "filters": [chosen]})
        questions.append({"ask": "computable", "kind": kind, "relation": member, "filter": rng.choice(["", "", "do"])})
        kind, member = universe.member()
        questions.append({"ask": "dependent", "kind": kind, "permission": member})
    return questions


def random_odd_write(universe, relationships):
    """One write that may well be refused, with or without a precondition."""
    rng = universe.rng
    kind, relation = universe.member()
    text = f"{universe.object(kind)}#{relation}@{universe.subject()}"
    if relationships and rng.random() < 0.5:
        text = rng.choice(relationships)
        text = rng.choice([text, identity(text), *_twisted(rng, text)])
    elif universe.schema.caveats and rng.random() < 0.4:
        text += f"[{rng.choice(universe.schema.caveats).name}]"
    operation = rng.choice(["create", "touch", "delete"])
    question = {"ask": "write", "updates": [[operation, text]], "preconditions": []}
    if rng.random() < 0.1:
        question["updates"].append([rng.choice(["create", "touch", "delete"]), identity(text)])
    if rng.random() < 0.2:
        question["preconditions"] = [[rng.choice(["match", "no_match"]), random_filter(universe)]]
    return question


def _twisted(rng, text):
    """The same relationship with something in it that may be wrong."""
    found = parts(text)
    subject = found["subject"].split(":")[0]
    start = f"{found['resource']}#{found['relation']}@"
    yield f"{start}{subject}:*"
    yield f"{start}{found['subject']}#member"
    yield f"{identity(text)}[cav0]"
    yield f"{identity(text)}[nothing]"
    yield identity(text) + '[cav0:{"i0": "x", "other": 1}]'
    yield f"{identity(text)}[expiration:2199-01-01T00:00:00Z]"
    yield f"nowhere:a#{found['relation']}@{found['subject']}"


def random_delete(universe):
    question = {"ask": "delete", "filter": random_filter(universe), "limit": universe.rng.choice([0, 0, 1, 1000, 1001])}
    if universe.rng.random() < 0.2:
        question["preconditions"] = [[universe.rng.choice(["match", "no_match"]), random_filter(universe)]]
    return question


def random_schema_change(rng, schema):
    """The schema without one of its pieces, or with its text damaged."""
    if rng.random() < 0.75:
        smaller = list(schema.smaller())
        if smaller:
            return {"ask": "schema_change", "schema": rng.choice(smaller).text()}
    changed = copy.deepcopy(schema)
    if changed.caveats and rng.random() < 0.6:
        caveat = rng.choice(changed.caveats)
        if caveat.parameters and rng.random() < 0.5:
            caveat.parameters[rng.choice(list(caveat.parameters))] = rng.choice(["int", "any", "string", "list<int>"])
        else:
            caveat.parameters["extra"] = "int"
            caveat.body = f"({caveat.body}) && extra > 1" if rng.random() < 0.7 else caveat.body
        return {"ask": "schema_change", "schema": changed.text()}
    words = changed.text().split(" ")
    place = rng.randrange(len(words))
    if rng.random() < 0.5:
        words.pop(place)
    else:
        words[place] = rng.choice(["{", "}", "|", "+", "->", "nil", "self", "with", "permission", "a.b", "#", "/* x */", ":*"])
    return {"ask": "schema_change", "schema": " ".join(words)}
