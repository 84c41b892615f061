"""How long writes stop when the leader goes: killed, or by a planned transfer. Quorate beside etcd, in turn, in one run.

Three nodes each on the loopback interface, data on the same disk, fsync on, pre-votes on, heartbeats of 100 ms, elections after
a silence of the leader of 500 to 1,000 ms on both (etcd is told the lower end, and twice that is the upper one). Four writers
for each node write one key after the other through the node's HTTP gateway; one that gets no answer within 200 ms, or a
refusal, tries again. The time is from the kill to the first answer that acknowledges a write which began after it, at whichever
node. Another leader in a later term must be there then, or the run ends with an error. Then the node comes back, and all three
must be healthy before the next time. The cluster whose turn it is not is idle.

A planned transfer has no moment at which it begins to hurt: what counts is the longest time without an acknowledgement around
it, and how many writes failed.

Usage: failover.py QUORATE [--times 50] [--election-ms 500] [--only quorate|etcd] [--json FILE] [--write FILE.md]
[--keep FOLDER]. Needs etcd on the PATH. Standard library only. Fifty times take about six minutes.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

NODES = (0, 1, 2)
HEARTBEAT_MS, ELECTION_MS = 100, 500
KEY = "failover"
# A request that was sent to a node without a leader may wait for one: others are asked meanwhile, and it is given up.
PATIENCE_S = 0.2
# Several for each node, so that one of them asks soon after there is a leader, whatever became of what the others asked before.
WRITERS = 4
# Between two writes of one writer: the processors are for the servers.
PAUSE_S = 0.02
LIMIT_S = 30
MARK = "failover"


def free_ports(count):
    """Ports that nobody has right now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def write_into(file, found, mark):
    """Replaces what stands in `file` between the marks."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, rest = file.read_text().split(begin, 1)
    _, after = rest.split(end, 1)
    file.write_text(f"{before}{begin}\n{found}\n{end}{after}")


def end_on_signals():
    """SIGTERM ends this program by way of its `finally`s, which end the servers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def fetch(port, path, timeout=2.0):
    """The text at `path`, or nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def call(port, method, path, body=None, timeout=5.0, key=None, tls=None):
    """The status and the JSON of one request on a connection of its own; None where there was no answer."""
    connect = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    connection = connect("127.0.0.1", port, timeout=timeout, **({"context": tls} if tls else {}))
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.strip().startswith(b"{") else {}
    except (OSError, http.client.HTTPException, ValueError):
        return None, {}
    finally:
        connection.close()


class Refused(Exception):
    """A transfer that was not made."""


class System:
    """Three processes of one system."""

    def __init__(self, folder, election_ms=ELECTION_MS):
        self.folder, self.processes, self.election_ms = folder, {}, election_ms

    def spawn(self, number, command):
        log = open(self.folder / f"{self.name}-{number}.log", "a")
        env = {name: value for name, value in os.environ.items() if not name.startswith(("QUORATE_", "ETCD"))}
        self.processes[number] = subprocess.Popen(command, stdout=log, stderr=log, env=env)

    def pids(self):
        """Of all that works for it."""
        return [process.pid for process in self.processes.values()]

    def kill(self, number):
        process = self.processes.pop(number)
        process.send_signal(signal.SIGKILL)
        at = time.monotonic()
        process.wait()
        return at

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


class Quorate(System):
    name = "quorate"

    def __init__(self, folder, binary, election_ms=ELECTION_MS, flags=()):
        super().__init__(folder, election_ms)
        self.binary, self.flags = binary, list(flags)
        ports = free_ports(12)
        self.clients, self.peers, self.gateways, self.metrics = ports[:3], ports[3:6], ports[6:9], ports[9:]

    def start(self, number):
        self.spawn(number, [
            self.binary, "serve", "--data-dir", str(self.folder / f"quorate-{number}"), "--key", KEY,
            "--client-listen", f"127.0.0.1:{self.clients[number]}", "--peer-listen", f"127.0.0.1:{self.peers[number]}",
            "--gateway-listen", f"127.0.0.1:{self.gateways[number]}",
            "--metrics-listen", f"127.0.0.1:{self.metrics[number]}", *self.timing(), *self.flags,
        ])

    def timing(self):
        """Heartbeats and elections; without a time for these, as the node has it by itself."""
        if self.election_ms is None:
            return []
        return [
            "--heartbeat-ms", str(HEARTBEAT_MS), "--election-timeout-min-ms", str(self.election_ms),
            "--election-timeout-max-ms", str(2 * self.election_ms),
        ]

    def form(self):
        for number in NODES:
            wait_for("a node that waits", lambda number=number: call(self.gateways[number], "GET", "/openapi.json")[0] == 200)
        self.command(0, "cluster", "init")
        for number in NODES[1:]:
            self.command(number, "cluster", "join", "--peer", f"127.0.0.1:{self.peers[0]}")
        schema = "definition user {}\ndefinition document { relation viewer: user }"
        status, answer = self.ask(0, "/v1/schema/write", {"schema": schema}, 10)
        assert status == 200, answer

    def command(self, number, *words):
        words = [self.binary, *words, "--endpoint", f"127.0.0.1:{self.clients[number]}", "--key", KEY]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def ask(self, number, path, body, timeout):
        return call(self.gateways[number], "POST", path, body, timeout, KEY)

    def write(self, number, count):
        relationship = {
            "resource": {"objectType": "document", "objectId": f"d{count}"},
            "relation": "viewer",
            "subject": {"object": {"objectType": "user", "objectId": "u"}},
        }
        updates = {"updates": [{"operation": "OPERATION_TOUCH", "relationship": relationship}]}
        return self.ask(number, "/v1/relationships/write", updates, PATIENCE_S)[0] == 200

    def healthy(self, number):
        return call(self.gateways[number], "GET", "/healthz", timeout=1)[0] == 200

    def figures(self, number):
        """The metrics of a node, by name and labels."""
        lines = fetch(self.metrics[number], "/metrics").splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line and line[0] != "#")}

    def leader(self):
        """Who leads, and since which term."""
        for number in self.processes:
            figures = self.figures(number)
            if figures.get('quorate_role{role="leader"}') == 1:
                return number, int(figures["quorate_term"])
        return None

    def ask_to_transfer(self, leader):
        try:
            self.command(leader, "cluster", "transfer-leader")
        except subprocess.CalledProcessError as error:
            raise Refused(error.stderr.strip()) from error


class Etcd(System):
    name = "etcd"

    def __init__(self, folder, election_ms=ELECTION_MS):
        super().__init__(folder, election_ms)
        ports = free_ports(6)
        self.clients, self.peers = ports[:3], ports[3:]

    def start(self, number):
        members = ",".join(f"n{each}=http://127.0.0.1:{self.peers[each]}" for each in NODES)
        client, peer = f"http://127.0.0.1:{self.clients[number]}", f"http://127.0.0.1:{self.peers[number]}"
        self.spawn(number, [
            "etcd", "--name", f"n{number}", "--data-dir", str(self.folder / f"etcd-{number}"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", members,
            "--heartbeat-interval", str(HEARTBEAT_MS), "--election-timeout", str(self.election_ms), "--pre-vote",
            "--log-level", "error",
        ])

    def form(self):
        pass

    def write(self, number, count):
        body = {"key": base64.b64encode(f"document:d{count}".encode()).decode(), "value": base64.b64encode(b"u").decode()}
        return call(self.clients[number], "POST", "/v3/kv/put", body, PATIENCE_S)[0] == 200

    def healthy(self, number):
        status, answer = call(self.clients[number], "GET", "/health", timeout=1)
        return status == 200 and answer.get("health") == "true"

    def status(self, number):
        return call(self.clients[number], "POST", "/v3/maintenance/status", {}, timeout=2)[1]

    def leader(self):
        for number in self.processes:
            status = self.status(number)
            if status.get("leader", "0") != "0" and status["leader"] == status["header"]["member_id"]:
                return number, int(status["raftTerm"])
        return None

    def ask_to_transfer(self, leader):
        other = random.choice([number for number in NODES if number != leader])
        target = self.status(other)["header"]["member_id"]
        status, answer = call(self.clients[leader], "POST", "/v3/maintenance/transfer-leadership", {"targetID": target}, 10)
        if status != 200:
            raise Refused(answer)


def wait_for(what, holds):
    until = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"not within {LIMIT_S} s: {what}")
        time.sleep(0.02)


class Writers:
    """Threads for each node that write without an end, and what became of it."""

    def __init__(self, system):
        self.system, self.acknowledged, self.failed = system, [], []
        self.lock, self.over = threading.Lock(), threading.Event()
        each = [(number, writer) for number in NODES for writer in range(WRITERS)]
        self.threads = [threading.Thread(target=self.work, args=one, daemon=True) for one in each]
        for thread in self.threads:
            thread.start()

    def work(self, number, writer):
        # Not all in step.
        self.over.wait(PAUSE_S * (number * WRITERS + writer) / len(NODES) / WRITERS)
        count = writer
        while not self.over.is_set():
            began = time.monotonic()
            done = self.system.write(number, count % 1000)
            with self.lock:
                (self.acknowledged if done else self.failed).append((began, time.monotonic()))
            self.over.wait(PAUSE_S)
            count += WRITERS

    def first_after(self, at):
        """When the first write that began after `at` was acknowledged."""
        found = []

        def seen():
            with self.lock:
                found[:] = [ended for began, ended in self.acknowledged if began >= at]
            return found
        wait_for(f"a write on {self.system.name}", seen)
        return min(found)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def all_healthy(system):
    wait_for(f"three healthy nodes of {system.name}", lambda: all(system.healthy(number) for number in NODES))
    wait_for(f"a leader of {system.name}", lambda: system.leader() is not None)


def another_leads(system, leader, term):
    """That somebody leads in a later term: what was measured was a change of the leader, and nothing less."""
    def changed():
        found = system.leader()
        return found is not None and found[0] != leader and found[1] > term
    wait_for(f"another leader of {system.name}", changed)


def after_a_kill(system):
    """Milliseconds from the end of the leader to the next write."""
    with writing(system) as writers:
        leader, term = system.leader()
        # Not at any particular time after a heartbeat.
        time.sleep(random.uniform(0, 2 * HEARTBEAT_MS) / 1e3)
        at = system.kill(leader)
        taken = writers.first_after(at) - at
        another_leads(system, leader, term)
    system.start(leader)
    return taken * 1e3


def around_a_transfer(system):
    """Milliseconds of the longest time without a write around a transfer, and how many writes failed."""
    with writing(system) as writers:
        leader, term = system.leader()
        at = time.monotonic()
        system.ask_to_transfer(leader)
        writers.first_after(time.monotonic())
        another_leads(system, leader, term)
    answered = sorted(end for _, end in writers.acknowledged)
    points = [end for end in answered if end <= at][-1:] + [end for end in answered if end > at]
    failed = sum(ended > at for _, ended in writers.failed)
    return max(later - earlier for earlier, later in zip(points, points[1:])) * 1e3, failed


@contextlib.contextmanager
def writing(system):
    """A healthy cluster that is written to."""
    all_healthy(system)
    writers = Writers(system)
    try:
        for _ in range(5):
            writers.first_after(time.monotonic())
        yield writers
    finally:
        writers.end()


def measure(systems, times):
    """Milliseconds without a write, of each system: after each kill, and around each transfer, with what failed then."""
    for system in systems:
        for number in NODES:
            system.start(number)
        system.form()
    results = {system.name: {"kill": [], "transfer": [], "failed": [], "refused": 0} for system in systems}
    for turn in range(times):
        for system in systems:
            found = results[system.name]
            found["kill"].append(after_a_kill(system))
            while True:
                try:
                    taken, failed = around_a_transfer(system)
                    break
                except Refused as refused:
                    found["refused"] += 1
                    print(f"{system.name}: not transferred: {refused}", file=sys.stderr)
                    if found["refused"] > times:
                        raise
            found["transfer"].append(taken)
            found["failed"].append(failed)
            told = f"{found['kill'][-1]:.0f} ms, {taken:.0f} ms, {failed} failed"
            print(f"{system.name} {turn + 1}/{times}: {told}", file=sys.stderr)
    return results


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def table(results):
    lines = ["| | | p50 | p90 | p99 | longest | writes that failed |", "|---|---|---|---|---|---|---|"]
    for how, words in (("kill", "leader killed (kill -9)"), ("transfer", "planned transfer")):
        for name, found in results.items():
            cells = [f"{quantile(found[how], part):.0f} ms" for part in (0.5, 0.9, 0.99)] + [f"{max(found[how]):.0f} ms"]
            failed = "–"
            if how == "transfer":
                failed = f"{sum(found['failed']) / len(found['failed']):.1f} each time"
                failed += f"; {found['refused']} times it was refused" if found["refused"] else ""
            lines.append(f"| {words} | {name} | {' | '.join(cells)} | {failed} |")
    return "\n".join(lines)


def text(results, arguments):
    """What stands in the documentation."""
    setting = (
        f"Measured on {platform.system()} {platform.machine()}, {os.cpu_count()} processors, three nodes each, "
        f"{arguments.times} times each, heartbeats of {HEARTBEAT_MS} ms, elections after a silence of "
        f"{arguments.election_ms} to {2 * arguments.election_ms} ms."
    )
    return f"{setting}\n\n{table(results)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quorate")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--election-ms", type=int, default=ELECTION_MS, help="shortest silence; twice that is the longest")
    parser.add_argument("--only", choices=["quorate", "etcd"])
    parser.add_argument("--json")
    parser.add_argument("--write")
    parser.add_argument("--keep", metavar="FOLDER", help="where the logs of the nodes are to stay")
    arguments = parser.parse_args()
    if arguments.only != "quorate" and shutil.which("etcd") is None:
        raise SystemExit("etcd is not on the PATH: apt-get install etcd-server")
    end_on_signals()
    binary = os.path.abspath(arguments.quorate)
    systems = []
    # Beside the binary rather than in a temporary folder, which may live in memory, where an fsync costs nothing.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(binary)) as folder:
        folder = Path(folder)
        try:
            if arguments.only != "etcd":
                systems.append(Quorate(folder, binary, arguments.election_ms))
            if arguments.only != "quorate":
                systems.append(Etcd(folder, arguments.election_ms))
            results = measure(systems, arguments.times)
        finally:
            for system in systems:
                system.end()
            if arguments.keep:
                os.makedirs(arguments.keep, exist_ok=True)
                for log in folder.glob("*.log"):
                    shutil.copy(log, arguments.keep)
    found = text(results, arguments)
    print(found)
    if arguments.json:
        setting = {"times": arguments.times, "heartbeat_ms": HEARTBEAT_MS, "election_ms": arguments.election_ms}
        parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1}
        quantiles = {
            name: {how: {part: quantile(found[how], at) for part, at in parts.items()} for how in ("kill", "transfer")}
            for name, found in results.items()
        }
        Path(arguments.json).write_text(json.dumps({"setting": setting, "quantiles": quantiles, "all": results}, indent=1))
    if arguments.write:
        write_into(Path(arguments.write), found, MARK)


if __name__ == "__main__":
    main()
