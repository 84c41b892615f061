"""Quorate beside its peers, in one run: three nodes of Quorate, three of etcd on the same disk, one SpiceDB with its caches on and
its data in memory; the same load generator (`quorate bench`) for all of them, one level of load after the other, in turn.

What it leads with is the processor time of the servers for each operation: they share this machine, with each other's idle
work and with the generator, so what is done in a second says less. Beside it stand the floors of this machine: an fsync, a
round trip on the loopback interface, a call that asks nothing.

Usage: side_by_side.py QUORATE [--tuples 100000] [--seconds 3] [--only WORD] [--json FILE] [--write FILE.md]. Standard library only.
Needs etcd on the PATH. SPICEDB=/path/to/spicedb names a SpiceDB; without, one is built, where there is a Go toolchain; without
that, there is no column for it.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from failover import KEY, NODES, Etcd, Quorate, System, call, end_on_signals, free_ports, quantile, wait_for, write_into

SPICEDB_MODULE = "github.com/authzed/spicedb@v1.56.0"
MARK = "measured"

# Title, words for `quorate bench`, who is asked.
CHECKS = [
    ("no question (health)", "--workload empty"),
    ("direct viewer", "--workload flat"),
    ("direct viewer, Zipf", "--workload flat --zipf"),
    ("direct viewer, fully consistent", "--workload flat --consistency full"),
    ("denied, direct or through 4 groups", "--workload negative"),
    ("through 1 group", "--workload nested-groups --depth 1"),
    ("through 4 groups", "--workload nested-groups --depth 4"),
    ("through 16 groups", "--workload nested-groups --depth 16"),
    ("through 24 groups", "--workload nested-groups --depth 24"),
    ("through 4 folders", "--workload arrow-chain --depth 4"),
    ("through 24 folders", "--workload arrow-chain --depth 24"),
    ("one of 9,000 direct viewers", "--workload fan-out --shape direct"),
    ("one of 81 groups in a group", "--workload fan-out --shape subgroups"),
    ("one of 30 groups of 20", "--workload fan-out --shape groups"),
    ("one of 999 parents", "--workload fan-out --shape parents"),
    ("intersection and exclusion", "--workload set-algebra"),
    ("10,000 questions over and over", "--workload cache-hot"),
    ("no question twice", "--workload cache-cold"),
    ("50 in a bulk check", "--workload bulk-check --items 50"),
    ("1,000 in a bulk check", "--workload bulk-check --items 1000 --clients 8"),
    ("lookup of 10 resources", "--workload lookup-resources --hits 10"),
    ("lookup of 1,000 resources", "--workload lookup-resources --hits 1000 --clients 8"),
    ("lookup of 10 subjects", "--workload lookup-subjects --hits 10"),
    ("lookup of 1,000 subjects", "--workload lookup-subjects --hits 1000 --clients 8"),
]
LOG = [
    ("a write, 1 client", "--workload write --clients 1", "--workload write --clients 1"),
    ("a write, 64 clients", "--workload write --clients 64", "--workload write --clients 64"),
    ("a write, 512 clients", "--workload write --clients 512", "--workload write --clients 512"),
    ("a linearizable read, 1 client", "--workload flat --consistency full --clients 1", "--workload flat --consistency full --clients 1"),
    ("a linearizable read, 64 clients", "--workload flat --consistency full", "--workload flat --consistency full"),
    ("a read of what the node has", "--workload flat", "--workload flat"),
]
OWN = [
    ("write of 100 relationships", "--workload write --items 100 --clients 16"),
    ("import, 1,000 in each", "--workload import --clients 8"),
    ("mix with 1 % writes", "--workload mix"),
    ("own writes read, 1 %", "--workload read-your-writes --writes 1"),
    ("own writes read, 10 %", "--workload read-your-writes --writes 10"),
]


class Cluster(Quorate):
    """Three nodes of Quorate, without a schema: the load generator brings its own."""

    def form(self):
        for number in NODES:
            wait_for("a node that waits", lambda number=number: call(self.gateways[number], "GET", "/openapi.json")[0] == 200)
        self.command(0, "cluster", "init")
        for number in NODES[1:]:
            self.command(number, "cluster", "join", "--peer", f"127.0.0.1:{self.peers[0]}")


class SpiceDB(System):
    name = "spicedb"

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary
        self.clients = free_ports(1)

    def start(self, number):
        self.spawn(number, [
            self.binary, "serve", "--datastore-engine", "memory", "--grpc-preshared-key", KEY,
            "--grpc-addr", f"127.0.0.1:{self.clients[number]}", "--http-enabled=false", "--metrics-enabled=false",
            "--dispatch-cluster-enabled=false", "--skip-release-check", "--log-level", "error", "--telemetry-endpoint", "",
        ])

    def healthy(self, number):
        try:
            socket.create_connection(("127.0.0.1", self.clients[number]), timeout=1).close()
            return True
        except OSError:
            return False


class Bench:
    """The load generator."""

    def __init__(self, binary, arguments):
        self.binary, self.arguments = binary, arguments

    def run(self, system, words, tuples=None):
        """One level of load; None if it could not be run."""
        command = [self.binary, "bench", "--json", "--tuples", str(tuples or self.arguments.tuples), "--timeout", "60s"]
        command += ["--seconds", str(self.arguments.seconds), "--warm-up", f"{self.arguments.warm_up}ms"]
        command += ["--endpoint", ",".join(f"127.0.0.1:{port}" for port in system.clients)]
        command += ["--etcd"] if system.name == "etcd" else ["--key", KEY]
        for process in system.processes.values():
            command += ["--pid", str(process.pid)]
        ran = subprocess.run(command + words.split(), capture_output=True, text=True)
        sys.stderr.write(f"{system.name}: {words}: {ran.stderr.strip() or 'ok'}\n")
        if ran.returncode != 0:
            return {"failed": ran.stderr.strip()}
        document = json.loads(ran.stdout)
        return document["levels"][-1] | {"loaded": document["loaded"]}


def spicedb(cache):
    """A SpiceDB binary: the one that is named, one that was built before, or a new one."""
    named = os.environ.get("SPICEDB")
    if named or shutil.which("go") is None:
        return named
    built = cache / "spicedb"
    if not built.exists():
        print(f"building {SPICEDB_MODULE}", file=sys.stderr)
        found = subprocess.run(["go", "mod", "download", "-json", SPICEDB_MODULE], check=True, capture_output=True, text=True, cwd=cache)
        source = cache / "source"
        shutil.rmtree(source, ignore_errors=True)
        # Its own go.mod decides what it is built from, which it does not as a dependency.
        shutil.copytree(json.loads(found.stdout)["Dir"], source, copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(source):
            os.chmod(folder, 0o755)
        subprocess.run(["go", "build", "-buildvcs=false", "-o", str(built), "./cmd/spicedb"], check=True, cwd=source)
        shutil.rmtree(source)
    return str(built)


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


def time_text(us):
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.1f} s"


def cells(level):
    """Processor time, rate, p50, p99."""
    if level is None or "failed" in level:
        return ["–"] * 4
    cpu, latency = level["server_cpu_us_per_operation"], level["latency_us"]
    rate = f"{level['operations_per_second']:.0f}"
    return [time_text(cpu), rate, time_text(latency["p50"]), time_text(latency["p99"])]


def ratio(level, peer):
    if not all(each and "failed" not in each for each in (level, peer)):
        return "–"
    return f"{level['server_cpu_us_per_operation'] / max(peer['server_cpu_us_per_operation'], 1e-9):.2f}"


def table(name, peer_name, rows):
    """Rows of (title, level, level of the peer or nothing)."""
    heads = ["CPU/op", "ops/s", "p50", "p99"]
    columns = [f"{name} {head}" for head in heads] + ([f"{peer_name} {head}" for head in heads] + ["CPU ratio"] if peer_name else [])
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for title, level, peer in rows:
        parts = cells(level) + (cells(peer) + [ratio(level, peer)] if peer_name else [])
        lines.append(f"| {title} | {' | '.join(parts)} |")
    return "\n".join(lines)


def text(results):
    """What stands in the documentation."""
    setting, floors = results["setting"], results["floors"]
    parts = [
        f"Measured on {setting['machine']}, {setting['processors']} processors, with {setting['tuples']} relationships, "
        f"{setting['seconds']} s for each row after {setting['warm_up']} ms, 64 clients unless it says otherwise, "
        "8 connections. All servers and the generator share the machine.",
        "Floors: "
        f"an fsync {floors['fsync']['p50']:.2f} ms (p99 {floors['fsync']['p99']:.2f} ms); "
        f"a round trip {floors['round_trip']['p50'] * 1e3:.0f} µs (p99 {floors['round_trip']['p99'] * 1e3:.0f} µs).",
        "### Checks and lookups, beside SpiceDB" if results["spicedb"] else "### Checks and lookups",
        table("Quorate", "SpiceDB" if results["spicedb"] else None, results["checks"]),
        "### Log, beside etcd",
        table("Quorate", "etcd", results["log"]),
        "### Writes, and reads of them",
        table("Quorate", None, results["own"]),
    ]
    return "\n\n".join(parts)


def measure(arguments, systems, bench):
    wanted = lambda title: not arguments.only or arguments.only in title  # noqa: E731
    run = lambda name, words, tuples=None: bench.run(systems[name], words, tuples) if name in systems else None  # noqa: E731
    return {
        "checks": [(title, run("quorate", words), run("spicedb", words)) for title, words in CHECKS if wanted(title)],
        "log": [
            (title, run("quorate", words), run("etcd", etcd, min(arguments.tuples, 20_000)))
            for title, words, etcd in LOG
            if wanted(title)
        ],
        "own": [(title, run("quorate", words), None) for title, words in OWN if wanted(title)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quorate")
    parser.add_argument("--tuples", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=1000)
    parser.add_argument("--only", help="only rows whose title has this word")
    parser.add_argument("--json")
    parser.add_argument("--write")
    arguments = parser.parse_args()
    if shutil.which("etcd") is None:
        raise SystemExit("etcd is not on the PATH: apt-get install etcd-server")
    end_on_signals()
    binary = os.path.abspath(arguments.quorate)
    cache = Path(binary).parent / "bench"
    cache.mkdir(exist_ok=True)
    peer = spicedb(cache)
    systems = {}
    # Beside the binary rather than in a temporary folder, which may live in memory, where an fsync costs nothing.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        folder = Path(folder)
        try:
            systems["quorate"] = Cluster(folder, binary)
            systems["etcd"] = Etcd(folder)
            if peer:
                systems["spicedb"] = SpiceDB(folder, peer)
            for system in systems.values():
                for number in range(len(system.clients)):
                    system.start(number)
            systems["quorate"].form()
            for system in systems.values():
                every = range(len(system.clients))
                wait_for(f"{system.name} is healthy", lambda system=system, every=every: all(map(system.healthy, every)))
            floors = {"fsync": fsync_floor(folder), "round_trip": round_trip_floor()}
            results = measure(arguments, systems, Bench(binary, arguments))
        finally:
            for system in systems.values():
                system.end()
    results |= {
        "floors": floors,
        "spicedb": bool(peer),
        "setting": {
            "machine": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count(),
            "tuples": arguments.tuples, "seconds": arguments.seconds, "warm_up": arguments.warm_up,
        },
    }
    found = text(results)
    print(found)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))
    if arguments.write:
        write_into(Path(arguments.write), found, MARK)


if __name__ == "__main__":
    main()
