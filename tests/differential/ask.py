"""Asks one side a question and brings the answer into a form that can be compared: sets sorted, tokens left out, and a
refusal as its code and reason. What the answers should be it does not know.
"""

import json

from authzed.api.v1 import (
    CheckBulkPermissionsRequest,
    CheckBulkPermissionsRequestItem,
    CheckPermissionRequest,
    CheckPermissionResponse,
    ComputablePermissionsRequest,
    Consistency,
    DeleteRelationshipsRequest,
    DependentRelationsRequest,
    DiffSchemaRequest,
    ExpandPermissionTreeRequest,
    LookupResourcesRequest,
    LookupSubjectsRequest,
    ObjectReference,
    Precondition,
    ReadRelationshipsRequest,
    ReflectSchemaRequest,
    Relationship,
    RelationshipFilter,
    RelationshipUpdate,
    SubjectFilter,
    SubjectReference,
    WriteRelationshipsRequest,
    WriteSchemaRequest,
)
from authzed.api.v1.core_pb2 import AlgebraicSubjectSet
from authzed.api.v1.permission_service_pb2 import DeleteRelationshipsResponse, LookupPermissionship
from authzed.api.v1.schema_service_pb2 import ReflectionSchemaFilter
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.rpc import code_pb2

from case import parts, relationship_text
from servers import Refused, reason_of

LATEST = Consistency(fully_consistent=True)
MOST_PAGES = 200


def ask(side, question):
    """The answer in its comparable form."""
    try:
        return KINDS[question["ask"]](side, question)
    except Refused as refusal:
        return {"refused": refusal.code, "reason": refusal.reason, "message": refusal.message}


def write_schema(side, text):
    return ask(side, {"ask": "schema", "schema": text})


def _permissions(side, method, request):
    return side.call("PermissionsService", method, request)


def _schema(side, method, request):
    return side.call("SchemaService", method, request)


def _object(text):
    kind, _, name = text.partition(":")
    return ObjectReference(object_type=kind, object_id=name)


def _subject(text):
    name, _, relation = text.partition("#")
    return SubjectReference(object=_object(name), optional_relation=relation)


def _context(values):
    if not values:
        return None
    context = Struct()
    context.update(values)
    return context


def _relationship(text):
    found = parts(text)
    subject = found["subject"] + (f"#{found['subject_relation']}" if found["subject_relation"] else "")
    made = Relationship(resource=_object(found["resource"]), relation=found["relation"], subject=_subject(subject))
    if found["caveat"]:
        made.optional_caveat.caveat_name = found["caveat"]
        if found["context"]:
            made.optional_caveat.context.update(json.loads(found["context"]))
    if found["expires"]:
        made.optional_expires_at.FromJsonString(found["expires"])
    return made


def _relationship_text(made):
    resource, subject = made.resource, made.subject
    relation = f"#{subject.optional_relation}" if subject.optional_relation else ""
    expires = made.optional_expires_at.ToJsonString() if made.HasField("optional_expires_at") else ""
    return relationship_text(
        f"{resource.object_type}:{resource.object_id}",
        made.relation,
        f"{subject.object.object_type}:{subject.object.object_id}{relation}",
        made.optional_caveat.caveat_name,
        MessageToDict(made.optional_caveat.context),
        expires,
    )


def _filter(chosen):
    made = RelationshipFilter(
        resource_type=chosen.get("kind", ""),
        optional_resource_id=chosen.get("id", ""),
        optional_resource_id_prefix=chosen.get("prefix", ""),
        optional_relation=chosen.get("relation", ""),
    )
    if "subject_kind" in chosen:
        made.optional_subject_filter.CopyFrom(
            SubjectFilter(subject_type=chosen["subject_kind"], optional_subject_id=chosen.get("subject_id", ""))
        )
        if "subject_relation" in chosen:
            made.optional_subject_filter.optional_relation.relation = chosen["subject_relation"]
    return made


def _preconditions(question):
    operations = {"match": Precondition.OPERATION_MUST_MATCH, "no_match": Precondition.OPERATION_MUST_NOT_MATCH}
    chosen = question.get("preconditions", [])
    return [Precondition(operation=operations[operation], filter=_filter(f)) for operation, f in chosen]


