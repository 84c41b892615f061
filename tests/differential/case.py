"""A case: a schema, relationships, and questions to ask about them; stored as JSON. It knows nothing of servers.

A question is a dict with the key `ask` and what that kind of question needs (see `ask.py`). Objects, subjects and
relationships are text in the usual form: `doc:a`, `group:a#member`, `doc:a#viewer@user:*[big:{"n":1}][expiration:…]`.
"""

import json
import re
from dataclasses import dataclass

from schema import Schema

RELATIONSHIP = re.compile(
    r"(?P<resource>[^#@\[]+)#(?P<relation>[^@\[]+)@(?P<subject>[^#\[]+)(?:#(?P<subject_relation>[^\[]+))?"
    r"(?:\[(?!expiration:)(?P<caveat>[^:\]]+)(?::(?P<context>\{.*\}))?\])?(?:\[expiration:(?P<expires>[^\]]+)\])?"
)


@dataclass
class Case:
    schema: "Schema | str"
    relationships: list
    questions: list

    def schema_text(self):
        return self.schema if isinstance(self.schema, str) else self.schema.text()

    def store(self, path, why):
        content = {
            "why": why,
            "schema": self.schema_text().splitlines(),
            "relationships": self.relationships,
            "questions": self.questions,
        }
        path.write_text(json.dumps(content, indent=1) + "\n")

    @staticmethod
    def load(path):
        content = json.loads(path.read_text())
        return Case("\n".join(content["schema"]) + "\n", content["relationships"], content["questions"])


def parts(relationship):
    """The parts of a relationship's text, by name; those that it lacks are None."""
    found = RELATIONSHIP.fullmatch(relationship)
    assert found, f"not a relationship: {relationship}"
    return found.groupdict()


def relationship_text(resource, relation, subject, caveat="", context=None, expires=""):
    text = f"{resource}#{relation}@{subject}"
    if caveat:
        text += f"[{caveat}{':' + json.dumps(context, sort_keys=True) if context else ''}]"
    return text + (f"[expiration:{expires}]" if expires else "")


def identity(relationship):
    """The part that tells one stored relationship from another."""
    return relationship.split("[", 1)[0]


def has_cycle(case):
    """Whether following usersets and arrows may come back to where it began; then SpiceDB runs out of depth.

    Coarse on purpose: any way from an object to itself counts, and so does a permission that may reach itself without
    leaving its object.
    """
    edges = {}
    for text in case.relationships:
        found = parts(text)
        edges.setdefault(found["resource"], set()).add(found["subject"])
    return any(_reaches(edges, start, start) for start in edges) or _alias_cycle(case)


def _alias_cycle(case):
    for definition in re.finditer(r"definition (\S+) \{(.*?)\n\}", case.schema_text(), re.S):
        edges = {}
        for name, expression in re.findall(r"permission (\w+) = (.*)", definition[2]):
            edges[name] = set(re.findall(r"\w+", re.sub(r"\w+(->\w+|\.(any|all)\(\w+\))", "", expression)))
        if any(_reaches(edges, start, start) for start in edges):
            return True
    return False


def _reaches(edges, start, goal):
    seen, waiting = set(), list(edges.get(start, ()))
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        if here not in seen:
            seen.add(here)
            waiting.extend(edges.get(here, ()))
    return False
