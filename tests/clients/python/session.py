"""The official Python client against a live cluster: a small session on several nodes, and a comparison of the messages that
the cluster describes by reflection with those of the official package.

Environment: QUORATE_ENDPOINTS (addresses of the nodes, with commas), QUORATE_KEY.
"""

import os
import pathlib
import sys
import traceback

import grpc
from authzed.api.v1 import (
    BulkExportRelationshipsRequest,
    BulkImportRelationshipsRequest,
    CheckBulkPermissionsRequest,
    CheckBulkPermissionsRequestItem,
    CheckPermissionRequest,
    CheckPermissionResponse,
    Consistency,
    ContextualizedCaveat,
    DeleteRelationshipsRequest,
    DiffSchemaRequest,
    ExpandPermissionTreeRequest,
    LookupResourcesRequest,
    LookupSubjectsRequest,
    ObjectReference,
    ReadRelationshipsRequest,
    ReadSchemaRequest,
    ReflectSchemaRequest,
    Relationship,
    RelationshipFilter,
    RelationshipUpdate,
    SubjectReference,
    SyncClient,
    WatchRequest,
    WriteRelationshipsRequest,
    WriteSchemaRequest,
    ZedToken,
)
from authzed.api.v1.experimental_service_pb2 import (
    ExperimentalCountRelationshipsRequest,
    ExperimentalRegisterRelationshipCounterRequest,
    ExperimentalUnregisterRelationshipCounterRequest,
)
from authzed.api.v1.permission_service_pb2 import ExportBulkRelationshipsRequest, ImportBulkRelationshipsRequest
from authzed.api.v1.permission_service_pb2_grpc import PermissionsServiceStub
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import Default as official_pool
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpcutil import insecure_bearer_token_credentials

# The example of the documentation is run here, too, and leaves no compiled copy of itself among the sources.
sys.path.append(str(pathlib.Path(__file__).parents[3] / "docs" / "examples"))
sys.dont_write_bytecode = True
import content_change

ENDPOINTS = os.environ["QUORATE_ENDPOINTS"].split(",")
KEY = os.environ["QUORATE_KEY"]
ALLOWED = CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION
DENIED = CheckPermissionResponse.PERMISSIONSHIP_NO_PERMISSION
CONDITIONAL = CheckPermissionResponse.PERMISSIONSHIP_CONDITIONAL_PERMISSION
FULLY = Consistency(fully_consistent=True)

SCHEMA = """
use expiration

caveat pytall(height int) {
    height > 2
}

definition pyuser {}

definition pydoc {
    relation writer: pyuser
    relation reader: pyuser | pyuser with pytall | pyuser with expiration
    permission edit = writer
    permission view = reader + edit
}
"""


def client(node, key=KEY):
    return SyncClient(ENDPOINTS[node], insecure_bearer_token_credentials(key))


def obj(text):
    object_type, object_id = text.split(":")
    return ObjectReference(object_type=object_type, object_id=object_id)


def subject(text):
    return SubjectReference(object=obj(text))


def update(operation, resource, relation, who):
    relationship = Relationship(resource=obj(resource), relation=relation, subject=subject(who))
    return RelationshipUpdate(operation=operation, relationship=relationship)


def touch(*triples):
    operation = RelationshipUpdate.Operation.OPERATION_TOUCH
    return WriteRelationshipsRequest(updates=[update(operation, *triple) for triple in triples])


def check(resource, permission, who, consistency=None):
    return CheckPermissionRequest(
        resource=obj(resource), permission=permission, subject=subject(who), consistency=consistency
    )


def refusal(call):
    """The code and the ErrorInfo reason with which `call` is refused."""
    try:
        call()
    except grpc.RpcError as error:
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                for detail in status_pb2.Status.FromString(value).details:
                    info = error_details_pb2.ErrorInfo()
                    if detail.Unpack(info):
                        # SpiceDB's reasons under its domain, those that it has no word for under ours.
                        assert info.domain in ("authzed.com", "quorate"), info
                        return error.code(), info.reason
        return error.code(), None
    raise AssertionError("it was not refused")


def test_schema_goes_in_and_comes_out():
    written = client(0).WriteSchema(WriteSchemaRequest(schema=SCHEMA))
    assert written.written_at.token
    read = client(1).ReadSchema(ReadSchemaRequest())
    assert "definition pydoc" in read.schema_text, read.schema_text
    assert read.read_at.token


