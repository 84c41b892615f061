"""More than a cluster can do: three nodes are asked for a half, once, twice and four times what they answer at most; then one
node bears thousands of silent connections, a storm of watchers that come and go, readers that do not read, and requests that
do not end. Throughout, one client writes ten times a second, and terms, memory and open files of the nodes are watched.

What must hold: what is too much is refused with RESOURCE_EXHAUSTED and with nothing else; what is answered is answered soon;
the writes go on, but for some that are refused as well; nobody loses its lead; memory stays bounded. Where the leader changed,
or something failed in another manner, or a node took 1 GiB more, the program says so and exits with 1.

Everything shares this machine, the generator too: figures of different machines do not compare, the ratios do.

Usage: overload.py QUORATE [--seconds 10] [--only load|silent|storm|slow|huge] [--scale 1.0] [--json FILE] [--write FILE.md].
Standard library only, and the program openssl for a certificate. `--scale` makes the numbers of connections smaller or larger.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from failover import KEY, NODES, Quorate, call, end_on_signals, fetch, quantile, wait_for, write_into

MARK = "overload"
TUPLES = 100_000
MOST_MEMORY = 1 << 30
WRITE_PARTS = (("p50", 0.5), ("p99", 0.99), ("max", 1))
WORKLOADS = [
    ("through 16 groups", "--workload nested-groups --depth 16"),
    ("100 in a bulk check", "--workload bulk-check --items 100"),
    ("a write", "--workload write"),
]
FACTORS = (0.5, 1, 2, 4)
# So many operations of the generator can be open at once: enough for a second at the highest rate that it manages.
AT_ONCE = 8192
# What becomes of a watcher: it is told that it watches, or that it does not, or its connection ends, or nothing comes for 30 s.
OUTCOMES = ("served", "refused", "ended", "late")
SILENT, WATCHERS, AT_A_TIME, READERS, WRITERS = 3000, 20_000, 500, 400, 100
# A request of the largest size but for its last byte.
HUGE = 16 << 20

# --- A little HTTP/2: frames by hand, for connections that no library would open.

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
WATCH = "/authzed.api.v1.WatchService/Watch"
READ = "/authzed.api.v1.PermissionsService/ReadRelationships"
WRITE = "/authzed.api.v1.PermissionsService/WriteRelationships"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def headers(path):
    """The head of a gRPC call, each field in full (RFC 7541, section 6.2.2)."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "node", "content-type": "application/grpc",
        "te": "trailers", "authorization": f"Bearer {KEY}",
    }
    text = lambda value: bytes([len(value)]) + value.encode()  # noqa: E731
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())


def call_of(path, message, stream=1):
    """A whole call with one message."""
    body = b"\0" + struct.pack(">I", len(message)) + message
    return frame(HEADERS, END_HEADERS, stream, headers(path)) + frame(DATA, END_STREAM, stream, body)


def settings(window=None):
    """How a client begins; with a window, it says that it takes so much."""
    if window is None:
        return PREFACE + frame(SETTINGS, 0, 0)
    more = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", window - 65_535))
    return PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)) + more


async def next_frame(reader):
    head = await reader.readexactly(9)
    length = int.from_bytes(head[:3], "big")
    return head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFF_FFFF, await reader.readexactly(length)


# --- The cluster.


