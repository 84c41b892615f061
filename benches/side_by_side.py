"""Quorate beside its peers, in one run: three nodes of Quorate, three of etcd, one SpiceDB with its caches on and a Postgres,
all on the same disk; the same load generator (`quorate bench`) for all of them, one level of load after the other, in turn.

What it leads with is the processor time of the servers for each operation: they share this machine, with each other's idle
work and with the generator, so what is done in a second says less. Beside it stand the floors of this machine: an fsync, a
round trip on the loopback interface, a call that asks nothing. Before each level it waits until all servers have come to rest.

Usage: side_by_side.py QUORATE [--tuples 100000] [--seconds 5] [--minutes MOST] [--spicedb postgres|memory|none]
[--only WORD] [--json FILE] [--write FILE.md]. Standard library only. Needs etcd on the PATH, and wants a Postgres (see
spicedb.py).
SPICEDB=/path/to/spicedb names a SpiceDB; without, one is built, where there is a Go toolchain; without that, there is no column
for it. Exits with 1 where something could not be measured. SpiceDB forgets what it answered every five seconds, so these, or
ten, are a fair time for a row: in three it may forget, or not.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import spicedb
import tables
import upkeep
from failover import KEY, NODES, Etcd, Quorate, all_healthy, call, end_on_signals, wait_for, write_into

MARK = "measured"
ETCD_TUPLES = 20_000
# Words that go with no smaller data: see `quorate bench`.
LEAST = {"--shape": 100_000, "--hits 1000 ": 100_000, "--hits 10000 ": 1_000_000}
# Seconds at least, where an operation may take one.
LONG = {"--items 1000 --clients 2": 10, "--hits 10000": 10}
# What is measured besides, after the data is loaded, takes about this long.
REST_S = 20
# Nothing takes so long, loading included.
PATIENCE_S = 900
# How often a row is tried whose processes were not all there to its end.
TIMES = 3
LISTINGS = (10, 1000, 10_000)

# Title, words for `quorate bench`. Where an operation is long, few clients: 64 would not end enough of them.
CHECKS = [
    ("no question (health)", "--workload empty"),
    ("direct viewer", "--workload flat"),
    ("direct viewer, Zipf", "--workload flat --zipf"),
    ("direct viewer, fully consistent", "--workload flat --consistency full"),
    ("denied, direct or through 4 groups", "--workload negative"),
    ("through 1 group", "--workload nested-groups --depth 1"),
    ("through 3 groups", "--workload nested-groups --depth 3"),
    ("through 16 groups", "--workload nested-groups --depth 16"),
    ("through 24 groups", "--workload nested-groups --depth 24"),
    ("through 3 folders", "--workload arrow-chain --depth 3"),
    ("through 24 folders", "--workload arrow-chain --depth 24"),
    ("one of 9,000 direct viewers", "--workload fan-out --shape direct"),
    ("one of 81 groups in a group", "--workload fan-out --shape subgroups"),
    ("one of 30 groups of 20", "--workload fan-out --shape groups"),
    ("one of 999 parents", "--workload fan-out --shape parents"),
    ("intersection and exclusion", "--workload set-algebra"),
    ("10,000 questions over and over", "--workload cache-hot"),
    ("no question twice", "--workload cache-cold"),
    ("50 in a bulk check", "--workload bulk-check --items 50 --clients 8"),
    ("1,000 in a bulk check", "--workload bulk-check --items 1000 --clients 2"),
    ("lookup of 10 resources", "--workload lookup-resources --hits 10"),
    ("lookup of 1,000 resources", "--workload lookup-resources --hits 1000 --clients 8"),
    ("lookup of 10,000 resources", "--workload lookup-resources --hits 10000 --clients 2"),
    ("lookup of 10 subjects", "--workload lookup-subjects --hits 10"),
    ("lookup of 1,000 subjects", "--workload lookup-subjects --hits 1000 --clients 8"),
]
# The same words for etcd. At a follower: of Quorate, and of etcd.
LOG = [
    ("a write, 1 client", "--workload write --clients 1"),
    ("a write, 64 clients", "--workload write --clients 64"),
    ("a write, 1,000 clients", "--workload write --clients 1000"),
    ("a linearizable read, 1 client", "--workload flat --consistency full --clients 1"),
    ("a linearizable read, 64 clients", "--workload flat --consistency full"),
    ("a linearizable read at a follower, 64 clients", "--workload flat --consistency full"),
    ("a read of what the node has", "--workload flat"),
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


class Pace:
    """How many seconds each level of load gets: as many as are wanted, or fewer, where all would take longer than it may."""

    def __init__(self, wanted, minutes, levels):
        self.wanted, self.levels, self.used = wanted, levels, []
        self.until = time.monotonic() + 60 * minutes - REST_S if minutes else None
        self.began, self.overhead = None, [2.0]

    def next(self, words):
        seconds = self.wanted
        if self.until is not None:
            share = (self.until - time.monotonic()) / max(self.levels, 1)
            seconds = max(1, min(seconds, int(share - sum(self.overhead) / len(self.overhead))))
        self.levels -= 1
        self.used.append(seconds)
        self.began = time.monotonic()
        return max([seconds, *(least for word, least in LONG.items() if word in words)])

    def done(self):
        """A level is at its end: what it took besides, the next one will take as well."""
        self.overhead.append(max(0.0, time.monotonic() - self.began - self.used[-1]))


class Bench:
    """The load generator."""

    def __init__(self, binary, arguments, systems, pace):
        self.binary, self.arguments, self.systems, self.pace = binary, arguments, systems, pace
        self.failures = []

    def command(self, system, numbers=None):
        numbers = range(len(system.clients)) if numbers is None else numbers
        ports = [system.clients[number] for number in numbers]
        command = [self.binary, "bench", "--json", "--tuples", str(self.tuples(system)), "--timeout", "60s"]
        command += ["--endpoint", ",".join(f"127.0.0.1:{port}" for port in ports)]
        return command + (["--etcd"] if system.name == "etcd" else ["--key", KEY])

    def tuples(self, system):
        """How many relationships it has, or keys."""
        most = {"etcd": lambda: ETCD_TUPLES, "spicedb": lambda: system.most()}.get(system.name, lambda: None)()
        return min(self.arguments.tuples, most or self.arguments.tuples)

    def ask(self, system, command):
        """What the generator says; without it, why it says nothing."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE_")}
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=env)
        words = " ".join(command[command.index("--workload"):])
        sys.stderr.write(f"{system.name}: {words}: {ran.stderr.strip() or 'ok'}\n")
        return json.loads(ran.stdout) if ran.returncode == 0 else {"failed": ran.stderr.strip()}

    def load(self, system):
        """Puts the data in. How long it took, of relationships that went in by imports."""
        words = ["--seconds", "3", "--warm-up", "100ms", "--clients", "1", "--workload", "flat"]
        loaded = self.ask(system, self.command(system) + words)
        if "failed" in loaded:
            raise SystemExit(f"{system.name} could not be loaded: {loaded['failed']}")
        return loaded["loaded"]

    def run(self, name, words, numbers=None):
        """One level of load; None where there is no such system, or it has not enough data."""
        if name not in self.systems or name == "spicedb" and not fits(words, self.tuples(self.systems[name])):
            return None
        upkeep.calm(self.systems.values())
        system = self.systems[name]
        command = self.command(system, numbers) + ["--no-load", "--warm-up", f"{self.arguments.warm_up}ms"]
        command += ["--seconds", str(self.pace.next(words))]
        for _ in range(TIMES):
            pids = [word for pid in system.pids() for word in ("--pid", str(pid))]
            found = self.ask(system, command + pids + words.split())
            # One of a database's processes ended meanwhile, with its connection.
            if "cannot read /proc" not in found.get("failed", ""):
                break
        self.pace.done()
        if "failed" not in found:
            return found["levels"][-1]
        self.failures.append(f"{name}: {words}: {found['failed']}")
        return found