def test_a_zookie_holds_on_every_node():
    written = client(0).WriteRelationships(
        touch(("pydoc:one", "writer", "pyuser:emilia"), ("pydoc:one", "reader", "pyuser:beatrice"))
    )
    fresh = Consistency(at_least_as_fresh=written.written_at)
    exact = Consistency(at_exact_snapshot=written.written_at)
    for node in range(len(ENDPOINTS)):
        for consistency in (fresh, exact, Consistency(fully_consistent=True)):
            for who, permission, expected in (
                ("pyuser:emilia", "view", ALLOWED),
                ("pyuser:emilia", "edit", ALLOWED),
                ("pyuser:beatrice", "view", ALLOWED),
                ("pyuser:beatrice", "edit", DENIED),
                ("pyuser:nobody", "view", DENIED),
            ):
                answer = client(node).CheckPermission(check("pydoc:one", permission, who, consistency))
                assert answer.permissionship == expected, (node, who, permission, answer)
                assert answer.checked_at.token


def test_bulk_checks_keep_their_order():
    asked = [("pyuser:emilia", "edit"), ("pyuser:beatrice", "edit"), ("pyuser:beatrice", "view")]
    items = [
        CheckBulkPermissionsRequestItem(resource=obj("pydoc:one"), permission=permission, subject=subject(who))
        for who, permission in asked
    ]
    request = CheckBulkPermissionsRequest(items=items, consistency=Consistency(fully_consistent=True))
    answer = client(2).CheckBulkPermissions(request)
    assert [pair.item.permissionship for pair in answer.pairs] == [ALLOWED, DENIED, ALLOWED], answer
    assert [pair.request.permission for pair in answer.pairs] == [permission for _, permission in asked]


def test_relationships_are_read_page_by_page():
    client(1).WriteRelationships(touch(*((f"pydoc:page{n}", "reader", "pyuser:ann") for n in range(5))))
    found, cursor = [], None
    while True:
        request = ReadRelationshipsRequest(
            relationship_filter=RelationshipFilter(resource_type="pydoc", optional_resource_id_prefix="page"),
            consistency=Consistency(fully_consistent=True),
            optional_limit=2,
            optional_cursor=cursor,
        )
        rows = list(client(2).ReadRelationships(request))
        if not rows:
            break
        found += [row.relationship.resource.object_id for row in rows]
        cursor = rows[-1].after_result_cursor
    assert found == [f"page{n}" for n in range(5)], found


def test_checks_go_on_under_a_floor():
    """A client that knows nothing of floors is raised to them, and can see that it was."""
    service = content_change.ConsistencyService(ENDPOINTS[0], KEY)
    version = service.call("GetFloors", {}).version
    floors = [{"object_type": "pydoc", "fully_consistent": True}]
    floored = service.call("SetFloors", {"expected_version": str(version), "floors": floors})
    seen = Consistency(at_least_as_fresh=ZedToken(token=floored.set_at.token))
    for node in range(len(ENDPOINTS)):
        # Whoever has seen the change of the floors is held to them; from then on so is everybody on this node.
        for consistency, raised in ((seen, "fully_consistent (pydoc)"), (None, "fully_consistent (pydoc)"), (FULLY, None)):
            request = check("pydoc:one", "edit", "pyuser:emilia", consistency)
            answer, call = client(node).CheckPermission.with_call(request)
            assert answer.permissionship == ALLOWED, (node, consistency, answer)
            found = dict(call.initial_metadata()).get("quorate-consistency-raised")
            assert found == raised, (node, consistency, found)
    exact = Consistency(at_exact_snapshot=ZedToken(token=floored.set_at.token))
    refused = refusal(lambda: client(1).CheckPermission(check("pydoc:one", "edit", "pyuser:emilia", exact)))
    assert refused == (grpc.StatusCode.FAILED_PRECONDITION, "BELOW_FLOOR"), refused
    service.call("SetFloors", {"expected_version": str(floored.version), "floors": []})


def test_deleting_is_seen_elsewhere():
    deleted = client(1).DeleteRelationships(
        DeleteRelationshipsRequest(relationship_filter=RelationshipFilter(resource_type="pydoc", optional_resource_id="one"))
    )
    assert deleted.relationships_deleted_count == 2, deleted
    fresh = Consistency(at_least_as_fresh=deleted.deleted_at)
    answer = client(2).CheckPermission(check("pydoc:one", "view", "pyuser:emilia", fresh))
    assert answer.permissionship == DENIED, answer


def struct(**values):
    result = Struct()
    result.update(values)
    return result