class Cluster(Quorate):
    """Three nodes without a schema: the load generator brings its own. With a certificate, clients speak TLS."""

    def __init__(self, folder, binary, certificate=None):
        certificate_flags = []
        if certificate:
            certificate_flags = ["--client-tls-certificate", str(certificate), "--client-tls-key", f"{certificate}.key"]
        super().__init__(folder, binary, None, certificate_flags)
        self.certificate = certificate

    def asked(self, numbers=NODES):
        """The words with which the command line reaches nodes."""
        scheme = "https://" if self.certificate else ""
        words = ["--endpoint", ",".join(f"{scheme}127.0.0.1:{self.clients[number]}" for number in numbers), "--key", KEY]
        return words + (["--ca", str(self.certificate)] if self.certificate else [])

    def command(self, number, *words):
        words = [self.binary, *words, *self.asked([number])]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def form(self):
        for number in NODES:
            self.start(number)
        for number in NODES:
            wait_for("a node that waits", lambda number=number: fetch(self.metrics[number], "/healthz"))
        self.command(0, "cluster", "init")
        for number in NODES[1:]:
            self.command(number, "cluster", "join", "--peer", f"127.0.0.1:{self.peers[0]}")
        wait_for("nodes that are ready", lambda: all(self.figures(number).get("quorate_ready") == 1 for number in NODES))

    def bench(self, words, numbers=NODES):
        """The levels that the load generator measured."""
        command = [self.binary, "bench", "--json", "--tuples", str(TUPLES), *self.asked(numbers)]
        for process in self.processes.values():
            command += ["--pid", str(process.pid)]
        # Loading the data, or a look at it, may be refused as well, or come too late, where there is too much to do.
        for _ in range(5):
            ran = subprocess.run(command + words.split(), capture_output=True, text=True)
            levels = json.loads(ran.stdout)["levels"] if ran.stdout.strip() else []
            # That nothing was answered at all is a failure elsewhere, and here a result.
            if levels and not any(level["wrong_answers"] for level in levels):
                return levels
            sys.stderr.write(f"quorate bench {words}: {ran.stderr.strip()}\n")
            if "wrong" in ran.stderr:
                break
            time.sleep(2)
        raise SystemExit("the load generator failed")

    def memory(self, number):
        for line in Path(f"/proc/{self.processes[number].pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
        raise SystemExit(f"node {number} is gone")

    def files(self, number):
        return len(os.listdir(f"/proc/{self.processes[number].pid}/fd"))

    def write(self, number, count, timeout=10):
        relationship = {
            "resource": {"objectType": "doc", "objectId": f"probe-{count}"}, "relation": "viewer",
            "subject": {"object": {"objectType": "user", "objectId": "probe"}},
        }
        updates = {"updates": [{"operation": "OPERATION_TOUCH", "relationship": relationship}]}
        if not self.certificate:
            status, answer = self.ask(number, "/v1/relationships/write", updates, timeout)
            return status, answer.get("message", "")
        # The gateway has the certificate of the public API.
        context = ssl.create_default_context(cafile=str(self.certificate))
        status, answer = call(self.gateways[number], "POST", "/v1/relationships/write", updates, timeout, KEY, context)
        return status, answer.get("message", "")


def certificate(folder):
    """A certificate for the loopback address, which is its own authority: nobody has to be told of another one."""
    path = folder / "node.pem"
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", f"{path}.key", "-out", str(path),
    ], check=True, capture_output=True)
    return path


class Watch:
    """What the nodes go through while something is done to them: terms, memory, open files, codes, and how writes fare."""

    def __init__(self, cluster):
        self.cluster, self.over = cluster, threading.Event()
        self.memory, self.files, self.writes, self.refused, self.failed = [], [], [], 0, []

    def __enter__(self):
        self.before = [self.cluster.figures(number) for number in NODES]
        self.memory_before = max(map(self.cluster.memory, NODES))
        self.leader, self.term = self.cluster.leader()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.sample, self.write)]
        for thread in self.threads:
            thread.start()
        return self

    def sample(self):
        while not self.over.wait(0.2):
            self.memory.append(max(map(self.cluster.memory, NODES)))
            self.files.append(max(map(self.cluster.files, NODES)))

    def write(self):
        """At a follower: the way of a write through the whole cluster."""
        at, count = (self.leader + 1) % len(NODES), 0
        while not self.over.wait(0.1):
            began = time.monotonic()
            status, said = self.cluster.write(at, count % 1000)
            if status == 200:
                self.writes.append((time.monotonic() - began) * 1e3)
            elif status == 429:
                self.refused += 1
            else:
                self.failed.append(f"{status} {said}")
            count += 1

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        wait_for("the metrics of all nodes", lambda: all(map(self.cluster.figures, NODES)))
        after = [self.cluster.figures(number) for number in NODES]
        grown = {}
        for then, now in zip(self.before, after):
            for name, value in now.items():
                grown[name] = grown.get(name, 0) + value - then.get(name, 0)
        self.grown = grown
        self.terms = int(max(figures["quorate_term"] for figures in after)) - self.term

    def codes(self):
        """Calls that ended, by code."""
        found = {}
        for name, value in self.grown.items():
            if name.startswith("quorate_calls_total") and value:
                code = name.split('code="')[1].split('"')[0]
                found[code] = found.get(code, 0) + int(value)
        return found

    def found(self):
        return {
            "new_terms": self.terms,
            "memory_before": self.memory_before, "memory_most": max(self.memory, default=self.memory_before),
            "files_most": max(self.files, default=0), "codes": self.codes(),
            "shed": self.grown.get("quorate_evaluations_shed_total", 0),
            "refused": self.grown.get("quorate_evaluations_refused_total", 0),
            "writes": len(self.writes), "writes_refused": self.refused, "writes_failed": len(self.failed),
            "write_failures": sorted(set(self.failed))[:5],
            "write_ms": {name: quantile(self.writes, part) for name, part in WRITE_PARTS} if self.writes else {},
        }