def _permissionship(answer):
    name = CheckPermissionResponse.Permissionship.Name(answer.permissionship).removeprefix("PERMISSIONSHIP_")
    return [name, sorted(set(answer.partial_caveat_info.missing_required_context))]


def _looked_up(answer):
    name = LookupPermissionship.Name(answer.permissionship).removeprefix("LOOKUP_PERMISSIONSHIP_")
    return [name, sorted(set(answer.partial_caveat_info.missing_required_context))]


def _ask_schema(side, question):
    _schema(side, "WriteSchema", WriteSchemaRequest(schema=question["schema"]))
    return "written"


def _ask_check(side, question):
    request = CheckPermissionRequest(
        consistency=LATEST,
        resource=_object(question["resource"]),
        permission=question["permission"],
        subject=_subject(question["subject"]),
        context=_context(question["context"]),
    )
    return _permissionship(_permissions(side, "CheckPermission", request))


def _ask_bulk(side, question):
    items = [
        CheckBulkPermissionsRequestItem(
            resource=_object(item["resource"]),
            permission=item["permission"],
            subject=_subject(item["subject"]),
            context=_context(item["context"]),
        )
        for item in question["items"]
    ]
    request = CheckBulkPermissionsRequest(consistency=LATEST, items=items)
    return [_pair(pair) for pair in _permissions(side, "CheckBulkPermissions", request).pairs]


def _pair(pair):
    if pair.WhichOneof("response") == "item":
        return _permissionship(pair.item)
    return {
        "refused": code_pb2.Code.Name(pair.error.code),
        "reason": reason_of(pair.error.details),
        "message": pair.error.message,
    }


def _ask_expand(side, question):
    request = ExpandPermissionTreeRequest(
        consistency=LATEST, resource=_object(question["resource"]), permission=question["permission"]
    )
    return _tree(_permissions(side, "ExpandPermissionTree", request).tree_root)


def _tree(node):
    expanded = node.expanded_object
    where = f"{expanded.object_type}:{expanded.object_id}#{node.expanded_relation}"
    if node.WhichOneof("tree_type") == "leaf":
        subjects = (MessageToDict(subject) for subject in node.leaf.subjects)
        return {"leaf": where, "subjects": sorted(json.dumps(subject, sort_keys=True) for subject in subjects)}
    operation = AlgebraicSubjectSet.Operation.Name(node.intermediate.operation).removeprefix("OPERATION_")
    children = [_tree(child) for child in node.intermediate.children]
    if operation != "EXCLUSION":
        children.sort(key=lambda child: json.dumps(child, sort_keys=True))
    return {operation: where, "children": children}


def _ask_lookup_resources(side, question):
    request = LookupResourcesRequest(
        consistency=LATEST,
        resource_object_type=question["kind"],
        permission=question["permission"],
        subject=_subject(question["subject"]),
        context=_context(question["context"]),
        optional_limit=question["page"],
    )
    found = {}
    for answer in _pages(side, "LookupResources", request, question["page"]):
        found.setdefault(answer.resource_object_id, []).append(_looked_up(answer))
    return {name: _strongest(answers) for name, answers in sorted(found.items())}


def _strongest(answers):
    """A stream may give a resource again when it finds more about it."""
    definite = [answer for answer in answers if answer[0] == "HAS_PERMISSION"]
    if definite:
        return definite[0]
    return [answers[0][0], sorted({name for _, missing in answers for name in missing})]


def _pages(side, method, request, size):
    for _ in range(MOST_PAGES):
        answers = _permissions(side, method, request)
        yield from answers
        if not size or len(answers) < size:
            return
        request.optional_cursor.CopyFrom(answers[-1].after_result_cursor)
    raise Refused("PAGES", "the pages come to no end", "")


