"""The differences that are meant, each with its reason. A rule says yes only where SpiceDB's answer is the weaker one."""

import re

from case import has_cycle, identity


def is_refused(answer):
    return isinstance(answer, dict) and "refused" in answer


def _out_of_depth(case, _question, expected, got):
    """SpiceDB gives up on data that goes round in circles; Quorate has an answer."""
    if not is_refused(expected) or is_refused(got) or not has_cycle(case):
        return False
    return expected["reason"] == "ERROR_REASON_MAXIMUM_DEPTH_EXCEEDED" or "max depth exceeded" in expected["message"]


def _refusal_without_a_code(_case, _question, expected, got):
    """SpiceDB has no code for some refusals of a schema (a cycle of permissions)."""
    return is_refused(expected) and is_refused(got) and expected["refused"] == "UNKNOWN"


def _orphans_with_caveats(case, question, expected, got):
    """SpiceDB lets a schema drop relations and definitions whose relationships carry caveats, and so orphans these."""
    if question["ask"] != "schema_change" or expected != "written" or not is_refused(got):
        return False
    carrying = [identity(text) for text in case.relationships if re.search(r"\[(?!expiration:)", text)]
    return "the schema was not changed" in got["message"] and any(f"`{text}`" in got["message"] for text in carrying)


RULES = {
    "out of depth in SpiceDB": _out_of_depth,
    "without a code in SpiceDB": _refusal_without_a_code,
    "orphans in SpiceDB": _orphans_with_caveats,
}


def excuse(case, question, expected, got):
    """The name of the rule that allows this difference, or None."""
    return next((name for name, allows in RULES.items() if allows(case, question, expected, got)), None)