# --- What is done to the cluster.


def overload(cluster, title, words, seconds):
    """The cluster's capacity, and what becomes of more than that."""
    spans = f"--seconds {seconds} --warm-up 2s"
    capacity = cluster.bench(f"{words} --clients 64 {spans}")[-1]["operations_per_second"]
    rows = [{"title": title, "capacity": capacity}]
    for factor in FACTORS:
        rate = max(1, round(capacity * factor))
        with Watch(cluster) as watch:
            load = f"--rate {rate} --clients {AT_ONCE} --connections 24 --timeout 5s"
            level = cluster.bench(f"{words} {load} {spans}")[-1]
        rows.append({"factor": factor, "rate": rate, "level": level} | watch.found())
        say(f"{title} {factor}", rows[-1])
    return rows


def during(cluster, work, seconds):
    """How long a good client waits at node 0 before, while, and after `work`; what the nodes went through meanwhile."""
    words = "--workload flat --clients 4 --connections 2 --warm-up 200ms --timeout 5s"

    def good(span):
        level = cluster.bench(f"{words} --seconds {span}", [0])[-1]
        return {"operations": level["operations"], "errors": level["errors"]} | level["latency_us"]
    before, found = good(3), {}
    with Watch(cluster) as watch:
        other = threading.Thread(target=lambda: found.update(work()), daemon=True)
        other.start()
        time.sleep(0.5)
        meanwhile = good(seconds)
        other.join()
    return {"before": before, "meanwhile": meanwhile, "after": good(3)} | watch.found() | found


def silent(cluster, count):
    """TLS connections that never ask, and ones that never begin with TLS; how long the node bears them."""
    address, context = ("127.0.0.1", cluster.clients[0]), ssl.create_default_context(cafile=str(cluster.certificate))
    context.set_alpn_protocols(["h2"])
    files = cluster.files(0)

    async def one(encrypted, opened, ended):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            began = time.monotonic()
            reader, writer = await asyncio.open_connection(*address, ssl=context if encrypted else None)
            opened[encrypted] += 1
            while await reader.read(4096):
                pass
            ended[encrypted].append(time.monotonic() - began)
            writer.transport.abort()

    async def all_of_them():
        opened, ended = {True: 0, False: 0}, {True: [], False: []}
        tasks = []
        for number in range(2 * count):
            tasks.append(asyncio.create_task(one(number % 2 == 0, opened, ended)))
            if number % 100 == 99:
                await asyncio.sleep(0.02)
        await asyncio.wait(tasks, timeout=150)
        for task in tasks:
            task.cancel()
        return {
            name: {"opened": opened[kind], "ended": len(ended[kind]), "longest_s": max(ended[kind], default=0)}
            for name, kind in (("tls", True), ("plain", False))
        }
    found = asyncio.run(all_of_them())
    return {"silent": found, "files_before": files, "files_after": cluster.files(0)}


def storm(cluster, count):
    """Watchers that connect, watch, and are gone."""
    address = ("127.0.0.1", cluster.clients[0])
    request = settings() + call_of(WATCH, b"")

    async def one(places, outcomes):
        async with places:
            try:
                reader, writer = await asyncio.open_connection(*address)
                # No farewell: the client is simply gone. So the port is free at once, too.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.write(request)
                while True:
                    kind, flags, _, _ = await asyncio.wait_for(next_frame(reader), 30)
                    if kind in (HEADERS, RST, GOAWAY):
                        break
                outcomes["served" if kind == HEADERS and not flags & END_STREAM else "refused"] += 1
                writer.transport.abort()
            except asyncio.TimeoutError:
                outcomes["late"] += 1
            except (OSError, asyncio.IncompleteReadError):
                outcomes["ended"] += 1

    async def all_of_them():
        places, outcomes = asyncio.Semaphore(AT_A_TIME), dict.fromkeys(OUTCOMES, 0)
        began = time.monotonic()
        await asyncio.gather(*(one(places, outcomes) for _ in range(count)))
        return outcomes | {"seconds": time.monotonic() - began}
    found = asyncio.run(all_of_them())
    until = time.monotonic() + 10
    while (left := cluster.figures(0).get("quorate_watches", 0)) and time.monotonic() < until:
        time.sleep(0.1)
    return {"storm": found | {"watches_left": left}, "files_after": cluster.files(0)}


