"""The two sides of a migration as gRPC clients, and what is written to the first one."""

import json
import random

import grpc
from authzed.api.v1 import (
    Consistency,
    ContextualizedCaveat,
    DeleteRelationshipsRequest,
    ObjectReference,
    PermissionsServiceStub,
    ReadRelationshipsRequest,
    ReadSchemaRequest,
    Relationship,
    RelationshipFilter,
    RelationshipUpdate,
    SchemaServiceStub,
    SubjectReference,
    WatchRequest,
    WatchServiceStub,
    WriteRelationshipsRequest,
    WriteSchemaRequest,
    ZedToken,
)
from google.protobuf import json_format, struct_pb2, timestamp_pb2

DEADLINE_SECONDS = 20
SCHEMA = """use expiration

caveat on_tier(tier int, limits map<any>) {
    tier > 3 && !("closed" in limits)
}

definition user {}

definition team {
    relation member: user | team#member
}

definition folder {
    relation owner: user
    permission view = owner
}

definition doc {
    relation parent: folder
    relation viewer: user | user:* | team#member | user with on_tier
    relation guest: user with expiration | user with on_tier and expiration
    permission view = viewer + guest + parent->view
}
"""
LATER_SCHEMA = SCHEMA + """
definition note {
    relation author: user
    permission edit = author
}
"""


class Side:
    """A SpiceDB, or a Quorate."""

    def __init__(self, address, key):
        self.channel = grpc.insecure_channel(address)
        self.permissions = PermissionsServiceStub(self.channel)
        self.schemas = SchemaServiceStub(self.channel)
        self.watches = WatchServiceStub(self.channel)
        self.extra = {"metadata": (("authorization", f"Bearer {key}"),), "timeout": DEADLINE_SECONDS}

    def write_schema(self, text):
        self.schemas.WriteSchema(WriteSchemaRequest(schema=text), **self.extra)

    def token(self):
        return self.schemas.ReadSchema(ReadSchemaRequest(), **self.extra).read_at.token

    def write(self, updates, number=None):
        request = WriteRelationshipsRequest(updates=updates)
        if number is not None:
            request.optional_transaction_metadata.CopyFrom(metadata(number))
        return self.permissions.WriteRelationships(request, **self.extra).written_at.token

    def delete(self, resource_id, number):
        """Every relationship of a document."""
        chosen = RelationshipFilter(resource_type="doc", optional_resource_id=resource_id)
        request = DeleteRelationshipsRequest(relationship_filter=chosen, optional_transaction_metadata=metadata(number))
        self.permissions.DeleteRelationships(request, **self.extra)

    def content(self, types=("team", "folder", "doc")):
        """All relationships as texts, in order; one that is told twice is in it twice."""
        texts = []
        for name in types:
            request = ReadRelationshipsRequest(consistency=Consistency(fully_consistent=True))
            request.relationship_filter.resource_type = name
            texts += [text(item.relationship) for item in self.permissions.ReadRelationships(request, **self.extra)]
        return sorted(texts)

    def numbers(self, after, last):
        """The numbers of the transactions after a token, in their order, up to the last one."""
        told = []
        request = WatchRequest(optional_start_cursor=ZedToken(token=after))
        for message in self.watches.Watch(request, **self.extra):
            if "number" in message.optional_transaction_metadata.fields:
                told.append(int(message.optional_transaction_metadata.fields["number"].number_value))
                if told[-1] == last:
                    return told
        return told


def metadata(number):
    return json_format.ParseDict({"number": number}, struct_pb2.Struct())


def text(relationship):
    """Equal for what is the same relationship with the same limits."""
    fields = json_format.MessageToDict(relationship)
    if "optionalCaveat" in fields and not fields["optionalCaveat"].get("context"):
        fields["optionalCaveat"].pop("context", None)
    return json.dumps(fields, sort_keys=True)


def relationship(resource, relation, subject, subject_relation="", caveat=None, expires=None):
    kind, name = resource.split(":")
    subject_kind, subject_name = subject.split(":")
    made = Relationship(
        resource=ObjectReference(object_type=kind, object_id=name),
        relation=relation,
        subject=SubjectReference(
            object=ObjectReference(object_type=subject_kind, object_id=subject_name), optional_relation=subject_relation
        ),
    )
    if caveat is not None:
        context = json_format.ParseDict(caveat, struct_pb2.Struct())
        made.optional_caveat.CopyFrom(ContextualizedCaveat(caveat_name="on_tier", context=context))
    if expires is not None:
        made.optional_expires_at.CopyFrom(timestamp_pb2.Timestamp(seconds=expires))
    return made


def touch(made):
    return RelationshipUpdate(operation=RelationshipUpdate.Operation.OPERATION_TOUCH, relationship=made)


def delete(made):
    return RelationshipUpdate(operation=RelationshipUpdate.Operation.OPERATION_DELETE, relationship=made)


def some_relationship(chance: random.Random, documents):
    """One of a bounded number, so that many are changed more than once."""
    document = f"doc:{chance.randrange(documents)}"
    user = f"user:{chance.randrange(20)}"
    far = 4_000_000_000 + chance.randrange(1000)
    return chance.choice([
        lambda: relationship(document, "viewer", user),
        lambda: relationship(document, "viewer", "user:*"),
        lambda: relationship(document, "viewer", f"team:{chance.randrange(9)}", "member"),
        lambda: relationship(document, "viewer", user, caveat={}),
        lambda: relationship(document, "viewer", user, caveat={"tier": chance.randrange(9), "limits": {"a": [1.5, None]}}),
        lambda: relationship(document, "guest", user, expires=far),
        lambda: relationship(document, "guest", user, caveat={"tier": chance.randrange(9)}, expires=far),
        lambda: relationship(document, "parent", f"folder:{chance.randrange(50)}"),
        lambda: relationship(f"folder:{chance.randrange(50)}", "owner", user),
        lambda: relationship(f"team:{chance.randrange(9)}", "member", user),
    ])()  # fmt: skip