def touch_one(relationship):
    operation = RelationshipUpdate.Operation.OPERATION_TOUCH
    return WriteRelationshipsRequest(updates=[RelationshipUpdate(operation=operation, relationship=relationship)])


def relationship(resource, relation, who):
    return Relationship(resource=obj(resource), relation=relation, subject=subject(who))


def test_a_caveat_decides_with_what_is_stored_and_what_is_asked():
    limited = relationship("pydoc:tall", "reader", "pyuser:eve")
    limited.optional_caveat.CopyFrom(ContextualizedCaveat(caveat_name="pytall"))
    client(0).WriteRelationships(touch_one(limited))
    for context, expected in ((None, CONDITIONAL), (struct(height=3), ALLOWED), (struct(height=1), DENIED)):
        request = CheckPermissionRequest(
            resource=obj("pydoc:tall"), permission="view", subject=subject("pyuser:eve"), context=context, consistency=FULLY
        )
        answer = client(1).CheckPermission(request)
        assert answer.permissionship == expected, (context, answer)
        missing = ["height"] if expected == CONDITIONAL else []
        assert list(answer.partial_caveat_info.missing_required_context) == missing, answer
    limited.optional_caveat.context.update({"height": 1})
    client(0).WriteRelationships(touch_one(limited))
    (row,) = client(2).ReadRelationships(
        ReadRelationshipsRequest(
            consistency=FULLY, relationship_filter=RelationshipFilter(resource_type="pydoc", optional_resource_id="tall")
        )
    )
    assert row.relationship == limited, row


def test_what_has_expired_counts_no_more():
    for name, seconds, expected in (("past", 1, DENIED), ("future", 4_000_000_000, ALLOWED)):
        limited = relationship(f"pydoc:{name}", "reader", "pyuser:eve")
        limited.optional_expires_at.CopyFrom(Timestamp(seconds=seconds))
        client(1).WriteRelationships(touch_one(limited))
        answer = client(2).CheckPermission(check(f"pydoc:{name}", "view", "pyuser:eve", FULLY))
        assert answer.permissionship == expected, (name, answer)
        rows = client(0).ReadRelationships(
            ReadRelationshipsRequest(
                consistency=FULLY, relationship_filter=RelationshipFilter(resource_type="pydoc", optional_resource_id=name)
            )
        )
        assert [row.relationship for row in rows] == ([limited] if expected == ALLOWED else [])


def test_bulk_imports_create_and_bulk_exports_go_on():
    def batches(kind):
        for first in (0, 3):
            loaded = [relationship(f"pydoc:bulk{n}", "reader", "pyuser:bob") for n in range(first, first + 3)]
            yield kind(relationships=loaded)

    assert client(1).ImportBulkRelationships(batches(ImportBulkRelationshipsRequest)).num_loaded == 6
    again = refusal(lambda: client(1).BulkImportRelationships(batches(BulkImportRelationshipsRequest)))
    assert again == (grpc.StatusCode.ALREADY_EXISTS, "ERROR_REASON_ATTEMPT_TO_RECREATE_RELATIONSHIP"), again
    bulk = RelationshipFilter(resource_type="pydoc", optional_resource_id_prefix="bulk")
    pages = list(
        client(2).ExportBulkRelationships(
            ExportBulkRelationshipsRequest(consistency=FULLY, optional_limit=4, optional_relationship_filter=bulk)
        )
    )
    assert [len(page.relationships) for page in pages] == [4, 2], pages
    rest = client(0).BulkExportRelationships(
        BulkExportRelationshipsRequest(
            consistency=FULLY, optional_cursor=pages[0].after_result_cursor, optional_relationship_filter=bulk
        )
    )
    found = [row.resource.object_id for page in rest for row in page.relationships]
    assert found == ["bulk4", "bulk5"], found


def test_counters_count():
    counted = RelationshipFilter(resource_type="pydoc", optional_resource_id_prefix="bulk")
    name = {"name": "pybulk"}
    client(0).ExperimentalRegisterRelationshipCounter(
        ExperimentalRegisterRelationshipCounterRequest(relationship_filter=counted, **name)
    )
    answer = client(1).ExperimentalCountRelationships(ExperimentalCountRelationshipsRequest(**name))
    assert answer.read_counter_value.relationship_count == 6, answer
    assert answer.read_counter_value.read_at.token
    client(2).ExperimentalUnregisterRelationshipCounter(ExperimentalUnregisterRelationshipCounterRequest(**name))
    gone = refusal(lambda: client(0).ExperimentalCountRelationships(ExperimentalCountRelationshipsRequest(**name)))
    assert gone == (grpc.StatusCode.FAILED_PRECONDITION, "ERROR_REASON_COUNTER_NOT_REGISTERED"), gone