def slow(cluster, count):
    """Streams of everything that there is, which nobody reads; half of them said that they take everything at once."""
    request = bytes([0x0A, 2, 8, 1, 0x12, 5, 0x0A, 3]) + b"doc"
    held = []
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", cluster.clients[0]))
        connection.sendall(settings(0x7FFF_FFFF if number % 2 else None) + call_of(READ, request))
        held.append(connection)
    time.sleep(12)
    for connection in held:
        connection.close()
    return {"streams": len(held)}


def huge(cluster, count):
    """Messages of the largest size, but for their last byte, which never comes."""
    async def one(outcomes):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", cluster.clients[0])
            writer.write(settings() + frame(HEADERS, END_HEADERS, 1, headers(WRITE)))
            body = b"\0" + struct.pack(">I", HUGE) + bytes(HUGE - 1)
            windows, sent, most = [65_535, 65_535], 0, 16_384
            while True:
                while sent < len(body) and (size := min(most, len(body) - sent, *windows)) > 0:
                    writer.write(frame(DATA, 0, 1, body[sent:sent + size]))
                    sent += size
                    windows = [window - size for window in windows]
                    await writer.drain()
                outcomes["whole"] += sent == len(body)
                kind, flags, stream, payload = await next_frame(reader)
                if kind == WINDOW_UPDATE:
                    windows[1 if stream else 0] += int.from_bytes(payload, "big")
                elif kind == SETTINGS and not flags & ACK:
                    for at in range(0, len(payload), 6):
                        name, value = struct.unpack(">HI", payload[at:at + 6])
                        if name == 4:
                            windows[1] += value - 65_535
                    writer.write(frame(SETTINGS, ACK, 0))
                elif kind in (HEADERS, RST, GOAWAY):
                    outcomes["refused"] += 1
                    break
                if sent == len(body):
                    await asyncio.sleep(15)
                    break
            writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            outcomes["ended"] += 1

    async def all_of_them():
        outcomes = {"whole": 0, "refused": 0, "ended": 0}
        await asyncio.gather(*(one(outcomes) for _ in range(count)))
        return outcomes
    return {"huge": asyncio.run(all_of_them())}


# --- The report.


def say(what, found):
    sys.stderr.write(f"{what}: {json.dumps({key: value for key, value in found.items() if key != 'level'})}\n")


def ms(value):
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms" if value < 10_000 else f"{value / 1e3:.1f} s"


def mib(value):
    return f"{value >> 20} MiB"


def percent(part, whole):
    return f"{100 * part / max(whole, 1):.0f} %"


def codes(errors):
    return ", ".join(f"{name} {count}" for name, count in errors.items()) or "none"


def writes(found):
    """How the writes meanwhile fared."""
    took, refused = found["write_ms"], found["writes_refused"]
    times = f"{ms(took['p50'])}, {ms(took['p99'])}" if took else "none"
    return f"{times}; {refused} of {found['writes'] + refused} refused" if refused else times


