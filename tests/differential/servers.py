"""The two sides: SpiceDB, as an embedded library or as `spicedb serve-testing`, and Quorate. Each offers an empty store on
`fresh()`, and calls by service and method; a refusal is a `Refused`, a call that this side cannot make is `Unsupported`.
"""

import atexit
import os
import pathlib
import pickle
import re
import resource
import select
import subprocess
import sys
import uuid

import grpc
from authzed.api.v1 import DeleteRelationshipsRequest, ReadSchemaRequest, RelationshipFilter, WriteSchemaRequest
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2

DEADLINE_SECONDS = 5
START_SECONDS = 20
MEMORY_BYTES = 3 << 30
PACKAGE = "authzed.api.v1"
DOMAIN = "authzed.com"
UNKNOWN_REASON = "?"
"""The reason of a refusal whose details this side does not hand on."""


class Refused(Exception):
    def __init__(self, code, message, reason):
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.message, self.reason = code, message, reason


class Unsupported(Exception):
    """This side cannot be asked this."""


def is_refused(answer):
    """Whether an answer in its comparable form (see `ask.py`) is a refusal."""
    return isinstance(answer, dict) and "refused" in answer


def reason_of(details):
    """SpiceDB's reason in the ErrorInfo among the details of a status. Quorate has reasons of its own, under its own domain,
    where SpiceDB has none: those are nothing here.
    """
    for detail in details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return info.reason
    return ""


def refused(error):
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            reason = reason_of(status_pb2.Status.FromString(value).details)
            return Refused(error.code().name, error.details(), reason)
    return Refused(error.code().name, error.details(), "")


def _response_class(service, method):
    found = descriptor_pool.Default().FindServiceByName(f"{PACKAGE}.{service}").FindMethodByName(method)
    return message_factory.GetMessageClass(found.output_type), found.client_streaming, found.server_streaming


class Wire:
    """A gRPC endpoint."""

    def __init__(self, address, token):
        self.channel = grpc.insecure_channel(address)
        self.token = token

    def call(self, service, method, request):
        """The answer, or the list of answers of a stream."""
        answer, client_streaming, server_streaming = _response_class(service, method)
        path = f"/{PACKAGE}.{service}/{method}"
        metadata = (("authorization", f"Bearer {self.token}"),)
        serialize = lambda message: message.SerializeToString()  # noqa: E731
        extra = {"timeout": DEADLINE_SECONDS, "metadata": metadata}
        try:
            if server_streaming:
                return list(self.channel.unary_stream(path, serialize, answer.FromString)(request, **extra))
            if client_streaming:
                return self.channel.stream_unary(path, serialize, answer.FromString)(iter(request), **extra)
            return self.channel.unary_unary(path, serialize, answer.FromString)(request, **extra)
        except grpc.RpcError as error:
            raise refused(error) from None


class Child:
    """A process that holds a SpiceDB: cyclic data makes its work and its memory grow without end, so it has a bound on
    memory and is killed when it does not answer.
    """

    def _start(self, command, **options):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))  # noqa: E731
        environment = {**os.environ, "GOMEMLIMIT": f"{MEMORY_BYTES // 3}"}
        self.process = subprocess.Popen(command, preexec_fn=limit, env=environment, **options)
        atexit.register(self.stop)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        atexit.unregister(self.stop)


class Testing(Child):
    """`spicedb serve-testing`: every token has a store of its own."""

    def __init__(self, binary, port):
        self.command = [binary, "serve-testing", "--skip-release-check", "--log-level", "error"]
        self.command += ["--readonly-grpc-enabled=false", "--grpc-max-conn-age", "24h"]
        self.command += ["--grpc-addr", f"127.0.0.1:{port}"]
        self.address = f"127.0.0.1:{port}"
        self.restart()

    def restart(self):
        if hasattr(self, "process"):
            self.stop()
        self._start(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        channel = grpc.insecure_channel(self.address)
        grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
        channel.close()

    def fresh(self):
        if hasattr(self, "wire"):
            self.wire.channel.close()
        self.wire = Wire(self.address, f"differential-{uuid.uuid4()}")

    def call(self, service, method, request):
        return self.wire.call(service, method, request)


class Embedded(Child):
    """The library, in a process of its own (`embedded.py`) that is asked over its standard input and output."""

    UNARY = ("CheckPermission", "CheckBulkPermissions", "WriteRelationships", "DeleteRelationships",
             "ExpandPermissionTree", "ReadSchema", "WriteSchema")  # fmt: skip
    STREAMS = ("ReadRelationships", "LookupResources", "LookupSubjects")

    def __init__(self):
        self.restart()

    def restart(self):
        if hasattr(self, "process"):
            self.stop()
        worker = pathlib.Path(__file__).with_name("embedded.py")
        self._start([sys.executable, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def fresh(self):
        if hasattr(self, "streams"):
            self.streams.channel.close()
        status, address = self._exchange(("fresh", b""))
        assert status == "ok", address
        self.streams = Wire(f"unix://{address.decode()}", "")

    def call(self, service, method, request):
        if method in self.STREAMS:
            return self.streams.call(service, method, request)
        if method not in self.UNARY:
            raise Unsupported(method)
        status, answer = self._exchange((method, request.SerializeToString()))
        if status != "ok":
            # The library hands on the code and the message, not the details.
            raise Refused(status, answer.decode(), UNKNOWN_REASON)
        return _response_class(service, method)[0].FromString(answer)

    def _exchange(self, message):
        try:
            pickle.dump(message, self.process.stdin)
            self.process.stdin.flush()
            if select.select([self.process.stdout], [], [], DEADLINE_SECONDS)[0]:
                return pickle.load(self.process.stdout)
        except (EOFError, OSError):
            raise Refused("UNAVAILABLE", "the library's process ended", "") from None
        raise Refused("DEADLINE_EXCEEDED", "the library did not answer", "")


class Quorate(Wire):
    """One store, emptied by deleting what it holds."""

    def fresh(self):
        try:
            text = self.call("SchemaService", "ReadSchema", ReadSchemaRequest()).schema_text
        except Refused as refusal:
            if refusal.code == "NOT_FOUND":
                return
            raise
        for name in re.findall(r"^definition (\S+)", text, re.M):
            request = DeleteRelationshipsRequest(relationship_filter=RelationshipFilter(resource_type=name))
            self.call("PermissionsService", "DeleteRelationships", request)
        # What a schema may become depends on what it was.
        self.call("SchemaService", "WriteSchema", WriteSchemaRequest(schema="definition nothing {}"))
