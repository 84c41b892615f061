"""What a server costs besides answering: its memory, what its data takes on the disk, how long it is away when it was killed;
how soon a listing begins; and the floors of the machine itself. A part of side_by_side.py.
"""

import os
import socket
import stat
import struct
import threading
import time
from pathlib import Path

from failover import KEY, NODES, all_healthy, call, quantile
from overload import ACK, DATA, END_STREAM, HEADERS, RST, SETTINGS, call_of, frame, settings

PING = 6  # as a frame of HTTP/2
TICKS = os.sysconf("SC_CLK_TCK")
LOOKUP = "/authzed.api.v1.PermissionsService/LookupResources"
# What a client takes without being asked to wait: more than any listing has.
WINDOW = 1 << 26
# Users of `quorate bench` with a list of each length.
LISTS = 4
RESTART_S = 120


# --- The machine.


def fsync_floor(folder, times=200):
    """Milliseconds for a write of 128 bytes that is on the disk."""
    taken = []
    with open(folder / "floor", "wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"x" * 128)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1e3)
    return {"p50": quantile(taken, 0.5), "p99": quantile(taken, 0.99)}


def round_trip_floor(times=2000):
    """Milliseconds for a byte there and back over TCP on the loopback interface."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo():
        peer, _ = listener.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := peer.recv(16):
                peer.sendall(data)
    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    taken = []
    with socket.create_connection(listener.getsockname()) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            began = time.perf_counter()
            client.sendall(b"x")
            client.recv(16)
            taken.append((time.perf_counter() - began) * 1e3)
    thread.join()
    listener.close()
    return {"p50": quantile(taken, 0.5), "p99": quantile(taken, 0.99)}


# --- Processes.


def processor_s(system):
    """Seconds of processor time that the processes of a system have used so far."""
    used = 0
    for pid in system.pids():
        try:
            # The name of the program, in parentheses, may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # one of a database, that went meanwhile
        used += int(fields[11]) + int(fields[12])
    return used / TICKS


def calm(systems, patience_s=3.0, pause_s=0.25, most=0.15):
    """Waits until the servers do little but beat: what one of them still has to do, compactions or garbage, is none of the next
    one's business. Not for ever: returns after `patience_s` in any case."""
    until = time.monotonic() + patience_s
    before = sum(map(processor_s, systems))
    while time.monotonic() < until:
        time.sleep(pause_s)
        now = sum(map(processor_s, systems))
        if (now - before) / pause_s < most:
            return
        before = now


def memory(system):
    """Resident bytes of each process, without those of a database."""
    sizes = []
    for process in system.processes.values():
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        sizes += [int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:")]
    return sizes


def disk(folder):
    """Bytes of the files of a folder, by the folder's parts. A file with two names counts once, and room that is only reserved
    does not count."""
    sizes, seen = {}, set()
    for path in sorted(Path(folder).rglob("*"), reverse=True):
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue  # it went meanwhile
        if stat.S_ISREG(found.st_mode) and found.st_ino not in seen:
            seen.add(found.st_ino)
            part = path.relative_to(folder).parts[0]
            sizes[part] = sizes.get(part, 0) + min(found.st_size, found.st_blocks * 512)
    return sizes


def restart(cluster, numbers, document, consistency):
    """Seconds from the start of nodes that were killed with kill -9 until each of them says, with this consistency, that
    `document` is there."""
    for number in numbers:
        cluster.kill(number)
    body = {
        "consistency": {consistency: True},
        "resource": {"objectType": "doc", "objectId": document},
        "permission": "view",
        "subject": {"object": {"objectType": "user", "objectId": "loader"}},
    }

    def answers(number):
        status, answer = call(cluster.gateways[number], "POST", "/v1/permissions/check", body, 5, KEY)
        return status == 200 and answer.get("permissionship") == "PERMISSIONSHIP_HAS_PERMISSION"
    began = time.monotonic()
    for number in numbers:
        cluster.start(number)
    waiting = set(numbers)
    while waiting:
        waiting = {number for number in waiting if not answers(number)}
        if time.monotonic() - began > RESTART_S:
            raise SystemExit(f"not within {RESTART_S} s: nodes {waiting} of {cluster.name} after a kill")
        time.sleep(0.01)
    return time.monotonic() - began


def restarts(cluster, document):
    """The same for one follower, not the last node, and what it has, and for all nodes at once and everything acknowledged."""
    all_healthy(cluster)
    leader, _ = cluster.leader()
    follower = next(number for number in NODES[:-1] if number != leader)
    one = restart(cluster, [follower], document, "minimizeLatency")
    all_healthy(cluster)
    return {"follower_s": one, "all_s": restart(cluster, list(NODES), document, "fullyConsistent")}


# --- Listings.


def field(number, value):
    """A field of a message: of bytes, or of less than 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def lookup_request(user):
    consistency = field(1, 1)
    subject = field(1, field(1, "user") + field(2, user))
    return field(1, consistency) + field(2, "doc") + field(3, "view") + field(4, subject)


def messages_in(data):
    """How many messages of gRPC there are in `data`, which must be whole."""
    count, at = 0, 0
    while at < len(data):
        at += 5 + struct.unpack_from(">I", data, at + 1)[0]
        count += 1
    return count if at == len(data) else -1


class Listener:
    """A connection on which listings are asked for, one after the other, by an HTTP/2 client that does nothing else: a client
    that decoded what it gets would be most of the time that is measured."""

    def __init__(self, port):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(settings(WINDOW))
        self.incoming = self.connection.makefile("rb", buffering=1 << 16)
        self.stream = 1

    def frames(self):
        """What comes in, without what is about the connection as a whole."""
        while True:
            head = self.incoming.read(9)
            if len(head) < 9:
                raise OSError("the server ended the connection")
            kind, flags = head[3], head[4]
            payload = self.incoming.read(int.from_bytes(head[:3], "big"))
            if kind in (SETTINGS, PING) and not flags & ACK:
                self.connection.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind in (DATA, HEADERS, RST):
                yield kind, flags, payload

    def lookup(self, user):
        """Milliseconds until the first of the resources that `user` may view, and until the last; and how many there are."""
        began = time.perf_counter()
        self.connection.sendall(call_of(LOOKUP, lookup_request(user), self.stream))
        self.stream += 2
        first, data = None, b""
        for kind, flags, payload in self.frames():
            if kind == DATA and payload:
                first = first or (time.perf_counter() - began) * 1e3
                data += payload
            if kind == RST or flags & END_STREAM:
                return first, (time.perf_counter() - began) * 1e3, messages_in(data)


def lookups(port, hits, times=12):
    """The median times of lookups of so many resources, by one client, which asks for each of the lists several times."""
    taken = []
    try:
        listener = Listener(port)
        for at in range(LISTS + times):
            first, whole, count = listener.lookup(f"lr{hits}-{at % LISTS}")
            if count != hits:
                return {"failed": f"{count} of {hits} resources"}
            taken.append((first, whole))
    except OSError as error:
        return {"failed": str(error)}
    firsts, wholes = zip(*taken[LISTS:])
    return {"first_ms": quantile(list(firsts), 0.5), "whole_ms": quantile(list(wholes), 0.5)}