def fits(words, tuples):
    """Whether data of this size has what is asked for."""
    return all(tuples >= least for word, least in LEAST.items() if word in f"{words} ")


def is_wanted(title, arguments):
    return not arguments.only or any(word in title for word in arguments.only)


def wanted(rows, arguments):
    return [(title, words) for title, words in rows if fits(words, arguments.tuples) and is_wanted(title, arguments)]


def follower(system):
    all_healthy(system)
    leader, _ = system.leader()
    return next(number for number in NODES if number != leader)


def beside_etcd(bench, title, words):
    """The levels of Quorate and of etcd."""
    numbers = lambda name: [follower(bench.systems[name])] if "follower" in title else None  # noqa: E731
    return [bench.run(name, words, numbers(name)) for name in ("quorate", "etcd")]


def first(bench, name, hits):
    """When the first and the last of so many resources come."""
    system = bench.systems.get(name)
    if system is None or not fits(f"--hits {hits}", bench.tuples(system)):
        return None
    return upkeep.lookups(system.clients[0], hits)


def load(bench, systems):
    """Puts the data into all systems; what it takes."""
    cluster, found = systems["quorate"], {}
    # The node whose log will be purged; another one than the follower that is killed later.
    folder = cluster.folder / f"quorate-{NODES[-1]}"
    disk = {}
    for name in ("quorate", "spicedb"):
        if name in systems:
            before = upkeep.memory(systems[name])
            loaded = bench.load(systems[name])
            if name == "spicedb" and systems[name].postgres:
                systems[name].postgres.settle()
            upkeep.calm(systems.values(), patience_s=20)
            found[name] = {"loaded": loaded, "memory_before": before, "memory": upkeep.memory(systems[name])}
    bench.load(systems["etcd"])
    disk["loaded"] = upkeep.disk(folder)
    if "spicedb" in systems and systems["spicedb"].postgres:
        found["spicedb"]["disk"] = {"loaded": upkeep.disk(systems["spicedb"].postgres.data)}
    cluster.command(NODES[-1], "cluster", "snapshot")
    upkeep.calm(systems.values(), patience_s=20)
    disk["after a snapshot, which purges the log"] = upkeep.disk(folder)
    found["quorate"]["disk"] = disk
    return found | {"loaded": found["quorate"]["loaded"]}


