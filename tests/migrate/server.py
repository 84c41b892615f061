"""The embedded SpiceDB as a server on a port: calls with one answer go into the library, streams to the socket that it serves.

Usage: server.py PORT KEY. Nothing is answered that SpiceDB did not answer; what the library does not serve is UNIMPLEMENTED.
It prints `ready` once it serves, and ends with its standard input.
"""

import concurrent.futures
import ctypes
import re
import sys

import grpc
from spicedb_embedded import SpiceDBError, ffi

PREFIX = "/authzed.api.v1."
CALLS = {
    "PermissionsService/CheckPermission": "spicedb_permissions_check_permission",
    "PermissionsService/CheckBulkPermissions": "spicedb_permissions_check_bulk_permissions",
    "PermissionsService/WriteRelationships": "spicedb_permissions_write_relationships",
    "PermissionsService/DeleteRelationships": "spicedb_permissions_delete_relationships",
    "PermissionsService/ExpandPermissionTree": "spicedb_permissions_expand_permission_tree",
    "SchemaService/ReadSchema": "spicedb_schema_read_schema",
    "SchemaService/WriteSchema": "spicedb_schema_write_schema",
}
CODES = {code.name.replace("_", "").lower(): code for code in grpc.StatusCode}


class Spicedb(grpc.GenericRpcHandler):
    def __init__(self, key):
        # The wrapper declares the argument as a string and passes it an address, which hides every error message.
        ffi._get_lib().spicedb_free.argtypes = [ctypes.c_void_p]
        started = ffi.spicedb_start(None)
        self.handle = started["handle"]
        self.streams = grpc.insecure_channel(f"unix://{started['streaming_address']}")
        self.key = key

    def service(self, details):
        given = dict(details.invocation_metadata).get("authorization")
        method = details.method
        if given != f"Bearer {self.key}":
            return grpc.unary_stream_rpc_method_handler(lambda _, context: refuse(context, given))
        function = CALLS.get(method.removeprefix(PREFIX))
        if function:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: self.call(function, request, context))
        return grpc.unary_stream_rpc_method_handler(lambda request, context: self.stream(method, request, context))

    def call(self, function, request, context):
        try:
            return ffi._call_rpc(self.handle, request, function)
        except SpiceDBError as error:
            found = re.match(r"rpc error: code = (\w+) desc = (.*)", str(error), re.S)
            context.abort(CODES[found[1].lower()] if found else grpc.StatusCode.UNKNOWN, found[2] if found else str(error))

    def stream(self, method, request, context):
        answers = self.streams.unary_stream(method)(request, timeout=context.time_remaining())
        context.add_callback(answers.cancel)
        try:
            yield from answers
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())


def refuse(context, given):
    code = grpc.StatusCode.PERMISSION_DENIED if given else grpc.StatusCode.UNAUTHENTICATED
    context.abort(code, "invalid preshared key")


def main():
    port, key = sys.argv[1:]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), handlers=[Spicedb(key)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(None)


main()
