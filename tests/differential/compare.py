"""Asks both sides the same and tells where they differ; differences that are meant (`deliberate.py`) are only counted."""

import collections
import json
import re
from dataclasses import dataclass

from ask import ask, write_schema
from case import has_cycle
from deliberate import excuse
from servers import UNKNOWN_REASON, Unsupported, is_refused

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


def same(expected, got):
    if is_refused(expected) and is_refused(got):
        reasons = (expected["reason"], got["reason"])
        return expected["refused"] == got["refused"] and (UNKNOWN_REASON in reasons or reasons[0] == reasons[1])
    return expected == got


class Comparison:
    """One case on both sides."""

    def __init__(self, case, spicedb, quorate):
        self.case, self.spicedb, self.quorate = case, spicedb, quorate
        self.cyclic = has_cycle(case)
        self.asked = 0
        self.excused = collections.Counter()
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
                if not self._schema_goes_back():
                    break
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

    def _schema_goes_back(self):
        """Not every change can be taken back."""
        return all(write_schema(side, self.case.schema_text()) == "written" for side in (self.spicedb, self.quorate))

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
            differing = [self._item(*pair) for pair in pairs]
            differing = [difference for difference in differing if difference]
        else:
            differing = [] if self._agree(question, expected, got) else [Difference(question, expected, got)]
        return differing, not is_refused(expected) and not is_refused(got)

    def _item(self, item, expected, got):
        if not same(expected, got) and is_refused(expected):
            # In bulk SpiceDB lets the error of one item fail all those that it evaluates together with it.
            expected = ask(self.spicedb, {"ask": "check", **item})
        question = {"ask": "bulk", "items": [item]}
        return None if self._agree(question, expected, got) else Difference(question, expected, got)

    def _agree(self, question, expected, got):
        if same(expected, got):
            return True
        rule = excuse(self.case, question, expected, got, self.spicedb)
        self.excused[rule] += 1
        return rule is not None


def differences(case, spicedb, quorate):
    return Comparison(case, spicedb, quorate).differences()