def test_a_write_under_a_key_takes_effect_once():
    create = RelationshipUpdate.Operation.OPERATION_CREATE

    def write(node, who, key):
        request = WriteRelationshipsRequest(updates=[update(create, "pydoc:once", "reader", who)])
        return client(node).WriteRelationships(request, metadata=(("quorate-idempotency-key", key),))

    first = write(0, "pyuser:ann", "py-1").written_at
    assert [write(node, "pyuser:ann", "py-1").written_at for node in (1, 2)] == [first, first]
    reused = refusal(lambda: write(1, "pyuser:bob", "py-1"))
    assert reused == (grpc.StatusCode.FAILED_PRECONDITION, "IDEMPOTENCY_KEY_REUSED"), reused
    fresh = refusal(lambda: write(1, "pyuser:ann", "py-2"))
    assert fresh == (grpc.StatusCode.ALREADY_EXISTS, "ERROR_REASON_ATTEMPT_TO_RECREATE_RELATIONSHIP"), fresh


def test_lookups_and_expand_find_what_checks_allow():
    resources = client(0).LookupResources(
        LookupResourcesRequest(
            consistency=FULLY, resource_object_type="pydoc", permission="view", subject=subject("pyuser:bob")
        )
    )
    assert sorted(row.resource_object_id for row in resources) == [f"bulk{n}" for n in range(6)]
    subjects = client(1).LookupSubjects(
        LookupSubjectsRequest(
            consistency=FULLY, resource=obj("pydoc:bulk0"), permission="view", subject_object_type="pyuser"
        )
    )
    assert [row.subject.subject_object_id for row in subjects] == ["bob"]
    tree = client(2).ExpandPermissionTree(
        ExpandPermissionTreeRequest(consistency=FULLY, resource=obj("pydoc:bulk0"), permission="view")
    )
    assert (tree.tree_root.expanded_object, tree.tree_root.expanded_relation) == (obj("pydoc:bulk0"), "view"), tree


def test_the_schema_describes_itself():
    reflected = client(0).ReflectSchema(ReflectSchemaRequest(consistency=FULLY))
    assert [definition.name for definition in reflected.definitions] == ["pydoc", "pyuser"], reflected
    assert [caveat.name for caveat in reflected.caveats] == ["pytall"], reflected
    diff = client(1).DiffSchema(DiffSchemaRequest(consistency=FULLY, comparison_schema=SCHEMA + "\ndefinition pynew {}"))
    assert [change.definition_added.name for change in diff.diffs] == ["pynew"], diff


def test_a_watch_tells_of_writes_on_other_nodes():
    before = client(0).WriteRelationships(touch(("pydoc:watched", "reader", "pyuser:wim"))).written_at
    client(0).WriteRelationships(touch(("pydoc:watched", "reader", "pyuser:zoe")))
    stream = client(1).Watch(WatchRequest(optional_start_cursor=before))
    response = next(iter(stream))
    stream.cancel()
    assert [update.relationship.subject.object.object_id for update in response.updates] == ["zoe"], response


