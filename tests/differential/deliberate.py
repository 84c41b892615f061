"""The differences that are meant, each with its reason. A rule says yes only where SpiceDB's answer is the weaker one."""

import re

from ask import ask
from case import has_cycle, identity, parts
from servers import is_refused


def _out_of_depth(case, _question, expected, got, _spicedb):
    """SpiceDB gives up on data that goes round in circles; Quorate has an answer."""
    if not is_refused(expected) or is_refused(got) or not has_cycle(case):
        return False
    return expected["reason"] == "ERROR_REASON_MAXIMUM_DEPTH_EXCEEDED" or "max depth exceeded" in expected["message"]


def _refusal_without_a_code(_case, _question, expected, got, _spicedb):
    """SpiceDB has no code for some refusals of a schema (a cycle of permissions)."""
    return is_refused(expected) and is_refused(got) and expected["refused"] == "UNKNOWN"


def _orphans_with_caveats(case, question, expected, got, _spicedb):
    """SpiceDB lets a schema drop relations and definitions whose relationships carry caveats, and so orphans these."""
    if question["ask"] != "schema_change" or expected != "written" or not is_refused(got):
        return False
    written = [update[1] for asked in case.questions for update in asked.get("updates", ())]
    carrying = [identity(text) for text in [*case.relationships, *written] if re.search(r"\[(?!expiration:)", text)]
    return "the schema was not changed" in got["message"] and any(f"`{text}`" in got["message"] for text in carrying)


def _resources_against_checks(case, question, _expected, got, spicedb):
    """SpiceDB's LookupResources contradicts its own checks: it fails on caveats of relationships that lead to nothing, breaks
    on `self` in some expressions, and does not see that a wildcard covers usersets. Then the checks count, of every object
    that the data knows.
    """
    if question["ask"] != "lookup_resources":
        return False
    asked = {key: question[key] for key in ("permission", "subject", "context")}
    checked = {}
    for name in _ids(case, question["kind"], question["subject"]):
        answer = ask(spicedb, {"ask": "check", "resource": f"{question['kind']}:{name}", **asked})
        if is_refused(answer):
            return is_refused(got) and got["reason"] == answer["reason"]
        if answer[0] != "NO_PERMISSION":
            checked[name] = answer
    return checked == got


def _subjects_against_checks(case, question, _expected, got, spicedb):
    """The same for LookupSubjects, which takes the resource of `self` for a subject of whatever type is asked for. A subject
    that the data does not know stands for all that a wildcard covers.
    """
    if question["ask"] != "lookup_subjects":
        return False
    relation = f"#{question['subject_relation']}" if question["subject_relation"] else ""
    asked = {key: question[key] for key in ("resource", "permission", "context")}
    known = [*_ids(case, question["subject_kind"], question["resource"]), "somebody-else"]
    if not is_refused(got) and not set(got) <= {*known, "*"}:
        return False
    for name in known:
        answer = ask(spicedb, {"ask": "check", "subject": f"{question['subject_kind']}:{name}{relation}", **asked})
        if is_refused(answer):
            return is_refused(got) and got["reason"] == answer["reason"]
        if is_refused(got):
            continue
        if answer[0] != _said_of(name, got) and (question["wildcards"] or name in got):
            return False
    return not is_refused(got)


def _wildcard_as_its_type(_case, question, expected, got, _spicedb):
    """SpiceDB takes a relationship of a wildcard for one of the type, and does not let the type go while it is there."""
    if question["ask"] != "schema_change" or got != "written" or not is_refused(expected):
        return False
    found = re.search(r"cannot remove allowed type `([^`]+)` .* exists with it: \S+@(\S+):\*", expected["message"])
    return found is not None and found[1] == found[2]


def _error_that_decides_nothing(_case, question, expected, got, _spicedb):
    """SpiceDB fails on a caveat that cannot be evaluated wherever it meets it; Quorate where the answer hangs on it."""
    if question["ask"] != "check" or not is_refused(expected) or is_refused(got) or got[1]:
        return False
    return re.search(r"type error for parameters for caveat|evaluation error", expected["message"]) is not None


def _ids(case, kind, asked):
    """The ids of all objects of a type in the data, and in what is asked: a userset is in itself."""
    objects = {found[side] for found in map(parts, case.relationships) for side in ("resource", "subject")}
    objects.add(asked.split("#")[0])
    return sorted(name.split(":", 1)[1] for name in objects if name.startswith(f"{kind}:") and not name.endswith(":*"))


STRENGTH = ["NO_PERMISSION", "CONDITIONAL_PERMISSION", "HAS_PERMISSION"]


def _said_of(name, answers):
    """What found subjects say of one: its own entry, and the wildcard's unless it is excluded there."""
    own = STRENGTH.index(answers[name][0]) if name in answers else 0
    wildcard = 0
    if "*" in answers:
        permissionship, _, excluded = answers["*"]
        wildcard = STRENGTH.index(permissionship)
        for excluded_name, excluded_permissionship, _ in excluded:
            if excluded_name == name:
                wildcard = min(wildcard, 2 - STRENGTH.index(excluded_permissionship))
    return STRENGTH[max(own, wildcard)]


RULES = {
    "out of depth in SpiceDB": _out_of_depth,
    "without a code in SpiceDB": _refusal_without_a_code,
    "orphans in SpiceDB": _orphans_with_caveats,
    "a wildcard for its type in SpiceDB": _wildcard_as_its_type,
    "an error that decides nothing": _error_that_decides_nothing,
    "LookupResources against checks in SpiceDB": _resources_against_checks,
    "LookupSubjects against checks in SpiceDB": _subjects_against_checks,
}


def excuse(case, question, expected, got, spicedb):
    """The name of the rule that allows this difference, or None."""
    rules = RULES.items()
    return next((name for name, allows in rules if allows(case, question, expected, got, spicedb)), None)
