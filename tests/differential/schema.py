"""A schema as data that can be written out as text and made smaller piece by piece. It knows nothing of servers or chance.

An expression is a list: ["ref", name], ["arrow", relation, target], ["any", …], ["all", …], ["nil"], ["self"], or
[operator, left, right, in_parentheses] with one of + & -. What the text means is for the servers to say: precedence is
theirs, so an operation may stand without parentheses.
"""

import copy
from dataclasses import dataclass, field

OPERATORS = ("+", "&", "-")


@dataclass
class Caveat:
    name: str
    parameters: dict  # name → type
    body: str

    def text(self):
        parameters = ", ".join(f"{name} {kind}" for name, kind in self.parameters.items())
        return f"caveat {self.name}({parameters}) {{\n  {self.body}\n}}"


@dataclass
class Allowed:
    """What a relation takes: a type, of it a relation or `*`, and what a relationship must carry."""

    kind: str
    relation: str = ""  # "" for the object itself, "*" for a wildcard
    caveat: str = ""
    expires: bool = False

    def text(self):
        of_it = {"": "", "*": ":*"}.get(self.relation, f"#{self.relation}")
        carried = [self.caveat] if self.caveat else []
        carried += ["expiration"] if self.expires else []
        return self.kind + of_it + (" with " + " and ".join(carried) if carried else "")


@dataclass
class Definition:
    name: str
    relations: dict = field(default_factory=dict)  # name → [Allowed]
    permissions: dict = field(default_factory=dict)  # name → expression

    def text(self):
        lines = [f"  relation {name}: {' | '.join(a.text() for a in allowed)}" for name, allowed in self.relations.items()]
        lines += [f"  permission {name} = {expression_text(e)}" for name, e in self.permissions.items()]
        return "\n".join([f"definition {self.name} {{", *lines, "}"])


@dataclass
class Schema:
    uses: list = field(default_factory=list)
    caveats: list = field(default_factory=list)
    definitions: list = field(default_factory=list)

    def text(self):
        parts = [f"use {name}" for name in self.uses] + [c.text() for c in self.caveats]
        return "\n\n".join(parts + [d.text() for d in self.definitions]) + "\n"

    def definition(self, name):
        return next((d for d in self.definitions if d.name == name), None)

    def caveat(self, name):
        return next((c for c in self.caveats if c.name == name), None)

    def smaller(self):
        """Every schema that lacks one piece of this one; pieces that take much with them come first."""
        for index in range(len(self.definitions)):
            yield self._without(lambda s, i=index: s.definitions.pop(i))
        for index in range(len(self.caveats)):
            yield self._without(lambda s, i=index: s.caveats.pop(i))
        for index in range(len(self.uses)):
            yield self._without(lambda s, i=index: s.uses.pop(i))
        for index, definition in enumerate(self.definitions):
            for name in definition.permissions:
                yield self._without(lambda s, i=index, n=name: s.definitions[i].permissions.pop(n))
            for name in definition.relations:
                yield self._without(lambda s, i=index, n=name: s.definitions[i].relations.pop(n))
            yield from self._smaller_members(index)

    def _smaller_members(self, index):
        definition = self.definitions[index]
        for name, allowed in definition.relations.items():
            for place in range(len(allowed) if len(allowed) > 1 else 0):
                yield self._without(lambda s, n=name, p=place: s.definitions[index].relations[n].pop(p))
        for name, expression in definition.permissions.items():
            for smaller in smaller_expressions(expression):
                yield self._without(lambda s, n=name, e=smaller: s.definitions[index].permissions.update({n: e}))

    def _without(self, change):
        changed = copy.deepcopy(self)
        change(changed)
        return changed


def expression_text(expression):
    kind = expression[0]
    if kind in OPERATORS:
        text = f"{expression_text(expression[1])} {kind} {expression_text(expression[2])}"
        return f"({text})" if expression[3] else text
    if kind == "ref":
        return expression[1]
    if kind == "arrow":
        return f"{expression[1]}->{expression[2]}"
    if kind in ("any", "all"):
        return f"{expression[1]}.{kind}({expression[2]})"
    assert kind in ("nil", "self"), kind
    return kind


def smaller_expressions(expression):
    if expression[0] not in OPERATORS:
        return
    operator, left, right, bracketed = expression
    yield left
    yield right
    yield from ([operator, smaller, right, bracketed] for smaller in smaller_expressions(left))
    yield from ([operator, left, smaller, bracketed] for smaller in smaller_expressions(right))