def measure(arguments, systems, bench):
    checks, log, own = (wanted(rows, arguments) for rows in (CHECKS, LOG, OWN))
    bench.pace.levels = len(checks) * (2 if "spicedb" in systems else 1) + len(log) * 2 + len(own)
    results = {"upkeep": load(bench, systems)}
    results["checks"] = [(title, words, bench.run("quorate", words), bench.run("spicedb", words)) for title, words in checks]
    listings = [hits for hits in LISTINGS if fits(f"--hits {hits}", arguments.tuples) and is_wanted("lookup", arguments)]
    results["lookups"] = [(hits, first(bench, "quorate", hits), first(bench, "spicedb", hits)) for hits in listings]
    for hits, *found in results["lookups"]:
        bench.failures += [f"lookup of {hits}: {one['failed']}" for one in found if one and "failed" in one]
    if is_wanted("restart", arguments):
        # Before there are any relationships but those that were loaded.
        document = f"loaded-{results['upkeep']['loaded']['relationships']}-1"
        try:
            results["upkeep"]["quorate"]["restart"] = upkeep.restarts(systems["quorate"], document)
        except SystemExit as error:
            bench.failures.append(f"restarts: {error}")
    results["log"] = [(title, words, *beside_etcd(bench, title, words)) for title, words in log]
    results["own"] = [(title, words, bench.run("quorate", words), None) for title, words in own]
    return results


def peers(systems):
    """Beside whom it is measured."""
    said = subprocess.run(["etcd", "--version"], capture_output=True, text=True).stdout
    found = [said.split("\n")[0].replace(" Version:", "")]
    return " and ".join(found + ([systems["spicedb"].describe()] if "spicedb" in systems else []))


def last_words(folder):
    """What the servers said last, where something went wrong: their logs go with the folder."""
    for log in sorted(folder.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines()[-3:]:
            sys.stderr.write(f"{log.stem}: {line}\n")


def started(systems):
    for system in systems.values():
        for number in range(len(system.clients)):
            system.start(number)
    systems["quorate"].form()
    for system in systems.values():
        every = range(len(system.clients))
        wait_for(f"{system.name} is healthy", lambda system=system, every=every: all(map(system.healthy, every)))


def arguments_of_the_command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quorate")
    parser.add_argument("--tuples", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=5, help="for each row and system")
    parser.add_argument("--minutes", type=float, help="for all of it: rows get fewer seconds, down to one, where it is short")
    parser.add_argument("--warm-up", type=int, default=1000, help="milliseconds")
    parser.add_argument("--spicedb", choices=("postgres", "memory", "none"), default="postgres", help="where SpiceDB has its data")
    parser.add_argument("--only", action="append", help="only rows whose title has this word; can be repeated")
    parser.add_argument("--json")
    parser.add_argument("--write")
    return parser.parse_args()


def main():
    arguments = arguments_of_the_command_line()
    if shutil.which("etcd") is None:
        raise SystemExit("etcd is not on the PATH: apt-get install etcd-server")
    end_on_signals()
    binary = os.path.abspath(arguments.quorate)
    cache = Path(binary).parent / "bench"
    cache.mkdir(exist_ok=True)
    program, postgres = arguments.spicedb != "none" and spicedb.binary(cache), spicedb.postgres_programs()
    if program and arguments.spicedb == "postgres" and postgres is None:
        raise SystemExit("there is no Postgres: apt-get install postgresql, or with --spicedb memory do without")
    systems, pace = {}, Pace(arguments.seconds, arguments.minutes, 0)
    # Beside the binary rather than in a temporary folder, which may live in memory, where an fsync costs nothing.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        folder = Path(folder)
        try:
            systems["quorate"] = Cluster(folder, binary)
            systems["etcd"] = Etcd(folder)
            if program:
                database = spicedb.Postgres(postgres) if arguments.spicedb == "postgres" else None
                systems["spicedb"] = spicedb.SpiceDB(folder, program, database)
            started(systems)
            floors = {"fsync": upkeep.fsync_floor(folder), "round_trip": upkeep.round_trip_floor()}
            bench = Bench(binary, arguments, systems, pace)
            results = measure(arguments, systems, bench)
        except BaseException:
            last_words(folder)
            raise
        finally:
            for system in systems.values():
                system.end()
    results |= {
        "floors": floors,
        "setting": {
            "machine": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count(), "peers": peers(systems),
            "tuples": arguments.tuples, "etcd_tuples": bench.tuples(systems["etcd"]),
            "spicedb_tuples": bench.tuples(systems["spicedb"]) if program else None,
            "seconds": pace.used, "warm_up": arguments.warm_up,
        },
    }
    found = tables.text(results)
    print(found)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))
    if arguments.write:
        write_into(Path(arguments.write), found, MARK)
    if bench.failures:
        raise SystemExit("not measured:\n" + "\n".join(bench.failures))


if __name__ == "__main__":
    main()