def load_table(rows):
    lines = [
        "| asked for | a second | answered a second | not answered | with | p50 | p99 | refused within, p99 "
        "| a write meanwhile, p50, p99 | new terms | memory |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "capacity" in row:
            lines.append(f"| **{row['title']}** | 64 clients | {row['capacity']:.0f} | | | | | | | | |")
            continue
        level = row["level"]
        answer, failure = (level[name] for name in ("answer_us", "failure_us"))
        asked = level["operations"] + sum(level["errors"].values()) + level["never_begun"]
        late = f", never begun {level['never_begun']}" if level["never_begun"] else ""
        lines.append(
            f"| {row['factor']:g} × | {row['rate']} | {level['operations_per_second']:.0f} "
            f"| {percent(asked - level['operations'], asked)} | {codes(level['errors'])}{late} "
            f"| {ms(answer['p50'] / 1e3)} | {ms(answer['p99'] / 1e3)} "
            f"| {ms(failure['p99'] / 1e3) if level['errors'] else '–'} | {writes(row)} "
            f"| {row['new_terms']} | {mib(row['memory_most'])} |"
        )
    return "\n".join(lines)


def hostile_table(results):
    lines = [
        "| | a good client's p50, p99 before | meanwhile | after | a write meanwhile, p50, p99 | new terms "
        "| memory before, most | open files |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, found in results:
        good = [found[when] for when in ("before", "meanwhile", "after")]
        times = [f"{ms(each['p50'] / 1e3)}, {ms(each['p99'] / 1e3)}" for each in good]
        lines.append(
            f"| {title} | {' | '.join(times)} | {writes(found)} | {found['new_terms']} "
            f"| {mib(found['memory_before'])}, {mib(found['memory_most'])} | {found['files_most']} |"
        )
    return "\n".join(lines)


def title_of(kind, found):
    if kind == "silent":
        tls, plain = found["silent"]["tls"], found["silent"]["plain"]
        return (
            f"{tls['opened']} silent TLS connections ({tls['ended']} ended by the node, the last after "
            f"{tls['longest_s']:.0f} s) and {plain['opened']} without a handshake ({plain['ended']}, "
            f"{plain['longest_s']:.0f} s)"
        )
    if kind == "storm":
        one = found["storm"]
        return (
            f"{sum(one[part] for part in OUTCOMES)} watchers that connect, watch and go, {AT_A_TIME} at a time, in "
            f"{one['seconds']:.0f} s: {', '.join(f'{one[part]} {part}' for part in OUTCOMES)}"
        )
    if kind == "slow":
        return f"{found['streams']} streams of all relationships that nobody reads"
    one = found["huge"]
    return f"messages of 16 MiB without their end: {one['whole']} held, {one['refused']} refused, {one['ended']} ended"


def text(results):
    setting = results["setting"]
    parts = [
        f"Measured on {setting['machine']}, {setting['processors']} processors, {TUPLES} relationships, {setting['seconds']} s "
        "for each row. All nodes, the generator and the other clients share the machine. p50 and p99 are of what was answered, "
        "from when it was sent. What never began, the generator could not send: it is not the nodes that refused it."
    ]
    if results["load"]:
        parts.append(load_table(results["load"]))
    if results["hostile"]:
        parts.append(hostile_table([(title_of(kind, found), found) for kind, found in results["hostile"]]))
    return "\n\n".join(parts)


def complaints(results):
    """What must not have been."""
    for found in results["load"][:] + [found for _, found in results["hostile"]]:
        if found.get("new_terms"):
            yield f"the leader changed: {found}"
        if found.get("writes_failed"):
            yield f"{found['writes_failed']} of {found['writes']} writes failed: {found['write_failures']}"
        if found.get("memory_most", 0) - found.get("memory_before", 0) > MOST_MEMORY:
            yield f"a node took {mib(found['memory_most'])}: {found}"
        faults = set(found.get("codes", {})) - {"OK", "RESOURCE_EXHAUSTED", "CANCELLED", "ABORTED"}
        if faults:
            yield f"a node answered with {faults}: {found['codes']}"
        others = set(found.get("level", {}).get("errors", {})) - {"ResourceExhausted"}
        if others:
            yield f"refused with {others}: {found['level']['error_messages']}"


def run(folder, arguments):
    binary, scale = os.path.abspath(arguments.quorate), arguments.scale
    wanted = lambda kind: arguments.only in (None, kind)  # noqa: E731
    number = lambda count: max(1, round(count * scale))  # noqa: E731
    results = {"load": [], "hostile": []}

    def on(cluster, work):
        try:
            cluster.form()
            cluster.bench("--workload flat --seconds 1")
            work(cluster)
        finally:
            cluster.end()

    def plain(cluster):
        if wanted("load"):
            for title, words in WORKLOADS:
                results["load"] += overload(cluster, title, words, arguments.seconds)
        for kind, work, count in (("storm", storm, WATCHERS), ("slow", slow, READERS), ("huge", huge, WRITERS)):
            if wanted(kind):
                found = during(cluster, lambda work=work, count=count: work(cluster, number(count)), 10)
                results["hostile"].append((kind, found))
                say(kind, found)

    def encrypted(cluster):
        found = during(cluster, lambda: silent(cluster, number(SILENT)), 30)
        results["hostile"].insert(0, ("silent", found))
        say("silent", found)
    if arguments.only != "silent":
        (folder / "plain").mkdir()
        on(Cluster(folder / "plain", binary), plain)
    if wanted("silent"):
        (folder / "tls").mkdir()
        on(Cluster(folder / "tls", binary, certificate(folder)), encrypted)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quorate")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--only", choices=["load", "silent", "storm", "slow", "huge"])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json")
    parser.add_argument("--write")
    arguments = parser.parse_args()
    end_on_signals()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Beside the binary rather than in a temporary folder, which may live in memory, where an fsync costs nothing.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(arguments.quorate))) as folder:
        results = run(Path(folder), arguments)
    results["setting"] = {
        "machine": f"{platform.system()} {platform.machine()}", "processors": os.cpu_count(), "tuples": TUPLES,
        "seconds": arguments.seconds, "scale": arguments.scale,
    }
    found = text(results)
    print(found)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))
    if arguments.write:
        write_into(Path(arguments.write), found, MARK)
    wrong = list(complaints(results))
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
