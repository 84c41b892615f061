"""Makes a case that differs smaller, by simple means: leave something out, keep what still differs in the same way."""

import time

from case import Case
from compare import differences

MOST_SECONDS = 45


def shrink(case, difference, spicedb, quorate):
    """A smaller case that differs in the same way, and its difference."""
    return _Shrinking(difference, spicedb, quorate).run(case)


class _Shrinking:
    def __init__(self, difference, spicedb, quorate):
        self.best = difference
        self.signature = difference.signature()
        self.sides = (spicedb, quorate)
        self.until = time.monotonic() + MOST_SECONDS

    def run(self, case):
        alone = [] if self.best.question["ask"] == "schema" else [self.best.question]
        if self.best.question in ([{"ask": "write", "updates": [["touch", r]], "preconditions": []}] for r in case.relationships):
            alone = []
        smaller = Case(case.schema, case.relationships, alone)
        if self._still(smaller):
            case = smaller
        while time.monotonic() < self.until:
            smaller = next((c for c in self._candidates(case) if self._still(c)), None)
            if smaller is None:
                break
            case = smaller
        return case, self.best

    def _candidates(self, case):
        for relationships in _without_some(case.relationships):
            yield Case(case.schema, relationships, case.questions)
        for questions in _without_some(case.questions):
            if questions:
                yield Case(case.schema, case.relationships, questions)
        if not isinstance(case.schema, str):
            for schema in case.schema.smaller():
                yield Case(schema, case.relationships, case.questions)
        for place, question in enumerate(case.questions):
            for name in question.get("context", ()):
                context = {key: value for key, value in question["context"].items() if key != name}
                changed = {**question, "context": context}
                yield Case(case.schema, case.relationships, [*case.questions[:place], changed, *case.questions[place + 1 :]])

    def _still(self, case):
        if time.monotonic() > self.until:
            return False
        for difference in differences(case, *self.sides):
            if difference.signature() == self.signature:
                self.best = difference
                return True
        return False


def _without_some(items):
    """The list without its halves, quarters, …, single items."""
    size = len(items) // 2
    while size >= 1:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2
    if len(items) == 1:
        yield []
