"""The content-change pattern: nobody sees new content by an old permission.

Whoever was cut off from a document before it was changed must not see the changed document, whatever node answers and however
far that node is behind. Two calls see to it:

1. Before a new version is saved, ContentChangeCheck asks whether the author may do that. It is answered from the latest state,
   and its zookie, which names that state, is stored with the new version, in the same transaction of the content's database.
2. Before a version is shown, CheckPermission asks whether the reader may see it, `at_least_as_fresh` as the zookie that is
   stored with it. That is the cheap mode: any node answers from what it has, as long as it has reached that zookie.

Everything that was revoked before the change is part of the state that the zookie names, so step 2 cannot miss it.

    pip install authzed grpcio-reflection
    quorate dev --no-example &
    python content_change.py

Environment: QUORATE_ENDPOINTS (addresses of nodes, with commas), QUORATE_KEY. The defaults are those of `quorate dev`.
"""

import os

import grpc
from authzed.api.v1 import (
    CheckPermissionRequest,
    CheckPermissionResponse,
    Consistency,
    DeleteRelationshipsRequest,
    ObjectReference,
    Relationship,
    RelationshipFilter,
    RelationshipUpdate,
    SubjectReference,
    SyncClient,
    WriteRelationshipsRequest,
    WriteSchemaRequest,
    ZedToken,
)
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpcutil import insecure_bearer_token_credentials

ENDPOINTS = os.environ.get("QUORATE_ENDPOINTS", "127.0.0.1:50051,127.0.0.1:50052,127.0.0.1:50053").split(",")
KEY = os.environ.get("QUORATE_KEY", "quorate-dev")

SCHEMA = """
definition author {}

definition article {
    relation writer: author
    relation reader: author
    permission change = writer
    permission see = reader + writer
}
"""


class ConsistencyService:
    """quorate.v1.ConsistencyService of one node, by what the node says of it: no code is generated.

    With `proto/quorate/v1/consistency.proto` and grpcio-tools it can be compiled like any other service as well.
    """

    NAME = "quorate.v1.ConsistencyService"

    def __init__(self, endpoint, key):
        self._channel = grpc.secure_channel(endpoint, insecure_bearer_token_credentials(key))
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self._channel))
        self._service = pool.FindServiceByName(self.NAME)

    def call(self, name, request):
        """Makes the call `name` with the request as a dictionary; the answer as a message."""
        method = self._service.FindMethodByName(name)
        to_message = message_factory.GetMessageClass(method.input_type)
        answer = message_factory.GetMessageClass(method.output_type)
        call = self._channel.unary_unary(f"/{self.NAME}/{name}", to_message.SerializeToString, answer.FromString)
        return call(json_format.ParseDict(request, to_message()), timeout=10)


class Articles:
    """Content with permissions. A dictionary stands for the database that the content is in."""

    def __init__(self, endpoint, key, versions):
        self._permissions = SyncClient(endpoint, insecure_bearer_token_credentials(key))
        self._consistency = ConsistencyService(endpoint, key)
        self._versions = versions

    def save(self, article, author, text):
        answer = self._consistency.call(
            "ContentChangeCheck",
            {
                "resource": {"object_type": "article", "object_id": article},
                "permission": "change",
                "subject": {"object": {"object_type": "author", "object_id": author}},
            },
        )
        if answer.permissionship != CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION:
            raise PermissionError(f"{author} may not change {article}")
        # Together, as in one transaction: content without its zookie would be content that nobody can judge.
        self._versions[article] = (text, answer.zookie.token)

    def show(self, article, author):
        text, zookie = self._versions[article]
        answer = self._permissions.CheckPermission(
            CheckPermissionRequest(
                consistency=Consistency(at_least_as_fresh=ZedToken(token=zookie)),
                resource=ObjectReference(object_type="article", object_id=article),
                permission="see",
                subject=SubjectReference(object=ObjectReference(object_type="author", object_id=author)),
            )
        )
        if answer.permissionship != CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION:
            raise PermissionError(f"{author} may not see {article}")
        return text


def change(client, operation, article, relation, author):
    relationship = Relationship(
        resource=ObjectReference(object_type="article", object_id=article),
        relation=relation,
        subject=SubjectReference(object=ObjectReference(object_type="author", object_id=author)),
    )
    client.WriteRelationships(
        WriteRelationshipsRequest(updates=[RelationshipUpdate(operation=operation, relationship=relationship)])
    )


def refused(call, *arguments):
    try:
        call(*arguments)
    except PermissionError:
        return True
    return False


def main():
    operation = RelationshipUpdate.Operation
    client = SyncClient(ENDPOINTS[0], insecure_bearer_token_credentials(KEY))
    client.WriteSchema(WriteSchemaRequest(schema=SCHEMA))
    versions = {}
    nodes = [Articles(endpoint, KEY, versions) for endpoint in ENDPOINTS]
    change(client, operation.OPERATION_TOUCH, "plan", "writer", "alice")
    for number in range(20):
        change(client, operation.OPERATION_TOUCH, "plan", "reader", "bob")
        nodes[0].save("plan", "alice", f"draft {number}, for bob too")
        assert all(node.show("plan", "bob").startswith("draft") for node in nodes)
        change(client, operation.OPERATION_DELETE, "plan", "reader", "bob")
        # Saved through another node, and read at once through all of them.
        nodes[number % len(nodes)].save("plan", "alice", f"version {number}, not for bob")
        assert all(refused(node.show, "plan", "bob") for node in nodes), "an old permission showed new content"
        assert refused(nodes[0].save, "plan", "bob", "by bob")
    everything = RelationshipFilter(resource_type="article")
    client.DeleteRelationships(DeleteRelationshipsRequest(relationship_filter=everything))
    print("bob saw what was written while he could read, and nothing that was written after")


if __name__ == "__main__":
    main()