def _ask_lookup_subjects(side, question):
    wildcards = LookupSubjectsRequest.WILDCARD_OPTION_INCLUDE_WILDCARDS
    if not question["wildcards"]:
        wildcards = LookupSubjectsRequest.WILDCARD_OPTION_EXCLUDE_WILDCARDS
    request = LookupSubjectsRequest(
        consistency=LATEST,
        resource=_object(question["resource"]),
        permission=question["permission"],
        subject_object_type=question["subject_kind"],
        optional_subject_relation=question["subject_relation"],
        context=_context(question["context"]),
        wildcard_option=wildcards,
    )
    found = {}
    for answer in _permissions(side, "LookupSubjects", request):
        excluded = sorted([subject.subject_object_id, *_looked_up(subject)] for subject in answer.excluded_subjects)
        found.setdefault(answer.subject.subject_object_id, []).append([*_looked_up(answer.subject), excluded])
    # A stream may find a subject again; differently would be a contradiction, which stays to be seen.
    return {name: answers[0] if answers == answers[:1] * len(answers) else answers for name, answers in sorted(found.items())}


def _ask_read(side, question):
    request = ReadRelationshipsRequest(
        consistency=LATEST, relationship_filter=_filter(question["filter"]), optional_limit=question["page"]
    )
    answers = _pages(side, "ReadRelationships", request, question["page"])
    return sorted(_relationship_text(answer.relationship) for answer in answers)


def _ask_write(side, question):
    operations = RelationshipUpdate.Operation
    updates = [
        RelationshipUpdate(operation=operations.Value(f"OPERATION_{name.upper()}"), relationship=_relationship(text))
        for name, text in question["updates"]
    ]
    request = WriteRelationshipsRequest(updates=updates, optional_preconditions=_preconditions(question))
    _permissions(side, "WriteRelationships", request)
    return "written"


def _ask_delete(side, question):
    request = DeleteRelationshipsRequest(
        relationship_filter=_filter(question["filter"]),
        optional_limit=question["limit"],
        optional_allow_partial_deletions=question.get("partial", False),
        optional_preconditions=_preconditions(question),
    )
    answer = _permissions(side, "DeleteRelationships", request)
    return [DeleteRelationshipsResponse.DeletionProgress.Name(answer.deletion_progress), answer.relationships_deleted_count]


def _sorted_messages(messages):
    return sorted(json.dumps(_in_order(MessageToDict(message)), sort_keys=True) for message in messages)


def _in_order(value):
    """Lists in a described schema have no order."""
    if isinstance(value, dict):
        return {name: _in_order(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return sorted((_in_order(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    return value


def _ask_reflect(side, question):
    names = {"definition": "definition", "relation": "relation", "permission": "permission", "caveat": "caveat"}
    filters = [
        ReflectionSchemaFilter(**{f"optional_{names[key]}_name_filter": value for key, value in chosen.items()})
        for chosen in question["filters"]
    ]
    answer = _schema(side, "ReflectSchema", ReflectSchemaRequest(consistency=LATEST, optional_filters=filters))
    return [_sorted_messages(answer.definitions), _sorted_messages(answer.caveats)]


def _ask_diff(side, question):
    request = DiffSchemaRequest(consistency=LATEST, comparison_schema=question["schema"])
    return _sorted_messages(_schema(side, "DiffSchema", request).diffs)


def _ask_computable(side, question):
    request = ComputablePermissionsRequest(
        consistency=LATEST,
        definition_name=question["kind"],
        relation_name=question["relation"],
        optional_definition_name_filter=question["filter"],
    )
    return _sorted_messages(_schema(side, "ComputablePermissions", request).permissions)


def _ask_dependent(side, question):
    request = DependentRelationsRequest(
        consistency=LATEST, definition_name=question["kind"], permission_name=question["permission"]
    )
    return _sorted_messages(_schema(side, "DependentRelations", request).relations)


KINDS = {
    "schema": _ask_schema,
    "schema_change": _ask_schema,
    "check": _ask_check,
    "bulk": _ask_bulk,
    "expand": _ask_expand,
    "lookup_resources": _ask_lookup_resources,
    "lookup_subjects": _ask_lookup_subjects,
    "read": _ask_read,
    "write": _ask_write,
    "delete": _ask_delete,
    "reflect": _ask_reflect,
    "diff": _ask_diff,
    "computable": _ask_computable,
    "dependent": _ask_dependent,
}
