"""How long writes stop when the leader goes: killed, or by a planned transfer. Quorate beside etcd, in one run.

Three nodes each on the loopback interface, data on the same disk, fsync on, heartbeats of 100 ms and elections after 500 to
1,000 ms of silence on both. One writer for each node writes one key after the other through the node's HTTP gateway. The time is
from the kill (or from the request for a transfer) to the first answer that acknowledges a write which began after it, at whichever
node. Then the node comes back, and all three must be healthy before the next time.

Usage: failover.py QUORATE [--times 50] [--only quorate|etcd] [--json FILE]. Needs etcd on the PATH. Standard library only.
"""

import argparse
import base64
import http.client
import json
import os
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
LIMIT_S = 30


def free_ports(count):
    """Ports that nobody has right now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def call(port, method, path, body=None, timeout=5.0, key=None):
    """The status and the JSON of one request on a connection of its own; None where there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
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


class System:
    """Three processes of one system."""

    def __init__(self, folder):
        self.folder, self.processes = folder, {}

    def spawn(self, number, command):
        log = open(self.folder / f"{self.name}-{number}.log", "a")
        env = {name: value for name, value in os.environ.items() if not name.startswith(("QUORATE_", "ETCD"))}
        self.processes[number] = subprocess.Popen(command, stdout=log, stderr=log, env=env)

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

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary
        ports = free_ports(9)
        self.clients, self.peers, self.gateways = ports[:3], ports[3:6], ports[6:]
        self.numbers = {}

    def start(self, number):
        self.spawn(number, [
            self.binary, "serve", "--data-dir", str(self.folder / f"quorate-{number}"), "--key", KEY,
            "--client-listen", f"127.0.0.1:{self.clients[number]}", "--peer-listen", f"127.0.0.1:{self.peers[number]}",
            "--gateway-listen", f"127.0.0.1:{self.gateways[number]}", "--heartbeat-ms", str(HEARTBEAT_MS),
            "--election-timeout-min-ms", str(ELECTION_MS), "--election-timeout-max-ms", str(2 * ELECTION_MS),
        ])

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

    def leader(self):
        for number in NODES:
            if number not in self.processes:
                continue
            status = json.loads(self.command(number, "cluster", "status", "--json"))
            for member in status["members"]:
                if (member["status"] or {}).get("state") == "leader":
                    return self.clients.index(int(member["client_address"].rsplit(":", 1)[1]))
        return None

    def ask_to_transfer(self, leader):
        self.command(leader, "cluster", "transfer-leader")


class Etcd(System):
    name = "etcd"

    def __init__(self, folder):
        super().__init__(folder)
        ports = free_ports(6)
        self.clients, self.peers = ports[:3], ports[3:]

    def start(self, number):
        members = ",".join(f"n{each}=http://127.0.0.1:{self.peers[each]}" for each in NODES)
        client, peer = f"http://127.0.0.1:{self.clients[number]}", f"http://127.0.0.1:{self.peers[number]}"
        self.spawn(number, [
            "etcd", "--name", f"n{number}", "--data-dir", str(self.folder / f"etcd-{number}"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", members,
            "--heartbeat-interval", str(HEARTBEAT_MS), "--election-timeout", str(ELECTION_MS), "--log-level", "error",
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
        for number in NODES:
            status = self.status(number) if number in self.processes else {}
            if status.get("leader", "0") != "0" and status["leader"] == status["header"]["member_id"]:
                return number
        return None

    def ask_to_transfer(self, leader):
        other = random.choice([number for number in NODES if number != leader])
        target = self.status(other)["header"]["member_id"]
        status, answer = call(self.clients[leader], "POST", "/v3/maintenance/transfer-leadership", {"targetID": target}, 10)
        assert status == 200, answer


def wait_for(what, holds):
    until = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"not within {LIMIT_S} s: {what}")
        time.sleep(0.02)


class Writers:
    """A thread for each node that writes without a pause, and what was acknowledged."""

    def __init__(self, system):
        self.system, self.acknowledged = system, []
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(number,), daemon=True) for number in NODES]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        count = 0
        while not self.over.is_set():
            began = time.monotonic()
            if self.system.write(number, count % 1000):
                with self.lock:
                    self.acknowledged.append((began, time.monotonic()))
            else:
                time.sleep(0.002)
            count += 1

    def first_after(self, at):
        """When the first write that began after `at` was acknowledged."""
        found = []

        def seen():
            with self.lock:
                found[:] = [ended for began, ended in self.acknowledged if began >= at]
            return found
        wait_for(f"a write on {self.system.name}", seen)
        return min(found)

    def forget(self):
        with self.lock:
            self.acknowledged.clear()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def all_healthy(system):
    wait_for(f"three healthy nodes of {system.name}", lambda: all(system.healthy(number) for number in NODES))
    wait_for(f"a leader of {system.name}", lambda: system.leader() is not None)


def measure(system, times):
    """Milliseconds without a write: after each kill, after each transfer."""
    for number in NODES:
        system.start(number)
    system.form()
    all_healthy(system)
    writers = Writers(system)
    kills, transfers = [], []
    try:
        for turn in range(times):
            for how in ("kill", "transfer"):
                all_healthy(system)
                writers.forget()
                writers.first_after(time.monotonic())
                leader = system.leader()
                if how == "kill":
                    at = system.kill(leader)
                    kills.append((writers.first_after(at) - at) * 1e3)
                    system.start(leader)
                else:
                    transfers.append(longest_gap(writers, lambda: system.ask_to_transfer(leader)))
            print(f"{system.name} {turn + 1}/{times}: {kills[-1]:.0f} ms, {transfers[-1]:.0f} ms", file=sys.stderr)
    finally:
        writers.end()
    return {"kill": kills, "transfer": transfers}


def longest_gap(writers, ask):
    """A transfer has no moment at which it begins to hurt: the longest time without an acknowledgement around it."""
    at = time.monotonic()
    ask()
    ended = time.monotonic()
    writers.first_after(ended)
    with writers.lock:
        answered = sorted(end for _, end in writers.acknowledged)
    before = [end for end in answered if end <= at][-1:] or [at]
    after = [end for end in answered if end > at]
    points = before + after
    return max(later - earlier for earlier, later in zip(points, points[1:])) * 1e3


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def table(results):
    lines = ["| | | p50 | p90 | p99 | longest |", "|---|---|---|---|---|---|"]
    for how, words in (("kill", "leader killed (kill -9)"), ("transfer", "planned transfer")):
        for name, found in results.items():
            cells = [f"{quantile(found[how], part):.0f} ms" for part in (0.5, 0.9, 0.99)] + [f"{max(found[how]):.0f} ms"]
            lines.append(f"| {words} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quorate")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--only", choices=["quorate", "etcd"])
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.only != "quorate" and shutil.which("etcd") is None:
        raise SystemExit("etcd is not on the PATH: apt-get install etcd-server")
    results = {}
    for name in ("quorate", "etcd"):
        if arguments.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            system = Quorate(folder, os.path.abspath(arguments.quorate)) if name == "quorate" else Etcd(folder)
            try:
                results[name] = measure(system, arguments.times)
            finally:
                system.end()
    print(table(results))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