def test_errors_carry_their_reasons():
    c = client(1)
    create = RelationshipUpdate.Operation.OPERATION_CREATE
    existing = WriteRelationshipsRequest(updates=[update(create, "pydoc:page0", "reader", "pyuser:ann")])
    for call, code, reason in (
        (lambda: c.WriteRelationships(existing), grpc.StatusCode.ALREADY_EXISTS, "ATTEMPT_TO_RECREATE_RELATIONSHIP"),
        (
            lambda: c.WriteRelationships(touch(("pydoc:one", "view", "pyuser:ann"))),
            grpc.StatusCode.INVALID_ARGUMENT,
            "CANNOT_UPDATE_PERMISSION",
        ),
        (
            lambda: c.CheckPermission(check("nothing:one", "view", "pyuser:ann")),
            grpc.StatusCode.FAILED_PRECONDITION,
            "UNKNOWN_DEFINITION",
        ),
        (
            lambda: c.CheckPermission(check("pydoc:one", "print", "pyuser:ann")),
            grpc.StatusCode.FAILED_PRECONDITION,
            "UNKNOWN_RELATION_OR_PERMISSION",
        ),
        (
            lambda: c.WriteSchema(WriteSchemaRequest(schema="definition {")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "SCHEMA_PARSE_ERROR",
        ),
    ):
        assert refusal(call) == (code, f"ERROR_REASON_{reason}"), (reason, refusal(call))


def test_keys_are_looked_at():
    request = check("pydoc:one", "view", "pyuser:ann")
    assert refusal(lambda: client(0, key="wrong").CheckPermission(request))[0] == grpc.StatusCode.PERMISSION_DENIED
    with grpc.insecure_channel(ENDPOINTS[0]) as channel:
        keyless = PermissionsServiceStub(channel)
        assert refusal(lambda: keyless.CheckPermission(request))[0] == grpc.StatusCode.UNAUTHENTICATED


def served_files():
    """What the cluster describes by reflection: the files of its authzed services, by name. No key is needed."""
    with grpc.insecure_channel(ENDPOINTS[1]) as channel:
        # The package has the messages of v1alpha only, which are those of v1 under another name.
        call = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )

        def ask(**question):
            (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(**question)]))
            assert not answer.HasField("error_response"), answer
            return answer

        services = [s.name for s in ask(list_services="").list_services_response.service]
        wanted = [name for name in services if name.startswith("authzed.api.v1.")]
        assert len(wanted) >= 2, services
        files, pending = {}, [{"file_containing_symbol": name} for name in wanted]
        while pending:
            for data in ask(**pending.pop()).file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(data)
                if file.name not in files:
                    files[file.name] = file
                    pending += [{"file_by_filename": name} for name in file.dependency if name not in files]
        return files


def shape(messages, enums, prefix):
    """Every message and enum with all that decides its wire format, by full name."""
    shapes = {}
    for message in messages:
        name = f"{prefix}.{message.name}"
        oneofs = [oneof.name for oneof in message.oneof_decl]
        shapes[name] = sorted(
            (
                field.number,
                field.name,
                field.type,
                field.label,
                field.type_name,
                field.proto3_optional,
                oneofs[field.oneof_index] if field.HasField("oneof_index") else None,
            )
            for field in message.field
        )
        shapes.update(shape(message.nested_type, message.enum_type, name))
    for enum in enums:
        shapes[f"{prefix}.{enum.name}"] = sorted((value.number, value.name) for value in enum.value)
    return shapes


def test_served_messages_equal_the_official_ones():
    official = official_pool()
    compared = 0
    for file in served_files().values():
        if file.package != "authzed.api.v1":
            continue
        for name, served in shape(file.message_type, file.enum_type, file.package).items():
            theirs = official_shape(official, name)
            assert served == theirs, f"{name}\n  served:   {served}\n  official: {theirs}"
            compared += 1
        for service in file.service:
            theirs = official.FindServiceByName(f"{file.package}.{service.name}").methods_by_name
            for method in service.method:
                other = descriptor_pb2.MethodDescriptorProto()
                theirs[method.name].CopyToProto(other)
                assert signature(method) == signature(other), (service.name, method.name)
                compared += 1
    assert compared > 40, f"only {compared} things were compared"


def signature(method):
    return method.input_type, method.output_type, method.client_streaming, method.server_streaming


def official_shape(pool, name):
    """The shape of the message or enum that the official package has under this name."""
    package, short = name.rsplit(".", 1)
    try:
        message = descriptor_pb2.DescriptorProto()
        pool.FindMessageTypeByName(name).CopyToProto(message)
        return shape([message], [], package)[name]
    except KeyError:
        enum = descriptor_pb2.EnumDescriptorProto()
        pool.FindEnumTypeByName(name).CopyToProto(enum)
        return shape([], [enum], package)[name]


def test_it_leaves_nothing_behind():
    # The next session writes its own schema, which must not orphan what this one wrote.
    everything = RelationshipFilter(resource_type="pydoc")
    client(2).DeleteRelationships(DeleteRelationshipsRequest(relationship_filter=everything))
    fully = Consistency(fully_consistent=True)
    left = client(0).ReadRelationships(ReadRelationshipsRequest(consistency=fully, relationship_filter=everything))
    assert list(left) == []


def test_the_example_of_the_content_change_pattern_holds():
    # It writes a schema of its own, so nothing of this session may be there any more.
    content_change.main()


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    failed = 0
    for name, test in tests:  # In the order of the file: they build on one another.
        try:
            test()
            print(f"python: {name.removeprefix('test_').replace('_', ' ')} ... ok", flush=True)
        except Exception:
            failed += 1
            print(f"python: {name.removeprefix('test_').replace('_', ' ')} ... FAILED", flush=True)
            traceback.print_exc()
    print(f"python: {len(tests) - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
