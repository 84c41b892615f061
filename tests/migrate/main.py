"""Moves from a real SpiceDB to Quorate while a writer keeps writing, kills the migration again and again, and holds what came
out against the source.

Usage: main.py --binary QUORATE --spicedb ADDRESS --quorate ADDRESS --home FOLDER [--seed N] [--size N]
Keys are in QUORATE_FROM_KEY and QUORATE_KEY.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

from sides import LATER_SCHEMA, SCHEMA, Side, delete, relationship, some_relationship, touch

DOCUMENTS = 400
KILLS = 8
RUN_SECONDS = 60


class Writer(threading.Thread):
    """Writes to SpiceDB until it is stopped; each transaction has a number."""

    def __init__(self, side, seed):
        super().__init__(daemon=True)
        self.side, self.chance = side, random.Random(seed)
        self.number, self.failure = 0, None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.wait(0.002):
                self.write()
        except Exception as error:  # noqa: BLE001
            self.failure = error

    def write(self):
        number = self.number + 1
        if self.chance.random() < 0.05:
            self.side.delete(str(self.chance.randrange(DOCUMENTS)), number)
        else:
            updates = {}
            for _ in range(self.chance.randrange(1, 6)):
                made = some_relationship(self.chance, DOCUMENTS)
                key = (str(made.resource), made.relation, str(made.subject))
                updates[key] = delete(made) if self.chance.random() < 0.4 else touch(made)
            self.side.write(list(updates.values()), number)
        self.number = number

    def stop(self):
        self.stopping.set()
        self.join(RUN_SECONDS)
        assert self.failure is None, f"the writer failed: {self.failure}"


class Move:
    """The command under test."""

    def __init__(self, options):
        self.binary, self.home = options.binary, pathlib.Path(options.home)
        self.sides = ["--from", options.spicedb, "--endpoint", options.quorate]
        self.state = self.home / "state.json"

    def run(self, *arguments):
        """The exit code, standard output and standard error."""
        ran = subprocess.run([self.binary, "migrate", *arguments], capture_output=True, text=True, timeout=RUN_SECONDS)
        return ran.returncode, ran.stdout, ran.stderr

    def spicedb(self, *arguments):
        return self.run("from-spicedb", *self.sides, "--state", str(self.state), *arguments)

    def verify(self):
        return self.run("verify", *self.sides, "--settle", "2s", "--json")

    def start_following(self):
        command = [self.binary, "migrate", "from-spicedb", *self.sides, "--state", str(self.state), "--follow"]
        log = (self.home / "following").open("w")
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)

    def saved(self):
        return json.loads(self.state.read_text()) if self.state.exists() else {}


def wait_for(what, condition):
    deadline = time.monotonic() + RUN_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {RUN_SECONDS} s"
        time.sleep(0.02)


def compare(source, here, types=("team", "folder", "doc")):
    there, arrived = source.content(types), here.content(types)
    assert len(set(arrived)) == len(arrived)
    lost, extra = sorted(set(there) - set(arrived)), sorted(set(arrived) - set(there))
    assert not lost and not extra, f"{len(lost)} lost, {len(extra)} too many: {lost[:3]} {extra[:3]}"
    return len(there)


def fill(source, chance, size):
    source.write_schema(SCHEMA)
    made = {}
    while len(made) < size:
        one = some_relationship(chance, size)
        made[(str(one.resource), one.relation, str(one.subject))] = touch(one)
    made = list(made.values())
    for at in range(0, size, 500):
        source.write(made[at : at + 500])


def refusals(move, source, here):
    """What stands in the way is told before anything is written."""
    # What SpiceDB takes, and fails on each time that it is evaluated.
    source.write_schema('caveat never(name string) { name.matches("[") }\n\ndefinition user {}')
    held = here.token()
    code, out, err = move.spicedb()
    assert code == 1 and "cannot be used here" in err, (code, out, err)
    assert here.token() == held and not move.state.exists()
    source.write_schema("definition user {}")
    wrong = {**os.environ, "QUORATE_FROM_KEY": "wrong"}
    command = [move.binary, "migrate", "from-spicedb", *move.sides, "--state", str(move.home / "never.json")]
    ran = subprocess.run(command, capture_output=True, text=True, env=wrong, timeout=RUN_SECONDS)
    assert ran.returncode == 1 and "--from-key" in ran.stderr, ran
    assert not (move.home / "never.json").exists()


def move_under_load(move, source, here, chance):
    before = here.token()
    writer = Writer(source, chance.random())
    writer.start()
    kills = {"copying": 0, "following": 0}
    for kill in range(KILLS):
        running = move.start_following()
        copied = move.saved().get("copied", 0)
        if kill < KILLS // 3:
            wait_for("some of the copy is in", lambda: move.saved().get("copied", 0) > copied)
        else:
            wait_for("the copy is in", lambda: move.saved().get("through"))
            time.sleep(chance.uniform(0, 0.8))
        kills["following" if move.saved().get("through") else "copying"] += 1
        assert running.poll() is None, (move.home / "following").read_text()
        running.kill()
        running.wait()
    running = move.start_following()
    wait_for("it caught up", lambda: "caught up" in (move.home / "following").read_text())
    running.terminate()
    assert running.wait(RUN_SECONDS) == 0, (move.home / "following").read_text()
    writer.stop()
    last = writer.number + 1
    source.write([touch(relationship("doc:last", "viewer", "user:1"))], last)
    code, out, err = move.spicedb("--json")
    report = json.loads(out)
    assert code == 0 and report["caught_up"], (code, out, err)
    count = compare(source, here)
    there, told = source.numbers(move.saved()["start"], last), here.numbers(before, last)
    assert told == there, f"not each once and in order: {sorted(set(there) ^ set(told))[:20]}, {len(there)} {len(told)}"
    print(f"moved {count} relationships under {last} transactions, {len(told)} of them followed; killed while {kills}")
    assert len(told) > 100 and min(kills.values()) > 0, "the load was too small to prove anything"
    code, out, err = move.spicedb("--json")
    assert code == 0 and json.loads(out)["transactions"] == report["transactions"], (code, out, err)


def verify(move, source, here):
    code, out, err = move.verify()
    assert code == 0, (code, out, err)
    same = json.loads(out)
    assert same["checks"]["compared"] > 500 and same["checks"]["differ"] == [], same
    extra = relationship("doc:extra", "viewer", "user:mallory")
    here.write([touch(extra)])
    code, out, err = move.verify()
    assert code == 1 and json.loads(out)["differences"]["only_here"] == ["doc:extra#viewer@user:mallory"], (code, out, err)
    here.write([delete(extra)])
    changed = relationship("doc:extra", "viewer", "user:mallory", caveat={"tier": 1})
    source.write([touch(changed)])
    here.write([touch(relationship("doc:extra", "viewer", "user:mallory", caveat={"tier": 9}))])
    code, out, err = move.verify()
    differences = json.loads(out)["differences"]
    assert code == 1 and len(differences["only_here"]) == len(differences["only_source"]) == 1, (code, out, err)
    # What the source says once more counts.
    source.write([delete(changed)])
    code, out, err = move.spicedb()
    assert code == 0, (code, out, err)
    code, out, err = move.verify()
    assert code == 0, (code, out, err)


def change_schema(move, source, here):
    source.write_schema(LATER_SCHEMA)
    source.write([touch(relationship("note:1", "author", "user:1"))])
    code, out, err = move.spicedb()
    assert code == 1 and "schema of the source changed" in err and "--schema-changes apply" in err, (code, out, err)
    code, out, err = move.spicedb("--schema-changes", "apply")
    assert code == 0, (code, out, err)
    compare(source, here, ("team", "folder", "doc", "note"))
    code, out, err = move.verify()
    assert code == 0 and json.loads(out)["same_schema"], (code, out, err)


def back_up(move, source, here):
    file = move.home / "all.zedbackup"
    code, out, err = move.run("to-backup", str(file), *move.sides[2:])
    assert code == 0, (code, out, err)
    before = here.content(("team", "folder", "doc", "note"))
    here.write([touch(relationship("doc:later", "viewer", "user:1"))])
    code, out, err = move.run("from-backup", str(file), *move.sides[2:])
    assert code == 1 and "--replace" in err, (code, out, err)
    code, out, err = move.run("from-backup", "--replace", str(file), *move.sides[2:])
    assert code == 0, (code, out, err)
    assert here.content(("team", "folder", "doc", "note")) == before
    code, out, err = move.verify()
    assert code == 0, (code, out, err)


def main():
    options = argparse.ArgumentParser()
    for name in ("binary", "spicedb", "quorate", "home"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--size", type=int, default=20_000)
    options = options.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    source = Side(options.spicedb, os.environ["QUORATE_FROM_KEY"])
    here = Side(options.quorate, os.environ["QUORATE_KEY"])
    move = Move(options)
    here.write_schema("definition nothing {}")
    steps = [
        lambda: refusals(move, source, here),
        lambda: fill(source, chance, options.size),
        lambda: move_under_load(move, source, here, chance),
        lambda: verify(move, source, here),
        lambda: change_schema(move, source, here),
        lambda: back_up(move, source, here),
    ]
    for number, step in enumerate(steps, 1):
        started = time.monotonic()
        step()
        print(f"step {number} of {len(steps)}: {time.monotonic() - started:.1f} s", flush=True)
    print(f"{len(steps)} passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main())
