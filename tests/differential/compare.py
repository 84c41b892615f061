"""Asks both sides the same and tells where they differ. The one difference that is meant: on data that goes round in
circles SpiceDB runs out of depth, where Quorate has an answer.
"""

import json
import re
from dataclasses import dataclass

from ask import ask, write_schema
from case import has_cycle
from servers import UNKNOWN_REASON, Refused, Unsupported

LOST = ("DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED")


@dataclass
class Difference:
    question: dict
    expected: object
    got: object

    def signature(self):
        """What kind of difference it is: of many alike only the first is worth a closer look."""
        return f"{self.question['ask']}: {_sort(self.expected)} / {_sort(self.got)}"

    def lines(self):
        question = json.dumps(self.question)
        return [f"asked    {question}", f"SpiceDB  {json.dumps(self.expected)}", f"Quorate  {json.dumps(self.got)}"]


def _sort(answer):
    if not is_refused(answer):
        return "answer"
    # Without the names in it, a message says which rule refused.
    rule = re.sub(r"`[^`]*`|\d+", "_", answer["message"].split("\n")[0])[:60]
    return f"{answer['refused']} {answer['reason']} ({rule})"


def is_refused(answer):
    return isinstance(answer, dict) and "refused" in answer


def same(expected, got):
    if is_refused(expected) and is_refused(got):
        if expected["refused"] == "UNKNOWN":
            return True  # SpiceDB has no code for some refusals of a schema; any is better
        reasons = (expected["reason"], got["reason"])
        return expected["refused"] == got["refused"] and (UNKNOWN_REASON in reasons or reasons[0] == reasons[1])
    return expected == got


def out_of_depth(answer):
    if not is_refused(answer):
        return False
    return answer["reason"] == "ERROR_REASON_MAXIMUM_DEPTH_EXCEEDED" or "max depth exceeded" in answer["message"]


class Comparison:
    """One case on both sides."""

    def __init__(self, case, spicedb, quorate):
        self.case, self.spicedb, self.quorate = case, spicedb, quorate
        self.cyclic = has_cycle(case)
        self.asked = self.excused = 0
        self.lost = False  # SpiceDB gave up in the middle

    def differences(self):
        self.spicedb.fresh()
        self.quorate.fresh()
        found, written = self._both({"ask": "schema", "schema": self.case.schema_text()})
        if not written:
            return found
        found += self._relationships()
        if found:
            return found  # the sides hold different data: what follows would differ too
        for question in self.case.questions:
            if self.lost:
                break
            differing, written = self._both(question)
            found += differing
            if question["ask"] == "schema_change":
                self._restore_schema()
            elif differing and question["ask"] in ("write", "delete"):
                break
        return found

    def _relationships(self):
        """In one request, or, when that is refused, one by one."""
        if not self.case.relationships:
            return []
        updates = [["touch", text] for text in self.case.relationships]
        found, written = self._both({"ask": "write", "updates": updates, "preconditions": []})
        if written:
            return []
        for update in updates:
            found += self._both({"ask": "write", "updates": [update], "preconditions": []})[0]
        return found

    def _restore_schema(self):
        for side in (self.spicedb, self.quorate):
            answer = write_schema(side, self.case.schema_text())
            assert answer == "written", f"the schema does not go back: {answer}"

    def _both(self, question):
        """The differences, and whether both sides answered (rather than refused)."""
        try:
            expected = ask(self.spicedb, question)
        except Unsupported:
            return [], False
        got = ask(self.quorate, question)
        if is_refused(expected) and expected["refused"] in LOST and self.cyclic:
            self.spicedb.restart()
            self.lost = True
            return [], False
        self.asked += 1
        if question["ask"] == "bulk" and isinstance(expected, list) and isinstance(got, list):
            pairs = zip(question["items"], expected, got, strict=True)
            differing = [Difference({"ask": "bulk", "items": [i]}, e, g) for i, e, g in pairs if not self._agree(e, g)]
        else:
            differing = [] if self._agree(expected, got) else [Difference(question, expected, got)]
        return differing, not is_refused(expected) and not is_refused(got)

    def _agree(self, expected, got):
        if same(expected, got):
            return True
        if self.cyclic and out_of_depth(expected) and not is_refused(got):
            self.excused += 1
            return True
        return False


def differences(case, spicedb, quorate):
    return Comparison(case, spicedb, quorate).differences()


__all__ = ["Comparison", "Difference", "Refused", "differences"]
