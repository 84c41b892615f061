"""The embedded SpiceDB behind standard input and output: reads (method, request), answers ("ok", response) or (code, message).

`fresh` starts an empty instance and answers with the path of the socket that serves its streams.
"""

import ctypes
import pickle
import re
import sys

import grpc
from spicedb_embedded import SpiceDBError, ffi

FUNCTIONS = {
    "CheckPermission": "spicedb_permissions_check_permission",
    "CheckBulkPermissions": "spicedb_permissions_check_bulk_permissions",
    "WriteRelationships": "spicedb_permissions_write_relationships",
    "DeleteRelationships": "spicedb_permissions_delete_relationships",
    "ExpandPermissionTree": "spicedb_permissions_expand_permission_tree",
    "ReadSchema": "spicedb_schema_read_schema",
    "WriteSchema": "spicedb_schema_write_schema",
}
CODES = {code.name.replace("_", "").lower(): code.name for code in grpc.StatusCode}


def main():
    # The wrapper declares the argument as a string and passes it an address, which hides every error message.
    ffi._get_lib().spicedb_free.argtypes = [ctypes.c_void_p]
    handle = None
    while True:
        try:
            method, request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if method == "fresh":
            if handle is not None:
                ffi.spicedb_dispose(handle)
            started = ffi.spicedb_start(None)
            handle = started["handle"]
            answer = ("ok", started["streaming_address"].encode())
        else:
            answer = call(handle, method, request)
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def call(handle, method, request):
    try:
        return "ok", ffi._call_rpc(handle, request, FUNCTIONS[method])
    except SpiceDBError as error:
        found = re.match(r"rpc error: code = (\w+) desc = (.*)", str(error), re.S)
        return (CODES[found[1].lower()], found[2].encode()) if found else ("UNKNOWN", str(error).encode())


main()
